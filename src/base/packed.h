/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_PACKED_H
#define NR_BASE_PACKED_H

/*
 * Messages one behind the other in one piece of memory, each with its length
 * before it and a NUL behind it: how datagrams wait, and how they travel to
 * whoever will converse.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What a message takes besides its own bytes. */
#define NR_PACKED_HEAD  sizeof(uint32_t)
#define NR_PACKED_EXTRA (NR_PACKED_HEAD + 1)

/* How many bytes a packed message of LEN bytes takes. */
static inline size_t nr_packed_size(size_t len)
{
	return len + NR_PACKED_EXTRA;
}

/* The length of the message at AT. */
static inline size_t nr_packed_len(const char *at)
{
	uint32_t len;

	memcpy(&len, at, sizeof(len));
	return len;
}

/* Packs a message at AT, where there is room; returns what is behind it. */
static inline char *nr_packed_put(char *at, const void *data, size_t len)
{
	const uint32_t head = (uint32_t)len;

	memcpy(at, &head, sizeof(head));
	if (len > 0)
		memcpy(at + NR_PACKED_HEAD, data, len);
	at[NR_PACKED_HEAD + len] = '\0';
	return at + nr_packed_size(len);
}

#endif
