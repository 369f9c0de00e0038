/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_LINE_H
#define NR_BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Copies LEN bytes that are to be a line of their own. False where they are not
 * one, for there is an LF among them; TO then holds nothing of use. */
bool nr_line_copy(char *to, const char *from, size_t len);

/* How many of the LEN bytes at DATA come before the first CR or LF; LEN where
 * there is none. Looks at each byte once. */
size_t nr_line_find(const char *data, size_t len);

#endif
