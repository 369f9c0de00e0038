/* SPDX-License-Identifier: MIT */
/* Strands that are threads: see strand_thread.h. */
#include "conv/strand_thread.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
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
	if (err >= 0)
		err = nr_thread_start(&thread->thread, thread->stack_size,
		                      spawned_main, thread);
	if (err < 0) {
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
	nr_event_set(thread_of(other)->cancel);
}

static int thread_wait(struct nr_strand *self, struct nr_strand *other,
                       int64_t until)
{
	return self->io->ops->wait(self->io, thread_of(other)->done,
	                           NR_READABLE, until);
}

static void thread_join(struct nr_strand *other)
{
	struct nr_strand_thread *thread = thread_of(other);

	nr_thread_join(thread->thread);
	nr_file_close(thread->done);
	nr_file_close(thread->cancel);
	free(thread);
}

static const struct nr_strand_ops thread_ops = {
	.spawn = thread_spawn,
	.cancel = thread_cancel,
	.wait = thread_wait,
	.join = thread_join,
};

void nr_strand_thread_init(struct nr_strand_thread *thread, int cancel,
                           size_t stack_size)
{
	*thread = (struct nr_strand_thread){.stack_size = stack_size,
	                                    .cancel = -1,
	                                    .done = -1};
	nr_io_block_init(&thread->block, cancel, -1);
	nr_strand_init(&thread->strand, &thread_ops, &thread->block.io);
}

void nr_strand_thread_fini(struct nr_strand_thread *thread)
{
	nr_strand_fini(&thread->strand);
}
