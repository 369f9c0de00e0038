/* SPDX-License-Identifier: MIT */
/* Steps of a bounded cursor: see cursor.h. */
#include "base/cursor.h"

#include <string.h>

#include "base/assert.h"

bool nr_cursor_take(struct nr_cursor *cursor, const char *text)
{
	size_t len = strlen(text);

	if (nr_cursor_left(cursor) < len || memcmp(cursor->at, text, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

struct nr_cursor nr_cursor_until(struct nr_cursor *cursor, char byte)
{
	struct nr_cursor taken = *cursor;
	const char *found = NULL;

	nr_assert(cursor->at <= cursor->end);
	if (cursor->at < cursor->end)
		found = memchr(cursor->at, byte, nr_cursor_left(cursor));
	taken.end = found ? found : cursor->end;
	cursor->at = taken.end;
	return taken;
}

enum nr_number nr_cursor_number(struct nr_cursor *cursor, uint64_t most,
                                uint64_t *ret_number)
{
	const char *at = cursor->at;
	uint64_t number = 0;

	if (at == cursor->end || *at < '0' || *at > '9')
		return NR_NUMBER_NONE;
	if (*at == '0' && at + 1 < cursor->end && at[1] >= '0' && at[1] <= '9')
		return NR_NUMBER_LEADING_ZERO;
	for (; at < cursor->end && *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (digit > most || number > (most - digit) / 10)
			return NR_NUMBER_OVER;
		number = number * 10 + digit;
	}
	cursor->at = at;
	*ret_number = number;
	return NR_NUMBER_OK;
}

bool nr_cursor_unsigned(struct nr_cursor *cursor, unsigned width,
                        bool high_first, uint64_t *ret_number)
{
	uint64_t number = 0;

	nr_assert(width <= sizeof(number));
	if (nr_cursor_left(cursor) < width)
		return false;
	for (unsigned i = 0; i < width; i++) {
		unsigned at = high_first ? i : width - 1 - i;

		number = number << 8 | (unsigned char)cursor->at[at];
	}
	cursor->at += width;
	*ret_number = number;
	return true;
}

enum nr_varint_end nr_cursor_varint(struct nr_cursor *cursor,
                                    struct nr_varint *so_far)
{
	while (cursor->at < cursor->end) {
		unsigned byte = (unsigned char)*cursor->at++;
		unsigned shift = 7 * so_far->count++;

		/* Of the tenth byte, one bit is left. */
		if (so_far->count >= NR_VARINT_MAX && byte > 1)
			return NR_VARINT_OVER;
		so_far->number |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return NR_VARINT_OK;
	}
	return NR_VARINT_MORE;
}

bool nr_cursor_bytes(struct nr_cursor *cursor, size_t len,
                     struct nr_cursor *ret_taken)
{
	if (nr_cursor_left(cursor) < len)
		return false;
	*ret_taken = *cursor;
	cursor->at += len;
	ret_taken->end = cursor->at;
	return true;
}

bool nr_cursor_u8(struct nr_cursor *cursor, uint8_t *ret_number)
{
	uint64_t number;

	if (!nr_cursor_unsigned(cursor, sizeof(*ret_number), true, &number))
		return false;
	*ret_number = (uint8_t)number;
	return true;
}

bool nr_cursor_u16be(struct nr_cursor *cursor, uint16_t *ret_number)
{
	uint64_t number;

	if (!nr_cursor_unsigned(cursor, sizeof(*ret_number), true, &number))
		return false;
	*ret_number = (uint16_t)number;
	return true;
}

bool nr_cursor_u32be(struct nr_cursor *cursor, uint32_t *ret_number)
{
	uint64_t number;

	if (!nr_cursor_unsigned(cursor, sizeof(*ret_number), true, &number))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}
