/* SPDX-License-Identifier: MIT */
/*
 * A fiber for each conversation, on a few threads. The accepting strand is
 * one of them: its scheduler attends to the server's loop. A conversation
 * goes to the thread that has the fewest, for life.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "model/fibers.h"
#include "model/model.h"
#include "os/os_file.h"
#include "os/os_thread.h"
#include "os/os_time.h"

/* How long a worker that could not start a fiber is not asked for another; the
 * end of one of its conversations ends that too. */
#define FULL_NS (100 * NR_NS_PER_MS)

struct worker {
	struct nr_model *model;
	struct nr_fibers fibers;
	_Atomic unsigned running; /* connections */
	_Atomic int64_t full;     /* until when it is not asked: it could not
	                             start one more */
	/* Of those with a thread of their own, all but the first: */
	struct nr_thread thread;
	struct nr_post cancel, drain, stop;
	bool stopping;
};

struct nr_model {
	struct nr_host *host;
	struct nr_helpers helpers;
	unsigned started;
	/* Of a worker that starts: */
	struct nr_mutex lock;
	struct nr_cond opened;
	int outcome; /* 1 while it is not known */
	struct worker workers[];
};

static void over(struct nr_fibers *fibers, struct nr_accepted *accepted)
{
	struct worker *worker = nr_list_entry(fibers, struct worker, fibers);

	atomic_fetch_sub(&worker->running, 1);
	atomic_store_explicit(&worker->full, 0, memory_order_relaxed);
	fibers->host->over(fibers->host, accepted);
}

/* An accepted socket on its way to another thread. */
struct handed {
	struct nr_post post;
	struct worker *worker;
	struct nr_accepted accepted;
};

static void take_handed(struct nr_post *post)
{
	struct handed *handed = nr_list_entry(post, struct handed, post);
	struct nr_fibers *fibers = &handed->worker->fibers;
	struct nr_fiber *fiber;
	int err = nr_fibers_start(fibers, &handed->accepted, &fiber);

	if (err < 0) {
		nr_fibers_refuse(fibers, &handed->accepted, err);
		atomic_store_explicit(&handed->worker->full,
		                      nr_time_add(nr_now(), FULL_NS),
		                      memory_order_relaxed);
	}
	free(handed);
}

static int hand_over(struct worker *worker, const struct nr_accepted *accepted)
{
	struct handed *handed = malloc(sizeof(*handed));

	if (!handed)
		return -ENOMEM;
	*handed = (struct handed){.post = {.fn = take_handed},
	                          .worker = worker,
	                          .accepted = *accepted};
	nr_list_init(&handed->post.node);
	nr_scheduler_post(worker->fibers.scheduler, &handed->post);
	return 0;
}

static bool is_full(struct worker *worker)
{
	int64_t until =
		atomic_load_explicit(&worker->full, memory_order_relaxed);

	return until > 0 && nr_now() < until;
}

/* The worker with the fewest connections, or null where all are full. */
static struct worker *fewest(struct nr_model *model)
{
	struct worker *found = NULL;
	unsigned least = UINT_MAX;

	for (unsigned i = 0; i < model->started; i++) {
		struct worker *worker = &model->workers[i];
		unsigned running = atomic_load_explicit(&worker->running,
		                                        memory_order_relaxed);

		if (running < least && !is_full(worker)) {
			found = worker;
			least = running;
		}
	}
	return found;
}

static int fiber_take(struct nr_model *model,
                      const struct nr_accepted *accepted)
{
	struct worker *worker = fewest(model);
	struct nr_fiber *fiber;
	int err;

	if (!worker)
		return -EAGAIN;
	atomic_fetch_add(&worker->running, 1);
	if (worker == &model->workers[0])
		err = nr_fibers_start(&worker->fibers, accepted, &fiber);
	else
		err = hand_over(worker, accepted);
	if (err < 0)
		atomic_fetch_sub(&worker->running, 1);
	return err;
}

static unsigned fiber_running(struct nr_model *model)
{
	unsigned running = 0;

	for (unsigned i = 0; i < model->started; i++)
		running += atomic_load(&model->workers[i].running);
	return running;
}

static int64_t fiber_tend(struct nr_model *model)
{
	(void)model;
	return NR_NEVER;
}

static int fiber_turn(struct nr_model *model, int64_t until)
{
	return nr_scheduler_turn(model->workers[0].fibers.scheduler, until);
}

static void drain_worker(struct nr_post *post)
{
	struct worker *worker = nr_list_entry(post, struct worker, drain);

	nr_scheduler_stop(worker->fibers.scheduler);
}

static void fiber_stop(struct nr_model *model)
{
	nr_scheduler_stop(model->workers[0].fibers.scheduler);
	for (unsigned i = 1; i < model->started; i++)
		nr_scheduler_post(model->workers[i].fibers.scheduler,
		                  &model->workers[i].drain);
}

static void fiber_kill(struct nr_model *model)
{
	(void)model;
}

static void cancel_worker(struct nr_post *post)
{
	struct worker *worker = nr_list_entry(post, struct worker, cancel);

	nr_scheduler_cancel(worker->fibers.scheduler);
}

