/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_CURSOR_H
#define NR_BASE_CURSOR_H

/*
 * A place in a bounded run of bytes. Every parser of Naru reads through one:
 * no step leads past the end, and the place of an error is where it stands.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nr_cursor {
	const char *begin;
	const char *at;
	const char *end;
};

static inline struct nr_cursor nr_cursor(const char *data, size_t len)
{
	return (struct nr_cursor){data, data, data + len};
}

static inline size_t nr_cursor_left(const struct nr_cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

/* Where the cursor stands, counted in bytes from 1, as people count. */
static inline size_t nr_cursor_place(const struct nr_cursor *cursor)
{
	return (size_t)(cursor->at - cursor->begin) + 1;
}

/* The next byte, or -1 at the end. It is not taken. */
static inline int nr_cursor_peek(const struct nr_cursor *cursor)
{
	return cursor->at < cursor->end ? (unsigned char)*cursor->at : -1;
}

/* Passes over COUNT bytes, or over all that are left where there are fewer. */
static inline void nr_cursor_skip(struct nr_cursor *cursor, size_t count)
{
	size_t left = nr_cursor_left(cursor);

	cursor->at += count < left ? count : left;
}

/* Takes TEXT where it comes next; false, with nothing taken, otherwise. */
bool nr_cursor_take(struct nr_cursor *cursor, const char *text);

/* Takes what comes before the next byte BYTE, or before the end. */
struct nr_cursor nr_cursor_until(struct nr_cursor *cursor, char byte);

/* Why nr_cursor_number() did not take a number. */
enum nr_number {
	NR_NUMBER_OK,
	NR_NUMBER_NONE,         /* no digit stands here */
	NR_NUMBER_LEADING_ZERO, /* as in 010, which others read as octal */
	NR_NUMBER_OVER,         /* over the most that it may be */
};

/*
 * Takes a decimal number from 0 to MOST. The cursor stops behind its last
 * digit where that goes well, and stays where it was otherwise.
 */
enum nr_number nr_cursor_number(struct nr_cursor *cursor, uint64_t most,
                                uint64_t *ret_number);

/*
 * Takes an unsigned number of WIDTH bytes, 8 at most, the highest byte first
 * where HIGH_FIRST and the lowest first otherwise. False, with nothing taken,
 * where fewer bytes are left.
 */
bool nr_cursor_unsigned(struct nr_cursor *cursor, unsigned width,
                        bool high_first, uint64_t *ret_number);

/* A number in LEB128, as far as it has been taken; all zero at first. */
struct nr_varint {
	uint64_t number;
	unsigned count; /* bytes taken */
};
#define NR_VARINT_MAX 10 /* bytes of 64 bits */

enum nr_varint_end {
	NR_VARINT_OK,   /* the number is whole */
	NR_VARINT_MORE, /* its next byte is not here yet */
	NR_VARINT_OVER, /* it is none: it has more than 64 bits */
};

/* Takes the bytes of a number that are there, each of them once: what has been
 * taken is kept in SO_FAR. */
enum nr_varint_end nr_cursor_varint(struct nr_cursor *cursor,
                                    struct nr_varint *so_far);

/* Takes LEN bytes; false, with nothing taken, where fewer are left. So with the
 * numbers below, of which the highest byte stands first. */
bool nr_cursor_bytes(struct nr_cursor *cursor, size_t len,
                     struct nr_cursor *ret_taken);
bool nr_cursor_u8(struct nr_cursor *cursor, uint8_t *ret_number);
bool nr_cursor_u16be(struct nr_cursor *cursor, uint16_t *ret_number);
bool nr_cursor_u32be(struct nr_cursor *cursor, uint32_t *ret_number);

#endif
