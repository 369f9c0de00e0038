/* SPDX-License-Identifier: MIT */
/*
 * Copying and looking in one go: most lines are short, and two calls for them
 * cost more than the bytes. Nor does looking for two octets take two passes.
 */
#include "base/line.h"

#include <stdint.h>
#include <string.h>

/* From this length on, the C library's own loops win. */
#define LONG        256
#define WORD        sizeof(uint64_t)

#define EACH(octet) (UINT64_C(0x0101010101010101) * (octet))

/* Not 0 where one of the eight octets of WORD is OCTET. */
static inline uint64_t find_octet(uint64_t word, unsigned char octet)
{
	uint64_t zero = word ^ EACH(octet);

	return (zero - EACH(1)) & ~zero & EACH(0x80);
}

/* Copies eight octets, and finds an LF among them. */
static inline uint64_t copy_word(char *to, const char *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof(word));
	memcpy(to, &word, sizeof(word));
	return find_octet(word, '\n');
}

bool nr_line_copy(char *to, const char *from, size_t len)
{
	uint64_t found = 0;
	size_t at;

	if (len >= LONG) {
		memcpy(to, from, len);
		return !memchr(to, '\n', len);
	}
	if (len >= WORD) {
		for (at = 0; at < len - WORD; at += WORD)
			found |= copy_word(to + at, from + at);
		/* The last ones, some of which may have been copied. */
		found |= copy_word(to + len - WORD, from + len - WORD);
		return !found;
	}
	for (at = 0; at < len; at++) {
		to[at] = from[at];
		found |= from[at] == '\n';
	}
	return !found;
}

size_t nr_line_find(const char *data, size_t len)
{
	uint64_t word;
	size_t at = 0;

	for (; len - at >= WORD; at += WORD) {
		memcpy(&word, data + at, sizeof(word));
		if (find_octet(word, '\n') | find_octet(word, '\r'))
			break;
	}
	while (at < len && data[at] != '\n' && data[at] != '\r')
		at++;
	return at;
}
