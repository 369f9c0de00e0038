/* SPDX-License-Identifier: MIT */
#ifndef TESTS_STRESS_H
#define TESTS_STRESS_H

/*
 * What the two sides of the stress test say to each other, and the page in
 * which they count it.
 *
 * A client sends requests, each a line and what belongs to it, as many at once
 * as it likes; the talk answers each. Both know every byte from the request.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "naru.h"
#include "shared.h"

/*
 * The requests. SEED says which bytes, LEN how many; MS is a time.
 *   ECHO     LEN bytes follow, and are answered with as many
 *   SLEEP    answered after MS
 *   OFFLOAD  answered after a blocking call
 *   SPAWN    answered after MS strands have done a bit of everything
 *   HANG     leaves a strand behind that only the end can end; no answer
 *   TRICKLE  LEN bytes follow, slowly; each wait for them times out after MS
 *   DIAL     answered after the server has talked to itself
 *   BOTH     LEN bytes follow, while as many come
 *   RELAY    all that follows goes to the server itself, and comes back
 */
#define REQUESTS(X)                                                            \
	X(ECHO)                                                                \
	X(SLEEP)                                                               \
	X(OFFLOAD)                                                             \
	X(SPAWN)                                                               \
	X(HANG)                                                                \
	X(TRICKLE)                                                             \
	X(DIAL)                                                                \
	X(BOTH)                                                                \
	X(RELAY)

#define REQUEST_ENUM(name) name,
enum request_kind {
	REQUESTS(REQUEST_ENUM) REQUEST_KINDS
};

struct request {
	enum request_kind kind;
	unsigned ms;
	size_t len;
	unsigned seed;
};

#define LEN_MAX      100000
#define TRICKLE_MAX  24
#define REQUEST_LINE "%d %u %zu %u\n"

struct page {
	/* For the server of a round. */
	uint64_t seed;
	enum naru_io io;
	atomic_int ports[2]; /* of requests, and of what only echoes */
	atomic_int drain_ms;

	/* Counted over all rounds; each has to have happened. */
	atomic_int answered[REQUEST_KINDS];
	atomic_int timed_out, cancelled, broken, well;
	atomic_int finished, reset, urgent, drained;
	atomic_llong bytes;
};
extern struct page *page;

/* The byte at place AT of what SEED stands for. */
unsigned char byte_at(unsigned seed, size_t at);
void fill(void *buf, unsigned seed, size_t from, size_t len);
bool holds(const void *buf, unsigned seed, size_t from, size_t len);

/* A number below LIMIT, from a stream that begins with a seed. */
unsigned pick(uint64_t *stream, unsigned limit);

/* The server of one round: a process that ends when the other end of PIPE is
 * closed. */
_Noreturn void serve_wildly(int pipe);

/* The clients of one round; false where something is wrong. After MS
 * milliseconds the server PID is stopped, by closing PIPE, in the middle of
 * everything; where MS is negative, everything comes to its end first. */
bool ask_wildly(uint64_t *stream, int ms, int pid, int pipe);

#endif
