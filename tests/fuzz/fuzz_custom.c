/* SPDX-License-Identifier: MIT */
/*
 * Scans of the user's, by one that counts: a message is a digit and as many
 * bytes behind it, or a letter's run up to the next exclamation mark; "#" is an
 * error, and "?" makes it answer what cannot be. The first byte of the input is
 * the limit, or 0 for a large one; the others are the stream.
 */
#include <errno.h>
#include <string.h>

#include "torn.h"

/* How far the scan looked, in the message that begins: no byte twice. */
static size_t looked;

static ssize_t scan(const char *data, size_t len, size_t *seen, void *arg)
{
	size_t from = *seen;

	MUST(len > 0 && len <= *(const size_t *)arg);
	if (from == 0)
		looked = 0;
	MUST(from == looked && from <= len);
	*seen = looked = len;
	if (data[0] == '#')
		return -EBADMSG;
	if (data[0] == '?')
		return (ssize_t)len + 1;
	if (data[0] >= '0' && data[0] <= '9') {
		size_t want = 1 + (size_t)(data[0] - '0');

		return len < want ? 0 : (ssize_t)want;
	}
	for (size_t i = from; i < len; i++)
		if (data[i] == '!')
			return (ssize_t)i + 1;
	return 0;
}

static int expected(const struct naru_framing *framing, const char *data,
                    size_t len, struct naru_msg *ret_msg, size_t *ret_size)
{
	const char *mark = memchr(data, '!', len);
	size_t size = mark ? (size_t)(mark - data) + 1 : SIZE_MAX;

	if (data[0] == '#')
		return -EBADMSG;
	if (data[0] == '?')
		return -EINVAL;
	if (data[0] >= '0' && data[0] <= '9')
		size = 1 + (size_t)(data[0] - '0');
	if (size > len)
		return len >= framing->limit ? -NARU_ETOOBIG : -NARU_ECUT;
	if (size > framing->limit)
		return -NARU_ETOOBIG;
	*ret_msg = (struct naru_msg){data, size};
	*ret_size = size;
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naru_framing framing = {.size = sizeof(framing),
	                               .kind = NARU_CUSTOM,
	                               .scan = scan};

	if (size < 1)
		return 0;
	framing.limit = data[0] ? data[0] : 65536;
	framing.scan_arg = &framing.limit;
	torn_check(&framing, (const char *)data + 1, size - 1, expected);
	return 0;
}
