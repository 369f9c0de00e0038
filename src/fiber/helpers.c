/* SPDX-License-Identifier: MIT */
/*
 * Helper threads: see helpers.h. An idle helper waits under a condition of its
 * own, and the one that became idle last is woken first: while there is little
 * to do, the others are left alone until they end. A helper that ends joins the
 * one that ended before it, so that at any time at most one ended thread waits
 * to be reaped, and nobody else waits for it.
 */
#include "fiber/helpers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "os/os_time.h"

struct nr_helper {
	struct nr_helpers *helpers;
	struct nr_thread thread;
	struct nr_cond woken;
	struct nr_list node; /* of the idle ones, until it is woken */
};

void nr_helpers_init(struct nr_helpers *helpers, unsigned most,
                     size_t stack_size)
{
	nr_assert(most > 0);
	*helpers = (struct nr_helpers){
		.most = most,
		.stack_size = stack_size,
		.idle_time = NR_HELPER_IDLE,
	};
	nr_mutex_init(&helpers->lock);
	nr_cond_init(&helpers->none_left);
	nr_list_init(&helpers->jobs);
	nr_list_init(&helpers->idle);
}

/* Wakes the helper that became idle last, if any is. */
static void wake_one(struct nr_helpers *helpers)
{
	struct nr_helper *helper;

	if (nr_list_empty(&helpers->idle))
		return;
	helper = nr_list_entry(helpers->idle.prev, struct nr_helper, node);
	nr_list_remove(&helper->node);
	nr_cond_signal(&helper->woken);
}

static void reap(struct nr_helper *ended)
{
	if (!ended)
		return;
	nr_thread_join(ended->thread);
	nr_cond_fini(&ended->woken);
	free(ended);
}

/* Under the lock: waits until there is a job. False where the helper is to end:
 * it had none for too long, or there will be none. */
static bool wait_for_job(struct nr_helper *self)
{
	struct nr_helpers *helpers = self->helpers;
	int64_t until = NR_NEVER;
	int err = 0;

	if (helpers->queued == 0)
		until = nr_time_add(nr_now(), helpers->idle_time);
	while (helpers->queued == 0 && !helpers->ending && err == 0) {
		/* Woken, it may find that the job was taken back, or that
		 * another helper had it. */
		if (nr_list_empty(&self->node))
			nr_list_append(&helpers->idle, &self->node);
		err = nr_cond_wait_until(&self->woken, &helpers->lock, until);
	}
	nr_list_remove(&self->node);
	return helpers->queued > 0;
}

/* Under the lock, which is let go of meanwhile: runs the first job. */
static void run_first(struct nr_helpers *helpers)
{
	struct nr_job *job =
		nr_list_entry(helpers->jobs.next, struct nr_job, node);

	nr_list_remove(&job->node);
	helpers->queued--;
	helpers->busy++;
	nr_mutex_unlock(&helpers->lock);
	job->run(job);
	/* Free before anybody knows: whoever has another job then finds this
	 * helper, and starts none. */
	nr_mutex_lock(&helpers->lock);
	helpers->busy--;
	nr_mutex_unlock(&helpers->lock);
	job->done(job);
	nr_mutex_lock(&helpers->lock);
}

static void *helper_main(void *arg)
{
	struct nr_helper *self = arg;
	struct nr_helpers *helpers = self->helpers;
	struct nr_helper *before;

	nr_mutex_lock(&helpers->lock);
	while (wait_for_job(self))
		run_first(helpers);
	before = helpers->ended;
	helpers->ended = self;
	nr_assert(helpers->running > 0);
	helpers->running--;
	if (helpers->running == 0)
		nr_cond_signal(&helpers->none_left);
	nr_mutex_unlock(&helpers->lock);
	reap(before);
	return NULL;
}

/* Under the lock, which holds the new thread up until its id is known. */
static int start_one(struct nr_helpers *helpers)
{
	struct nr_helper *helper = malloc(sizeof(*helper));
	int err;

	if (!helper)
		return -ENOMEM;
	helper->helpers = helpers;
	nr_cond_init(&helper->woken);
	nr_list_init(&helper->node);
	err = nr_thread_start(&helper->thread, helpers->stack_size, helper_main,
	                      helper);
	if (err < 0) {
		nr_cond_fini(&helper->woken);
		free(helper);
		return err;
	}
	helpers->running++;
	return 0;
}

int nr_helpers_run(struct nr_helpers *helpers, struct nr_job *job)
{
	int err = 0;

	nr_assert(job->run && job->done);
	nr_mutex_lock(&helpers->lock);
	if (job->dispensable &&
	    helpers->busy + helpers->queued >= helpers->most / 2) {
		nr_mutex_unlock(&helpers->lock);
		return -EAGAIN;
	}
	/* A helper without a job, idle or on its way, takes one of those that
	 * are queued. */
	if (helpers->queued + 1 > helpers->running - helpers->busy &&
	    helpers->running < helpers->most)
		err = start_one(helpers);
	/* Where there are helpers, the job waits for one of them instead. */
	if (helpers->running > 0) {
		err = 0;
		nr_list_append(&helpers->jobs, &job->node);
		helpers->queued++;
		wake_one(helpers);
	}
	nr_mutex_unlock(&helpers->lock);
	return err;
}

bool nr_helpers_withdraw(struct nr_helpers *helpers, struct nr_job *job)
{
	bool queued;

	nr_mutex_lock(&helpers->lock);
	queued = !nr_list_empty(&job->node);
	if (queued) {
		nr_list_remove(&job->node);
		helpers->queued--;
	}
	nr_mutex_unlock(&helpers->lock);
	return queued;
}

void nr_helpers_fini(struct nr_helpers *helpers)
{
	nr_mutex_lock(&helpers->lock);
	helpers->ending = true;
	while (!nr_list_empty(&helpers->idle))
		wake_one(helpers);
	while (helpers->running > 0)
		nr_cond_wait(&helpers->none_left, &helpers->lock);
	nr_mutex_unlock(&helpers->lock);
	/* It has joined the one before it, and so on: nobody is left. */
	reap(helpers->ended);
	nr_assert(nr_list_empty(&helpers->jobs));
	nr_cond_fini(&helpers->none_left);
	nr_mutex_fini(&helpers->lock);
}
