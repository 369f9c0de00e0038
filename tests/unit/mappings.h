/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MAPPINGS_H
#define TESTS_MAPPINGS_H

#include <stdio.h>

#include "unit.h"

/* How many mappings this process has. */
static inline long count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	long count = 0;
	int c;

	assert_non_null(maps);
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	(void)fclose(maps);
	return count;
}

#endif
