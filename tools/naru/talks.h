/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_TALKS_H
#define NR_TOOL_TALKS_H

/*
 * The talks that naru serve knows. None keeps anything between two
 * conversations: each may run in a process or a thread of its own.
 */

#include <stdbool.h>

#include "log.h"
#include "naru.h"

/* What a talk of the table is given as its argument. */
struct nr_tool_talk_arg {
	const char *target; /* of relay=ENDPOINT, as it was given */
	/* What that was cut into, ended by null. */
	const char *targets[NARU_DIAL_ENDPOINTS_MAX + 1];
	char **argv;                 /* of a program, ended by null */
	enum naru_announce announce; /* what relay sends first */
	const struct naru_tls *tls;  /* of those targets that are tls:// */
	const struct naru_framing *framing; /* --framing, or null */
	struct nr_tool_log *log;            /* where to say what went wrong */
};

struct nr_tool_talk {
	const char *name;
	naru_talk *run;
	bool has_target; /* NAME=ENDPOINT */
	const char *summary;
	naru_talk *run_datagram; /* over UDP; null for the same */
	naru_talk *run_messages; /* under --framing; null where it has none */
};

/* The table; its last row has no name. */
extern const struct nr_tool_talk nr_tool_talks[];

/* talks_messages.c */
naru_talk nr_tool_messages_echo;
naru_talk nr_tool_messages_ack;
naru_talk nr_tool_messages_discard;
naru_talk nr_tool_messages_daytime;
naru_talk nr_tool_datagram_echo;
naru_talk nr_tool_datagram_discard;
naru_talk nr_tool_datagram_chargen;

/* Answers with the peer's address, as ack does. */
int nr_tool_send_peer(struct naru_conv *conv);

/* Writes the date and the time in UTC into RET, of NR_TOOL_DATE_TEXT bytes: 0
 * or a negated errno. */
#define NR_TOOL_DATE_TEXT 128
int nr_tool_date(char *ret);

/* Finds the talk that TEXT names ("echo", "relay=host:80"), or null. In
 * RET_TARGET what follows "=", or null. */
const struct nr_tool_talk *nr_tool_talk_find(const char *text,
                                             const char **ret_target);

/* A program for each connection. */
extern const struct nr_tool_talk nr_tool_program;

/* Whether NAME can be run, found as posix_spawnp(3) would. It may be gone by
 * the time that it is. */
bool nr_tool_program_is_there(const char *name);

#endif
