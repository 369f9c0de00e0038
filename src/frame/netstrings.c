/* SPDX-License-Identifier: MIT */
/* Netstrings, "5:hello,": a length in decimal digits without leading zeros, a
 * colon, the message, a comma. */
#include "frame/frame.h"
#include "naru/error.h"

static int prepare(struct nr_framing *framing)
{
	(void)framing;
	return 0;
}

/* Takes digits, one by one as they come, and the colon. Returns 1, 0 where more
 * must come, or an error. */
static int take_length(const struct nr_framing *framing,
                       struct nr_cursor *bytes, struct nr_scan *scan)
{
	struct nr_varint *length = &scan->length;

	while (!nr_cursor_take(bytes, ":")) {
		int byte = nr_cursor_peek(bytes);

		/* The colon and the comma are still to come. */
		scan->need = length->count + 2;
		if (byte < 0)
			return 0;
		if (byte < '0' || byte > '9' ||
		    (length->count > 0 && length->number == 0))
			return -NARU_EFRAME;
		length->number = length->number * 10 + (uint64_t)(byte - '0');
		if (length->number > framing->limit)
			return -NARU_ETOOBIG;
		length->count++;
		nr_cursor_skip(bytes, 1);
	}
	if (length->count == 0)
		return -NARU_EFRAME;
	scan->head = length->count + 1;
	scan->need = scan->head + (size_t)length->number + 1;
	return 1;
}

static int scan(const struct nr_framing *framing, struct nr_cursor *bytes,
                struct nr_scan *scan, struct nr_frame *ret_frame)
{
	struct nr_cursor end = *bytes;
	int known = 1;

	if (scan->head == 0)
		known = take_length(framing, bytes, scan);
	if (known != 1)
		return known;
	if ((size_t)(bytes->end - bytes->begin) < scan->need)
		return 0;
	end.at = end.begin + scan->need - 1;
	if (nr_cursor_peek(&end) != ',')
		return -NARU_EFRAME;
	*ret_frame = (struct nr_frame){.size = scan->need,
	                               .begin = scan->head,
	                               .len = scan->need - 1 - scan->head};
	return 1;
}

static int wrap(const struct nr_framing *framing,
                const struct nr_cursor *message, struct nr_wrap *ret_wrap)
{
	size_t number = nr_cursor_left(message), rest;

	(void)framing;
	*ret_wrap = (struct nr_wrap){.head_len = 1, .tail = ",", .tail_len = 1};
	for (rest = number; rest > 9; rest /= 10)
		ret_wrap->head_len++;
	for (size_t at = ret_wrap->head_len; at > 0; number /= 10)
		ret_wrap->head[--at] = (char)('0' + number % 10);
	ret_wrap->head[ret_wrap->head_len++] = ':';
	return 0;
}

const struct nr_frame_ops nr_frame_netstrings = {
	.kind = NARU_NETSTRINGS,
	.prepare = prepare,
	.scan = scan,
	.wrap = wrap,
};
