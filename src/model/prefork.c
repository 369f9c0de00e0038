/* SPDX-License-Identifier: MIT */
/*
 * Processes started beforehand. The accepting process hands an accepted
 * socket to an idle one over a channel of its own (SCM_RIGHTS, unix(7)), and
 * accepts nothing while none is idle. A worker says when it is idle again.
 *
 * A worker that dies is replaced, at once where it had lived for a while, and
 * after a growing pause where it had not: what kills every worker at its
 * start must not become a fork bomb.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/strand_thread.h"
#include "model/model.h"
#include "net/trace.h"
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

enum worker_state {
	ABSENT, /* to be started at START_AT */
	IDLE,
	BUSY,   /* with a conversation */
	LEAVING /* its channel is closed, its end not seen */
};

struct worker {
	struct nr_model *model;
	enum worker_state state;
	struct worker *next_idle;
	struct nr_source channel; /* our end of it */
	struct nr_source end;     /* of its process */
	pid_t pid;
	struct nr_accepted accepted; /* while it is busy, or was */
	bool held;                   /* a conversation when it left */
	int64_t started, start_at, pause;
};

struct nr_model {
	struct nr_host *host;
	struct worker *idle; /* the one that became idle last */
	unsigned running;
	unsigned ready; /* workers that are idle or busy */
	bool stopped;
	struct worker workers[];
};

static void close_source(struct nr_model *model, struct nr_source *source)
{
	nr_loop_remove(model->host->loop, source);
	nr_file_close(source->fd);
	source->fd = -1;
}

/* A worker's whole life, behind CHANNEL. */
static _Noreturn void worker_main(struct nr_model *model, int channel)
{
	struct nr_host *host = model->host;
	struct nr_strand_thread thread;
	struct nr_accepted accepted;

	for (unsigned i = 0; i < host->workers; i++) {
		nr_file_close(model->workers[i].channel.fd);
		nr_file_close(model->workers[i].end.fd);
	}
	host->leave(host);
	nr_strand_thread_init(&thread, host->cancel, host->stack_size);
	nr_strand_enter(&thread.strand);
	for (;;) {
		static const char idle = 'i';
		ssize_t got;
		int fd = -1;

		got = nr_socket_recv_message(channel, &accepted,
		                             sizeof(accepted), true, &fd);
		/* The accepting process is gone, or wants us to go (a reset
		 * says that it had not read our last word). Any other failure
		 * is ours, and may have cost a conversation. */
		if (got <= 0)
			nr_process_exit(got < 0 && got != -ECONNRESET);
		/* There was no room for the descriptor: another worker will
		 * have some. */
		if (fd < 0)
			nr_process_exit(1);
		accepted.fd = fd;
		host->converse(host, &accepted);
		if (nr_socket_send_message(channel, &idle, 1, -1) < 0)
			nr_process_exit(0);
	}
}

static void push_idle(struct worker *worker)
{
	worker->state = IDLE;
	worker->next_idle = worker->model->idle;
	worker->model->idle = worker;
}

/* Takes WORKER out of the idle ones, wherever it stands among them. */
static void remove_idle(struct worker *worker)
{
	struct worker **at = &worker->model->idle;

	while (*at && *at != worker)
		at = &(*at)->next_idle;
	if (*at)
		*at = worker->next_idle;
}

/* There will be nothing more to tell WORKER: its process ends by itself when
 * it notices. */
static void let_go(struct worker *worker)
{
	if (worker->state == IDLE)
		remove_idle(worker);
	worker->held = worker->state == BUSY;
	worker->state = LEAVING;
	worker->model->ready--;
	close_source(worker->model, &worker->channel);
}

/* Takes WORKER's word that it is idle, where it has given it. */
static ssize_t hear_idle(struct worker *worker)
{
	char word;
	ssize_t got = nr_socket_recv_message(worker->channel.fd, &word, 1,
	                                     false, NULL);

	if (got > 0 && worker->state == BUSY) {
		worker->model->running--;
		push_idle(worker);
		return got;
	}
	return got == -EAGAIN ? got : 0;
}

/* WORKER has said something: that it is idle, or by its end that it can say
 * nothing any more. */
static void channel_ready(struct nr_source *source)
{
	struct worker *worker = nr_list_entry(source, struct worker, channel);

	if (hear_idle(worker) != 0)
		return;
	/* A worker that cannot be talked with is of no use, should it still
	 * live. */
	nr_process_kill(worker->pid);
	let_go(worker);
}

/* When a worker that has just died may be followed by another. */
static void plan_start(struct worker *worker)
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

static void report_end(struct worker *worker, int status, bool lost)
{
	struct nr_model *model = worker->model;

	if (lost)
		nr_report(model->host->report,
		          &(struct naru_event){.kind = NARU_EVENT_LOST,
		                               .id = worker->accepted.id,
		                               .peer = &worker->accepted.peer,
		                               .pid = worker->pid,
		                               .status = status});
	nr_report(model->host->report,
	          &(struct naru_event){.kind = NARU_EVENT_WORKER_END,
	                               .result = model->stopped ? 0 : -ECHILD,
	                               .pid = worker->pid,
	                               .status = status});
}

/* Reaps a worker whose process has ended, or waits until it has. */
static void reap(struct worker *worker, bool wait)
{
	struct nr_model *model = worker->model;
	int status = 0;
	bool lost;

	if (!nr_process_reap(worker->pid, wait, &status))
		return;
	/* The conversation may have been over before its worker was. */
	if (worker->state == BUSY)
		(void)hear_idle(worker);
	if (worker->state != LEAVING)
		let_go(worker);
	close_source(model, &worker->end);
	lost = worker->held && (!model->stopped || status != 0);
	if (worker->held)
		model->running--;
	report_end(worker, status, lost);
	worker->held = false;
	worker->state = ABSENT;
	plan_start(worker);
	model->host->wake(model->host);
}

