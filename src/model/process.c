/* SPDX-License-Identifier: MIT */
/*
 * A process for each conversation: what one does, crashing included, is none
 * of the others' business. The accepting process learns of a child's end by a
 * descriptor (pidfd_open(2)) and touches no signal for it.
 *
 * A child that has a connection to open asks the accepting process for a place
 * when it has done so, by a byte over a channel of its own, whose end is the
 * answer. So the accepting process alone counts, and a place comes back when
 * its child is reaped, however it ended.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/time.h"
#include "conv/places.h"
#include "conv/strand_thread.h"
#include "model/model.h"
#include "net/trace.h"
#include "os/os_file.h"
#include "os/os_process.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* How often one looks after children that no descriptor tells of, because
 * there was none to be had. */
#define LOOK_NS (100 * NR_NS_PER_MS)

struct child {
	struct nr_list node;
	struct nr_source end;
	struct nr_source channel; /* while it asks for a place, else -1 */
	struct nr_place_wait wait;
	bool asks; /* it waits for one */
	struct nr_model *model;
	pid_t pid;
	struct nr_accepted accepted;
};

struct nr_model {
	struct nr_host *host;
	struct nr_list children;
	unsigned running;
	unsigned unwatched; /* children without a descriptor */
	int channel;        /* in a child, its end, or -1 */
};

static int process_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model = calloc(1, sizeof(*model));

	if (!model)
		return -ENOMEM;
	model->host = host;
	model->channel = -1;
	nr_list_init(&model->children);
	*ret_model = model;
	return 0;
}

/* Places. */

/* In the child: the answer is the channel's end. Where the accepting process is
 * gone, that has come too, and there is nobody left to count. */
static int ask(int channel, int64_t until)
{
	const struct nr_handle handle = {.fd = channel};
	struct nr_io *io = nr_strand_self()->io;
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct nr_span span = {.data = &byte, .len = 1};
	ssize_t got = io->ops->send(io, handle, &iov, 1, until);

	if (got > 0)
		got = io->ops->recv(io, handle, &span, false, until);
	return got == -EPIPE || got == -ECONNRESET ? 0 : (int)got;
}

static int process_admit(struct nr_model *model, struct nr_accepted *accepted,
                         int64_t until)
{
	int err = ask(model->channel, until);

	if (err == 0) {
		accepted->stage = NR_STAGE_CONVERSING;
		nr_file_close(model->channel);
		model->channel = -1;
	}
	return err;
}

static void close_channel(struct child *child)
{
	if (child->channel.fd < 0)
		return;
	nr_loop_remove(child->model->host->loop, &child->channel);
	nr_file_close(child->channel.fd);
	child->channel.fd = -1;
}

/* CHILD has a place. Where it is gone, it keeps that until it is reaped. */
static void admit(struct child *child)
{
	struct nr_host *host = child->model->host;

	child->asks = false;
	host->begun(host, &child->accepted);
	/* Whoever else may have the descriptor. */
	(void)nr_socket_finish(child->channel.fd);
	close_channel(child);
}

static void place_given(struct nr_place_wait *wait)
{
	if (wait->got)
		admit(nr_list_entry(wait, struct child, wait));
}

static void ask_no_more(struct child *child)
{
	if (child->asks)
		(void)nr_places_leave(child->model->host->places, &child->wait);
	child->asks = false;
	close_channel(child);
}

/* The child has asked for a place, or given up. */
static void child_asks(struct nr_source *source)
{
	struct child *child = nr_list_entry(source, struct child, channel);
	char byte;
	ssize_t got = nr_socket_recv(source->fd, &byte, 1);

	if (got == 0 || got == -ECONNRESET)
		ask_no_more(child);
	/* What else the kernel may refuse is tried again in the next turn. */
	if (got <= 0 || child->asks)
		return;
	child->asks = true;
	child->wait.call = place_given;
	if (nr_places_queue(child->model->host->places, &child->wait))
		admit(child);
}

/* Children. */

/* The child's whole life. */
static _Noreturn void child_main(struct nr_model *model,
                                 struct nr_accepted *accepted)
{
	struct nr_host *host = model->host;
	struct nr_strand_thread thread;
	struct nr_list *node, *after;

	/* A channel is to end with the accepting process. The children's other
	 * descriptors stay open: there may be thousands, and they hold nothing
	 * but a number. */
	nr_list_for_each (node, after, &model->children) {
		nr_file_close(
			nr_list_entry(node, struct child, node)->channel.fd);
	}
	host->leave(host);
	nr_strand_thread_open(&thread, host->cancel, host->stop,
	                      host->stack_size);
	nr_strand_enter(&thread.strand);
	host->converse(host, accepted);
	nr_io_block_fini(&thread.block);
	nr_process_exit(0);
}

