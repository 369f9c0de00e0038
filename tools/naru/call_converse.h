/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_CALL_CONVERSE_H
#define NR_TOOL_CALL_CONVERSE_H

/* A call once it is connected: standard input goes to the peer, and what the
 * peer sends goes to standard output. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "naru.h"

#define NR_TOOL_CALL_NAME "naru call"

struct nr_tool_converse {
	const char *endpoint; /* in full, for messages */
	int64_t wait_ms; /* over UDP, for answers when the input has ended */
	bool half_open;  /* send on after the peer's end */
	bool unfinished; /* the peer is not told of the end of input */
	bool framed;     /* a line is a message under the dial's framing, */
	size_t limit;    /* of so many bytes at most */
	bool hex;        /* lines are hex digits */
	bool crlf;       /* LF is sent as CR LF; neither framed nor hex */
};

/* Converses until the end, and returns the exit code; what went wrong has been
 * said. Takes CONV. */
int nr_tool_converse(const struct nr_tool_converse *call,
                     struct naru_conv *conv);

#endif
