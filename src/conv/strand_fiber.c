/* SPDX-License-Identifier: MIT */
/* Strands that are fibers: see strand_fiber.h. */
#include "conv/strand_fiber.h"

#include <errno.h>

#include "base/assert.h"
#include "base/time.h"

static const struct nr_strand_ops fiber_ops;

static struct nr_strand_fiber *fiber_of(struct nr_strand *strand)
{
	nr_assert(strand->ops == &fiber_ops);
	return nr_list_entry(strand, struct nr_strand_fiber, strand);
}

static void spawned_main(void *arg)
{
	struct nr_strand_fiber *self = arg;

	self->fn(self->arg);
	nr_strand_fiber_fini(self);
}

static int fiber_spawn(struct nr_strand *self, struct nr_strand **ret_strand,
                       void (*fn)(void *arg), void *arg)
{
	struct nr_strand_fiber *parent = fiber_of(self), *child;
	/* It begins as a copy, which lies on the new fiber's own stack. */
	const struct nr_strand_fiber copy = {.helpers = parent->helpers,
	                                     .fn = fn,
	                                     .arg = arg};
	const struct nr_fiber_start start = {.fn = spawned_main,
	                                     .arg = &copy,
	                                     .size = sizeof(copy),
	                                     .joinable = true,
	                                     .tag = parent->fiber->tag};
	struct nr_fiber *fiber;
	int err = nr_fiber_start(parent->fiber->scheduler, &start, &fiber);

	if (err < 0)
		return err == -ENOSPC ? -EAGAIN : err;
	child = fiber->arg;
	child->fiber = fiber;
	nr_strand_init(&child->strand, &fiber_ops, &fiber->io.io);
	child->strand.own = self->own;
	fiber->io.cancelled = parent->fiber->io.cancelled;
	fiber->user = &child->strand;
	*ret_strand = &child->strand;
	return 0;
}

static void fiber_cancel(struct nr_strand *other)
{
	nr_fiber_cancel(fiber_of(other)->fiber);
}

/* A fiber holds one conversation, and ends with it. */
static void fiber_renew(struct nr_strand *self)
{
	(void)self;
}

static size_t fiber_stack_used(struct nr_strand *self, size_t *ret_size)
{
	struct nr_fiber *fiber = fiber_of(self)->fiber;
	size_t used = nr_fiber_stack_used(fiber);

	*ret_size = used ? nr_fiber_stack_size(fiber) : 0;
	return used;
}

static int fiber_wait(struct nr_strand *self, struct nr_strand *other,
                      int64_t until)
{
	return nr_fiber_await_end(fiber_of(self)->fiber, fiber_of(other)->fiber,
	                          until);
}

static void fiber_join(struct nr_strand *other)
{
	struct nr_fiber *fiber = fiber_of(other)->fiber;

	nr_fiber_join(nr_fiber_self(), fiber);
}

static int fiber_park(struct nr_strand *self, int64_t until)
{
	return nr_fiber_park(fiber_of(self)->fiber, until);
}

static void fiber_stay(struct nr_strand *self)
{
	(void)nr_fiber_park_through(fiber_of(self)->fiber, NR_NEVER);
}

static void fiber_wake(struct nr_strand *other)
{
	nr_fiber_wake(fiber_of(other)->fiber);
}

/* A job for a helper, and the message back, which only the fiber's own thread
 * reads: what the fiber then sees as done nobody else uses any more. */
struct offloaded {
	struct nr_job job;
	struct nr_post post;
	struct nr_scheduler *scheduler;
	struct nr_fiber *fiber;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void run_offloaded(struct nr_job *job)
{
	struct offloaded *offloaded = nr_list_entry(job, struct offloaded, job);

	offloaded->fn(offloaded->arg);
}

static void send_done(struct nr_job *job)
{
	struct offloaded *offloaded = nr_list_entry(job, struct offloaded, job);

	nr_scheduler_post(offloaded->scheduler, &offloaded->post);
}

static void receive_done(struct nr_post *post)
{
	struct offloaded *offloaded =
		nr_list_entry(post, struct offloaded, post);

	offloaded->done = true;
	nr_fiber_wake(offloaded->fiber);
}

static int fiber_offload(struct nr_strand *self, void (*fn)(void *arg),
                         void *arg)
{
	struct nr_strand_fiber *strand = fiber_of(self);
	struct offloaded offloaded = {
		.job = {.run = run_offloaded, .done = send_done},
		.post = {.fn = receive_done},
		.scheduler = strand->fiber->scheduler,
		.fiber = strand->fiber,
		.fn = fn,
		.arg = arg,
	};
	int err;

	nr_list_init(&offloaded.post.node);
	err = nr_helpers_run(strand->helpers, &offloaded.job);
	if (err < 0)
		return err;
	while (!offloaded.done)
		(void)nr_fiber_park_through(strand->fiber, NR_NEVER);
	return 0;
}

static int fiber_begin(struct nr_strand *self, struct nr_aside *aside)
{
	return nr_helpers_run(fiber_of(self)->helpers, &aside->job);
}

static bool fiber_leave(struct nr_strand *self, struct nr_aside *aside,
                        bool over)
{
	return !over &&
	       nr_helpers_withdraw(fiber_of(self)->helpers, &aside->job);
}

static const struct nr_strand_ops fiber_ops = {
	.spawn = fiber_spawn,
	.cancel = fiber_cancel,
	.renew = fiber_renew,
	.wait = fiber_wait,
	.join = fiber_join,
	.park = fiber_park,
	.stay = fiber_stay,
	.wake = fiber_wake,
	.offload = fiber_offload,
	.begin = fiber_begin,
	.leave = fiber_leave,
	.stack_used = fiber_stack_used,
};

void nr_strand_fiber_init(struct nr_strand_fiber *strand,
                          struct nr_helpers *helpers)
{
	struct nr_fiber *fiber = nr_fiber_self();

	*strand = (struct nr_strand_fiber){.fiber = fiber, .helpers = helpers};
	nr_strand_init(&strand->strand, &fiber_ops, &fiber->io.io);
	fiber->user = &strand->strand;
}

void nr_strand_fiber_fini(struct nr_strand_fiber *strand)
{
	nr_strand_fini(&strand->strand);
	/* It lies on a stack that others use from here on. */
	strand->fiber->user = NULL;
}

struct nr_fiber *nr_strand_fiber_of(struct nr_strand *strand)
{
	return strand->ops == &fiber_ops ? fiber_of(strand)->fiber : NULL;
}
