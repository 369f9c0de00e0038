/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_FRAMING_OPTIONS_H
#define NR_TOOL_FRAMING_OPTIONS_H

/* --framing and --crlf, which serving and calling have in common. */

#include <stdbool.h>

#include "naru.h"

/* What --help says of FRAMING. */
#define NR_TOOL_FRAMING_USAGE                                                  \
	"FRAMING is lines, lf, crlf, crlf-tolerant, delimiter=TEXT, u8, u16, " \
	"u32, u64,\n"                                                          \
	"u16le, u32le, u64le, varint, fixed=N or netstring, and may go on: "   \
	"u16,limit=1M;\n"                                                      \
	"where it has a length also offset=N, counted, header.\n"

/* The limit of a framing that names none. */
#define NR_TOOL_FRAMING_LIMIT 65536

struct nr_tool_framing {
	struct naru_framing framing;
	char delimiter[NARU_DELIMITER_MAX];
	const char *text; /* what was given to --framing, or null */
	bool crlf;        /* --crlf was given */
};

/*
 * Reads "KIND[,WORD...]", as naru-call(1) has it: "lines", "u16,offset=2",
 * "delimiter=\r\n,limit=1M". False where it cannot be understood, and that has
 * been said, with the place and the reason.
 */
bool nr_tool_framing_set(struct nr_tool_framing *framing, const char *command,
                         const char *text);

/* All options have been read: where --crlf was given, the lines of FRAMING end
 * so. False where it has none, and that has been said. */
bool nr_tool_framing_crlf(struct nr_tool_framing *framing, const char *command);

#endif
