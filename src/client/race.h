/* SPDX-License-Identifier: MIT */
#ifndef NR_CLIENT_RACE_H
#define NR_CLIENT_RACE_H

/*
 * One endpoint is called at all of its addresses, "Happy Eyeballs" (RFC 8305):
 * each is given a moment before the next one is tried as well, the next at
 * once where one fails, and the first that answers wins.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/report.h"
#include "naru/server.h"
#include "net/tuning.h"
#include "os/os_addr.h"

struct nr_endpoint;
struct nr_strand;

/* Who calls, and how. */
struct nr_caller {
	struct nr_strand *self;
	const struct nr_report *report;
	enum naru_family family;
	const struct naru_addr *source;          /* or null */
	struct nr_tuning tuning;                 /* of each socket */
	int64_t resolution_delay, attempt_delay; /* nanoseconds */
};

/* Who answered. */
struct nr_called {
	struct naru_addr peer;
	bool late; /* the connection begins with its first bytes (RFC 7413) */
};

/* Connects to ENDPOINT until UNTIL at the longest. Returns the socket, or the
 * error that says most of all that there were; none of its attempts is left.
 */
int nr_race(const struct nr_caller *caller, const struct nr_endpoint *endpoint,
            int64_t until, struct nr_called *ret_called);

/* Of two errors, the one that says more about why nobody was reached. */
int nr_race_telling(int a, int b);

#endif
