/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_HELPERS_H
#define NR_FIBER_HELPERS_H

/*
 * Threads that make blocking calls in a fiber's place: name look-ups, and what
 * talks offload. They start when there are jobs for them, up to a limit, and
 * end when there have been none for a while. Jobs are begun in the order in
 * which they came; beyond the limit they queue.
 *
 * A child of fork(2) has none of the threads. Helpers that never had a job work
 * there; of others, the child touches nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "os/os_thread.h"

/* How long a helper waits for a job before it ends. */
#define NR_HELPER_IDLE (5 * NR_NS_PER_S)

/* Embedded in what the owner knows about the job. Both functions are called on
 * a helper's thread, outside of any lock. */
struct nr_job {
	struct nr_list node;
	void (*run)(struct nr_job *job);
	/* Tells the owner, and is brief: the next job may be waiting for this
	 * helper. Nobody touches the job once the owner may know: it can be
	 * gone then. */
	void (*done)(struct nr_job *job);
	/* It can be done without: it is taken only where at least half of the
	 * helpers are free for it. */
	bool dispensable;
};

struct nr_helper;

struct nr_helpers {
	struct nr_mutex lock; /* for all of the below */
	struct nr_cond none_left;
	struct nr_list jobs; /* not begun */
	struct nr_list idle; /* helpers that wait to be woken */
	unsigned queued;     /* jobs not begun */
	unsigned most;
	unsigned running; /* helpers that have not ended */
	unsigned busy;    /* of them, those with a job */
	size_t stack_size;
	int64_t idle_time;
	bool ending;
	struct nr_helper *ended; /* not joined yet */
};

/* For up to MOST helpers, each on a stack of STACK_SIZE bytes. Starts none. */
void nr_helpers_init(struct nr_helpers *helpers, unsigned most,
                     size_t stack_size);

/*
 * Queues JOB, and sees to it that a helper comes to it. From any thread. The
 * job stays the owner's, and stays where it is until DONE has been called.
 *
 * Returns 0; -EAGAIN or -ENOMEM, and nothing is queued, where there is no
 * helper and none can be started, or where others need them more.
 */
int nr_helpers_run(struct nr_helpers *helpers, struct nr_job *job);

/* Takes back a job that was queued and has not been begun: it is not run, and
 * DONE is not called. False, and nothing changes, where it has been begun. */
bool nr_helpers_withdraw(struct nr_helpers *helpers, struct nr_job *job);

/* Waits until all jobs are done, those in the queue too, and all helpers have
 * ended. No job may be added meanwhile, but by another job. */
void nr_helpers_fini(struct nr_helpers *helpers);

#endif