static void process_ended(struct nr_source *source)
{
	reap(nr_list_entry(source, struct worker, end), false);
}

/* Watches WORKER, whose process has just been forked. Its channel tells of its
 * end too: where there is no descriptor for the process (there may be none
 * left, or pidfd_open(2) be forbidden), prefork_tend() looks after it. */
static int watch(struct worker *worker, int channel)
{
	struct nr_loop *loop = worker->model->host->loop;
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

static int start_worker(struct worker *worker)
{
	struct nr_model *model = worker->model;
	int ends[2], err = nr_socket_pair(ends), status;

	if (err < 0)
		return err;
	worker->pid = nr_process_fork();
	if (worker->pid == 0) {
		nr_file_close(ends[0]);
		worker_main(model, ends[1]);
	}
	nr_file_close(ends[1]);
	if (worker->pid < 0) {
		nr_file_close(ends[0]);
		return (int)worker->pid;
	}
	err = watch(worker, ends[0]);
	if (err < 0) {
		close_source(model, &worker->channel);
		close_source(model, &worker->end);
		nr_process_kill(worker->pid);
		(void)nr_process_reap(worker->pid, true, &status);
		return err;
	}
	worker->started = nr_now();
	model->ready++;
	push_idle(worker);
	nr_report(model->host->report,
	          &(struct naru_event){.kind = NARU_EVENT_WORKER_BEGIN,
	                               .result = (int)model->ready,
	                               .pid = worker->pid});
	return 0;
}

static void prefork_stop(struct nr_model *model)
{
	model->stopped = true;
	for (unsigned i = 0; i < model->host->workers; i++) {
		struct worker *worker = &model->workers[i];

		if (worker->state == IDLE || worker->state == BUSY)
			let_go(worker);
	}
}

static void prefork_free(struct nr_model *model)
{
	prefork_stop(model);
	for (unsigned i = 0; i < model->host->workers; i++)
		if (model->workers[i].state != ABSENT)
			reap(&model->workers[i], true);
	nr_assert(model->running == 0 && model->ready == 0);
	free(model);
}

static int prefork_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model;
	int err = 0;

	model = calloc(1,
	               sizeof(*model) + host->workers * sizeof(struct worker));
	if (!model)
		return -ENOMEM;
	model->host = host;
	for (unsigned i = 0; i < host->workers; i++) {
		model->workers[i].model = model;
		model->workers[i].channel.fd = model->workers[i].end.fd = -1;
	}
	for (unsigned i = 0; i < host->workers && err == 0; i++)
		err = start_worker(&model->workers[i]);
	if (err < 0) {
		prefork_free(model);
		return err;
	}
	*ret_model = model;
	return 0;
}

static bool prefork_has_room(struct nr_model *model)
{
	return model->idle && model->running < model->host->max_conversations;
}

static int prefork_take(struct nr_model *model,
                        const struct nr_accepted *accepted)
{
	while (model->idle) {
		struct worker *worker = model->idle;
		int err;

		model->idle = worker->next_idle;
		worker->accepted = *accepted;
		err = nr_socket_send_message(worker->channel.fd, accepted,
		                             sizeof(*accepted), accepted->fd);
		if (err == 0) {
			worker->state = BUSY;
			model->running++;
			nr_model_report_hand_over(model->host, accepted,
			                          worker->pid);
			nr_trace_close(model->host->report, accepted->fd,
			               accepted->id, NULL);
			return 0;
		}
		if (err != -EPIPE && err != -ECONNRESET) {
			push_idle(worker);
			return err;
		}
		/* It has died, which we shall be told in a moment. */
		let_go(worker);
	}
	return -EAGAIN;
}

static unsigned prefork_running(struct nr_model *model)
{
	return model->running;
}

/* What WORKER needs, which no descriptor tells of; returns when again. */
static int64_t tend_worker(struct worker *worker)
{
	if (worker->state == LEAVING && worker->end.fd < 0)
		reap(worker, false);
	if (worker->state == LEAVING && worker->end.fd < 0)
		return nr_time_add(nr_now(), LOOK_NS);
	if (worker->state != ABSENT || worker->model->stopped)
		return NR_NEVER;
	if (worker->start_at <= nr_now() && start_worker(worker) < 0) {
		worker->started = nr_now();
		plan_start(worker);
	}
	return worker->state == ABSENT ? worker->start_at : NR_NEVER;
}

static int64_t prefork_tend(struct nr_model *model)
{
	int64_t next = NR_NEVER;

	if (model->ready == model->host->workers)
		return NR_NEVER;
	for (unsigned i = 0; i < model->host->workers; i++)
		next = nr_time_min(next, tend_worker(&model->workers[i]));
	return next;
}

static void prefork_kill(struct nr_model *model)
{
	for (unsigned i = 0; i < model->host->workers; i++)
		if (model->workers[i].state != ABSENT)
			nr_process_kill(model->workers[i].pid);
}

const struct nr_model_ops nr_model_prefork = {
	.id = NARU_PREFORK,
	.info = {.name = "prefork",
                 .summary = "processes started beforehand",
                 .has_workers = 1},
	.start = prefork_start,
	.has_room = prefork_has_room,
	.take = prefork_take,
	.running = prefork_running,
	.tend = prefork_tend,
	.stop = prefork_stop,
	.kill = prefork_kill,
	.free = prefork_free,
};
