/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_CALL_OUTPUT_H
#define NR_TOOL_CALL_OUTPUT_H

/* What naru call writes to standard output. Each function writes all of it, and
 * returns 0 or a negated errno. */

#include <stdbool.h>
#include <stddef.h>

/* As they are; as hex digits, 16 bytes a line, where HEX. */
int nr_tool_print_bytes(const char *data, size_t len, bool hex);

/* One line: the message, or the hex digits of its bytes. */
int nr_tool_print_message(const char *data, size_t len, bool hex);

#endif
