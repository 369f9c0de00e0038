/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_LINE_H
#define NR_BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Copies LEN bytes that are to be a line of their own. False where they are not
 * one, for there is an LF among them; TO then holds nothing of use. */
bool nr_line_copy(char *to, const char *from, size_t len);

#endif
