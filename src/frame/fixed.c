/* SPDX-License-Identifier: MIT */
/* Messages that all have the same size. */
#include <errno.h>

#include "frame/frame.h"

static int prepare(struct nr_framing *framing)
{
	(void)framing;
	return 0;
}

static int scan(const struct nr_framing *framing, struct nr_cursor *bytes,
                struct nr_scan *scan, struct nr_frame *ret_frame)
{
	scan->need = framing->limit;
	if ((size_t)(bytes->end - bytes->begin) < framing->limit)
		return 0;
	*ret_frame = (struct nr_frame){.size = framing->limit,
	                               .len = framing->limit};
	return 1;
}

static int wrap(const struct nr_framing *framing,
                const struct nr_cursor *message, struct nr_wrap *ret_wrap)
{
	if (nr_cursor_left(message) != framing->limit)
		return -EINVAL;
	*ret_wrap = (struct nr_wrap){.head_len = 0};
	return 0;
}

const struct nr_frame_ops nr_frame_fixed = {
	.kind = NARU_FIXED_SIZE,
	.prepare = prepare,
	.scan = scan,
	.wrap = wrap,
};
