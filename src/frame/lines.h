/* SPDX-License-Identifier: MIT */
#ifndef NR_FRAME_LINES_H
#define NR_FRAME_LINES_H

/*
 * The one scan that is worth having in line: that of a line which ends with LF
 * or CR LF.
 */

#include <string.h>

#include "frame/frame.h"
#include "naru/error.h"

/*
 * Looks for a line among the LEN bytes at DATA, one at least, of which the
 * first SEEN were looked at before; keeps how many that are now. (The last of
 * them is asked once more whether it is a CR.) Returns 1 and where it is; 0
 * where more must come; -NARU_ETOOBIG, also when asked again.
 */
static inline int nr_lines_scan(const char *data, size_t len, size_t limit,
                                size_t *seen, struct nr_frame *ret_frame)
{
	const char *lf = NULL;
	size_t size;

	if (len > *seen)
		lf = memchr(data + *seen, '\n', len - *seen);
	*seen = size = lf ? (size_t)(lf - data) : len;
	/* A CR precedes the LF, or may come to do so. */
	if (size > 0 && data[size - 1] == '\r')
		size--;
	if (size > limit)
		return -NARU_ETOOBIG;
	if (!lf)
		return 0;
	*ret_frame = (struct nr_frame){.size = *seen + 1, .len = size};
	return 1;
}

#endif