/* Reaps CHILD where it has ended, or waits until it has. */
static void reap(struct child *child, bool wait)
{
	struct nr_model *model = child->model;
	struct nr_host *host = model->host;
	int status = 0;

	if (!nr_process_reap(child->pid, wait, &status))
		return;
	if (child->end.fd < 0)
		model->unwatched--;
	nr_loop_remove(host->loop, &child->end);
	nr_file_close(child->end.fd);
	ask_no_more(child);
	nr_list_remove(&child->node);
	model->running--;
	if (status != 0)
		nr_report(host->report,
		          &(struct naru_event){.kind = NARU_EVENT_LOST,
		                               .id = child->accepted.id,
		                               .peer = &child->accepted.peer,
		                               .pid = child->pid,
		                               .status = status});
	host->over(host, &child->accepted);
	free(child);
}

static void child_ended(struct nr_source *source)
{
	reap(nr_list_entry(source, struct child, end), false);
}

/* Sees to it that the child's end is noticed. */
static void watch(struct nr_model *model, struct child *child)
{
	struct nr_source *end = &child->end;

	end->ready = child_ended;
	end->fd = nr_process_watch(child->pid);
	if (end->fd >= 0 && nr_loop_add(model->host->loop, end) < 0) {
		nr_file_close(end->fd);
		end->fd = -1;
	}
	if (end->fd < 0) {
		end->fd = -1;
		model->unwatched++;
	}
}

/* The channel of a child that is to open its connection. */
static int open_channel(struct child *child, int ends[2])
{
	int err;

	ends[0] = ends[1] = -1;
	if (child->accepted.stage != NR_STAGE_OPENING)
		return 0;
	err = nr_socket_pair(ends);
	if (err < 0)
		return err;
	child->channel = (struct nr_source){.fd = ends[0], .ready = child_asks};
	err = nr_loop_add(child->model->host->loop, &child->channel);
	if (err < 0) {
		nr_file_close(ends[0]);
		nr_file_close(ends[1]);
	}
	return err;
}

/* Starts CHILD's process, and returns in the parent alone. */
static int start_child(struct child *child)
{
	struct nr_model *model = child->model;
	struct nr_accepted accepted = child->accepted;
	int ends[2];
	int err = open_channel(child, ends);

	if (err < 0)
		return err;
	child->pid = nr_model_fork(model->host);
	if (child->pid == 0) {
		nr_file_close(ends[0]);
		model->channel = ends[1];
		free(child);
		child_main(model, &accepted);
	}
	nr_file_close(ends[1]);
	if (child->pid < 0)
		close_channel(child);
	return child->pid < 0 ? (int)child->pid : 0;
}

static int process_take(struct nr_model *model,
                        const struct nr_accepted *accepted)
{
	struct child *child = malloc(sizeof(*child));
	int err;

	if (!child)
		return -ENOMEM;
	*child = (struct child){.model = model,
	                        .accepted = *accepted,
	                        .channel = {.fd = -1}};
	err = start_child(child);
	if (err < 0) {
		free(child);
		return err;
	}
	nr_list_append(&model->children, &child->node);
	model->running++;
	watch(model, child);
	/* The child has its own copy. */
	nr_accepted_forget(&child->accepted);
	nr_trace_close(model->host->report, accepted->fd, accepted->id, NULL);
	return 0;
}

static unsigned process_running(struct nr_model *model)
{
	return model->running;
}

static int64_t process_tend(struct nr_model *model)
{
	struct nr_list *node, *after;

	if (model->unwatched == 0)
		return NR_NEVER;
	nr_list_for_each (node, after, &model->children) {
		struct child *child = nr_list_entry(node, struct child, node);

		if (child->end.fd < 0)
			reap(child, false);
	}
	return nr_time_add(nr_now(), LOOK_NS);
}

static void process_stop(struct nr_model *model)
{
	(void)model;
}

static void process_kill(struct nr_model *model)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &model->children) {
		nr_process_kill(nr_list_entry(node, struct child, node)->pid);
	}
}

static void process_free(struct nr_model *model)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &model->children) {
		reap(nr_list_entry(node, struct child, node), true);
	}
	nr_assert(model->running == 0 && model->unwatched == 0);
	free(model);
}

const struct nr_model_ops nr_model_process = {
	.id = NARU_PROCESS,
	.info = {.name = "process", .summary = "a process for each client"},
	.start = process_start,
	.take = process_take,
	.admit = process_admit,
	.running = process_running,
	.tend = process_tend,
	.stop = process_stop,
	.kill = process_kill,
	.free = process_free,
};
