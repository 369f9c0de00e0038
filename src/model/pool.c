/* SPDX-License-Identifier: MIT */
/*
 * Threads started beforehand. An idle one is handed the accepted socket: the
 * one that became idle last, whose stack is still in the caches.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/strand_thread.h"
#include "model/model.h"
#include "os/os_thread.h"

struct worker {
	struct nr_model *model;
	struct worker *next_idle;
	struct nr_cond handed;
	bool busy;
	struct nr_accepted accepted;
	struct nr_thread thread;
};

struct nr_model {
	struct nr_host *host;
	struct nr_mutex lock; /* guards all that follows, and the workers */
	struct worker *idle;  /* the one that became idle last */
	unsigned running;
	bool stopped;
	unsigned started;
	struct worker workers[];
};

/* Waits until WORKER is handed a socket. False when there will be none. */
static bool await_socket(struct worker *worker)
{
	struct nr_model *model = worker->model;
	bool busy;

	nr_mutex_lock(&model->lock);
	while (!worker->busy && !model->stopped)
		nr_cond_wait(&worker->handed, &model->lock);
	busy = worker->busy;
	nr_mutex_unlock(&model->lock);
	return busy;
}

static void become_idle(struct worker *worker)
{
	struct nr_model *model = worker->model;

	nr_mutex_lock(&model->lock);
	worker->busy = false;
	worker->next_idle = model->idle;
	model->idle = worker;
	model->running--;
	nr_mutex_unlock(&model->lock);
	model->host->wake(model->host);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct nr_host *host = worker->model->host;
	struct nr_strand_thread thread;

	nr_strand_thread_open(&thread, host->cancel, host->stop,
	                      host->stack_size);
	nr_strand_enter(&thread.strand);
	while (await_socket(worker)) {
		host->converse(host, &worker->accepted);
		become_idle(worker);
	}
	nr_strand_thread_fini(&thread);
	nr_strand_enter(NULL);
	return NULL;
}

static void pool_stop(struct nr_model *model)
{
	nr_mutex_lock(&model->lock);
	model->stopped = true;
	for (unsigned i = 0; i < model->started; i++)
		nr_cond_signal(&model->workers[i].handed);
	nr_mutex_unlock(&model->lock);
}

static void pool_free(struct nr_model *model)
{
	pool_stop(model);
	for (unsigned i = 0; i < model->started; i++) {
		nr_thread_join(model->workers[i].thread);
		nr_cond_fini(&model->workers[i].handed);
	}
	nr_assert(model->running == 0);
	nr_mutex_fini(&model->lock);
	free(model);
}

static int start_worker(struct nr_model *model)
{
	struct worker *worker = &model->workers[model->started];
	int err;

	worker->model = model;
	nr_cond_init(&worker->handed);
	err = nr_thread_start(&worker->thread, model->host->stack_size,
	                      worker_main, worker);
	if (err < 0) {
		nr_cond_fini(&worker->handed);
		return err;
	}
	nr_mutex_lock(&model->lock);
	worker->next_idle = model->idle;
	model->idle = worker;
	model->started++;
	nr_mutex_unlock(&model->lock);
	nr_report(model->host->report,
	          &(struct naru_event){.kind = NARU_EVENT_WORKER_BEGIN,
	                               .result = (int)model->started});
	return 0;
}

static int pool_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model;
	int err = 0;

	model = calloc(1,
	               sizeof(*model) + host->workers * sizeof(struct worker));
	if (!model)
		return -ENOMEM;
	model->host = host;
	nr_mutex_init(&model->lock);
	while (err == 0 && model->started < host->workers)
		err = start_worker(model);
	if (err < 0) {
		pool_free(model);
		return err;
	}
	*ret_model = model;
	return 0;
}

static unsigned pool_running(struct nr_model *model)
{
	unsigned running;

	nr_mutex_lock(&model->lock);
	running = model->running;
	nr_mutex_unlock(&model->lock);
	return running;
}

static bool pool_has_room(struct nr_model *model)
{
	bool room;

	nr_mutex_lock(&model->lock);
	room = model->idle && model->running < model->host->max_conversations;
	nr_mutex_unlock(&model->lock);
	return room;
}

static int pool_take(struct nr_model *model, const struct nr_accepted *accepted)
{
	struct worker *worker;

	nr_mutex_lock(&model->lock);
	worker = model->idle;
	if (worker) {
		model->idle = worker->next_idle;
		model->running++;
		worker->accepted = *accepted;
		worker->busy = true;
	}
	nr_mutex_unlock(&model->lock);
	if (!worker)
		return -EAGAIN;
	nr_model_report_hand_over(model->host, accepted, 0);
	/* Not under the lock, which the woken worker would run into. */
	nr_cond_signal(&worker->handed);
	return 0;
}

static int64_t pool_tend(struct nr_model *model)
{
	(void)model;
	return NR_NEVER;
}

static void pool_kill(struct nr_model *model)
{
	(void)model;
}

const struct nr_model_ops nr_model_pool = {
	.id = NARU_POOL,
	.info = {.name = "pool",
                 .summary = "threads started beforehand",
                 .has_workers = 1},
	.start = pool_start,
	.has_room = pool_has_room,
	.take = pool_take,
	.running = pool_running,
	.tend = pool_tend,
	.stop = pool_stop,
	.kill = pool_kill,
	.free = pool_free,
};
