/* SPDX-License-Identifier: MIT */
/*
 * The model fiber with processes in place of threads: a crash of one costs only
 * its own conversations. The accepting process holds none itself; it hands an
 * accepted socket to the worker that has the fewest conversations, over that
 * worker's channel (SCM_RIGHTS, unix(7)).
 *
 * Each conversation has a slot here, from when its socket is handed over until
 * its worker has said that it is over: so the counts are known, and which
 * conversations are lost with a worker that dies. A socket that the worker had
 * not taken out of its channel goes to another one.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "model/fibers.h"
#include "model/hand_over.h"
#include "model/isolated.h"
#include "model/workers.h"
#include "net/trace.h"
#include "os/os_file.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* Sockets in a channel that its worker has not taken; the kernel would not hold
 * many more. */
#define UNTAKEN_MAX 128

/* How long a socket waits at the most to be handed over again. */
#define RETRY_NS (20 * NR_NS_PER_MS)

struct slot {
	struct nr_list node;   /* of its worker's, or of the model's */
	struct worker *worker; /* null for none */
	struct nr_accepted accepted;
};

struct worker {
	struct nr_worker common;
	struct nr_list slots;
	unsigned running; /* conversations */
	unsigned untaken; /* of them, those in the channel */
	bool full;        /* the channel takes no more for now */
};

