/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_LOG_H
#define NR_TOOL_LOG_H

/*
 * What the command tells on standard error, each line in one write, so that
 * lines of several processes and threads do not mix. Bytes that are not
 * printable ASCII appear as \xHH, wherever they come from.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "naru.h"

/* From which verbosity on a line is shown. */
enum nr_tool_level {
	NR_TOOL_LOG_QUIET = -1, /* -q: nothing is shown */
	NR_TOOL_LOG_ERROR = 0,  /* what went wrong, and where we listen */
	NR_TOOL_LOG_CONVERSATIONS = 1, /* -v */
	NR_TOOL_LOG_CALLS = 2,         /* -vv */
};

struct nr_tool_log {
	int verbosity;       /* an nr_tool_level, or more */
	bool client;         /* our end is the one that connects */
	pid_t pid;           /* of the process that began the log */
	atomic_bool paused;  /* a pause was shown, so show its end */
	atomic_uint backlog; /* of the last listener */
	atomic_int refused;  /* the last socket whose connect failed, or -1 */
	bool capture;        /* errors are not shown */
	char why[2048];      /* the text of the last one then */
	char what[32];       /* what could not be done then */
};

/* Writes LEN bytes at LINE to standard error in one write; a signal handler may
 * call it. */
void nr_tool_put(const char *line, size_t len);

/* Prints "PREFIX: text" on standard error as one line. */
void nr_tool_say(const char *prefix, const char *format, ...) NARU_PRINTF(2, 3);

/* Makes LOG ready. */
void nr_tool_log_init(struct nr_tool_log *log, int verbosity, bool client);

/* Prints "naru: text" where LEVEL is shown. */
void nr_tool_log(const struct nr_tool_log *log, int level, const char *format,
                 ...) NARU_PRINTF(3, 4);

/* A naru_report function; ARG is a struct nr_tool_log. */
void nr_tool_log_event(const struct naru_event *event, void *arg);

/* Writes MS for people, "350 ms" or "12.5 s", into BUF and returns BUF. */
#define NR_TOOL_DURATION_TEXT 32
const char *nr_tool_duration_text(char *buf, int64_t ms);

/* Writes ADDR as text into BUF of NARU_ADDR_TEXT bytes and returns BUF. */
const char *nr_tool_addr_text(char *buf, const struct naru_addr *addr);

#endif
