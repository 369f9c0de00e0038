/* SPDX-License-Identifier: MIT */
/* Messages of one size, which is the first byte of the input. */
#include "torn.h"

static int expected(const struct naru_framing *framing, const char *data,
                    size_t len, struct naru_msg *ret_msg, size_t *ret_size)
{
	if (len < framing->limit)
		return -NARU_ECUT;
	*ret_msg = (struct naru_msg){data, framing->limit};
	*ret_size = framing->limit;
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naru_framing framing = {.size = sizeof(framing),
	                               .kind = NARU_FIXED_SIZE};

	if (size < 1 || data[0] == 0)
		return 0;
	framing.limit = data[0];
	torn_check(&framing, (const char *)data + 1, size - 1, expected);
	torn_send(&framing, (const char *)data + 1, size - 1, 0);
	return 0;
}
