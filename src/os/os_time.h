/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_TIME_H
#define NR_OS_TIME_H

#include <stdint.h>

/* The time now, as base/time.h counts it. Safe in a signal handler. */
int64_t nr_now(void);

#endif
