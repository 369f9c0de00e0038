/* SPDX-License-Identifier: MIT */
/* Clocks that never go back: see os_time.h. */
#include "os/os_time.h"

#include <time.h>

#include "base/time.h"

static int64_t read_clock(clockid_t clock)
{
	struct timespec now = {0};

	/* It cannot fail: the clock exists, and the memory is ours. */
	(void)clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * NR_NS_PER_S + now.tv_nsec;
}

int64_t nr_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t nr_now_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t nr_now_coarse(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}
