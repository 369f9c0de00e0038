/* SPDX-License-Identifier: MIT */
/*
 * A timing wheel: see timers.h.
 *
 * Level L holds the timers that are 64^L to 64^(L+1) - 1 ticks away when they
 * are set, in the slot that bits 6L to 6L+5 of their tick name. When the wheel
 * reaches the first tick of such a slot, its timers are placed anew, further
 * down. Thus, in every level, the slots that follow the wheel's place come
 * next, in a circle: the one at its place is the last of them.
 */
#include "fiber/timers.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/time.h"

#define DUE       ((size_t)NR_TIMER_LEVELS * NR_TIMER_SLOTS)
#define SLOT_MASK (NR_TIMER_SLOTS - 1)

/* The furthest that the last level reaches, in ticks. */
#define REACH ((INT64_C(1) << (NR_TIMER_LEVELS * NR_TIMER_LEVEL_BITS)) - 1)

/* A tick that never comes: its time is beyond what an int64_t holds. */
#define NO_TICK (INT64_C(1) << (63 - NR_TIMER_TICK_BITS))

_Static_assert(NR_TIMER_SLOTS == 64, "a level's slots are the bits of a word");
_Static_assert(sizeof(struct nr_timer) <= 32, "every fiber has one");

void nr_timers_init(struct nr_timers *timers, int64_t now)
{
	nr_assert(now >= 0 && now != NR_NEVER);
	timers->tick = now >> NR_TIMER_TICK_BITS;
	for (size_t i = 0; i <= NR_TIMER_LEVELS; i++)
		timers->occupied[i] = 0;
	for (size_t i = 0; i <= DUE; i++)
		nr_list_init(&timers->slots[i]);
}

void nr_timer_init(struct nr_timer *timer)
{
	nr_list_init(&timer->node);
	timer->at = NR_NEVER;
}

static uint64_t slot_bit(size_t slot)
{
	return UINT64_C(1) << (slot & SLOT_MASK);
}

/* The first tick that does not begin before AT. */
static int64_t tick_of(int64_t at)
{
	const int64_t within = (INT64_C(1) << NR_TIMER_TICK_BITS) - 1;

	return (at >> NR_TIMER_TICK_BITS) + ((at & within) != 0);
}

/* Where a timer of TICK belongs now. */
static size_t slot_of(const struct nr_timers *timers, int64_t tick)
{
	int64_t away = tick - timers->tick;
	unsigned level;

	if (away <= 0)
		return DUE;
	if (away > REACH) {
		away = REACH;
		tick = timers->tick + REACH;
	}
	level = (63 - (unsigned)__builtin_clzll((unsigned long long)away)) /
	        NR_TIMER_LEVEL_BITS;
	return (size_t)level * NR_TIMER_SLOTS +
	       ((size_t)(tick >> (level * NR_TIMER_LEVEL_BITS)) & SLOT_MASK);
}

static void take_out(struct nr_timers *timers, struct nr_timer *timer)
{
	struct nr_list *other = timer->node.next;

	/* The only one of its slot: the other node of the ring is the slot. */
	if (other == timer->node.prev) {
		size_t slot = (size_t)(other - timers->slots);

		nr_assert(slot <= DUE);
		timers->occupied[slot / NR_TIMER_SLOTS] &= ~slot_bit(slot);
	}
	nr_list_remove(&timer->node);
}

static void place(struct nr_timers *timers, struct nr_timer *timer)
{
	size_t slot = slot_of(timers, tick_of(timer->at));

	timers->occupied[slot / NR_TIMER_SLOTS] |= slot_bit(slot);
	nr_list_append(&timers->slots[slot], &timer->node);
}

void nr_timers_set(struct nr_timers *timers, struct nr_timer *timer, int64_t at)
{
	nr_timers_cancel(timers, timer);
	timer->at = at;
	if (at != NR_NEVER)
		place(timers, timer);
}

void nr_timers_cancel(struct nr_timers *timers, struct nr_timer *timer)
{
	if (!nr_list_empty(&timer->node))
		take_out(timers, timer);
}

/* The first tick of the next slot of LEVEL that has a timer; there is one. */
static int64_t next_in(const struct nr_timers *timers, unsigned level)
{
	unsigned shift = level * NR_TIMER_LEVEL_BITS;
	int64_t from = (timers->tick >> shift) + 1;
	unsigned first = (unsigned)from & SLOT_MASK;
	uint64_t slots = timers->occupied[level];

	/* The circle of slots from FROM on. */
	slots = slots >> first | slots << (-first & SLOT_MASK);
	return (from + __builtin_ctzll(slots)) << shift;
}

/* The next tick at which there is a slot to empty. */
static int64_t next_tick(const struct nr_timers *timers)
{
	int64_t next = NO_TICK;

	for (unsigned level = 0; level < NR_TIMER_LEVELS; level++)
		if (timers->occupied[level])
			next = nr_time_min(next, next_in(timers, level));
	return next;
}

int64_t nr_timers_next(const struct nr_timers *timers)
{
	int64_t tick = timers->occupied[NR_TIMER_LEVELS] ? timers->tick
	                                                 : next_tick(timers);

	return tick < NO_TICK ? tick << NR_TIMER_TICK_BITS : NR_NEVER;
}

/* Places the timers of a slot anew: further down, but for those that are beyond
 * the last level's reach still. */
static void empty(struct nr_timers *timers, size_t slot)
{
	struct nr_list *head = &timers->slots[slot];

	while (!nr_list_empty(head)) {
		struct nr_timer *timer =
			nr_list_entry(head->next, struct nr_timer, node);

		nr_list_remove(&timer->node);
		place(timers, timer);
	}
	timers->occupied[slot / NR_TIMER_SLOTS] &= ~slot_bit(slot);
}

/* Turns the wheel to TICK, and empties the slots that begin there. No slot
 * with a timer may begin between. */
static void turn_to(struct nr_timers *timers, int64_t tick)
{
	timers->tick = tick;
	for (unsigned level = 0; level < NR_TIMER_LEVELS; level++) {
		unsigned shift = level * NR_TIMER_LEVEL_BITS;
		size_t slot = (size_t)(tick >> shift) & SLOT_MASK;

		if (tick & ((INT64_C(1) << shift) - 1))
			break;
		slot += (size_t)level * NR_TIMER_SLOTS;
		if (timers->occupied[level] & slot_bit(slot))
			empty(timers, slot);
	}
}

struct nr_timer *nr_timers_expire(struct nr_timers *timers, int64_t now)
{
	const int64_t until = now >> NR_TIMER_TICK_BITS;
	struct nr_timer *timer;

	while (!timers->occupied[NR_TIMER_LEVELS] && timers->tick < until)
		turn_to(timers, nr_time_min(next_tick(timers), until));
	if (!timers->occupied[NR_TIMER_LEVELS])
		return NULL;
	timer = nr_list_entry(timers->slots[DUE].next, struct nr_timer, node);
	take_out(timers, timer);
	return timer;
}
