/* SPDX-License-Identifier: MIT */
/*
 * A process for each conversation: what one does, crashing included, is none
 * of the others' business. The accepting process learns of a child's end by a
 * descriptor (pidfd_open(2)) and touches no signal for it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/time.h"
#include "conv/strand_thread.h"
#include "model/model.h"
#include "net/trace.h"
#include "os/os_file.h"
#include "os/os_process.h"
#include "os/os_time.h"

/* How often one looks after children that no descriptor tells of, because
 * there was none to be had. */
#define LOOK_NS (100 * NR_NS_PER_MS)

struct child {
	struct nr_list node;
	struct nr_source end;
	struct nr_model *model;
	pid_t pid;
	struct nr_accepted accepted;
};

struct nr_model {
	struct nr_host *host;
	struct nr_list children;
	unsigned running;
	unsigned unwatched; /* children without a descriptor */
};

static int process_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model = calloc(1, sizeof(*model));

	if (!model)
		return -ENOMEM;
	model->host = host;
	nr_list_init(&model->children);
	*ret_model = model;
	return 0;
}

static bool process_has_room(struct nr_model *model)
{
	return model->running < model->host->max_conversations;
}

/* The child's whole life. */
static _Noreturn void child_main(struct nr_model *model,
                                 const struct nr_accepted *accepted)
{
	struct nr_host *host = model->host;
	struct nr_strand_thread thread;

	/* The other children's descriptors stay open: there may be thousands,
	 * and they hold nothing but a number. */
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
	nr_list_remove(&child->node);
	model->running--;
	if (status != 0)
		nr_report(host->report,
		          &(struct naru_event){.kind = NARU_EVENT_LOST,
		                               .id = child->accepted.id,
		                               .peer = &child->accepted.peer,
		                               .pid = child->pid,
		                               .status = status});
	free(child);
	host->wake(host);
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

static int process_take(struct nr_model *model,
                        const struct nr_accepted *accepted)
{
	struct child *child = malloc(sizeof(*child));
	pid_t pid;

	if (!child)
		return -ENOMEM;
	pid = nr_model_fork(model->host);
	if (pid <= 0) {
		free(child);
		if (pid == 0)
			child_main(model, accepted);
		return (int)pid;
	}
	*child = (struct child){.model = model,
	                        .pid = pid,
	                        .accepted = *accepted};
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
	.has_room = process_has_room,
	.take = process_take,
	.running = process_running,
	.tend = process_tend,
	.stop = process_stop,
	.kill = process_kill,
	.free = process_free,
};
