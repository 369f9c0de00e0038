/* SPDX-License-Identifier: MIT */
/*
 * Delimiters. The first byte of the input is the limit, or 0 for a large one;
 * the second says how long the delimiter is that follows; the others are the
 * stream.
 */
#include <string.h>

#include "torn.h"

static int expected(const struct naru_framing *framing, const char *data,
                    size_t len, struct naru_msg *ret_msg, size_t *ret_size)
{
	const char *found =
		memmem(data, len, framing->delimiter, framing->delimiter_len);
	size_t size = found ? (size_t)(found - data) : len, part;

	/* What may become a delimiter is none of the message yet. */
	if (!found) {
		for (part = framing->delimiter_len - 1; part > 0; part--)
			if (part <= len &&
			    memcmp(data + len - part, framing->delimiter,
			           part) == 0)
				break;
		size = len - part;
	}
	if (size > framing->limit)
		return -NARU_ETOOBIG;
	if (!found)
		return -NARU_ECUT;
	*ret_msg = (struct naru_msg){data, size};
	*ret_size = size + framing->delimiter_len;
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naru_framing framing = {.size = sizeof(framing),
	                               .kind = NARU_DELIMITED};
	size_t len;

	if (size < 2)
		return 0;
	framing.limit = data[0] ? data[0] : 65536;
	len = framing.delimiter_len = 1 + data[1] % NARU_DELIMITER_MAX;
	if (size < 2 + len)
		return 0;
	framing.delimiter = (const char *)data + 2;
	torn_check(&framing, framing.delimiter + len, size - 2 - len, expected);
	torn_send(&framing, framing.delimiter + len, size - 2 - len, 0);
	return 0;
}
