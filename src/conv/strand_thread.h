/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_STRAND_THREAD_H
#define NR_CONV_STRAND_THREAD_H

/* Strands that are threads, or a process' only one; they wait by blocking. */

#include "conv/strand.h"
#include "io/block.h"
#include "os/os_thread.h"

struct nr_strand_thread {
	struct nr_strand strand;
	struct nr_io_block block;
	size_t stack_size; /* of those that it spawns */
	struct nr_mutex lock;
	struct nr_cond woken; /* with WAKE set */
	bool wake;
	bool cancelled; /* which ends a park too */
	int cancel;     /* an event, or -1 */
	/* Of a spawned one only: */
	struct nr_thread thread;
	int done; /* an event */
	void (*fn)(void *arg);
	void *arg;
};

/* Prepares the calling thread's own strand. CANCEL is a descriptor that
 * cancels it by turning readable, not its own, or -1. */
void nr_strand_thread_init(struct nr_strand_thread *thread, int cancel,
                           size_t stack_size);

/* The same for one that converses, and may be cancelled alone. Where there is
 * no descriptor for that, its connection is broken off instead. STOP is a
 * descriptor that turns readable when its server is asked to stop. */
void nr_strand_thread_open(struct nr_strand_thread *thread, int cancel,
                           int stop, size_t stack_size);

void nr_strand_thread_fini(struct nr_strand_thread *thread);

#endif
