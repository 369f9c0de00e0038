/* SPDX-License-Identifier: MIT */
/*
 * Netstrings. The first byte of the input is the limit, or 0 for a large one;
 * the others are the stream.
 */
#include "torn.h"

static int expected(const struct naru_framing *framing, const char *data,
                    size_t len, struct naru_msg *ret_msg, size_t *ret_size)
{
	size_t number = 0, at = 0;

	for (; at < len && data[at] >= '0' && data[at] <= '9'; at++) {
		if (at > 0 && data[0] == '0')
			return -NARU_EFRAME;
		number = number * 10 + (size_t)(data[at] - '0');
		if (number > framing->limit)
			return -NARU_ETOOBIG;
	}
	if (at == len)
		return -NARU_ECUT;
	if (at == 0 || data[at] != ':')
		return -NARU_EFRAME;
	at++;
	if (len - at < number + 1)
		return -NARU_ECUT;
	if (data[at + number] != ',')
		return -NARU_EFRAME;
	*ret_msg = (struct naru_msg){data + at, number};
	*ret_size = at + number + 1;
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naru_framing framing = {.size = sizeof(framing),
	                               .kind = NARU_NETSTRINGS};

	if (size < 1)
		return 0;
	framing.limit = data[0] ? data[0] : 65536;
	torn_check(&framing, (const char *)data + 1, size - 1, expected);
	torn_send(&framing, (const char *)data + 1, size - 1, 0);
	return 0;
}
