/* SPDX-License-Identifier: MIT */
/* Lines, by what ends them: see frame.h and enum naru_line_end. */
#include "frame/lines.h"

#include <errno.h>

#include "base/line.h"

static const struct {
	const char *end; /* of a line that is sent */
	size_t len;
} sent[] = {
	[NARU_LINE_END_ANY] = {"\n", 1},
	[NARU_LINE_END_LF] = {"\n", 1},
	[NARU_LINE_END_CRLF] = {"\r\n", 2},
	[NARU_LINE_END_TOLERANT] = {"\r\n", 2},
};

static int prepare(struct nr_framing *framing)
{
	if ((unsigned)framing->line_end > NARU_LINE_END_TOLERANT)
		return -EINVAL;
	framing->plain = framing->line_end == NARU_LINE_END_ANY;
	return 0;
}

/* How many bytes were taken. */
static size_t taken(const struct nr_cursor *bytes)
{
	return (size_t)(bytes->at - bytes->begin);
}

/* At LF or CR LF. */
static int scan_either(const struct nr_framing *framing,
                       struct nr_cursor *bytes, struct nr_frame *ret_frame)
{
	size_t seen = taken(bytes);
	int found =
		nr_lines_scan(bytes->begin, (size_t)(bytes->end - bytes->begin),
	                      framing->limit, &seen, ret_frame);

	bytes->at = bytes->begin + seen;
	return found;
}

/* At LF alone. */
static int scan_lf(const struct nr_framing *framing, struct nr_cursor *bytes,
                   struct nr_frame *ret_frame)
{
	struct nr_cursor rest = nr_cursor_until(bytes, '\n');
	size_t len = (size_t)(rest.end - bytes->begin);

	if (len > framing->limit)
		return -NARU_ETOOBIG;
	if (nr_cursor_left(bytes) == 0)
		return 0;
	*ret_frame = (struct nr_frame){.size = len + 1, .len = len};
	return 1;
}

/* At CR LF, of which neither stands anywhere else. */
static int scan_crlf(const struct nr_framing *framing, struct nr_cursor *bytes,
                     struct nr_scan *scan, struct nr_frame *ret_frame)
{
	if (scan->matched == 0) {
		nr_cursor_skip(bytes,
		               nr_line_find(bytes->at, nr_cursor_left(bytes)));
		if (taken(bytes) > framing->limit)
			return -NARU_ETOOBIG;
		if (nr_cursor_left(bytes) == 0)
			return 0;
		if (!nr_cursor_take(bytes, "\r"))
			return -NARU_EFRAME;
		scan->matched = 1;
	}
	if (nr_cursor_left(bytes) == 0)
		return 0;
	if (!nr_cursor_take(bytes, "\n"))
		return -NARU_EFRAME;
	*ret_frame = (struct nr_frame){.size = taken(bytes),
	                               .len = taken(bytes) - 2};
	return 1;
}

static int scan(const struct nr_framing *framing, struct nr_cursor *bytes,
                struct nr_scan *scan, struct nr_frame *ret_frame)
{
	scan->need = (size_t)(bytes->end - bytes->begin) + 1;
	if (framing->line_end == NARU_LINE_END_CRLF)
		return scan_crlf(framing, bytes, scan, ret_frame);
	if (framing->line_end == NARU_LINE_END_LF)
		return scan_lf(framing, bytes, ret_frame);
	return scan_either(framing, bytes, ret_frame);
}

static int wrap(const struct nr_framing *framing,
                const struct nr_cursor *message, struct nr_wrap *ret_wrap)
{
	size_t len = nr_cursor_left(message);
	bool whole = len == 0;

	if (len > 0 && framing->line_end == NARU_LINE_END_CRLF)
		whole = nr_line_find(message->at, len) == len;
	else if (len > 0)
		whole = !memchr(message->at, '\n', len);
	if (!whole)
		return -EINVAL;
	*ret_wrap = (struct nr_wrap){.tail = sent[framing->line_end].end,
	                             .tail_len = sent[framing->line_end].len};
	return 0;
}

const struct nr_frame_ops nr_frame_lines = {
	.kind = NARU_LINES,
	.prepare = prepare,
	.scan = scan,
	.wrap = wrap,
};
