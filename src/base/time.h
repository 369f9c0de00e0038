/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_TIME_H
#define NR_BASE_TIME_H

/*
 * Points in time and durations, in nanoseconds on the monotonic clock. The
 * public API counts milliseconds; inside, nanoseconds keep a wait from ending
 * early by a rounding.
 */

#include <stdint.h>

/* A point in time that never comes. */
#define NR_NEVER     INT64_MAX

#define NR_NS_PER_MS INT64_C(1000000)
#define NR_NS_PER_S  INT64_C(1000000000)

/* Milliseconds as nanoseconds; what does not fit is for ever. MS >= 0. */
int64_t nr_ns_from_ms(int64_t ms);

/* The other way, rounded up; for ever stays for ever. NS >= 0. */
int64_t nr_ms_from_ns(int64_t ns);

/* The point in time DURATION after NOW; what does not fit is never. Both
 * >= 0. */
static inline int64_t nr_time_add(int64_t now, int64_t duration)
{
	return duration > NR_NEVER - now ? NR_NEVER : now + duration;
}

static inline int64_t nr_time_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

#endif
