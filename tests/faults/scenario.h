/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

/* What each run does, and what its two sides tell each other. */

#include <sys/un.h>

#include "calls.h"
#include "naru.h"

/* No run takes longer: a hang becomes a failure. */
#define RUN_NS 10000000000

enum scenario_state {
	STARTING,
	READY,  /* clients can connect */
	FAILED, /* the server could not be made; RESULT says why */
	OVER,   /* naru_server_run() returned RESULT */
};

/* The page that the server's side fills in. */
struct scenario {
	atomic_int state;
	atomic_int result;
	char tcp[NARU_ADDR_TEXT], local[NARU_ADDR_TEXT], udp[NARU_ADDR_TEXT];
	char relay_to[NARU_ADDR_TEXT]; /* the client's own listener */

	atomic_int begun, ended, bad_ends, lost, errors;
	atomic_int refused; /* accepted, and no fiber or no header for them */
	atomic_int crash;   /* the status of a worker that crashed */
	atomic_int deferred, deferred_run;

	/* What the server had not given back at its end. */
	atomic_int descriptors, children;
	atomic_long live, crypto_live;

	atomic_int crypto_ready; /* what OpenSSL had asked for when READY */
};

extern struct scenario *scenario;

/* Whether its endpoint of TCP is one of TLS. */
extern bool scenario_tls;

/* The server's side, in a process of its own. */
_Noreturn void scenario_serve(enum naru_model model, enum naru_io io);

/* The client's side: each holds one conversation, and returns whether every
 * byte of it came. What must never be is written to client_wrong. */
struct client {
	int64_t until; /* it gives up */
	int listener;  /* for what the server dials */
	char wrong[256];
};

void client_open(struct client *client);
void client_close(struct client *client);

bool client_echo(struct client *client);
bool client_companion(struct client *client);
bool client_relay(struct client *client);
bool client_program(struct client *client);
bool client_aside(struct client *client);
bool client_datagrams(struct client *client);

/* An echo that is under way while the server PID is told to stop. */
bool client_stop(struct client *client, pid_t pid);

#endif
