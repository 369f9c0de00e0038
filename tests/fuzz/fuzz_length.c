/* SPDX-License-Identifier: MIT */
/*
 * Lengths. The first byte of the input is the limit, or 0 for a large one; the
 * second says how lengths are written and what they count; the third their
 * offset; the others are the stream.
 */
#include <stdbool.h>
#include <string.h>

#include "torn.h"

#define VARINT_MAX 10

/* Reads the length at DATA; 0 where it is not whole, 1, or -NARU_EFRAME. */
static int read_length(enum naru_length kind, const unsigned char *data,
                       size_t len, uint64_t *ret_length, size_t *ret_width)
{
	static const size_t widths[] = {1, 2, 4, 8, 2, 4, 8};
	uint64_t length = 0;
	size_t width = 0;

	if (kind == NARU_LENGTH_VARINT) {
		do {
			if (width == len)
				return 0;
			if (width == VARINT_MAX - 1 && data[width] > 1)
				return -NARU_EFRAME;
			length |= (uint64_t)(data[width] & 127) << 7 * width;
		} while (data[width++] & 128);
	} else {
		width = widths[kind];
		if (len < width)
			return 0;
		for (size_t i = 0; i < width; i++)
			length |= (uint64_t)data[kind < NARU_LENGTH_U16_LE
			                                 ? width - 1 - i
			                                 : i]
			          << 8 * i;
	}
	*ret_length = length;
	*ret_width = width;
	return 1;
}

static int expected(const struct naru_framing *framing, const char *data,
                    size_t len, struct naru_msg *ret_msg, size_t *ret_size)
{
	size_t offset = framing->length_offset, width = 0, shown;
	bool keep = offset > 0 || framing->keep_header;
	uint64_t body = 0;
	int known = 0;

	if (len > offset)
		known = read_length(framing->length,
		                    (const unsigned char *)data + offset,
		                    len - offset, &body, &width);
	if (known < 0)
		return known;
	if (known == 0)
		return -NARU_ECUT;
	if (framing->length_counts_header && body < offset + width)
		return -NARU_EFRAME;
	if (framing->length_counts_header)
		body -= offset + width;
	shown = keep ? offset + width : 0;
	if (shown > framing->limit || body > framing->limit - shown)
		return -NARU_ETOOBIG;
	if (len - offset - width < body)
		return -NARU_ECUT;
	*ret_size = offset + width + body;
	*ret_msg = keep ? (struct naru_msg){data, *ret_size}
	                : (struct naru_msg){data + offset + width, body};
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naru_framing framing = {.size = sizeof(framing),
	                               .kind = NARU_LENGTH_PREFIXED};
	const char *stream = (const char *)data + 3;
	bool keep;

	if (size < 3)
		return 0;
	framing.limit = data[0] > 80 ? data[0] : 65536 + data[0];
	framing.length = (enum naru_length)(data[1] % 8);
	framing.length_counts_header = data[1] & 8;
	framing.keep_header = data[1] & 16;
	framing.length_offset = data[2] % (NARU_LENGTH_OFFSET_MAX + 1);
	keep = framing.keep_header || framing.length_offset > 0;
	torn_check(&framing, stream, size - 3, expected);
	torn_send(&framing, stream, size - 3, keep);
	return 0;
}
