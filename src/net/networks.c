/* SPDX-License-Identifier: MIT */
/* Lists of networks: see networks.h. */
#include "net/networks.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "net/addr.h"

/* What an IPv4 address has before it where it is written as an IPv6 one. */
static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
#define MAPPED_BITS 96

struct reading {
	struct nr_cursor cursor;
	struct nr_networks *networks;
	struct nr_networks_error *error;
};

static bool wrong(struct reading *reading, const char *at, const char *reason)
{
	struct nr_cursor there = {reading->cursor.begin, at,
	                          reading->cursor.end};

	reading->error->place = nr_cursor_place(&there);
	reading->error->reason = reason;
	return false;
}

static unsigned bits_of(enum naru_addr_kind kind)
{
	return kind == NARU_ADDR_IPV4 ? 32 : kind == NARU_ADDR_IPV6 ? 128 : 0;
}

/* ADDR alone, as a network. */
static struct nr_network network_of(const struct naru_addr *addr)
{
	struct nr_network network = {.kind = naru_addr_kind(addr)};

	network.bits = bits_of(network.kind);
	if (network.kind == NARU_ADDR_IPV4)
		memcpy(network.addr, &addr->as.ipv4.sin_addr, 4);
	else if (network.kind == NARU_ADDR_IPV6)
		memcpy(network.addr, &addr->as.ipv6.sin6_addr, 16);
	return network;
}

/* An IPv4 network that is written as an IPv6 one becomes itself. */
static void unmap(struct nr_network *network)
{
	if (network->kind != NARU_ADDR_IPV6 || network->bits < MAPPED_BITS ||
	    memcmp(network->addr, mapped, sizeof(mapped)) != 0)
		return;
	network->kind = NARU_ADDR_IPV4;
	network->bits -= MAPPED_BITS;
	memmove(network->addr, network->addr + sizeof(mapped), 4);
	memset(network->addr + 4, 0, sizeof(network->addr) - 4);
}

/* Whether the first COUNT bits of A and B are the same. */
static bool same_bits(const unsigned char *a, const unsigned char *b,
                      unsigned count)
{
	unsigned whole = count / 8, rest = count % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* Whether a bit is set behind those of NETWORK that count. */
static bool has_more_bits(const struct nr_network *network)
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;

	if (rest > 0 && (network->addr[whole++] & 0xff >> rest) != 0)
		return true;
	for (; whole < sizeof(network->addr); whole++)
		if (network->addr[whole] != 0)
			return true;
	return false;
}

/* "/24", or nothing, behind an address. */
static bool read_bits(struct reading *reading, struct nr_cursor *item,
                      struct nr_network *network)
{
	uint64_t bits;

	if (!nr_cursor_take(item, "/"))
		return true;
	if (nr_cursor_number(item, network->bits, &bits) != NR_NUMBER_OK)
		return wrong(reading, item->at,
		             network->kind == NARU_ADDR_IPV4
		                     ? "here a number up to 32 stands, "
		                       "without leading zeros"
		                     : "here a number up to 128 stands, "
		                       "without leading zeros");
	if (nr_cursor_left(item) > 0)
		return wrong(reading, item->at,
		             "nothing may follow the number of bits");
	network->bits = (unsigned)bits;
	return true;
}

static bool read_item(struct reading *reading, struct nr_cursor item,
                      struct nr_network *ret_network)
{
	struct nr_cursor text = nr_cursor_until(&item, '/');
	size_t len = nr_cursor_left(&text);
	struct naru_addr addr;
	char buf[INET6_ADDRSTRLEN];

	if (len == 0)
		return wrong(reading, text.at, "a network is missing");
	if (len == 4 && memcmp(text.at, "unix", 4) == 0) {
		*ret_network = (struct nr_network){.kind = NARU_ADDR_UNIX};
		return nr_cursor_left(&item) == 0 ||
		       wrong(reading, item.at, "nothing may follow unix");
	}
	if (len < sizeof(buf)) {
		memcpy(buf, text.at, len);
		buf[len] = '\0';
	}
	if (len >= sizeof(buf) || !nr_addr_parse_ip(buf, 0, &addr))
		return wrong(reading, text.at,
		             "this is not an IP address, nor is it unix");
	*ret_network = network_of(&addr);
	if (!read_bits(reading, &item, ret_network))
		return false;
	if (has_more_bits(ret_network))
		return wrong(reading, text.at,
		             "this address has bits set that do not count");
	unmap(ret_network);
	return true;
}

static bool read_list(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_networks *networks = reading->networks;

	do {
		struct nr_cursor item = nr_cursor_until(cursor, ',');

		if (networks->count == NR_NETWORKS_MAX)
			return wrong(reading, item.at,
			             "a list has at most 256 networks");
		if (!read_item(reading, item, &networks->list[networks->count]))
			return false;
		networks->count++;
	} while (nr_cursor_take(cursor, ","));
	return true;
}

int nr_networks_read(const char *text, struct nr_networks *ret_networks,
                     struct nr_networks_error *ret_error)
{
	struct reading reading = {nr_cursor(text, strlen(text)), ret_networks,
	                          ret_error};

	ret_networks->count = 0;
	return read_list(&reading) ? 0 : -EINVAL;
}

bool nr_networks_have_kind(const struct nr_networks *networks,
                           enum naru_addr_kind kind)
{
	for (unsigned i = 0; i < networks->count; i++)
		if (networks->list[i].kind == kind)
			return true;
	return false;
}

bool nr_networks_have(const struct nr_networks *networks,
                      const struct naru_addr *addr)
{
	struct nr_network one = network_of(addr);

	if (one.kind == NARU_ADDR_NONE)
		return false;
	unmap(&one);
	for (unsigned i = 0; i < networks->count; i++) {
		const struct nr_network *network = &networks->list[i];

		if (network->kind == one.kind &&
		    same_bits(network->addr, one.addr, network->bits))
			return true;
	}
	return false;
}
