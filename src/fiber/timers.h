/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_TIMERS_H
#define NR_FIBER_TIMERS_H

/*
 * Points in time that fibers wait for: a hierarchical timing wheel. Nearly
 * every wait of a conversation sets a timer, and nearly every timer is taken
 * out again before its time comes: both cost the same few nanoseconds however
 * many timers there are.
 *
 * Time is counted in ticks, and a timer expires with the first tick that does
 * not begin before its time: never early, and late by a tick at most. A wheel
 * belongs to one thread, makes no call into the kernel and allocates nothing.
 */

#include <stdint.h>

#include "base/list.h"

/* A tick has 2^20 nanoseconds, about a millisecond. */
#define NR_TIMER_TICK_BITS 20

/* A slot of a level spans all of the level below: the last level reaches
 * 2^56 ns, more than two years. What lies further off waits in its last slot
 * and is looked at again. */
#define NR_TIMER_LEVELS     6
#define NR_TIMER_LEVEL_BITS 6
#define NR_TIMER_SLOTS      (1 << NR_TIMER_LEVEL_BITS)

/* Embedded in what waits. */
struct nr_timer {
	struct nr_list node;
	int64_t at;
};

struct nr_timers {
	int64_t tick; /* how far the wheel has been turned */
	/* A bit for each slot with a timer in it. The level after the last is
	 * a single slot: the timers whose time has come. */
	uint64_t occupied[NR_TIMER_LEVELS + 1];
	struct nr_list slots[NR_TIMER_LEVELS * NR_TIMER_SLOTS + 1];
};

/* The wheel stays where it is from here on. NOW >= 0 (base/time.h). */
void nr_timers_init(struct nr_timers *timers, int64_t now);

/* A timer that is not set. */
void nr_timer_init(struct nr_timer *timer);

/* Sets TIMER, or sets it anew. A time that is past comes at once; NR_NEVER
 * takes the timer out. */
void nr_timers_set(struct nr_timers *timers, struct nr_timer *timer,
                   int64_t at);

/* Takes TIMER out. Harmless where it is not set, or has expired. */
void nr_timers_cancel(struct nr_timers *timers, struct nr_timer *timer);

/*
 * When the wheel is to be turned next (nr_timers_expire): the tick with which
 * the first timer expires, or one before it where timers have to be sorted
 * into the level below, which is once per level at most. NR_NEVER where no
 * timer is set.
 */
int64_t nr_timers_next(const struct nr_timers *timers);

/*
 * Turns the wheel to NOW and takes out one timer whose time has come, the
 * earliest tick's first; NULL where there is none left. Call it until then.
 * Timers may be set and taken out between the calls.
 */
struct nr_timer *nr_timers_expire(struct nr_timers *timers, int64_t now);

#endif
