/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SCALE_H
#define TESTS_SCALE_H

/*
 * What the processes of the scale test tell each other, and what is said in
 * each conversation.
 *
 * A client asks, the server answers; each request and each answer is a head
 * and as many bytes as it says. Every byte follows from the conversation's
 * number, the round and all requests before: an answer that belongs to another
 * conversation, or to another round of the same, is found out.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "naru.h"

#define SERVERS_MAX 32

/* What each process needs besides its connections. */
#define DESCRIPTORS_OWN 200

/* No wait of any process is longer: a hang becomes a failure. */
#define WAIT_MS  30000

#define ROUNDS   3    /* after the one that each conversation begins with */
#define BODY_MAX 1500 /* bytes of a request or an answer, without its head */

struct head {
	uint32_t number; /* of the conversation */
	uint32_t round;
	uint32_t len;
};

enum phase {
	CONNECT, /* all connect, and have one exchange each */
	TALK,    /* all talk at the same time */
	FINISH,  /* all end */
};

/* The page that all processes share. */
struct page {
	atomic_int phase;
	atomic_int done[FINISH + 1]; /* clients that are through with it */
	atomic_int ports[SERVERS_MAX];

	/* Conversations: in which the talk runs now, and what was reported. */
	atomic_int talking;
	atomic_int begun, ended, ended_badly;
	atomic_llong bytes; /* that both sides have checked */

	/* The first thing that was found wrong. */
	atomic_int failures;
	atomic_int failure_ready;
	char failure[256];
};
extern struct page *page;

/* How the test is laid out. */
struct plan {
	int connections; /* of all clients together */
	int servers;     /* and as many processes of clients */
	enum naru_io io;
};

/* Writes down what is wrong; the first is kept. Returns -EPROTO. */
int wrong(const char *format, ...) NARU_PRINTF(1, 2);

/* Milliseconds on a clock that never jumps. */
int64_t clock_ms(void);
void rest(void);

/* How long a body is, and what it holds: that of a request, which begins with
 * SEED 0, or of the answer to all requests so far, whose seed is theirs. */
uint32_t body_len(const struct head *head, uint64_t seed);
void body_fill(unsigned char *body, const struct head *head, uint64_t seed);
/* The seed that comes of one that was and a request's body. */
uint64_t body_seed(uint64_t before, const unsigned char *body, uint32_t len);

/* The two kinds of process; both return what the process ends with. */
int serve_many(const struct plan *plan, int which);
int ask_many(const struct plan *plan, int which);

#endif
