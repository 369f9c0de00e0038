/* SPDX-License-Identifier: MIT */
/*
 * Places among the conversations: see places.h. One atomic operation takes or
 * gives one back where nobody waits. Where somebody does, none is free, and the
 * mark for that keeps all of it under the lock.
 */
#include "conv/places.h"

#include "base/assert.h"
#include "conv/strand.h"

#define WAITED_FOR 1u
#define ONE        2u

void nr_places_init(struct nr_places *places, unsigned most)
{
	*places = (struct nr_places){.most = most};
	nr_mutex_init(&places->lock);
	nr_list_init(&places->waiting);
}

void nr_places_fini(struct nr_places *places)
{
	nr_assert(nr_list_empty(&places->waiting));
	nr_mutex_fini(&places->lock);
}

/* Takes a place, or leaves the mark IF_NONE. */
static bool take_or(struct nr_places *places, unsigned if_none)
{
	unsigned state = atomic_load(&places->state), next;
	bool room;

	do {
		room = state / ONE < places->most;
		next = room ? state + ONE : state | if_none;
		if (next == state)
			return false;
	} while (!atomic_compare_exchange_weak(&places->state, &state, next));
	return room;
}

bool nr_places_try(struct nr_places *places)
{
	return take_or(places, 0);
}

/* Under the lock. */
static void remove_wait(struct nr_places *places, struct nr_place_wait *wait)
{
	nr_list_remove(&wait->node);
	if (nr_list_empty(&places->waiting))
		atomic_fetch_and(&places->state, ~WAITED_FOR);
}

/* The same. */
static bool queue(struct nr_places *places, struct nr_place_wait *wait)
{
	wait->got = take_or(places, WAITED_FOR);
	if (!wait->got)
		nr_list_append(&places->waiting, &wait->node);
	return wait->got;
}

bool nr_places_queue(struct nr_places *places, struct nr_place_wait *wait)
{
	bool got;

	nr_mutex_lock(&places->lock);
	got = queue(places, wait);
	nr_mutex_unlock(&places->lock);
	return got;
}

bool nr_places_leave(struct nr_places *places, struct nr_place_wait *wait)
{
	bool got;

	nr_mutex_lock(&places->lock);
	got = wait->got;
	if (!got)
		remove_wait(places, wait);
	nr_mutex_unlock(&places->lock);
	return !got;
}

struct strand_wait {
	struct nr_place_wait common;
	struct nr_strand *strand;
};

static void wake_strand(struct nr_place_wait *wait)
{
	struct nr_strand *strand =
		nr_list_entry(wait, struct strand_wait, common)->strand;

	strand->ops->wake(strand);
}

/* Under the lock, which is free while SELF waits. */
static int park(struct nr_places *places, struct nr_strand *self, int64_t until)
{
	int err;

	if (places->closed)
		return NR_STOPPED;
	nr_mutex_unlock(&places->lock);
	err = self->ops->park(self, until);
	nr_mutex_lock(&places->lock);
	return err;
}

int nr_places_take(struct nr_places *places, struct nr_strand *self,
                   int64_t until)
{
	struct strand_wait wait = {.common.call = wake_strand, .strand = self};
	int err = 0;

	nr_mutex_lock(&places->lock);
	(void)queue(places, &wait.common);
	while (!wait.common.got && err == 0)
		err = park(places, self, until);
	/* What was handed over meanwhile wins. */
	if (wait.common.got)
		err = 0;
	else
		remove_wait(places, &wait.common);
	nr_mutex_unlock(&places->lock);
	return err;
}

/* Hands a place on, or sets it free where who waited has left. */
static void hand_on(struct nr_places *places)
{
	struct nr_place_wait *next;

	nr_mutex_lock(&places->lock);
	if (nr_list_empty(&places->waiting)) {
		atomic_fetch_sub(&places->state, ONE);
	} else {
		next = nr_list_entry(places->waiting.next, struct nr_place_wait,
		                     node);
		remove_wait(places, next);
		next->got = true;
		/* Under the lock: once it is free, who waited may know, and
		 * be gone. */
		next->call(next);
	}
	nr_mutex_unlock(&places->lock);
}

void nr_places_give(struct nr_places *places)
{
	unsigned state = atomic_load(&places->state);

	nr_assert(state >= ONE);
	while (!(state & WAITED_FOR))
		if (atomic_compare_exchange_weak(&places->state, &state,
		                                 state - ONE))
			return;
	hand_on(places);
}

void nr_places_close(struct nr_places *places)
{
	struct nr_list *node, *after;

	nr_mutex_lock(&places->lock);
	places->closed = true;
	nr_list_for_each (node, after, &places->waiting) {
		struct nr_place_wait *wait =
			nr_list_entry(node, struct nr_place_wait, node);

		wait->call(wait);
	}
	nr_mutex_unlock(&places->lock);
}
