/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_STRAND_FIBER_H
#define NR_CONV_STRAND_FIBER_H

/* Strands that are fibers: where one waits, it parks, and its thread goes on
 * with another. */

#include "conv/strand.h"
#include "fiber/helpers.h"
#include "fiber/scheduler.h"

struct nr_strand_fiber {
	struct nr_strand strand;
	struct nr_fiber *fiber;
	struct nr_helpers *helpers; /* for what blocks */
	/* Of a spawned one only: */
	void (*fn)(void *arg);
	void *arg;
};

/* Makes a strand of the fiber that calls. */
void nr_strand_fiber_init(struct nr_strand_fiber *strand,
                          struct nr_helpers *helpers);
void nr_strand_fiber_fini(struct nr_strand_fiber *strand);

/* The fiber that STRAND is, or null where it is none. */
struct nr_fiber *nr_strand_fiber_of(struct nr_strand *strand);

#endif
