/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_WATCHDOG_H
#define NR_FIBER_WATCHDOG_H

/*
 * Tells of fibers that compute for long while they still do. A fiber that
 * never waits again cannot tell of itself; so one thread of the process looks
 * at all schedulers that are watched.
 *
 * It reads what a scheduler shows of itself, and never a fiber: that may end
 * in the same moment, and its stack be another's. While all schedulers wait
 * for the kernel it rests, without a timeout; the first that goes on wakes it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* What a scheduler shows of itself. */
struct nr_watch {
	/* Stored by the scheduler: SINCE before TAG. */
	_Atomic int64_t since; /* when the fiber that runs went on */
	_Atomic uint64_t tag;  /* the fiber's; 0 where there is none to tell of
	                        */

	const _Atomic bool *asleep; /* it waits for the kernel */
	int64_t threshold;          /* in nanoseconds */

	/* What has TAG computes, for DURATION by now. On the watchdog's
	 * thread, once for each stall; it may have waited again by then. It
	 * neither adds nor removes a watch. */
	void (*computes)(struct nr_watch *watch, uint64_t tag,
	                 int64_t duration);

	/* The watchdog's own. */
	struct nr_list node;
	unsigned era;
	uint64_t told_tag;
	int64_t told_since;
};

/* Has the watchdog look at WATCH, in which all but its own is filled in; it is
 * started where there is none. Where no thread can be started WATCH is not
 * looked at, until another one is added and that works. */
void nr_watchdog_add(struct nr_watch *watch);

/* It looks there no more, and calls nothing of it any more, when this returns.
 * With the last one it ends. */
void nr_watchdog_remove(struct nr_watch *watch);

/* It waits for a scheduler that goes on. */
extern _Atomic bool nr_watchdog_rests;
void nr_watchdog_wake(void);

/* For a scheduler that is about to run a fiber, and said before that it is not
 * asleep: one of the two sees what the other one says. */
static inline void nr_watchdog_look_out(void)
{
	if (atomic_load(&nr_watchdog_rests))
		nr_watchdog_wake();
}

/* SINCE the fiber that has TAG runs; 0 for a scheduler that runs none. What was
 * stored before is seen by who sees the tag. */
static inline void nr_watch_since(struct nr_watch *watch, int64_t since)
{
	atomic_store_explicit(&watch->since, since, memory_order_relaxed);
}
static inline void nr_watch_tag(struct nr_watch *watch, uint64_t tag)
{
	atomic_store_explicit(&watch->tag, tag, memory_order_release);
}

#endif
