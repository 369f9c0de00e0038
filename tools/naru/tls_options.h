/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_TLS_OPTIONS_H
#define NR_TOOL_TLS_OPTIONS_H

/* The options of TLS, which serving and calling have in common, and what is
 * told of it. */

#include <getopt.h>
#include <stdbool.h>

#include "log.h"
#include "naru.h"

/* The most certificates and protocols on one command line. */
#define NR_TOOL_TLS_MAX 64

struct nr_tool_tls {
	struct naru_tls tls;
	struct naru_tls_certificate certificates[NR_TOOL_TLS_MAX];
	unsigned certificate_count;
	const char *alpn[NR_TOOL_TLS_MAX + 1];
	bool given; /* any of them */
};

/* Long options without a letter, beyond those of the commands. */
enum {
	NR_TOOL_OPTION_CERT = 512,
	NR_TOOL_OPTION_KEY,
	NR_TOOL_OPTION_CA,
	NR_TOOL_OPTION_VERIFY,
	NR_TOOL_OPTION_ALPN,
	NR_TOOL_OPTION_SERVERNAME,
	NR_TOOL_OPTION_PIN,
};

/* What stands in the commands' tables of long options. */
#define NR_TOOL_TLS_OPTIONS                                                    \
	{"cert", required_argument, NULL, NR_TOOL_OPTION_CERT},                \
		{"key", required_argument, NULL, NR_TOOL_OPTION_KEY},          \
		{"ca", required_argument, NULL, NR_TOOL_OPTION_CA},            \
		{"verify", required_argument, NULL, NR_TOOL_OPTION_VERIFY},    \
		{"alpn", required_argument, NULL, NR_TOOL_OPTION_ALPN},        \
		{"servername", required_argument, NULL,                        \
	         NR_TOOL_OPTION_SERVERNAME},                                   \
	{                                                                      \
		"pin", required_argument, NULL, NR_TOOL_OPTION_PIN             \
	}

/* Whether C is one of them. */
bool nr_tool_tls_has(int c);

/* Takes option C with its value, whose list of protocols it may cut into
 * pieces. False where it cannot be understood, and that has been said. */
bool nr_tool_tls_set(struct nr_tool_tls *tls, const char *command, int c,
                     char *value);

/* All options have been read: completes TLS.TLS. */
void nr_tool_tls_end(struct nr_tool_tls *tls);

/* Tells what was agreed on with the peer, and who it is; INFO may be null. */
void nr_tool_tls_show(const struct nr_tool_log *log,
                      const struct naru_tls_info *info);

#endif
