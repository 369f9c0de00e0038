/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_TIME_H
#define NR_OS_TIME_H

#include <stdint.h>

/* The time now, as base/time.h counts it. Safe in a signal handler. */
int64_t nr_now(void);

/* The time since the machine was started, in nanoseconds: it goes on while the
 * machine is suspended, which nr_now() does not. */
int64_t nr_now_boot(void);

/* A cheaper time, of the system's last tick: behind by some milliseconds at the
 * most (clock_getres(2), CLOCK_MONOTONIC_COARSE). */
int64_t nr_now_coarse(void);
#define NR_COARSE_NS (10 * INT64_C(1000000))

#endif
