/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_EXPLAIN_H
#define NR_TOOL_EXPLAIN_H

#include <stddef.h>

#include "naru.h"

/* A state that the kernel does not have: of a socket whose connect failed. */
#define NR_TOOL_NEVER_CONNECTED "never connected"

/* Writes into BUF, of SIZE bytes, what the socket call of EVENT has done, for
 * someone who learns how a server works, and returns BUF; it is empty where
 * there is nothing to say. */
const char *nr_tool_explain(char *buf, size_t size,
                            const struct naru_event *event);

#endif