static void fiber_cancel(struct nr_model *model)
{
	nr_scheduler_cancel(model->workers[0].fibers.scheduler);
	for (unsigned i = 1; i < model->started; i++)
		nr_scheduler_post(model->workers[i].fibers.scheduler,
		                  &model->workers[i].cancel);
}

/* Threads. */

static int open_scheduler(struct worker *worker)
{
	struct nr_host *host = worker->model->host;
	int err;

	err = nr_fibers_open(host, &worker->fibers.scheduler);
	if (err == 0 && worker == &worker->model->workers[0]) {
		err = nr_scheduler_attend(worker->fibers.scheduler, host->loop);
		if (err < 0)
			nr_scheduler_close(worker->fibers.scheduler);
	}
	return err;
}

static void stop_worker(struct nr_post *post)
{
	nr_list_entry(post, struct worker, stop)->stopping = true;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct nr_model *model = worker->model;
	int err = open_scheduler(worker);

	nr_mutex_lock(&model->lock);
	model->outcome = err;
	nr_cond_signal(&model->opened);
	nr_mutex_unlock(&model->lock);
	if (err < 0)
		return NULL;
	while (!worker->stopping ||
	       nr_scheduler_count(worker->fibers.scheduler) > 0)
		nr_fibers_turn(worker->fibers.scheduler, NR_NEVER);
	nr_scheduler_close(worker->fibers.scheduler);
	return NULL;
}

static void init_worker(struct nr_model *model, struct worker *worker)
{
	worker->model = model;
	worker->fibers = (struct nr_fibers){.host = model->host,
	                                    .helpers = &model->helpers,
	                                    .over = over};
	worker->cancel.fn = cancel_worker;
	worker->drain.fn = drain_worker;
	worker->stop.fn = stop_worker;
	nr_list_init(&worker->cancel.node);
	nr_list_init(&worker->drain.node);
	nr_list_init(&worker->stop.node);
}

/* Starts a worker on a thread of its own, and waits until it is ready. */
static int start_thread(struct nr_model *model, struct worker *worker)
{
	int err;

	model->outcome = 1;
	err = nr_thread_start(&worker->thread, NR_STACK_SIZE_DEFAULT,
	                      worker_main, worker);
	if (err < 0)
		return err;
	nr_mutex_lock(&model->lock);
	while (model->outcome > 0)
		nr_cond_wait(&model->opened, &model->lock);
	err = model->outcome;
	nr_mutex_unlock(&model->lock);
	if (err < 0)
		nr_thread_join(worker->thread);
	return err;
}

/* Closes the accepting strand's own scheduler. */
static void close_own(struct nr_scheduler *own)
{
	/* What helpers have sent is still to be read. */
	nr_scheduler_settle(own);
	/* A conversation is over a little before its fiber is. */
	while (nr_scheduler_count(own) > 0)
		(void)nr_scheduler_turn(own, NR_NEVER);
	nr_scheduler_close(own);
}

static void fiber_free(struct nr_model *model)
{
	/* Before the schedulers, to which helpers send word. No conversation is
	 * left that could give them something to do. */
	nr_helpers_fini(&model->helpers);
	for (unsigned i = 1; i < model->started; i++)
		nr_scheduler_post(model->workers[i].fibers.scheduler,
		                  &model->workers[i].stop);
	for (unsigned i = 1; i < model->started; i++)
		nr_thread_join(model->workers[i].thread);
	/* The last turns may still be told to cancel: only what is left. */
	if (model->started > 1)
		model->started = 1;
	if (model->started > 0)
		close_own(model->workers[0].fibers.scheduler);
	nr_cond_fini(&model->opened);
	nr_mutex_fini(&model->lock);
	free(model);
}

static int fiber_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model;
	int err = 0;

	model = calloc(1,
	               sizeof(*model) + host->workers * sizeof(struct worker));
	if (!model)
		return -ENOMEM;
	model->host = host;
	nr_mutex_init(&model->lock);
	nr_cond_init(&model->opened);
	nr_helpers_init(&model->helpers, NR_FIBERS_HELPERS,
	                NR_STACK_SIZE_DEFAULT);
	while (err == 0 && model->started < host->workers) {
		struct worker *worker = &model->workers[model->started];

		init_worker(model, worker);
		err = model->started == 0 ? open_scheduler(worker)
		                          : start_thread(model, worker);
		if (err == 0)
			model->started++;
	}
	if (err < 0) {
		fiber_free(model);
		return err;
	}
	nr_fibers_report_waiter(host);
	*ret_model = model;
	return 0;
}

const struct nr_model_ops nr_model_fiber = {
	.id = NARU_FIBER,
	.info = {.name = "fiber",
                 .summary = "a fiber for each client, on a thread per core",
                 .has_workers = 1},
	.start = fiber_start,
	.take = fiber_take,
	.running = fiber_running,
	.tend = fiber_tend,
	.turn = fiber_turn,
	.stop = fiber_stop,
	.cancel = fiber_cancel,
	.kill = fiber_kill,
	.free = fiber_free,
};
