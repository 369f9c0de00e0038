/* SPDX-License-Identifier: MIT */
/*
 * Messages that end with a delimiter of one or several bytes. It is looked for
 * as Knuth, Morris and Pratt do: where a part of it came and then something
 * else, what has been prepared says how much of it may have begun anew, and no
 * byte is looked at again.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "frame/frame.h"
#include "naru/error.h"

/* How much of the delimiter stands before BYTE and with it, where MATCHED bytes
 * of it stood before. */
static unsigned step(const struct nr_framing *framing, unsigned matched,
                     char byte)
{
	nr_assert(matched < NARU_DELIMITER_MAX);
	while (framing->delimiter[matched] != byte) {
		if (matched == 0)
			return 0;
		matched = framing->fallback[matched - 1];
	}
	return matched + 1;
}

static int prepare(struct nr_framing *framing)
{
	unsigned matched = 0;

	for (unsigned i = 1; i < framing->delimiter_len; i++) {
		matched = step(framing, matched, framing->delimiter[i]);
		framing->fallback[i] = (unsigned char)matched;
	}
	return 0;
}

/* Takes bytes until the delimiter is whole; false where they end before. */
static bool find(const struct nr_framing *framing, struct nr_cursor *bytes,
                 unsigned *matched)
{
	while (bytes->at < bytes->end) {
		/* Mostly nothing of it is there, and nobody looks for its
		 * first byte faster. */
		if (*matched == 0)
			(void)nr_cursor_until(bytes, framing->delimiter[0]);
		if (bytes->at == bytes->end)
			break;
		*matched = step(framing, *matched, *bytes->at++);
		if (*matched == framing->delimiter_len)
			return true;
	}
	return false;
}

static int scan(const struct nr_framing *framing, struct nr_cursor *bytes,
                struct nr_scan *scan, struct nr_frame *ret_frame)
{
	bool found = find(framing, bytes, &scan->matched);
	size_t size = (size_t)(bytes->at - bytes->begin);
	size_t len = size - scan->matched;

	if (len > framing->limit)
		return -NARU_ETOOBIG;
	scan->need = len + framing->delimiter_len;
	if (found)
		*ret_frame = (struct nr_frame){.size = size, .len = len};
	return found;
}

/* The delimiter must not stand inside of MESSAGE, nor arise where the one ends
 * and the other begins. */
static int wrap(const struct nr_framing *framing,
                const struct nr_cursor *message, struct nr_wrap *ret_wrap)
{
	struct nr_cursor bytes = *message;
	struct nr_cursor end =
		nr_cursor(framing->delimiter, framing->delimiter_len);
	unsigned matched = 0;

	if (find(framing, &bytes, &matched) || !find(framing, &end, &matched) ||
	    nr_cursor_left(&end) > 0)
		return -EINVAL;
	*ret_wrap = (struct nr_wrap){.tail = framing->delimiter,
	                             .tail_len = framing->delimiter_len};
	return 0;
}

const struct nr_frame_ops nr_frame_delimited = {
	.kind = NARU_DELIMITED,
	.prepare = prepare,
	.scan = scan,
	.wrap = wrap,
};
