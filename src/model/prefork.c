/* SPDX-License-Identifier: MIT */
/*
 * Processes started beforehand. The accepting process hands an accepted
 * socket to an idle one over its channel (SCM_RIGHTS, unix(7)), and accepts
 * nothing while none is idle. A worker says when it is idle again.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/strand_thread.h"
#include "model/hand_over.h"
#include "model/model.h"
#include "model/workers.h"
#include "net/trace.h"
#include "os/os_socket.h"

struct worker {
	struct nr_worker common;
	struct worker *next_idle;
	bool busy;                   /* with a conversation */
	struct nr_accepted accepted; /* while it is busy */
};

struct nr_model {
	struct nr_host *host;
	struct nr_workers workers;
	struct worker *idle; /* the one that became idle last */
	unsigned running;
	char *room; /* of a worker's process, for what is handed over */
	struct worker all[];
};

static struct worker *worker_of(struct nr_worker *common)
{
	return nr_list_entry(common, struct worker, common);
}

static struct nr_model *model_of(struct worker *worker)
{
	return nr_list_entry(worker->common.workers, struct nr_model, workers);
}

/* A worker's whole life, behind CHANNEL. */
static int live(struct nr_worker *common, int channel)
{
	struct nr_host *host = common->workers->host;
	struct nr_strand_thread thread;
	struct nr_accepted accepted;
	char *room = model_of(worker_of(common))->room;
	int status;

	nr_strand_thread_open(&thread, host->cancel, host->stop,
	                      host->stack_size);
	nr_strand_enter(&thread.strand);
	for (;;) {
		static const char idle = 'i';
		ssize_t got = nr_hand_over_take(channel, true, room, &accepted);

		/* The accepting process is gone, or wants us to go (a reset
		 * says that it had not read our last word). Any other failure
		 * is ours, and may have cost a conversation. */
		if (got <= 0) {
			status = got < 0 && got != -ECONNRESET;
			break;
		}
		/* There was no room for the descriptor: another worker will
		 * have some. */
		if (accepted.fd < 0) {
			nr_accepted_forget(&accepted);
			status = 1;
			break;
		}
		host->converse(host, &accepted);
		if (nr_socket_send_message(channel, &idle, 1, -1) < 0) {
			status = 0;
			break;
		}
	}
	nr_io_block_fini(&thread.block);
	return status;
}

static void push_idle(struct worker *worker)
{
	struct nr_model *model = model_of(worker);

	worker->next_idle = model->idle;
	model->idle = worker;
}

static void begun(struct nr_worker *common)
{
	push_idle(worker_of(common));
}

/* Takes the worker's word that it is idle, where it has given it. */
static ssize_t hear(struct nr_worker *common)
{
	struct worker *worker = worker_of(common);
	char word;
	ssize_t got = nr_socket_recv_message(common->channel.fd, &word, 1,
	                                     false, NULL);

	if (got > 0 && worker->busy) {
		worker->busy = false;
		model_of(worker)->running--;
		push_idle(worker);
		return got;
	}
	return got == -EAGAIN ? got : 0;
}

/* Takes the worker out of the idle ones, wherever it stands among them. */
static void leaving(struct nr_worker *common)
{
	struct worker *worker = worker_of(common);
	struct worker **at = &model_of(worker)->idle;

	while (*at && *at != worker)
		at = &(*at)->next_idle;
	if (*at)
		*at = worker->next_idle;
}

static void ended(struct nr_worker *common, int status)
{
	struct worker *worker = worker_of(common);
	struct nr_model *model = model_of(worker);

	if (!worker->busy)
		return;
	worker->busy = false;
	model->running--;
	if (!model->workers.stopped || status != 0)
		nr_model_report_lost(model->host, &worker->accepted,
		                     common->pid, status);
}

static const struct nr_workers_ops workers_ops = {
	.live = live,
	.begun = begun,
	.hear = hear,
	.leaving = leaving,
	.ended = ended,
};

static void prefork_free(struct nr_model *model)
{
	nr_workers_fini(&model->workers);
	nr_assert(model->running == 0 && !model->idle);
	free(model->room);
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
	nr_workers_init(&model->workers, host, &workers_ops);
	/* It takes memory as far as it is used. */
	model->room = malloc(NR_HAND_OVER_ROOM);
	if (!model->room)
		err = -ENOMEM;
	for (unsigned i = 0; i < host->workers && err == 0; i++)
		err = nr_workers_start(&model->workers, &model->all[i].common);
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
		err = nr_hand_over(worker->common.channel.fd,
		                   &worker->accepted);
		if (err == 0) {
			worker->busy = true;
			model->running++;
			nr_model_report_hand_over(model->host, accepted,
			                          worker->common.pid);
			nr_trace_close(model->host->report, accepted->fd,
			               accepted->id, NULL);
			return 0;
		}
		if (err != -EPIPE && err != -ECONNRESET) {
			push_idle(worker);
			return err;
		}
		/* It has died, which we shall be told in a moment. */
		nr_workers_let_go(&worker->common);
	}
	return -EAGAIN;
}

static unsigned prefork_running(struct nr_model *model)
{
	return model->running;
}

static int64_t prefork_tend(struct nr_model *model)
{
	return nr_workers_tend(&model->workers);
}

static void prefork_stop(struct nr_model *model)
{
	nr_workers_stop(&model->workers);
}

static void prefork_kill(struct nr_model *model)
{
	nr_workers_kill(&model->workers);
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
