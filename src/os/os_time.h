/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_TIME_H
#define NR_OS_TIME_H

#include <stdint.h>

/* The time now, as base/time.h counts it. Safe in a signal handler. */
int64_t nr_now(void);

/* A cheaper time, of the system's last tick: behind by some milliseconds at the
 * most (clock_getres(2), CLOCK_MONOTONIC_COARSE). */
int64_t nr_now_coarse(void);
#define NR_COARSE_NS (10 * INT64_C(1000000))

#endif
