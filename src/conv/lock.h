/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_LOCK_H
#define NR_CONV_LOCK_H

/*
 * A lock that strands of every kind can hold while they wait for the network:
 * who wants it meanwhile parks, be it a thread or a fiber. It takes an octet
 * and an atomic operation where nobody else wants it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct nr_strand;

struct nr_lock {
	_Atomic unsigned char state; /* zero: free */
};

enum nr_lock_state {
	NR_LOCK_FREE,
	NR_LOCK_HELD,
	NR_LOCK_WANTED, /* held, and there may be somebody who waits */
};

static inline bool nr_lock_try(struct nr_lock *lock)
{
	unsigned char expected = NR_LOCK_FREE;

	return atomic_compare_exchange_strong_explicit(&lock->state, &expected,
	                                               NR_LOCK_HELD,
	                                               memory_order_acquire,
	                                               memory_order_relaxed);
}

/* 0; -ETIMEDOUT where it is not to be had until UNTIL; -ECANCELED. Who came
 * first has it first. */
int nr_lock_until(struct nr_lock *lock, struct nr_strand *self, int64_t until);

/* Hands a wanted lock on. */
void nr_lock_hand_on(struct nr_lock *lock);

static inline void nr_lock_release(struct nr_lock *lock)
{
	unsigned char expected = NR_LOCK_HELD;

	if (!atomic_compare_exchange_strong_explicit(&lock->state, &expected,
	                                             NR_LOCK_FREE,
	                                             memory_order_release,
	                                             memory_order_relaxed))
		nr_lock_hand_on(lock);
}

#endif
