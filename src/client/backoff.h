/* SPDX-License-Identifier: MIT */
#ifndef NR_CLIENT_BACKOFF_H
#define NR_CLIENT_BACKOFF_H

/* How long one waits before one tries again what has failed: longer each time,
 * and never as long as the others who wait, so that they do not all come back
 * at once. */

#include <stdint.h>

struct nr_backoff {
	int64_t first, most; /* nanoseconds, above 0 */
};

/* The pause after FAILURES failures, 1 or more: FIRST, twice as long for each
 * further one, MOST at the longest, and shorter by a part of up to one half
 * that RANDOM says. */
int64_t nr_backoff_pause(const struct nr_backoff *backoff, unsigned failures,
                         uint64_t random);

#endif