struct nr_model {
	struct nr_host *host;
	struct nr_workers workers;
	struct slot *slots;     /* as many as there may be conversations */
	unsigned used;          /* those that ever were; they come first */
	struct nr_list free;    /* of them, those that are not now */
	struct nr_list waiting; /* of them, those that no worker has any more */
	unsigned running;
	char *room; /* for what is handed over; each process has its own */
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

static struct slot *slot_at(struct nr_list *node)
{
	return nr_list_entry(node, struct slot, node);
}

/* A slot for a conversation that no worker has yet. */
static struct slot *take_slot(struct nr_model *model,
                              const struct nr_accepted *accepted)
{
	struct slot *slot;

	nr_assert(model->running < model->host->max_conversations);
	if (nr_list_empty(&model->free)) {
		slot = &model->slots[model->used++];
		nr_list_init(&slot->node);
	} else {
		slot = slot_at(model->free.prev);
		nr_list_remove(&slot->node);
	}
	slot->accepted = *accepted;
	slot->accepted.slot = (unsigned)(slot - model->slots);
	model->running++;
	return slot;
}

static void give_back_slot(struct nr_model *model, struct slot *slot)
{
	nr_assert(!slot->worker && model->running > 0);
	nr_list_remove(&slot->node);
	nr_list_append(&model->free, &slot->node);
	model->running--;
}

static void attach(struct worker *worker, struct slot *slot)
{
	nr_list_remove(&slot->node);
	nr_list_append(&worker->slots, &slot->node);
	slot->worker = worker;
	worker->running++;
	worker->untaken++;
}

static void detach(struct slot *slot)
{
	nr_assert(slot->worker->running > 0);
	nr_list_remove(&slot->node);
	slot->worker->running--;
	slot->worker = NULL;
}

/* Takes WORKER's word for what it says. False where that cannot be: the worker
 * is out of its mind. */
static bool take_word(struct worker *worker,
                      const struct nr_isolated_word *word)
{
	struct nr_model *model = model_of(worker);

	if (word->taken > worker->untaken || word->over > NR_ISOLATED_SLOTS)
		return false;
	worker->untaken -= word->taken;
	for (unsigned i = 0; i < word->over; i++) {
		unsigned at = word->slots[i];

		if (at >= model->used || model->slots[at].worker != worker)
			return false;
		detach(&model->slots[at]);
		give_back_slot(model, &model->slots[at]);
	}
	worker->full = false;
	/* The accepting process may hear of it before it comes to cancel. */
	if (word->cut)
		model->host->cut = true;
	model->host->wake(model->host);
	return true;
}

static ssize_t hear(struct nr_worker *common)
{
	struct nr_isolated_word word;
	ssize_t got = nr_socket_recv_message(common->channel.fd, &word,
	                                     sizeof(word), false, NULL);

	if (got > 0)
		return take_word(worker_of(common), &word) ? got : 0;
	/* What else the kernel may refuse is tried again in the next turn: to
	 * give up a worker would cost all its conversations. */
	return got == 0 || got == -ECONNRESET ? 0 : -EAGAIN;
}

/* Takes back what is still in the channel of WORKER, which has ended: others
 * will have it. */
static void take_back(struct worker *worker)
{
	struct nr_model *model = model_of(worker);
	struct nr_accepted accepted;

	while (worker->common.far >= 0 &&
	       nr_hand_over_take(worker->common.far, false, model->room,
	                         &accepted) > 0) {
		struct slot *slot = &model->slots[accepted.slot];

		/* There may have been no room for the descriptor, or the
		 * worker was out of its mind when it died. */
		if (accepted.fd < 0 || slot->worker != worker) {
			nr_file_close(accepted.fd);
			nr_accepted_forget(&accepted);
			continue;
		}
		detach(slot);
		slot->accepted = accepted;
		nr_list_append(&model->waiting, &slot->node);
	}
}

static void ended(struct nr_worker *common, int status)
{
	struct worker *worker = worker_of(common);
	struct nr_model *model = model_of(worker);
	struct nr_list *node, *after;

	if (!model->workers.stopped)
		take_back(worker);
	nr_list_for_each (node, after, &worker->slots) {
		struct slot *slot = slot_at(node);

		if (!model->workers.stopped || status != 0)
			nr_model_report_lost(model->host, &slot->accepted,
			                     common->pid, status);
		detach(slot);
		give_back_slot(model, slot);
	}
	nr_assert(worker->running == 0);
	worker->untaken = 0;
	worker->full = false;
}

/* In the worker's process. */
static int live(struct nr_worker *common, int channel)
{
	struct nr_model *model = model_of(worker_of(common));
	struct nr_list *node, *after;

	/* They are handed over by the accepting process. */
	nr_list_for_each (node, after, &model->waiting) {
		nr_file_close(slot_at(node)->accepted.fd);
	}
	return nr_isolated_live(model->host, channel, model->room);
}

static const struct nr_workers_ops workers_ops = {
	.live = live,
	.hear = hear,
	.ended = ended,
	.says_ahead = true,
};

static void isolated_free(struct nr_model *model)
{
	nr_workers_fini(&model->workers);
	nr_assert(model->running == 0);
	free(model->room);
	free(model->slots);
	free(model);
}

/* Finds out how the workers' fibers will wait, before there are any: what this
 * process can have, they can. */
static int probe(struct nr_host *host)
{
	struct nr_scheduler *scheduler;
	int err = nr_fibers_open(host, &scheduler);

	if (err == 0)
		nr_scheduler_close(scheduler);
	return err;
}

static int start_workers(struct nr_model *model)
{
	int err = 0;

	for (unsigned i = 0; i < model->host->workers && err == 0; i++) {
		nr_list_init(&model->all[i].slots);
		err = nr_workers_start(&model->workers, &model->all[i].common);
	}
	return err;
}

static int isolated_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model;
	int err = probe(host);

	if (err < 0)
		return err;
	model = calloc(1,
	               sizeof(*model) + host->workers * sizeof(struct worker));
	if (!model)
		return -ENOMEM;
	model->host = host;
	nr_list_init(&model->free);
	nr_list_init(&model->waiting);
	nr_workers_init(&model->workers, host, &workers_ops);
	/* It costs no memory before it is used. */
	model->slots = calloc(host->max_conversations, sizeof(*model->slots));
	model->room = malloc(NR_HAND_OVER_ROOM);
	err = model->slots && model->room ? start_workers(model) : -ENOMEM;
	if (err < 0) {
		isolated_free(model);
		return err;
	}
	nr_fibers_report_waiter(host);
	*ret_model = model;
	return 0;
}

