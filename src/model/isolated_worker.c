/* SPDX-License-Identifier: MIT */
/*
 * A worker where fibers are isolated into processes: a scheduler that takes
 * sockets out of the channel and has conversations held on them. Once in a turn
 * it says what it took and what is over, however much that is; and where it is
 * not heard it does not wait for that, but says it later.
 */
#include "model/isolated.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "model/fibers.h"
#include "model/hand_over.h"
#include "os/os_file.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* How long it is silent where the channel would not take what it said. */
#define SILENCE_NS (10 * NR_NS_PER_MS)

/* Sockets that are taken before their fibers have a turn. */
#define TAKEN_AT_ONCE 32

struct process {
	struct nr_fibers fibers;
	struct nr_helpers helpers;
	struct nr_loop loop;
	struct nr_source channel, stop, cancel;
	bool stopping, cancelled, cut;
	/* What has not been said: */
	struct nr_post speak;
	bool speaking;    /* SPEAK is on its way */
	int64_t speak_at; /* where the channel was full */
	unsigned taken, over;
	unsigned *slots; /* those that are over; as many as there may be */
	char *room;      /* for what is handed over */
};

/* The accepting process is gone, or will hand over no more. */
static void stop_taking(struct process *process)
{
	process->stopping = true;
	nr_loop_remove(&process->loop, &process->channel);
}

static void speak(struct process *process)
{
	process->speak_at = NR_NEVER;
	while (process->taken > 0 || process->over > 0) {
		struct nr_isolated_word word = {.taken = process->taken,
		                                .over = process->over,
		                                .cut = process->cut};
		int err;

		if (word.over > NR_ISOLATED_SLOTS)
			word.over = NR_ISOLATED_SLOTS;
		memcpy(word.slots, process->slots + (process->over - word.over),
		       word.over * sizeof(*word.slots));
		err = nr_socket_send_message(process->channel.fd, &word,
		                             sizeof(word), -1);
		if (err == -EPIPE || err == -ECONNRESET) {
			stop_taking(process);
			/* Nobody is left to be told. */
			word.over = process->over;
		} else if (err < 0) {
			process->speak_at = nr_time_add(nr_now(), SILENCE_NS);
			return;
		}
		process->taken = 0;
		process->over -= word.over;
	}
}

static void speak_now(struct nr_post *post)
{
	struct process *process = nr_list_entry(post, struct process, speak);

	process->speaking = false;
	speak(process);
}

/* Says what there is to say at the end of this turn. */
static void speak_soon(struct process *process)
{
	if (process->speaking || process->speak_at != NR_NEVER)
		return;
	process->speaking = true;
	nr_scheduler_post(process->fibers.scheduler, &process->speak);
}

static void over(struct nr_fibers *fibers, struct nr_accepted *accepted)
{
	struct process *process = nr_list_entry(fibers, struct process, fibers);

	nr_assert(process->over < fibers->host->max_conversations);
	process->slots[process->over++] = accepted->slot;
	speak_soon(process);
}

/* Has a conversation held, or refuses it: a descriptor of -1 says that there
 * was no room for it. */
static void begin(struct process *process, struct nr_accepted *accepted)
{
	struct nr_fiber *fiber;
	int err = -EMFILE;

	process->taken++;
	speak_soon(process);
	if (accepted->fd >= 0)
		err = nr_fibers_start(&process->fibers, accepted, &fiber);
	if (err < 0) {
		nr_fibers_refuse(&process->fibers, accepted, err);
	} else if (process->cancelled) {
		process->cut = true;
		nr_fiber_cancel(fiber);
	}
}

static void sockets_came(struct nr_source *source)
{
	struct process *process =
		nr_list_entry(source, struct process, channel);
	struct nr_accepted accepted;
	ssize_t got = 1;

	for (int i = 0; i < TAKEN_AT_ONCE && got > 0; i++) {
		got = nr_hand_over_take(source->fd, false, process->room,
		                        &accepted);
		if (got > 0)
			begin(process, &accepted);
	}
	/* What else the kernel may refuse is tried again in the next turn. */
	if (got == 0 || got == -ECONNRESET)
		stop_taking(process);
}

static void cancel_came(struct nr_source *source)
{
	struct process *process = nr_list_entry(source, struct process, cancel);

	process->cancelled = true;
	if (nr_scheduler_count(process->fibers.scheduler) > 0)
		process->cut = true;
	nr_scheduler_cancel(process->fibers.scheduler);
	nr_loop_remove(&process->loop, source);
}

static void stop_came(struct nr_source *source)
{
	struct process *process = nr_list_entry(source, struct process, stop);

	nr_scheduler_stop(process->fibers.scheduler);
	nr_loop_remove(&process->loop, source);
}

static int open_loop(struct process *process)
{
	struct nr_loop *loop = &process->loop;
	int err = nr_loop_init(loop);

	if (err < 0)
		return err;
	err = nr_loop_add(loop, &process->channel);
	if (err == 0)
		err = nr_loop_add(loop, &process->cancel);
	if (err == 0)
		err = nr_loop_add(loop, &process->stop);
	if (err == 0)
		err = nr_scheduler_attend(process->fibers.scheduler, loop);
	if (err < 0)
		nr_loop_fini(loop);
	return err;
}

static int open_process(struct process *process)
{
	struct nr_host *host = process->fibers.host;
	int err;

	/* It costs no memory before it is used. */
	process->slots =
		calloc(host->max_conversations, sizeof(*process->slots));
	if (!process->slots)
		return -ENOMEM;
	err = nr_fibers_open(host, &process->fibers.scheduler);
	if (err == 0) {
		err = open_loop(process);
		if (err < 0)
			nr_scheduler_close(process->fibers.scheduler);
	}
	if (err < 0)
		free(process->slots);
	return err;
}

static void close_process(struct process *process)
{
	/* Helpers first: they send word to the scheduler, which is to read it.
	 */
	nr_helpers_fini(&process->helpers);
	nr_scheduler_settle(process->fibers.scheduler);
	nr_scheduler_close(process->fibers.scheduler);
	nr_loop_fini(&process->loop);
	free(process->slots);
}

static bool is_needed(const struct process *process)
{
	return !process->stopping || process->speaking || process->taken > 0 ||
	       process->over > 0 ||
	       nr_scheduler_count(process->fibers.scheduler) > 0;
}

static void report_failure(const struct nr_host *host, int err)
{
	nr_report(host->report,
	          &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                               .call = "open",
	                               .text = "what a worker's fibers wait "
	                                       "with",
	                               .result = err});
}

int nr_isolated_live(struct nr_host *host, int channel, char *room)
{
	struct process process = {
		.fibers = {.host = host,
	                   .helpers = &process.helpers,
	                   .over = over},
		.channel = {.fd = channel, .ready = sockets_came},
		.stop = {.fd = host->stop, .ready = stop_came},
		.cancel = {.fd = host->cancel, .ready = cancel_came},
		.room = room,
		.speak = {.fn = speak_now},
		.speak_at = NR_NEVER,
	};
	int err = open_process(&process);

	if (err < 0) {
		report_failure(host, err);
		return 1;
	}
	nr_list_init(&process.speak.node);
	nr_helpers_init(&process.helpers, NR_FIBERS_HELPERS,
	                NR_STACK_SIZE_DEFAULT);
	while (is_needed(&process)) {
		nr_fibers_turn(process.fibers.scheduler, process.speak_at);
		if (nr_now() >= process.speak_at)
			speak(&process);
	}
	close_process(&process);
	return 0;
}
