/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SHARED_H
#define TESTS_SHARED_H

/*
 * What a test and the talks of its server tell each other. A talk may run in
 * another process, so it lies in a page that all of them share; a talk
 * cannot end the test, so it writes down what it found wrong, and the test
 * fails with it later.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "naru.h"

/* No wait of any test is longer than this: a hang becomes a failure. */
#define WAIT_MS 20000

/* A sanitizer makes each fork and each thread many times as dear; one of
 * them has a thread of its own. */
#if defined(__SANITIZE_THREAD__)
#define SANITIZED         1
#define SANITIZER_THREADS 1
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED         1
#define SANITIZER_THREADS 0
#else
#define SANITIZED         0
#define SANITIZER_THREADS 0
#endif

#define SHARED_EVENTS        32
#define SHARED_SERVERS       4
#define SHARED_CONVERSATIONS 4

/* What the process of a server found at its end. */
struct shared_server {
	atomic_llong drain_ms; /* what its signal handler asks for */
	atomic_int asked;      /* how often it has */
	atomic_int ran;        /* naru_server_run() has returned */
	atomic_int result;     /* of naru_server_run() */
	atomic_int again;      /* of a second naru_server_run() */
	atomic_int fds;        /* more descriptors than before */
	atomic_int threads;    /* more threads than before */
	atomic_int children;   /* processes that nobody waited for */
};

struct shared {
	atomic_int step; /* how far the two sides are; what it means is up to
	                    the test */
	atomic_llong number; /* what it means is up to the test */
	atomic_int order_len;
	char order[256];

	/* The first thing that was found wrong. */
	atomic_int failures;
	atomic_int failure_ready;
	char failure[512];

	/* What was reported, by kind, and what the latest END said. */
	atomic_int seen[SHARED_EVENTS];
	atomic_int begin_fd;
	atomic_int begin_named; /* it had both addresses */
	atomic_llong end_id;
	atomic_llong end_received;
	atomic_llong end_sent;
	atomic_llong end_duration_ms;
	atomic_llong end_dropped;
	atomic_int end_result;
	atomic_int end_named;
	atomic_llong relay_received;
	atomic_llong relay_sent;
	atomic_int relay_result;
	atomic_int listen_backlog;
	atomic_int pause_result;
	atomic_llong stall_id;
	atomic_llong stall_ms;
	char stall_text[256];
	/* Of each of the first conversations, by its number: how long it was
	 * said to compute while it did, and afterwards; and what was said of
	 * number 1 while it did. */
	atomic_llong computes_ms[SHARED_CONVERSATIONS];
	atomic_llong computed_ms[SHARED_CONVERSATIONS];
	char computes_text[256];
	atomic_int handshake_result;
	char handshake_text[256];

	/* A second server in the same process. */
	char second_endpoint[NARU_ADDR_TEXT];

	struct shared_server server[SHARED_SERVERS];
};

extern struct shared *shared;

/* Maps the page, and sets it to zero before each test. */
void shared_open(void);
void shared_clear(void);

/* A report function that fills the page. */
void shared_report(const struct naru_event *event, void *arg);

/* Adds one letter to the order in which things happened. */
void shared_note(char letter);

/* Time on the clock of naru_now(), asked from the kernel. */
int64_t clock_ns(void);
int64_t clock_ms(void);

/* A millisecond's rest between two looks at a condition. */
void rest(void);

/* Waits until the step is at least STEP; false after WAIT_MS. For talks: the
 * library does not know that they wait. */
bool await_step(int step);
/* The same for a talk whose thread others need meanwhile: 0, -ETIMEDOUT, or
 * -ECANCELED where it does not wait at all. */
int await_step_aside(int step);
void set_step(int step);

/* Writes down that a talk found something wrong; the first one is kept. */
bool expect_at(const char *file, int line, const char *what, long long got,
               long long want);

/* In a talk: GOT must be WANT; MUST also ends the talk where it is not. */
#define EXPECT(got, want)                                                      \
	expect_at(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
#define MUST(got, want)                                                        \
	do {                                                                   \
		if (!EXPECT(got, want))                                        \
			return -EPROTO;                                        \
	} while (0)

/* The byte at place AT of a stream that both sides know. */
unsigned char pattern_at(size_t at);
/* The same, in letters only, for lines. */
unsigned char letter_at(size_t at);
void pattern_fill(void *buf, size_t from, size_t len);
void letters_fill(void *buf, size_t from, size_t len);
/* Whether LEN bytes at BUF are those from place FROM on. */
bool pattern_holds(const void *buf, size_t from, size_t len);

#endif
