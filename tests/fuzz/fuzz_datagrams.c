/* SPDX-License-Identifier: MIT */
/*
 * Datagrams that wait, from any peers in any order: each is found again, in
 * order, or was the oldest and is counted; and no limit is exceeded.
 *
 * The input is a list of steps of two bytes: 0xff takes the one that has waited
 * longest; any other first byte is a peer, and the second how much it sends.
 */
#include <string.h>

#include "base/packed.h"
#include "fuzz.h"
#include "net/demux.h"

static const struct nr_demux_limits limits = {5, 4, 600};

/* Every datagram begins with its number, if it has room for it. */
static void check(const char *data, size_t len, unsigned char peer)
{
	unsigned last = 0, count = 0;
	size_t at = 0;

	while (at < len) {
		size_t size;

		MUST(len - at >= NR_PACKED_EXTRA);
		size = nr_packed_len(data + at);
		MUST(size <= len - at - NR_PACKED_EXTRA);
		MUST(data[at + NR_PACKED_HEAD + size] == '\0');
		if (size > sizeof(unsigned)) {
			unsigned number;

			memcpy(&number, data + at + NR_PACKED_HEAD,
			       sizeof(number));
			MUST(number > last);
			last = number;
			MUST((unsigned char)
			             data[at + NR_PACKED_HEAD + size - 1] ==
			     peer);
		}
		at += nr_packed_size(size);
		count++;
	}
	MUST(count > 0 && count <= limits.datagrams && len <= limits.bytes);
}

static unsigned char peer_of(const struct nr_pending *pending)
{
	return (unsigned char)(pending->peer.as.ipv4.sin_port & 0xff);
}

static void take(struct nr_demux *demux, uint64_t *out)
{
	struct nr_pending *first = nr_demux_first(demux);
	unsigned char peer;
	char *data;
	size_t len;

	if (!first)
		return;
	peer = peer_of(first);
	*out += first->count + first->dropped;
	data = nr_demux_take(demux, first, &len);
	check(data, len, peer);
	free(data);
}

static void add(struct nr_demux *demux, unsigned char peer, size_t len,
                unsigned number)
{
	struct naru_addr from = {.len = sizeof(from.as.ipv4)};
	static const struct naru_addr local;
	char data[256];

	memset(data, peer, sizeof(data));
	memcpy(data, &number, sizeof(number));
	from.as.ipv4.sin_family = AF_INET;
	from.as.ipv4.sin_port = peer;
	nr_demux_add(demux, &from, &local, data, len);
	MUST(demux->count > 0 && demux->count <= limits.peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t in = 0, out = 0;
	struct nr_demux demux;

	nr_demux_init(&demux, &limits);
	for (size_t i = 0; i + 1 < size; i += 2) {
		if (data[i] == 0xff)
			take(&demux, &out);
		else
			add(&demux, data[i], data[i + 1], (unsigned)++in);
	}
	while (demux.count > 0)
		take(&demux, &out);
	MUST(out + demux.dropped == in);
	nr_demux_fini(&demux);
	return 0;
}
