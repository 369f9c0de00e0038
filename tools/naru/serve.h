/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_SERVE_H
#define NR_TOOL_SERVE_H

/*
 * What the parts of naru serve share: reading its command line
 * (serve_options.c, serve_relay.c), telling that it is ready (serve_ready.c),
 * and its life (cmd_serve.c).
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arguments.h"
#include "framing_options.h"
#include "log.h"
#include "talks.h"
#include "tls_options.h"

#define NR_TOOL_SERVE_NAME "naru serve"

/* What the command line asks for. */
struct nr_tool_serving {
	struct naru_options options;
	struct nr_tool_tls tls;
	struct nr_tool_tls relay_tls;
	struct nr_tool_framing framing;
	const struct nr_tool_talk *talk;
	struct nr_tool_talk_arg arg;
	struct nr_tool_log log;
	char endpoint[NR_TOOL_ENDPOINT_TEXT]; /* in full */
	int64_t port;
	int64_t drain_ms;
	int verbosity;
	bool quiet;
	bool print_endpoint;
	bool help;
	/* Once it runs: */
	struct naru_server *server;
	bool ready;  /* has been told */
	bool failed; /* to tell it */
};

/* Reads the command line. False where it cannot be understood, and that has
 * been said. */
bool nr_tool_serve_parse(struct nr_tool_serving *serve, int argc, char **argv);

/* Whether what --announce sends can go to relay's endpoints: over streams, not
 * over UDP. False where not, and that has been said. */
bool nr_tool_serve_can_announce(const struct nr_tool_serving *serve);

/* Whether the talk has messages, as OPTION wants it; a relay does where one of
 * its sides is datagrams, which keep them apart. False where not, and that has
 * been said. */
bool nr_tool_serve_has_messages(const struct nr_tool_serving *serve,
                                const char *option);

void nr_tool_serve_usage(FILE *out);

/* Whether conversations run in fibers. */
bool nr_tool_serve_has_fibers(const struct nr_tool_serving *serve);

/* Tells where SERVE listens, how it converses, and how to talk to it. WAITER is
 * the NARU_EVENT_WAITER of a server whose conversations are fibers, or null. */
void nr_tool_serve_ready(struct nr_tool_serving *serve,
                         const struct naru_event *waiter);

#endif
