/* SPDX-License-Identifier: MIT */
/*
 * A thread for each conversation. A thread that ends joins the one that ended
 * before it, so that at any time at most one ended thread waits to be reaped,
 * and the accepting strand is not bothered.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/strand_thread.h"
#include "model/model.h"
#include "os/os_thread.h"

struct conversing {
	struct nr_model *model;
	struct nr_accepted accepted;
	struct nr_thread thread;
};

struct nr_model {
	struct nr_host *host;
	struct nr_mutex lock;
	struct nr_cond none_left;
	unsigned running;         /* threads; under the lock */
	_Atomic unsigned talking; /* of them, those whose connection is not
	                             over: a thread may still have output to
	                             send */
	struct conversing *ended; /* not joined yet; under the lock */
};

static int thread_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model = calloc(1, sizeof(*model));

	if (!model)
		return -ENOMEM;
	model->host = host;
	nr_mutex_init(&model->lock);
	nr_cond_init(&model->none_left);
	*ret_model = model;
	return 0;
}

static unsigned thread_running(struct nr_model *model)
{
	return atomic_load(&model->talking);
}

static void reap(struct conversing *ended)
{
	if (!ended)
		return;
	nr_thread_join(ended->thread);
	free(ended);
}

/* The conversation is over: the thread takes the place of the one that ended
 * before it. */
static void leave(struct conversing *self)
{
	struct nr_model *model = self->model;
	struct nr_host *host = model->host;
	struct conversing *before;

	nr_mutex_lock(&model->lock);
	before = model->ended;
	model->ended = self;
	nr_assert(model->running > 0);
	model->running--;
	/* Once nobody is running, the model may be freed as soon as the lock
	 * is: nothing of it is touched after that. */
	host->over(host, &self->accepted);
	nr_cond_signal(&model->none_left);
	nr_mutex_unlock(&model->lock);
	reap(before);
}

static void *thread_main(void *arg)
{
	struct conversing *self = arg;
	struct nr_host *host = self->model->host;
	struct nr_strand_thread thread;

	nr_strand_thread_open(&thread, host->cancel, host->stop,
	                      host->stack_size);
	nr_strand_enter(&thread.strand);
	host->converse(host, &self->accepted);
	atomic_fetch_sub(&self->model->talking, 1);
	nr_strand_thread_fini(&thread);
	nr_strand_enter(NULL);
	leave(self);
	return NULL;
}

static int thread_take(struct nr_model *model,
                       const struct nr_accepted *accepted)
{
	struct conversing *conversing = malloc(sizeof(*conversing));
	int err;

	if (!conversing)
		return -ENOMEM;
	*conversing =
		(struct conversing){.model = model, .accepted = *accepted};
	/* The thread must find its own id when it ends, even at once: the
	 * lock holds it up until we have it. */
	nr_mutex_lock(&model->lock);
	atomic_fetch_add(&model->talking, 1);
	err = nr_thread_start(&conversing->thread, model->host->stack_size,
	                      thread_main, conversing);
	if (err == 0)
		model->running++;
	else
		atomic_fetch_sub(&model->talking, 1);
	nr_mutex_unlock(&model->lock);
	if (err < 0)
		free(conversing);
	return err;
}

static int64_t thread_tend(struct nr_model *model)
{
	(void)model;
	return NR_NEVER;
}

static void thread_stop(struct nr_model *model)
{
	(void)model;
}

static void thread_free(struct nr_model *model)
{
	nr_mutex_lock(&model->lock);
	while (model->running > 0)
		nr_cond_wait(&model->none_left, &model->lock);
	nr_mutex_unlock(&model->lock);
	reap(model->ended);
	nr_cond_fini(&model->none_left);
	nr_mutex_fini(&model->lock);
	free(model);
}

const struct nr_model_ops nr_model_thread = {
	.id = NARU_THREAD,
	.info = {.name = "thread", .summary = "a thread for each client"},
	.start = thread_start,
	.take = thread_take,
	.running = thread_running,
	.tend = thread_tend,
	.stop = thread_stop,
	.kill = thread_stop,
	.free = thread_free,
};
