/* SPDX-License-Identifier: MIT */
/* Workers that are processes: see workers.h. */
#include "model/workers.h"

#include <errno.h>

#include "base/assert.h"
#include "base/time.h"
#include "model/model.h"
#include "os/os_file.h"
#include "os/os_process.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* A worker that lived for less than this died at its start. */
#define EARLY_NS NR_NS_PER_S

/* The pause after a first early death; each further one doubles it. */
#define PAUSE_MIN_NS (10 * NR_NS_PER_MS)
#define PAUSE_MAX_NS (2 * NR_NS_PER_S)

/* How often one looks after a process that no descriptor tells of. */
#define LOOK_NS (20 * NR_NS_PER_MS)

static struct nr_worker *worker_at(struct nr_list *node)
{
	return nr_list_entry(node, struct nr_worker, node);
}

void nr_workers_init(struct nr_workers *workers, struct nr_host *host,
                     const struct nr_workers_ops *ops)
{
	nr_assert(ops->live && ops->hear);
	*workers = (struct nr_workers){.host = host, .ops = ops};
	nr_list_init(&workers->all);
}

static void close_source(struct nr_worker *worker, struct nr_source *source)
{
	nr_loop_remove(worker->workers->host->loop, source);
	nr_file_close(source->fd);
	source->fd = -1;
}

/* Stopping. */

static void leave(struct nr_worker *worker)
{
	struct nr_workers *workers = worker->workers;

	nr_assert(worker->state == NR_WORKER_PRESENT && workers->present > 0);
	worker->state = NR_WORKER_LEAVING;
	workers->present--;
	if (workers->ops->leaving)
		workers->ops->leaving(worker);
}

void nr_workers_let_go(struct nr_worker *worker)
{
	if (worker->state != NR_WORKER_PRESENT)
		return;
	leave(worker);
	if (!worker->workers->ops->says_ahead ||
	    nr_socket_finish(worker->channel.fd) < 0)
		close_source(worker, &worker->channel);
}

/* Nothing more is said to WORKER, nor heard of it. */
static void drop(struct nr_worker *worker)
{
	if (worker->state == NR_WORKER_PRESENT)
		leave(worker);
	close_source(worker, &worker->channel);
}

void nr_workers_stop(struct nr_workers *workers)
{
	struct nr_list *node, *after;

	workers->stopped = true;
	nr_list_for_each (node, after, &workers->all) {
		nr_workers_let_go(worker_at(node));
	}
}

void nr_workers_kill(struct nr_workers *workers)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &workers->all) {
		struct nr_worker *worker = worker_at(node);

		if (worker->state != NR_WORKER_ABSENT)
			nr_process_kill(worker->pid);
	}
}

/* What is said and what ends. */

static ssize_t hear(struct nr_worker *worker)
{
	return worker->workers->ops->hear(worker);
}

/* WORKER has said something, or by its end that it can say nothing any
 * more. */
static void channel_ready(struct nr_source *source)
{
	struct nr_worker *worker =
		nr_list_entry(source, struct nr_worker, channel);

	if (hear(worker) != 0)
		return;
	/* A worker that cannot be talked with is of no use, should it still
	 * live. */
	if (worker->state == NR_WORKER_PRESENT)
		nr_process_kill(worker->pid);
	drop(worker);
}

/* When a worker that has just died may be followed by another. */
static void plan_start(struct nr_worker *worker)
{
	int64_t now = nr_now();

	if (now - worker->started >= EARLY_NS) {
		worker->pause = 0;
		worker->start_at = now;
		return;
	}
	worker->pause = worker->pause ? worker->pause * 2 : PAUSE_MIN_NS;
	worker->pause = nr_time_min(worker->pause, PAUSE_MAX_NS);
	worker->start_at = nr_time_add(now, worker->pause);
}

/* Hears what WORKER had said that is still in its channel. */
static void hear_out(struct nr_worker *worker)
{
	while (worker->channel.fd >= 0 && hear(worker) > 0)
		;
}

/* Reaps a worker whose process has ended, or waits until it has. */
static void reap(struct nr_worker *worker, bool wait)
{
	struct nr_workers *workers = worker->workers;
	struct nr_host *host = workers->host;
	int status = 0;

	if (!nr_process_reap(worker->pid, wait, &status))
		return;
	/* What it did may have been over before it was itself. */
	hear_out(worker);
	drop(worker);
	close_source(worker, &worker->end);
	if (workers->ops->ended)
		workers->ops->ended(worker, status);
	nr_file_close(worker->far);
	worker->far = -1;
	nr_report(host->report,
	          &(struct naru_event){.kind = NARU_EVENT_WORKER_END,
	                               .result = workers->stopped ? 0 : -ECHILD,
	                               .pid = worker->pid,
	                               .status = status});
	worker->state = NR_WORKER_ABSENT;
	plan_start(worker);
	host->wake(host);
}

static void process_ended(struct nr_source *source)
{
	reap(nr_list_entry(source, struct nr_worker, end), false);
}

