/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_PLACES_H
#define NR_CONV_PLACES_H

/*
 * Places among the conversations, of which there are so many and no more. Who
 * finds none waits in line: a strand of any kind parks, and whoever stands for
 * one that is elsewhere is called back. While somebody waits, a place that is
 * given back is handed to the first: nobody overtakes them.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "os/os_thread.h"

struct nr_strand;

struct nr_places {
	unsigned most;
	_Atomic unsigned state; /* twice those that are taken; and 1 where
	                           somebody waits: then all of them are */
	struct nr_mutex lock;   /* of what follows */
	struct nr_list waiting;
	bool closed;
};

/* Somebody who waits. CALL is called, under the lock, when a place has been
 * handed over (GOT), or none will be waited for any more. */
struct nr_place_wait {
	struct nr_list node;
	void (*call)(struct nr_place_wait *wait);
	bool got;
};

void nr_places_init(struct nr_places *places, unsigned most);
void nr_places_fini(struct nr_places *places);

/* How many are taken. */
static inline unsigned nr_places_taken(struct nr_places *places)
{
	return atomic_load(&places->state) / 2;
}

/* Takes a place that is free. */
bool nr_places_try(struct nr_places *places);

/* Takes a place, for which SELF, which calls, waits until UNTIL. -ETIMEDOUT;
 * -ECANCELED; NR_STOPPED (io/io.h) where nobody is to wait any more. */
int nr_places_take(struct nr_places *places, struct nr_strand *self,
                   int64_t until);

/* Takes a place: true. Else WAIT stands in line from now on. */
bool nr_places_queue(struct nr_places *places, struct nr_place_wait *wait);

/* WAIT stands in line no more. False where it has got a place meanwhile. */
bool nr_places_leave(struct nr_places *places, struct nr_place_wait *wait);

void nr_places_give(struct nr_places *places);

/* Nobody waits any more; places that are free can still be taken. */
void nr_places_close(struct nr_places *places);

#endif
