/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_TLS_OPTIONS_H
#define NR_TOOL_TLS_OPTIONS_H

/*
 * The options of TLS, which serving and calling have in common, and what is
 * told of it. What relay= calls has them too, under names of its own:
 * --relay-ca is to that what --ca is to naru call.
 */

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
	const char *prefix; /* of the options' names: "" or "relay-" */
	const char *given;  /* the first of them that was; or null */
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
	/* As much more are those of what relay= calls. */
	NR_TOOL_OPTION_RELAY = 32,
};

/* What stands in the commands' tables of long options. */
#define NR_TOOL_TLS_OPTION(NAME, C)                                            \
	{                                                                      \
		NAME, required_argument, NULL, C                               \
	}
#define NR_TOOL_TLS_OPTIONS_AS(PREFIX, MORE)                                   \
	NR_TOOL_TLS_OPTION(PREFIX "cert", NR_TOOL_OPTION_CERT + (MORE)),       \
		NR_TOOL_TLS_OPTION(PREFIX "key", NR_TOOL_OPTION_KEY + (MORE)), \
		NR_TOOL_TLS_OPTION(PREFIX "ca", NR_TOOL_OPTION_CA + (MORE)),   \
		NR_TOOL_TLS_OPTION(PREFIX "verify",                            \
	                           NR_TOOL_OPTION_VERIFY + (MORE)),            \
		NR_TOOL_TLS_OPTION(PREFIX "alpn",                              \
	                           NR_TOOL_OPTION_ALPN + (MORE)),              \
		NR_TOOL_TLS_OPTION(PREFIX "servername",                        \
	                           NR_TOOL_OPTION_SERVERNAME + (MORE)),        \
		NR_TOOL_TLS_OPTION(PREFIX "pin", NR_TOOL_OPTION_PIN + (MORE))
#define NR_TOOL_TLS_OPTIONS NR_TOOL_TLS_OPTIONS_AS("", 0)
#define NR_TOOL_TLS_RELAY_OPTIONS                                              \
	NR_TOOL_TLS_OPTIONS_AS("relay-", NR_TOOL_OPTION_RELAY)

/* What --help says of the latter. */
#define NR_TOOL_TLS_RELAY_USAGE                                                \
	"      --relay-ca FILE, --relay-verify WHAT, --relay-servername "      \
	"NAME,\n"                                                              \
	"      --relay-cert FILE, --relay-key FILE, --relay-alpn "             \
	"NAME[,NAME...],\n"                                                    \
	"      --relay-pin PINS        for relay=tls://...: what --ca and so " \
	"on are to\n"                                                          \
	"                              naru call\n"

/* Whether C is one of the options, as they are without a prefix. */
bool nr_tool_tls_has(int c);

/* Takes option C with its value, whose list of protocols it may cut into
 * pieces. False where it cannot be understood, and that has been said. */
bool nr_tool_tls_set(struct nr_tool_tls *tls, const char *command, int c,
                     char *value);

/* All options have been read: completes TLS.TLS, and returns it; null where
 * none of them was given. */
const struct naru_tls *nr_tool_tls_end(struct nr_tool_tls *tls);

/* Whether one of the ENDPOINTS, which end with null, is under TLS. */
bool nr_tool_tls_is_meant(const char *const *endpoints);

/* Whether the options mean something: none was given, or one of ENDPOINTS is
 * under TLS; ENDPOINTS are those OF what, " of relay=" or "". Where they do
 * not, that has been said: who asks for TLS shall not talk in the clear. */
bool nr_tool_tls_fits(const struct nr_tool_tls *tls, const char *command,
                      const char *of, const char *const *endpoints);

/* Whether the files that the options name can be read, which are for dials to
 * come. 0, or an error that has been said. */
int nr_tool_tls_check(const struct nr_tool_tls *tls, const char *command);

/* Whether what LOG has captured is that TLS could not be prepared: a file
 * cannot be used. */
bool nr_tool_tls_is_wrong(const struct nr_tool_log *log);

/* Says that: WHY and ERR are what the library said of it. */
void nr_tool_tls_say_wrong(const struct nr_tool_tls *tls, const char *command,
                           const char *why, int err);

/* Tells what was agreed on with the peer, and who it is; INFO may be null. */
void nr_tool_tls_show(const struct nr_tool_log *log,
                      const struct naru_tls_info *info);

#endif
