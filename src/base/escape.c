/* SPDX-License-Identifier: MIT */
/* Foreign bytes made safe to log: see escape.h. */
#include "base/escape.h"

#include <errno.h>

static const char hex[] = "0123456789abcdef";

/* The escaped form of BYTE in OUT; its length. */
static size_t escape_byte(unsigned char byte, char out[static 4])
{
	if (byte >= ' ' && byte <= '~' && byte != '\\') {
		out[0] = (char)byte;
		return 1;
	}
	out[0] = '\\';
	if (byte == '\\') {
		out[1] = '\\';
		return 2;
	}
	out[1] = 'x';
	out[2] = hex[byte >> 4];
	out[3] = hex[byte & 15];
	return 4;
}

int nr_escape(const char *data, size_t len, char *buf, size_t size)
{
	size_t at = 0;

	if (size == 0)
		return -ENOSPC;
	for (size_t i = 0; i < len; i++) {
		char out[4];
		size_t n = escape_byte((unsigned char)data[i], out);

		if (size - at <= n) {
			buf[0] = '\0';
			return -ENOSPC;
		}
		for (size_t j = 0; j < n; j++)
			buf[at++] = out[j];
	}
	buf[at] = '\0';
	return (int)at;
}
