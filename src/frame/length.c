/* SPDX-License-Identifier: MIT */
/*
 * Messages behind their length: a fixed number of bytes in either order, or
 * LEB128, at an offset or not, counting the header or not. A header is all that
 * stands before the body: the offset and the length.
 */
#include <errno.h>

#include "base/assert.h"
#include "frame/frame.h"
#include "naru/error.h"

/* How a length is written; a width of 0 is that of a varint. */
static const struct shape {
	unsigned char width;
	bool high_first;
} shapes[] = {
	[NARU_LENGTH_U8] = {1, true},      [NARU_LENGTH_U16] = {2, true},
	[NARU_LENGTH_U32] = {4, true},     [NARU_LENGTH_U64] = {8, true},
	[NARU_LENGTH_U16_LE] = {2, false}, [NARU_LENGTH_U32_LE] = {4, false},
	[NARU_LENGTH_U64_LE] = {8, false}, [NARU_LENGTH_VARINT] = {0, false},
};

static int prepare(struct nr_framing *framing)
{
	unsigned width;

	if ((unsigned)framing->length > NARU_LENGTH_VARINT ||
	    framing->length_offset > NARU_LENGTH_OFFSET_MAX)
		return -EINVAL;
	width = shapes[framing->length].width;
	/* The shortest message is a header where headers belong to them. */
	if (framing->keep_header &&
	    framing->limit < framing->length_offset + (width ? width : 1))
		return -EINVAL;
	return 0;
}

/* Takes the length, in a header that then has scan->head bytes. Returns 1, 0
 * where more must come, or an error. */
static int take_length(const struct nr_framing *framing,
                       struct nr_cursor *bytes, struct nr_scan *scan)
{
	const struct shape *shape = &shapes[framing->length];
	size_t taken = (size_t)(bytes->at - bytes->begin);

	if (taken < framing->length_offset)
		nr_cursor_skip(bytes, framing->length_offset - taken);
	scan->need = framing->length_offset +
	             (shape->width ? shape->width : scan->length.count + 1);
	if (shape->width > 0) {
		if (!nr_cursor_unsigned(bytes, shape->width, shape->high_first,
		                        &scan->length.number))
			return 0;
		scan->length.count = shape->width;
	} else {
		enum nr_varint_end end = nr_cursor_varint(bytes, &scan->length);

		if (end == NR_VARINT_OVER)
			return -NARU_EFRAME;
		scan->need = framing->length_offset + scan->length.count + 1;
		if (end == NR_VARINT_MORE)
			return 0;
	}
	scan->head = framing->length_offset + scan->length.count;
	return 1;
}

/* What a length that was taken means: how many bytes are needed. */
static int understand(const struct nr_framing *framing, struct nr_scan *scan)
{
	uint64_t body = scan->length.number;
	size_t head = scan->head;
	size_t most = framing->limit;

	if (framing->counts_header) {
		if (body < head)
			return -NARU_EFRAME;
		body -= head;
	}
	if (framing->keep_header) {
		if (head > most)
			return -NARU_ETOOBIG;
		most -= head;
	}
	if (body > most)
		return -NARU_ETOOBIG;
	scan->need = head + (size_t)body;
	return 1;
}

static int scan(const struct nr_framing *framing, struct nr_cursor *bytes,
                struct nr_scan *scan, struct nr_frame *ret_frame)
{
	size_t begin = framing->keep_header ? 0 : scan->head;
	int known = 1;

	if (scan->head == 0) {
		known = take_length(framing, bytes, scan);
		if (known == 1)
			known = understand(framing, scan);
		begin = framing->keep_header ? 0 : scan->head;
	}
	if (known != 1)
		return known;
	if ((size_t)(bytes->end - bytes->begin) < scan->need)
		return 0;
	*ret_frame = (struct nr_frame){.size = scan->need,
	                               .begin = begin,
	                               .len = scan->need - begin};
	return 1;
}

/* How many bytes NUMBER has as a varint. */
static unsigned varint_width(uint64_t number)
{
	unsigned width = 1;

	for (; number >= 0x80; number >>= 7)
		width++;
	return width;
}

/* Writes NUMBER as a varint at TO; returns how many bytes it has. */
static unsigned write_varint(char *to, uint64_t number)
{
	unsigned width = 0;

	for (; number >= 0x80; number >>= 7)
		to[width++] = (char)(number | 0x80);
	to[width++] = (char)number;
	nr_assert(width <= NR_VARINT_MAX);
	return width;
}

/* Writes NUMBER in WIDTH bytes at TO; false where it has more. */
static bool write_unsigned(char *to, const struct shape *shape, uint64_t number)
{
	for (unsigned i = 0; i < shape->width; i++) {
		unsigned at = shape->high_first ? shape->width - 1 - i : i;

		to[at] = (char)(number & 0xff);
		number >>= 8;
	}
	return number == 0;
}

/* Writes the length of a body of LEN bytes. */
static int write_length(const struct nr_framing *framing, size_t len,
                        struct nr_wrap *wrap)
{
	const struct shape *shape = &shapes[framing->length];
	uint64_t number = len;
	unsigned width = shape->width ? shape->width : 1;

	/* A varint that counts itself may grow by that. */
	if (framing->counts_header) {
		number += framing->length_offset;
		while (shape->width == 0 &&
		       varint_width(number + width) > width)
			width++;
		number += width;
	}
	wrap->head_len = shape->width;
	if (shape->width == 0)
		wrap->head_len = write_varint(wrap->head, number);
	else if (!write_unsigned(wrap->head, shape, number))
		return -NARU_ETOOBIG;
	return 0;
}

/* How many bytes of MESSAGE, which has a header, are to be its length: as many
 * as a varint has that stands there. */
static int find_room(const struct nr_framing *framing,
                     const struct nr_cursor *message, struct nr_wrap *wrap)
{
	struct nr_cursor bytes = *message;
	struct nr_varint length = {0, 0};

	wrap->at = framing->length_offset;
	wrap->room = shapes[framing->length].width;
	if (nr_cursor_left(&bytes) < wrap->at + wrap->room)
		return -EINVAL;
	if (wrap->room > 0)
		return 0;
	nr_cursor_skip(&bytes, wrap->at);
	if (nr_cursor_varint(&bytes, &length) != NR_VARINT_OK)
		return -EINVAL;
	wrap->room = length.count;
	return 0;
}

static int wrap(const struct nr_framing *framing,
                const struct nr_cursor *message, struct nr_wrap *ret_wrap)
{
	size_t body = nr_cursor_left(message);
	struct nr_wrap wrap = {.head_len = 0};
	int err = 0;

	if (framing->keep_header) {
		err = find_room(framing, message, &wrap);
		body -= wrap.at + wrap.room;
	}
	if (err == 0)
		err = write_length(framing, body, &wrap);
	if (err < 0)
		return err;
	/* A varint may have more bytes now than there were for it. */
	if (framing->keep_header &&
	    wrap.at + wrap.head_len + body > framing->limit)
		return -NARU_ETOOBIG;
	*ret_wrap = wrap;
	return 0;
}

const struct nr_frame_ops nr_frame_length = {
	.kind = NARU_LENGTH_PREFIXED,
	.prepare = prepare,
	.scan = scan,
	.wrap = wrap,
};
