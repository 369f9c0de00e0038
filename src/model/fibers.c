/* SPDX-License-Identifier: MIT */
/* What the models have in common that run conversations in fibers: see
 * fibers.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "conv/strand_fiber.h"
#include "model/fibers.h"
#include "os/os_caller.h"
#include "os/os_file.h"
#include "os/os_process.h"

/* Told by the fiber itself, in the moment in which it waits. */
static void stalled(struct nr_fiber *fiber, int64_t duration)
{
	struct nr_strand *strand = fiber->user;
	const struct naru_conv *conv = strand ? strand->own : NULL;
	char where[NR_CALLER_TEXT] = "?";

	if (!conv || !conv->settings->report.fn)
		return;
	if (nr_fiber_stack_size(fiber) >= NR_CALLER_STACK)
		nr_caller_text(where);
	nr_report(&conv->settings->report,
	          &(struct naru_event){.kind = NARU_EVENT_STALL,
	                               .id = conv->id,
	                               .peer = &conv->peer,
	                               .duration_ms = duration / NR_NS_PER_MS,
	                               .text = where});
}

/* Told by the watchdog: what holds the conversation is not looked at. */
static void computes(void *arg, uint64_t id, int64_t duration, int64_t thread)
{
	const struct nr_host *host = arg;
	char where[64];

	snprintf(where, sizeof(where), "thread %" PRId64 " of process %" PRId64,
	         thread, (int64_t)nr_process_id());
	nr_report(host->report,
	          &(struct naru_event){.kind = NARU_EVENT_STALL,
	                               .id = id,
	                               .result = -EINPROGRESS,
	                               .duration_ms = duration / NR_NS_PER_MS,
	                               .text = where});
}

static void overflowed(struct nr_fiber *fiber, size_t used)
{
	struct nr_strand *strand = fiber->user;
	const struct naru_conv *conv = strand ? strand->own : NULL;

	if (!conv)
		return;
	nr_report(&conv->settings->report,
	          &(struct naru_event){.kind = NARU_EVENT_OVERFLOW,
	                               .id = conv->id,
	                               .peer = &conv->peer,
	                               .stack_used = used,
	                               .stack_size =
	                                       nr_fiber_stack_size(fiber)});
}

static const struct nr_fiber_watcher watcher = {
	.stalled = stalled,
	.computes = computes,
	.overflowed = overflowed,
};

static int open_with(struct nr_host *host, const struct nr_engine_ops *engine,
                     struct nr_scheduler **ret_scheduler)
{
	const struct nr_scheduler_options options = {
		.engine = engine,
		.stack_size = host->stack_size,
		/* Besides its first strand, a conversation may have more. */
		.max = host->max_conversations > UINT32_MAX / 64
	                       ? UINT32_MAX
	                       : host->max_conversations * 2 +
	                                 host->max_openings + 1024,
		.stall = host->stall,
		.measure = host->report->fn != NULL,
		.watcher = host->report->fn ? &watcher : NULL,
		.watcher_arg = host,
		.catch_overflow = host->catch_overflow,
	};

	return nr_scheduler_open(ret_scheduler, &options);
}

/* What says that io_uring is not to be had here at all. */
static bool is_lacking(int err)
{
	return err == -ENOSYS || err == -EPERM || err == -EACCES ||
	       err == -EINVAL || err == -EOPNOTSUPP;
}

int nr_fibers_open(struct nr_host *host, struct nr_scheduler **ret_scheduler)
{
	const struct nr_engine_ops *engine = &nr_engine_uring;
	int err = -EINVAL, why = 0;

	if (host->report->fn && host->stall != NR_NEVER)
		nr_caller_prepare();
	if (host->io == NARU_IO_EPOLL)
		engine = &nr_engine_epoll;
	err = open_with(host, engine, ret_scheduler);
	if (host->io == NARU_IO_AUTO && is_lacking(err)) {
		why = err;
		engine = &nr_engine_epoll;
		err = open_with(host, engine, ret_scheduler);
	}
	/* Every thread has its own; they are alike. */
	if (err == 0 && !host->waiter) {
		host->waiter = engine->name;
		host->no_uring = why;
	}
	return err;
}

void nr_fibers_report_waiter(const struct nr_host *host)
{
	nr_report(host->report, &(struct naru_event){.kind = NARU_EVENT_WAITER,
	                                             .call = host->waiter,
	                                             .result = host->no_uring});
}

void nr_fibers_turn(struct nr_scheduler *scheduler, int64_t until)
{
	if (nr_scheduler_turn(scheduler, until) < 0)
		nr_scheduler_cancel(scheduler);
}

/* A conversation, as its fiber begins with it. */
struct conversing {
	struct nr_fibers *fibers;
	struct nr_accepted accepted;
};

static void conversing_main(void *arg)
{
	struct conversing *self = arg;
	struct nr_fibers *fibers = self->fibers;
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, fibers->helpers);
	fibers->host->converse(fibers->host, &self->accepted);
	nr_strand_fiber_fini(&strand);
	fibers->over(fibers, &self->accepted);
}

static void report_mappings(const struct nr_host *host)
{
	nr_report(host->report,
	          &(struct naru_event){
			  .kind = NARU_EVENT_ERROR,
			  .call = "map",
			  .text = "a fiber's stack: this process has as many "
				  "mappings as vm.max_map_count allows",
			  .result = -ENOMEM});
}

int nr_fibers_start(struct nr_fibers *fibers,
                    const struct nr_accepted *accepted,
                    struct nr_fiber **ret_fiber)
{
	const struct conversing conversing = {fibers, *accepted};
	const struct nr_fiber_start start = {.fn = conversing_main,
	                                     .arg = &conversing,
	                                     .size = sizeof(conversing),
	                                     .tag = accepted->id};
	int err = nr_fiber_start(fibers->scheduler, &start, ret_fiber);

	if (err == -ENOSPC)
		report_mappings(fibers->host);
	return err == -ENOSPC ? -ENOMEM : err;
}

void nr_fibers_refuse(struct nr_fibers *fibers, struct nr_accepted *accepted,
                      int err)
{
	nr_report(fibers->host->report,
	          &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                               .call = "start",
	                               .text = "a fiber for a connection that "
	                                       "was accepted; it is closed",
	                               .id = accepted->id,
	                               .peer = &accepted->peer,
	                               .result = err});
	nr_file_close(accepted->fd);
	free(accepted->first);
	fibers->over(fibers, accepted);
}
