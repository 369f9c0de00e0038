/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_FETCH_H
#define NR_FIBER_FETCH_H

/*
 * Fetching to the caches what a fiber will need before its turn comes: among
 * thousands, none of it is there any more, and each line would be waited for.
 */

#include "fiber/scheduler.h"

#define NR_LINE ((size_t)64)

/* Lines of what a fiber's stack has used lately; of what its user said is hot,
 * and a little below it, where the user's own frames are; of what strands are
 * known by; and of what a fiber begins with. */
enum {
	NR_STACK_LINES = 6,
	NR_BELOW_LINES = 2,
	NR_HOT_LINES = 6,
	NR_STRAND_LINES = 1,
	NR_FIBER_LINES = 2,
};

static inline void nr_fetch_lines(const void *from, size_t lines)
{
	const char *at = from;

	for (size_t i = 0; i < lines; i++)
		__builtin_prefetch(at + i * NR_LINE);
}

/* For NEXT, who goes on after the one that is about to, and may be null; and,
 * so that this can be done, for the one after it. */
static inline void nr_fiber_fetch(const struct nr_fiber *next)
{
	if (!next)
		return;
	nr_fetch_lines(next->context.sp, NR_STACK_LINES);
	if (next->hot) {
		nr_fetch_lines((const char *)next->hot -
		                       NR_BELOW_LINES * NR_LINE,
		               NR_HOT_LINES);
		nr_fetch_lines(next->user, NR_STRAND_LINES);
	}
	if (next->next)
		nr_fetch_lines(next->next, NR_FIBER_LINES);
}

#endif
