/* SPDX-License-Identifier: MIT */
/* The monotonic clock: see os_time.h. */
#include "os/os_time.h"

#include <time.h>

#include "base/time.h"

int64_t nr_now(void)
{
	struct timespec now = {0};

	/* It cannot fail: the clock exists, and the memory is ours. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NR_NS_PER_S + now.tv_nsec;
}

int64_t nr_now_coarse(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * NR_NS_PER_S + now.tv_nsec;
}
