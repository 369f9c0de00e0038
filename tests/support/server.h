/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SERVER_H
#define TESTS_SERVER_H

/*
 * The server under test, in a process of its own. It is driven through the
 * public calls alone. At its end it counts what it has not given back.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "naru.h"
#include "shared.h"

#define SERVER_LISTENERS 3

struct server {
	int slot; /* in the shared page */
	pid_t pid;
	char endpoint[SERVER_LISTENERS][NARU_ADDR_TEXT];
};

/* One listener; its endpoint is the place's where it is null. */
struct listener {
	const char *endpoint;
	naru_talk *talk;
	void *arg;
};

struct setup {
	struct listener listener[SERVER_LISTENERS];
	const struct naru_options *options; /* without the model; or null */
	bool stop_first; /* naru_server_stop() before naru_server_run() */
	bool unreported; /* without a report function */
	/* In the server's process, around naru_server_run(); or null. */
	void (*before_run)(void);
	void (*after_run)(void);
};

/* In the process of the server and those that it forks: the server. */
extern struct naru_server *_Atomic server_under_test;

/* Starts a server with one listener, and returns when clients can connect. A
 * test may have SHARED_SERVERS at a time. */
struct server *server_start(naru_talk *talk, void *arg,
                            const struct naru_options *options);
struct server *server_start_setup(const struct setup *setup);

/* Asks for the stop by a signal, as a service manager would, and returns when
 * it has been asked for. */
void server_signal(struct server *server, int64_t drain_ms);

/* Waits for the end. Fails the test where naru_server_run() did not return
 * RESULT, where a talk found something wrong, and where anything was not
 * given back. */
void server_wait(struct server *server, int result);

/* The same where more than one result is right; returns it. */
int server_wait_any(struct server *server);

/* Asks and waits, for a server whose conversations have ended or will by
 * themselves. */
void server_stop(struct server *server);

/* Ends every server that is left, without asking. */
void server_kill_all(void);

/* How many entries a directory has. */
int count_entries(const char *dir);

#endif