void nr_workers_fini(struct nr_workers *workers)
{
	struct nr_list *node, *after;

	nr_workers_stop(workers);
	nr_list_for_each (node, after, &workers->all) {
		struct nr_worker *worker = worker_at(node);

		if (worker->state == NR_WORKER_ABSENT)
			continue;
		/* It must not wait for being heard by somebody who waits for
		 * its end. */
		hear_out(worker);
		drop(worker);
		reap(worker, true);
	}
	nr_assert(workers->present == 0);
}

/* Starting. */

/* Watches WORKER, whose process has just been forked. Its channel tells of its
 * end too: where there is no descriptor for the process (there may be none
 * left, or pidfd_open(2) be forbidden), nr_workers_tend() looks after it. */
static int watch(struct nr_worker *worker, int channel)
{
	struct nr_loop *loop = worker->workers->host->loop;
	struct nr_source *end = &worker->end;

	worker->channel = (struct nr_source){channel, true, channel_ready};
	*end = (struct nr_source){-1, true, process_ended};
	end->fd = nr_process_watch(worker->pid);
	if (end->fd >= 0 && nr_loop_add(loop, end) < 0) {
		nr_file_close(end->fd);
		end->fd = -1;
	}
	return nr_loop_add(loop, &worker->channel);
}

/* In the worker's process. */
static _Noreturn void live(struct nr_worker *worker, int channel)
{
	struct nr_workers *workers = worker->workers;
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &workers->all) {
		nr_file_close(worker_at(node)->channel.fd);
		nr_file_close(worker_at(node)->far);
		nr_file_close(worker_at(node)->end.fd);
	}
	workers->host->leave(workers->host);
	nr_process_exit(workers->ops->live(worker, channel));
}

static void report_begin(const struct nr_worker *worker)
{
	const struct nr_workers *workers = worker->workers;

	nr_report(workers->host->report,
	          &(struct naru_event){.kind = NARU_EVENT_WORKER_BEGIN,
	                               .result = (int)workers->present,
	                               .pid = worker->pid});
}

/* Keeps FAR where it is wanted and the end of the process is told of: the
 * channel does not tell of it then. */
static void keep_far(struct nr_worker *worker, int far)
{
	worker->far = -1;
	if (worker->workers->ops->says_ahead && worker->end.fd >= 0)
		worker->far = far;
	else
		nr_file_close(far);
}

/* WORKER has been forked, but cannot be watched. */
static void give_up(struct nr_worker *worker)
{
	int status;

	close_source(worker, &worker->channel);
	close_source(worker, &worker->end);
	nr_file_close(worker->far);
	worker->far = -1;
	nr_process_kill(worker->pid);
	(void)nr_process_reap(worker->pid, true, &status);
}

static int start(struct nr_worker *worker)
{
	struct nr_workers *workers = worker->workers;
	int ends[2], err = nr_socket_pair(ends);

	if (err < 0)
		return err;
	worker->pid = nr_model_fork(workers->host);
	if (worker->pid == 0) {
		nr_file_close(ends[0]);
		live(worker, ends[1]);
	}
	if (worker->pid < 0) {
		nr_file_close(ends[0]);
		nr_file_close(ends[1]);
		return (int)worker->pid;
	}
	err = watch(worker, ends[0]);
	keep_far(worker, ends[1]);
	if (err < 0) {
		give_up(worker);
		return err;
	}
	worker->started = nr_now();
	worker->state = NR_WORKER_PRESENT;
	workers->present++;
	if (workers->ops->begun)
		workers->ops->begun(worker);
	report_begin(worker);
	return 0;
}

int nr_workers_start(struct nr_workers *workers, struct nr_worker *worker)
{
	worker->workers = workers;
	worker->state = NR_WORKER_ABSENT;
	worker->channel.fd = worker->far = worker->end.fd = -1;
	nr_list_append(&workers->all, &worker->node);
	workers->count++;
	return start(worker);
}

/* What WORKER needs, which no descriptor tells of; returns when again. */
static int64_t tend(struct nr_worker *worker)
{
	if (worker->state == NR_WORKER_LEAVING && worker->end.fd < 0)
		reap(worker, false);
	if (worker->state == NR_WORKER_LEAVING && worker->end.fd < 0)
		return nr_time_add(nr_now(), LOOK_NS);
	if (worker->state != NR_WORKER_ABSENT || worker->workers->stopped)
		return NR_NEVER;
	if (worker->start_at <= nr_now() && start(worker) < 0) {
		worker->started = nr_now();
		plan_start(worker);
	}
	return worker->state == NR_WORKER_ABSENT ? worker->start_at : NR_NEVER;
}

int64_t nr_workers_tend(struct nr_workers *workers)
{
	struct nr_list *node, *after;
	int64_t next = NR_NEVER;

	if (workers->present == workers->count)
		return NR_NEVER;
	nr_list_for_each (node, after, &workers->all) {
		next = nr_time_min(next, tend(worker_at(node)));
	}
	return next;
}
