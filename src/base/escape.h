/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_ESCAPE_H
#define NR_BASE_ESCAPE_H

#include <stddef.h>

/*
 * Writes LEN bytes of DATA to BUF so that they are safe to log: printable
 * ASCII as it is, a backslash doubled, all else as \xHH; with a terminator.
 *
 * Returns the length without the terminator, or -ENOSPC, with an empty text
 * in BUF, where SIZE bytes do not hold it. Four times LEN and one always do.
 */
int nr_escape(const char *data, size_t len, char *buf, size_t size);

#endif
