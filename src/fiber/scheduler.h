/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_SCHEDULER_H
#define NR_FIBER_SCHEDULER_H

/*
 * Fibers: many straight-line threads of control on one thread of the system.
 * Each runs until it has to wait; then the next one that has not goes on, and
 * where there is none the scheduler waits in its engine (io/engine.h) for all
 * of them at once.
 *
 * A scheduler belongs to the thread that opened it, and so do its fibers, for
 * life: they share nothing with other threads but what is said to be for any
 * thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "fiber/context.h"
#include "fiber/stack.h"
#include "fiber/timers.h"
#include "io/engine.h"

struct nr_fiber;
struct nr_scheduler;

enum nr_fiber_state {
	NR_FIBER_READY, /* in the queue */
	NR_FIBER_RUNNING,
	NR_FIBER_PARKED,
	NR_FIBER_ENDED,
};

/* A fiber; it lies at the upper end of its own stack. */
struct nr_fiber {
	/* What is used at each switch comes first. */
	struct nr_context context;
	struct nr_fiber *next; /* in the queue */
	struct nr_scheduler *scheduler;
	unsigned char state; /* enum nr_fiber_state */
	bool staying;        /* parked until it is woken, come what may */
	bool permit;         /* woken before it parked */
	bool joinable;       /* somebody will free it */
	int reason;          /* what it was woken with */
	int64_t until;       /* of its wait */
	void *user;          /* the floor above's */
	const void *hot;     /* what FN will use when it goes on, or null */
	uint64_t tag;        /* whose it is, to the floor above; or 0 */
	struct nr_io_fiber io;
	struct nr_timer timer; /* not after UNTIL; see scheduler.c */

	void (*fn)(void *arg);
	void *arg;
	struct nr_stack stack;
	struct nr_list node;     /* of its scheduler's fibers */
	struct nr_fiber *joiner; /* waits for its end */
	struct nr_list called;   /* by other threads; under the lock */
	bool call_wake, call_cancel;
};

/* Told of what goes wrong with a fiber. */
struct nr_fiber_watcher {
	/* FIBER computed for DURATION nanoseconds without waiting; it is the
	 * one that calls. */
	void (*stalled)(struct nr_fiber *fiber, int64_t duration);

	/* A fiber that was started with TAG computes on the thread of number
	 * THREAD, for DURATION by now; ARG is the scheduler's. On a thread of
	 * its own, while the fiber goes on: whether it is still there when this
	 * is called nobody knows. Or null. */
	void (*computes)(void *arg, uint64_t tag, int64_t duration,
	                 int64_t thread);

	/* FIBER, which runs, has touched its stack's guard, USED bytes below
	 * the upper end. In a signal handler. */
	void (*overflowed)(struct nr_fiber *fiber, size_t used);
};

struct nr_scheduler_options {
	const struct nr_engine_ops *engine;
	struct nr_engine_size engine_size;
	size_t stack_size;
	unsigned max;  /* fibers */
	int64_t stall; /* nanoseconds; NR_NEVER for not watching */
	bool measure;  /* how deep stacks are used */
	const struct nr_fiber_watcher *watcher; /* or null */
	void *watcher_arg;
	bool catch_overflow; /* for the watcher: takes SIGSEGV */
};

/* Opens a scheduler on the calling thread. -ENOMEM, -EMFILE; what the engine
 * says. */
int nr_scheduler_open(struct nr_scheduler **ret_scheduler,
                      const struct nr_scheduler_options *options);

/* Closes it; no fiber is left. */
void nr_scheduler_close(struct nr_scheduler *scheduler);

/* LOOP is attended to in each turn from now on. */
int nr_scheduler_attend(struct nr_scheduler *scheduler, struct nr_loop *loop);

/* Runs each fiber that is ready once, and then waits for the kernel: not at all
 * where one is ready again, else until UNTIL at the longest. 0 or -errno. */
int nr_scheduler_turn(struct nr_scheduler *scheduler, int64_t until);

/* Reads what other threads have posted, and takes no turn: for one that is
 * about to be closed. */
void nr_scheduler_settle(struct nr_scheduler *scheduler);

/* How many fibers there are. */
unsigned nr_scheduler_count(const struct nr_scheduler *scheduler);

/* Cancels every fiber that there is. Its own thread. */
void nr_scheduler_cancel(struct nr_scheduler *scheduler);

/* A stop was asked for: ends the waits of the fibers that heed it (io/io.h),
 * now and ever after. Its own thread. */
void nr_scheduler_stop(struct nr_scheduler *scheduler);

/* What another thread has a scheduler's thread do: FN(POST) outside of any
 * fiber. Embedded in what it is about. */
struct nr_post {
	struct nr_list node;
	void (*fn)(struct nr_post *post);
};
/* Any thread. */
void nr_scheduler_post(struct nr_scheduler *scheduler, struct nr_post *post);

/* How a fiber begins. */
struct nr_fiber_start {
	void (*fn)(void *arg);
	const void *arg; /* copied to the fiber's stack where SIZE is not 0 */
	size_t size;
	bool joinable;
	uint64_t tag; /* 0: while it computes, it is not told of */
};

/* Starts a fiber, which runs when its turn comes. -ENOMEM, -EAGAIN where there
 * are as many as there may be; -ENOSPC where the system allows no more
 * mappings (vm.max_map_count). Its scheduler's thread. */
int nr_fiber_start(struct nr_scheduler *scheduler,
                   const struct nr_fiber_start *start,
                   struct nr_fiber **ret_fiber);

/* The fiber that runs on this thread. Fibers stay on their thread, so that the
 * compiler may keep its address. */
extern _Thread_local struct nr_fiber *nr_fiber_running;

/* The fiber that calls, or null outside of any. */
static inline struct nr_fiber *nr_fiber_self(void)
{
	return nr_fiber_running;
}

/* Waits until the fiber is woken, UNTIL has come (-ETIMEDOUT) or it is
 * cancelled (-ECANCELED). It may return without a reason: whoever waits for
 * something looks whether it is there. A fiber parks itself. */
int nr_fiber_park(struct nr_fiber *self, int64_t until);

/* The same, but for being cancelled. */
int nr_fiber_park_through(struct nr_fiber *self, int64_t until);

/* Has the watcher told where SELF, which calls, has computed for long, as it is
 * where it waits. */
void nr_fiber_look(struct nr_fiber *self);

/* Ends OTHER's wait in nr_fiber_park(), now or the next time. Any thread; OTHER
 * exists. */
void nr_fiber_wake(struct nr_fiber *other);

/* Every wait of OTHER returns -ECANCELED from now on. Any thread; OTHER
 * exists. */
void nr_fiber_cancel(struct nr_fiber *other);

/* Waits until OTHER, which is joinable and of the same thread, has ended. */
int nr_fiber_await_end(struct nr_fiber *self, struct nr_fiber *other,
                       int64_t until);

/* Waits for that without a bound, also where SELF is cancelled, and frees
 * OTHER. */
void nr_fiber_join(struct nr_fiber *self, struct nr_fiber *other);

/* How deep the fiber's stack was used, and how deep it may be, in bytes. 0 for
 * the first where it is not measured. */
size_t nr_fiber_stack_used(struct nr_fiber *fiber);
size_t nr_fiber_stack_size(const struct nr_fiber *fiber);

#endif