static bool can_take(const struct worker *worker)
{
	return worker->common.state == NR_WORKER_PRESENT &&
	       worker->untaken < UNTAKEN_MAX && !worker->full;
}

/* The worker with the fewest conversations of those that can take one more;
 * null for none. */
static struct worker *fewest(struct nr_model *model)
{
	struct worker *found = NULL;

	for (unsigned i = 0; i < model->host->workers; i++) {
		struct worker *worker = &model->all[i];

		if (can_take(worker) &&
		    (!found || worker->running < found->running))
			found = worker;
	}
	return found;
}

static bool isolated_has_room(struct nr_model *model)
{
	return model->running < model->host->max_conversations &&
	       nr_list_empty(&model->waiting) && fewest(model);
}

static int hand_to(struct worker *worker, struct slot *slot)
{
	struct nr_accepted *accepted = &slot->accepted;
	struct nr_host *host = model_of(worker)->host;
	int err;

	err = nr_hand_over(worker->common.channel.fd, accepted);
	if (err < 0)
		return err;
	attach(worker, slot);
	nr_model_report_hand_over(host, accepted, worker->common.pid);
	nr_trace_close(host->report, accepted->fd, accepted->id, NULL);
	return 0;
}

/* Hands SLOT's socket to whoever can take it. */
static int hand_over(struct nr_model *model, struct slot *slot)
{
	struct worker *worker;

	while ((worker = fewest(model)) != NULL) {
		int err = hand_to(worker, slot);

		if (err == -EAGAIN && worker->untaken > 0)
			/* Until it says that it has taken some. */
			worker->full = true;
		else if (err == -EPIPE || err == -ECONNRESET)
			/* It has died, which we shall be told in a moment. */
			nr_workers_let_go(&worker->common);
		else
			return err;
	}
	return -EAGAIN;
}

static int isolated_take(struct nr_model *model,
                         const struct nr_accepted *accepted)
{
	struct slot *slot;
	int err;

	if (model->running >= model->host->max_conversations ||
	    !nr_list_empty(&model->waiting))
		return -EAGAIN;
	slot = take_slot(model, accepted);
	err = hand_over(model, slot);
	if (err < 0)
		give_back_slot(model, slot);
	return err;
}

static unsigned isolated_running(struct nr_model *model)
{
	return model->running;
}

static int64_t isolated_tend(struct nr_model *model)
{
	int64_t next = nr_workers_tend(&model->workers);
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &model->waiting) {
		if (hand_over(model, slot_at(node)) < 0)
			return nr_time_min(next,
			                   nr_time_add(nr_now(), RETRY_NS));
	}
	return next;
}

static void isolated_stop(struct nr_model *model)
{
	struct nr_list *node, *after;

	nr_workers_stop(&model->workers);
	/* They might as well be in the backlog. */
	nr_list_for_each (node, after, &model->waiting) {
		struct slot *slot = slot_at(node);

		nr_trace_close(model->host->report, slot->accepted.fd, 0, NULL);
		nr_accepted_forget(&slot->accepted);
		give_back_slot(model, slot);
	}
}

static void isolated_kill(struct nr_model *model)
{
	nr_workers_kill(&model->workers);
}

const struct nr_model_ops nr_model_isolated = {
	.id = NARU_FIBER,
	.info = {.name = "fiber",
                 .summary = "a fiber for each client, in a process per core",
                 .has_workers = 1},
	.start = isolated_start,
	.has_room = isolated_has_room,
	.take = isolated_take,
	.running = isolated_running,
	.tend = isolated_tend,
	.stop = isolated_stop,
	.kill = isolated_kill,
	.free = isolated_free,
};
