/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_RANDOM_H
#define NR_OS_RANDOM_H

#include <stdint.h>

/* A random number. Where the system gives none, one that at least differs from
 * process to process and from time to time: it spreads what would happen at
 * once, and keeps no secret. */
uint64_t nr_random(void);

#endif
