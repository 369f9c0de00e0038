/* SPDX-License-Identifier: MIT */
/* Strands that are threads: see strand_thread.h. */
#include "conv/strand_thread.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/conv.h"
#include "os/os_file.h"

static struct nr_strand_thread *thread_of(struct nr_strand *strand)
{
	return nr_list_entry(strand, struct nr_strand_thread, strand);
}

static void *spawned_main(void *arg)
{
	struct nr_strand_thread *thread = arg;

	nr_strand_enter(&thread->strand);
	thread->fn(thread->arg);
	nr_strand_fini(&thread->strand);
	nr_strand_enter(NULL);
	nr_event_set(thread->done);
	return NULL;
}

static int thread_spawn(struct nr_strand *self, struct nr_strand **ret_strand,
                        void (*fn)(void *arg), void *arg)
{
	struct nr_strand_thread *parent = thread_of(self);
	struct nr_strand_thread *thread = malloc(sizeof(*thread));
	int err;

	if (!thread)
		return -ENOMEM;
	nr_strand_thread_init(thread, parent->block.cancel[0],
	                      parent->stack_size);
	thread->fn = fn;
	thread->arg = arg;
	thread->strand.own = self->own;
	err = thread->cancel = nr_event_open();
	if (err >= 0)
		err = thread->done = nr_event_open();
	thread->block.cancel[1] = thread->cancel;
	thread->block.stop = parent->block.stop;
	if (err >= 0)
		err = nr_thread_start(&thread->thread, thread->stack_size,
		                      spawned_main, thread);
	if (err < 0) {
		nr_cond_fini(&thread->woken);
		nr_mutex_fini(&thread->lock);
		nr_file_close(thread->done);
		nr_file_close(thread->cancel);
		free(thread);
		return err;
	}
	*ret_strand = &thread->strand;
	return 0;
}

static void thread_cancel(struct nr_strand *other)
{
	struct nr_strand_thread *thread = thread_of(other);

	nr_mutex_lock(&thread->lock);
	thread->cancelled = true;
	nr_cond_signal(&thread->woken);
	nr_mutex_unlock(&thread->lock);
	if (thread->cancel >= 0)
		nr_event_set(thread->cancel);
	else if (other->own)
		nr_conv_break(other->own);
}

static void thread_renew(struct nr_strand *self)
{
	struct nr_strand_thread *thread = thread_of(self);

	nr_mutex_lock(&thread->lock);
	thread->cancelled = false;
	nr_mutex_unlock(&thread->lock);
	if (thread->cancel >= 0)
		nr_event_clear(thread->cancel);
}

static int thread_wait(struct nr_strand *self, struct nr_strand *other,
                       int64_t until)
{
	return self->io->ops->wait(self->io,
	                           (struct nr_handle){
					   .fd = thread_of(other)->done},
	                           NR_READABLE, until);
}

static void thread_join(struct nr_strand *other)
{
	struct nr_strand_thread *thread = thread_of(other);

	nr_thread_join(thread->thread);
	nr_io_block_fini(&thread->block);
	nr_cond_fini(&thread->woken);
	nr_mutex_fini(&thread->lock);
	nr_file_close(thread->done);
	nr_file_close(thread->cancel);
	free(thread);
}

static int thread_park(struct nr_strand *self, int64_t until)
{
	struct nr_strand_thread *thread = thread_of(self);
	int err = 0;

	nr_mutex_lock(&thread->lock);
	while (!thread->wake && !thread->cancelled && err == 0)
		err = nr_cond_wait_until(&thread->woken, &thread->lock, until);
	if (thread->wake)
		err = 0;
	else if (thread->cancelled)
		err = -ECANCELED;
	thread->wake = false;
	nr_mutex_unlock(&thread->lock);
	return err;
}

static void thread_stay(struct nr_strand *self)
{
	struct nr_strand_thread *thread = thread_of(self);

	nr_mutex_lock(&thread->lock);
	while (!thread->wake)
		nr_cond_wait(&thread->woken, &thread->lock);
	thread->wake = false;
	nr_mutex_unlock(&thread->lock);
}

static void thread_wake(struct nr_strand *other)
{
	struct nr_strand_thread *thread = thread_of(other);

	nr_mutex_lock(&thread->lock);
	thread->wake = true;
	nr_cond_signal(&thread->woken);
	nr_mutex_unlock(&thread->lock);
}

/* The strand is a thread, which may block. */
static int thread_offload(struct nr_strand *self, void (*fn)(void *arg),
                          void *arg)
{
	(void)self;
	fn(arg);
	return 0;
}

/* How many run aside in this process, those included that were left to
 * themselves; the most, of which half are kept for what cannot be done
 * without. */
static _Atomic unsigned asides;
#define ASIDES_MAX 256u

static void *aside_main(void *arg)
{
	struct nr_aside *aside = arg;

	aside->job.run(&aside->job);
	aside->job.done(&aside->job);
	atomic_fetch_sub(&asides, 1);
	return NULL;
}

/* Fibers share helpers that were started before; threads are seldom many, and
 * a process may be a child of fork(2), which has none of its parent's. */
static int thread_begin(struct nr_strand *self, struct nr_aside *aside)
{
	unsigned most = aside->job.dispensable ? ASIDES_MAX / 2 : ASIDES_MAX;
	int err = -EAGAIN;

	(void)self;
	if (atomic_fetch_add(&asides, 1) < most)
		err = nr_thread_start(&aside->thread, NR_STACK_SIZE_DEFAULT,
		                      aside_main, aside);
	if (err < 0)
		atomic_fetch_sub(&asides, 1);
	return err;
}

static bool thread_leave(struct nr_strand *self, struct nr_aside *aside,
                         bool over)
{
	(void)self;
	if (over)
		nr_thread_join(aside->thread);
	else
		nr_thread_leave(aside->thread);
	return false;
}

/* A thread's stack is the system's. */
static size_t thread_stack_used(struct nr_strand *self, size_t *ret_size)
{
	(void)self;
	*ret_size = 0;
	return 0;
}

static const struct nr_strand_ops thread_ops = {
	.spawn = thread_spawn,
	.cancel = thread_cancel,
	.renew = thread_renew,
	.wait = thread_wait,
	.join = thread_join,
	.park = thread_park,
	.stay = thread_stay,
	.wake = thread_wake,
	.offload = thread_offload,
	.begin = thread_begin,
	.leave = thread_leave,
	.stack_used = thread_stack_used,
};

void nr_strand_thread_init(struct nr_strand_thread *thread, int cancel,
                           size_t stack_size)
{
	*thread = (struct nr_strand_thread){.stack_size = stack_size,
	                                    .cancel = -1,
	                                    .done = -1};
	nr_mutex_init(&thread->lock);
	nr_cond_init(&thread->woken);
	nr_io_block_init(&thread->block, cancel, -1);
	nr_strand_init(&thread->strand, &thread_ops, &thread->block.io);
}

void nr_strand_thread_open(struct nr_strand_thread *thread, int cancel,
                           int stop, size_t stack_size)
{
	nr_strand_thread_init(thread, cancel, stack_size);
	thread->block.stop = stop;
	thread->cancel = nr_event_open();
	if (thread->cancel < 0)
		thread->cancel = -1;
	thread->block.cancel[1] = thread->cancel;
}

void nr_strand_thread_fini(struct nr_strand_thread *thread)
{
	nr_strand_fini(&thread->strand);
	nr_io_block_fini(&thread->block);
	nr_cond_fini(&thread->woken);
	nr_mutex_fini(&thread->lock);
	nr_file_close(thread->cancel);
}
