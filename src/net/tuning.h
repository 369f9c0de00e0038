/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TUNING_H
#define NR_NET_TUNING_H

/* What one may ask of TCP for one's own connections. A socket of another kind
 * has none of it, and is left as it is. */

#include <stdbool.h>
#include <stdint.h>

#include "naru/base.h"

struct nr_tuning {
	int64_t keep_alive;   /* silence before the peer is asked, in
	                         nanoseconds; 0 for not */
	int64_t user_timeout; /* of what is not acknowledged, in nanoseconds; 0
	                         for the system's */
	unsigned fast_open;   /* of a listener, how many may wait that came with
	                         their first bytes; of a dial, whether they go
	                         with it */
};

/* In the milliseconds of the options; false where one is below 0. */
bool nr_tuning_read(struct nr_tuning *tuning, int64_t keep_alive_ms,
                    int64_t user_timeout_ms, unsigned fast_open);

/* Of a listening socket; those that it accepts inherit it. */
int nr_tuning_listen(int fd, const struct nr_tuning *tuning);

/* Of a socket that is about to be connected. */
int nr_tuning_dial(int fd, const struct nr_tuning *tuning);

#endif
