/* SPDX-License-Identifier: MIT */
/*
 * PROXY headers of both versions from any bytes: at every split point what was
 * asked for more becomes the same header, or the same error, in the end; a
 * header that was read is written in a way that reads the same.
 */
#include <string.h>

#include "fuzz.h"
#include "net/addr.h"
#include "net/proxy.h"

/* Longer inputs are torn at so many places only. */
#define SPLIT_ALL 256

static void check_wrong(const struct nr_proxy *proxy, size_t len)
{
	MUST(proxy->place >= 1 && proxy->place <= len + 1);
	MUST(proxy->reason && proxy->reason[0]);
}

static void check_values(const struct nr_proxy *proxy, const char *data)
{
	struct nr_cursor value;

	for (unsigned type = 0; type <= 256; type++) {
		if (!nr_proxy_value(proxy->values, type, &value))
			continue;
		MUST(type < 256);
		MUST(value.at >= data && value.end <= data + proxy->len);
		MUST(value.at <= value.end);
	}
}

static void check_again(const struct nr_proxy *proxy)
{
	char buf[NR_PROXY_WRITE_MAX];
	struct nr_proxy again, copy = *proxy;

	for (copy.version = 1; copy.version <= 2; copy.version++) {
		size_t len = nr_proxy_write(&copy, buf);

		MUST(nr_proxy_read(buf, len, &again) == NR_PROXY_WHOLE);
		MUST(again.len == len && again.version == copy.version);
		if (naru_addr_kind(&proxy->source) == NARU_ADDR_UNIX)
			continue;
		MUST(again.announced == proxy->announced);
		MUST(nr_addr_equal(&again.source, &proxy->source));
		MUST(nr_addr_equal(&again.destination, &proxy->destination));
	}
}

static void check_whole(const struct nr_proxy *proxy, const char *data,
                        size_t len)
{
	MUST(proxy->len > 0 && proxy->len <= len);
	MUST(proxy->len <=
	     (proxy->version == 1 ? NR_PROXY_V1_MAX : NR_PROXY_MAX));
	MUST(proxy->announced ||
	     naru_addr_kind(&proxy->source) == NARU_ADDR_NONE);
	check_values(proxy, data);
	check_again(proxy);
}

/* The first LEN bytes of an input that came to ALL, with WHOLE to tell. */
static void check_part(const char *data, size_t len, enum nr_proxy_state all,
                       const struct nr_proxy *whole)
{
	char *part = malloc(len ? len : 1);
	enum nr_proxy_state state;
	struct nr_proxy proxy;

	MUST(part);
	if (len > 0)
		memcpy(part, data, len);
	state = nr_proxy_read(part, len, &proxy);
	if (all == NR_PROXY_WHOLE)
		MUST(state ==
		     (len < whole->len ? NR_PROXY_MORE : NR_PROXY_WHOLE));
	else if (state != NR_PROXY_MORE)
		MUST(state == all && proxy.place == whole->place &&
		     proxy.reason == whole->reason);
	if (state != NR_PROXY_WRONG && proxy.len && whole->len)
		MUST(proxy.len == whole->len);
	free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	const char *data = (const char *)input;
	size_t step = 1 + size / SPLIT_ALL;
	enum nr_proxy_state all;
	struct nr_proxy whole;

	all = nr_proxy_read(data, size, &whole);
	if (all == NR_PROXY_WRONG)
		check_wrong(&whole, size);
	else if (all == NR_PROXY_WHOLE)
		check_whole(&whole, data, size);
	for (size_t len = 0; len <= size; len += step)
		check_part(data, len, all, &whole);
	return 0;
}
