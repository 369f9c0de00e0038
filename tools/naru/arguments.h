/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_ARGUMENTS_H
#define NR_TOOL_ARGUMENTS_H

/*
 * What stands on the command line, read strictly. Each function that returns
 * false has said why on standard error: which option, which value, and the
 * reason. COMMAND is "naru serve" or the like.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "naru.h"

/* An option that takes a value, as messages name it, and what may be given. */
struct nr_tool_option {
	const char *command; /* "naru serve" */
	const char *name;    /* "--port" */
	int64_t min, max;
};

/* Reads a decimal number without sign, leading zeros or trailing text. */
bool nr_tool_number(const struct nr_tool_option *option, const char *text,
                    int64_t *ret_number);

/* Reads a duration: a number and ms, s (also without), m or h. */
bool nr_tool_duration(const struct nr_tool_option *option, const char *text,
                      int64_t *ret_ms);

/* Reads a size: a number and K (1024 bytes), M (1024 K), or neither. */
bool nr_tool_size(const struct nr_tool_option *option, const char *text,
                  int64_t *ret_size);

/* The value of the hex digit C, or -1. */
int nr_tool_hex_digit(char c);

/* No duration on the command line may be longer: a year. */
#define NR_TOOL_DURATION_MAX (INT64_C(366) * 24 * 3600 * 1000)

/* The port where none is given, as naru/addr.h has it. */
#define NR_TOOL_NO_PORT (-1)

/* What --help says of ENDPOINT. */
#define NR_TOOL_ENDPOINT_USAGE                                                 \
	"ENDPOINT is HOST:PORT, [IPV6]:PORT, HOST or PORT, with tcp://, "      \
	"tls:// or udp://\n"                                                   \
	"before it, or nothing for tcp://; or unix:/PATH or unix:@NAME. The "  \
	"default is\n"                                                         \
	"localhost:1060.\n"

/* An endpoint and its length at most: a scheme, a host, a port. */
#define NR_TOOL_ENDPOINT_TEXT 1100

/*
 * Writes TEXT (null for the default) in full into RET, of
 * NR_TOOL_ENDPOINT_TEXT bytes: "tcp://localhost:1060", "unix:/run/x". PORT is
 * what --port says, or NR_TOOL_NO_PORT.
 */
bool nr_tool_endpoint(const char *command, const char *text, int64_t port,
                      char *ret);

/* Writes FULL, as nr_tool_endpoint() wrote it, with PORT instead of its own
 * into RET. */
void nr_tool_endpoint_port(const char *full, const char *port, char *ret);

/* Whether ENDPOINT is under SCHEME: "tls", "udp", "unix". */
bool nr_tool_is_under(const char *endpoint, const char *scheme);

/* Takes -4 or -6; not both. */
bool nr_tool_family(const char *command, int letter,
                    enum naru_family *ret_family);

/* Takes a version of the PROXY protocol, "v1" or "v2". */
bool nr_tool_announce(const char *command, const char *option, const char *text,
                      enum naru_announce *ret_announce);

/* Says what getopt_long(3) did not understand: C is what it returned, and
 * OPTIONS what it was given. */
void nr_tool_bad_option(const char *command, char **argv, int c,
                        const struct option *options);

#endif
