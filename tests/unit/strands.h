/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STRANDS_H
#define TESTS_UNIT_STRANDS_H

/* Strands of both kinds, for what they contend for. */

#include <stdbool.h>
#include <stdint.h>

#include "conv/strand_fiber.h"

#define STRANDS_WORKERS 2 /* threads with a scheduler each */
#define STRANDS_FIBERS  8 /* on each of them */
#define STRANDS_PLAIN   2 /* threads without */
#define STRANDS         (STRANDS_WORKERS * STRANDS_FIBERS + STRANDS_PLAIN)

/* What fibers that are started by hand are initialised with, between the two
 * calls that follow. */
extern struct nr_helpers strands_helpers;
void strands_set_up(void);
void strands_tear_down(void);

/* Has STRANDS strands call FN at the same time, each with a seed of its own. */
void strands_contend(void (*fn)(unsigned seed));

/* What is contended for, of which there is none to be had once TRY was true so
 * often. */
struct strands_contended {
	bool (*try)(void);
	int (*take)(struct nr_strand *self, int64_t until);
	void (*give)(void);
};

/* Fails unless who waited first for WHAT has it first, and nobody overtakes. */
void strands_come_in_turn(const struct strands_contended *what);

/* Fails unless waiting for WHAT ends with the time and by cancelling, and who
 * gave up is forgotten. */
void strands_give_up(const struct strands_contended *what);

struct nr_scheduler *strands_scheduler(void);
struct nr_fiber *strands_start(struct nr_scheduler *scheduler,
                               void (*fn)(void *arg), void *arg);

/* Runs all fibers to their ends, and closes SCHEDULER. */
void strands_run(struct nr_scheduler *scheduler);

#endif
