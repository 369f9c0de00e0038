/* SPDX-License-Identifier: MIT */
/*
 * Lines. The first byte of the input is the limit, or 0 for a large one; the
 * second says where lines end; the others are the stream.
 */
#include <stdbool.h>
#include <string.h>

#include "torn.h"

/* Ends at LF; strictly, at CR LF and nowhere else. */
static int expected(const struct naru_framing *framing, const char *data,
                    size_t len, struct naru_msg *ret_msg, size_t *ret_size)
{
	const char *lf = memchr(data, '\n', len);
	size_t size = lf ? (size_t)(lf - data) : len;
	bool strict = framing->line_end == NARU_LINE_END_CRLF, wrong = false;

	if (strict) {
		const char *cr = memchr(data, '\r', size);

		wrong = lf && !cr;
		if (cr) {
			size = (size_t)(cr - data);
			wrong = size + 1 < len && data[size + 1] != '\n';
		}
	} else if (framing->line_end != NARU_LINE_END_LF && size > 0 &&
	           data[size - 1] == '\r') {
		size--;
	}
	if (size > framing->limit)
		return -NARU_ETOOBIG;
	if (wrong)
		return -NARU_EFRAME;
	if (!lf)
		return -NARU_ECUT;
	*ret_msg = (struct naru_msg){data, size};
	*ret_size = (size_t)(lf - data) + 1;
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naru_framing framing = {.size = sizeof(framing)};
	const char *stream = (const char *)data + 2;
	bool loose;

	if (size < 2)
		return 0;
	framing.limit = data[0] ? data[0] : 65536;
	framing.line_end = (enum naru_line_end)(data[1] % 4);
	torn_check(&framing, stream, size - 2, expected);
	/* A CR at its end is taken for one of the line's. */
	loose = framing.line_end == NARU_LINE_END_ANY ||
	        framing.line_end == NARU_LINE_END_TOLERANT;
	if (!loose || size == 2 || data[size - 1] != '\r')
		torn_send(&framing, stream, size - 2, 0);
	return 0;
}
