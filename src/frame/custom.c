/* SPDX-License-Identifier: MIT */
/*
 * Messages whose end a function of the user's finds. It is not trusted with
 * the limit: it is never shown more bytes than a message may have, so that what
 * it says does not depend on what came behind them either.
 */
#include <errno.h>
#include <limits.h>

#include "frame/frame.h"
#include "naru/error.h"

static int prepare(struct nr_framing *framing)
{
	return framing->scan ? 0 : -EINVAL;
}

static int scan(const struct nr_framing *framing, struct nr_cursor *bytes,
                struct nr_scan *scan, struct nr_frame *ret_frame)
{
	size_t seen = (size_t)(bytes->at - bytes->begin);
	size_t len = (size_t)(bytes->end - bytes->begin);
	ssize_t got;

	if (len > framing->limit)
		len = framing->limit;
	got = framing->scan(bytes->begin, len, &seen, framing->scan_arg);
	if (got < 0)
		return got < INT_MIN ? -EINVAL : (int)got;
	if ((size_t)got > len || seen > len)
		return -EINVAL;
	bytes->at = bytes->begin + seen;
	scan->need = len + 1;
	if (got == 0)
		return len == framing->limit ? -NARU_ETOOBIG : 0;
	*ret_frame = (struct nr_frame){.size = (size_t)got, .len = (size_t)got};
	return 1;
}

/* A message is sent as it is: it has its framing in itself. */
static int wrap(const struct nr_framing *framing,
                const struct nr_cursor *message, struct nr_wrap *ret_wrap)
{
	(void)framing;
	(void)message;
	*ret_wrap = (struct nr_wrap){.head_len = 0};
	return 0;
}

const struct nr_frame_ops nr_frame_custom = {
	.kind = NARU_CUSTOM,
	.prepare = prepare,
	.scan = scan,
	.wrap = wrap,
};
