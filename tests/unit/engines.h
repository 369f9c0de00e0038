/* SPDX-License-Identifier: MIT */
#ifndef TESTS_ENGINES_H
#define TESTS_ENGINES_H

/* Cases that run over more than one engine, whose names say which. */

#include <stdio.h>
#include <string.h>

#include "unit.h"
#include "uring.h"

/* Leaves out of COUNT CASES those that name uring, where there is none. Returns
 * how many are left. */
static inline size_t keep_possible(struct CMUnitTest *cases, size_t count)
{
	size_t kept = 0;

	if (uring_works())
		return count;
	printf("# there is no io_uring here\n");
	for (size_t i = 0; i < count; i++)
		if (!strstr(cases[i].name, "uring"))
			cases[kept++] = cases[i];
	return kept;
}

#endif
