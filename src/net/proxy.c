/* SPDX-License-Identifier: MIT */
/* Headers of the PROXY protocol, read: see proxy.h. */
#include "net/proxy.h"

#include <stddef.h>
#include <string.h>

#include "base/crc32c.h"
#include "net/addr.h"
#include "net/proxy_format.h"

/* Values that are looked into. */
#define VALUE_CRC32C 0x03
#define VALUE_SSL    0x20
/* Before the values inside of that: what was verified, and how. */
#define SSL_HEAD 5

/* What is being read, and what has come of it. */
struct reading {
	struct nr_cursor cursor;
	struct nr_proxy *proxy;
};

static bool wrong(struct reading *reading, const char *at, const char *reason)
{
	struct nr_cursor there = {reading->cursor.begin, at,
	                          reading->cursor.end};

	reading->proxy->place = nr_cursor_place(&there);
	reading->proxy->reason = reason;
	return false;
}

/* Takes as much of the LEN bytes at TEXT as has come; nothing else may be
 * there. */
static bool take_beginning(struct reading *reading, const char *text,
                           size_t len)
{
	struct nr_cursor *cursor = &reading->cursor;

	for (; len > 0 && nr_cursor_left(cursor) > 0; len--)
		if (*cursor->at++ != *text++)
			return wrong(reading, cursor->at - 1,
			             "no PROXY header begins so");
	return true;
}

/* Version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" CR LF. */

/* Takes what stands before a space, which has to be there, as a string. */
static bool take_word(struct reading *reading, char *buf, size_t size)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_cursor word = nr_cursor_until(cursor, ' ');
	size_t len = nr_cursor_left(&word);

	if (!nr_cursor_take(cursor, " "))
		return wrong(reading, cursor->at, "a space is missing");
	if (len >= size || memchr(word.at, '\0', len))
		return wrong(reading, word.at, "this is not an address");
	memcpy(buf, word.at, len);
	buf[len] = '\0';
	return true;
}

static bool read_v1_addr(struct reading *reading, enum naru_addr_kind kind,
                         struct naru_addr *ret_addr)
{
	const char *at = reading->cursor.at;
	char text[INET6_ADDRSTRLEN];

	if (!take_word(reading, text, sizeof(text)))
		return false;
	if (!nr_addr_parse_ip(text, 0, ret_addr) ||
	    naru_addr_kind(ret_addr) != kind)
		return wrong(reading, at,
		             kind == NARU_ADDR_IPV4
		                     ? "this is not an IPv4 address"
		                     : "this is not an IPv6 address");
	return true;
}

static bool read_v1_port(struct reading *reading, struct naru_addr *addr)
{
	struct nr_cursor *cursor = &reading->cursor;
	uint64_t port;

	if (nr_cursor_number(cursor, 65535, &port) != NR_NUMBER_OK)
		return wrong(reading, cursor->at,
		             "a port is a number up to 65535 without leading "
		             "zeros");
	nr_addr_set_port(addr, (unsigned)port);
	return true;
}

/* The addresses, to the end of the line. */
static bool read_v1_addrs(struct reading *reading, enum naru_addr_kind kind)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_proxy *proxy = reading->proxy;

	if (!read_v1_addr(reading, kind, &proxy->source) ||
	    !read_v1_addr(reading, kind, &proxy->destination) ||
	    !read_v1_port(reading, &proxy->source))
		return false;
	if (!nr_cursor_take(cursor, " "))
		return wrong(reading, cursor->at, "a space is missing");
	if (!read_v1_port(reading, &proxy->destination))
		return false;
	if (nr_cursor_left(cursor) > 0)
		return wrong(reading, cursor->at,
		             "nothing may follow the ports");
	proxy->announced = true;
	return true;
}

/* What is known of who calls, or that nothing is: then whatever else the line
 * says means nothing. */
static bool read_v1_line(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;

	if (nr_cursor_take(cursor, "TCP4 "))
		return read_v1_addrs(reading, NARU_ADDR_IPV4);
	if (nr_cursor_take(cursor, "TCP6 "))
		return read_v1_addrs(reading, NARU_ADDR_IPV6);
	if (!nr_cursor_take(cursor, "UNKNOWN"))
		return wrong(reading, cursor->at,
		             "here TCP4, TCP6 or UNKNOWN stands");
	if (nr_cursor_left(cursor) > 0 && nr_cursor_peek(cursor) != ' ')
		return wrong(reading, cursor->at, "a space is missing");
	return true;
}

static enum nr_proxy_state read_v1(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_proxy *proxy = reading->proxy;
	const char *lf;

	proxy->version = 1;
	if (nr_cursor_left(cursor) > NR_PROXY_V1_MAX)
		cursor->end = cursor->at + NR_PROXY_V1_MAX;
	if (!take_beginning(reading, NR_PROXY_V1_BEGIN,
	                    sizeof(NR_PROXY_V1_BEGIN) - 1))
		return NR_PROXY_WRONG;
	lf = memchr(cursor->begin, '\n', (size_t)(cursor->end - cursor->begin));
	if (!lf && cursor->end - cursor->begin < NR_PROXY_V1_MAX)
		return NR_PROXY_MORE;
	if (!lf) {
		(void)wrong(reading, cursor->end,
		            "a line ends with CR LF within 107 bytes");
		return NR_PROXY_WRONG;
	}
	/* It is not the first byte. */
	cursor->end = lf - 1;
	if (lf[-1] != '\r')
		(void)wrong(reading, lf, "a CR is missing before this LF");
	else if (read_v1_line(reading)) {
		proxy->len = (size_t)(lf + 1 - cursor->begin);
		return NR_PROXY_WHOLE;
	}
	return NR_PROXY_WRONG;
}

/* Version 2: a head of 16 bytes, addresses, values. */

/* The values lie within each other and within the header. Where one is its
 * checksum is told in RET_CHECKSUM, which is null inside of another value. */
static bool check_values(struct reading *reading, struct nr_cursor values,
                         struct nr_cursor *ret_checksum)
{
	while (nr_cursor_left(&values) > 0) {
		const char *at = values.at;
		struct nr_cursor value, head;
		uint8_t type;
		uint16_t len;

		if (!nr_cursor_u8(&values, &type) ||
		    !nr_cursor_u16be(&values, &len) ||
		    !nr_cursor_bytes(&values, len, &value))
			return wrong(reading, at, "a value leads past the end");
		if (type == VALUE_CRC32C && ret_checksum) {
			if (len != 4 || ret_checksum->at)
				return wrong(reading, at,
				             "there is one checksum of 4 "
				             "bytes");
			*ret_checksum = value;
		} else if (type == VALUE_SSL && ret_checksum) {
			if (!nr_cursor_bytes(&value, SSL_HEAD, &head))
				return wrong(reading, at,
				             "a value is too short");
			if (!check_values(reading, value, NULL))
				return false;
		}
	}
	return true;
}

/* The checksum is that of the whole header, with zeros in its own place. */
static bool check_sum(struct reading *reading, struct nr_cursor checksum)
{
	const char *begin = reading->cursor.begin, *at = checksum.at;
	struct nr_cursor rest = checksum;
	uint32_t sum, said;

	if (!at || !nr_cursor_u32be(&rest, &said))
		return true;
	sum = nr_crc32c(0, begin, (size_t)(at - begin));
	sum = nr_crc32c(sum, "\0\0\0", 4);
	sum = nr_crc32c(sum, checksum.end,
	                (size_t)(reading->cursor.end - checksum.end));
	return sum == said || wrong(reading, at, "the checksum is wrong");
}

static bool read_v2_values(struct reading *reading)
{
	struct nr_cursor checksum = {0};

	if (!check_values(reading, reading->cursor, &checksum) ||
	    !check_sum(reading, checksum))
		return false;
	reading->proxy->announced = true;
	reading->proxy->values = reading->cursor;
	return true;
}

/* A unix socket's name, with zeros behind it. */
static struct naru_addr unix_addr(const char name[static NR_PROXY_V2_NAME])
{
	struct naru_addr addr = nr_addr_none;
	size_t len = NR_PROXY_V2_NAME;

	addr.as.local.sun_family = AF_UNIX;
	memcpy(addr.as.local.sun_path, name, NR_PROXY_V2_NAME);
	while (len > 0 && name[len - 1] == '\0')
		len--;
	/* One that is no path begins with a zero byte. A path ends at its
	 * first, which belongs to it where there is room. */
	if (name[0] != '\0') {
		len = strnlen(name, NR_PROXY_V2_NAME);
		len += len < NR_PROXY_V2_NAME;
	}
	addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return addr;
}

/* One address, of which the kernel has the same bytes. Its port stands behind
 * both. */
static struct naru_addr ip_addr(const char *bytes, int family)
{
	struct naru_addr addr = nr_addr_none;

	addr.as.any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&addr.as.ipv4.sin_addr, bytes, 4);
		addr.len = sizeof(addr.as.ipv4);
	} else {
		memcpy(&addr.as.ipv6.sin6_addr, bytes, 16);
		addr.len = sizeof(addr.as.ipv6);
	}
	return addr;
}

static bool read_v2_ip(struct reading *reading, int family)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_proxy *proxy = reading->proxy;
	size_t size = family == AF_INET ? 4 : 16;
	struct nr_cursor source, destination;
	uint16_t source_port, destination_port;

	if (!nr_cursor_bytes(cursor, size, &source) ||
	    !nr_cursor_bytes(cursor, size, &destination) ||
	    !nr_cursor_u16be(cursor, &source_port) ||
	    !nr_cursor_u16be(cursor, &destination_port))
		return false;
	proxy->source = ip_addr(source.at, family);
	proxy->destination = ip_addr(destination.at, family);
	nr_addr_set_port(&proxy->source, source_port);
	nr_addr_set_port(&proxy->destination, destination_port);
	return true;
}

static bool read_v2_unix(struct reading *reading)
{
	struct nr_cursor source, destination;

	if (!nr_cursor_bytes(&reading->cursor, NR_PROXY_V2_NAME, &source) ||
	    !nr_cursor_bytes(&reading->cursor, NR_PROXY_V2_NAME, &destination))
		return false;
	reading->proxy->source = unix_addr(source.at);
	reading->proxy->destination = unix_addr(destination.at);
	return true;
}

/* All behind the head of one that announces somebody. */
static bool read_v2_body(struct reading *reading, unsigned family)
{
	struct nr_cursor *cursor = &reading->cursor;
	bool read;

	switch (family & NR_PROXY_V2_FAMILY) {
	case NR_PROXY_V2_INET:
		read = read_v2_ip(reading, AF_INET);
		break;
	case NR_PROXY_V2_INET6:
		read = read_v2_ip(reading, AF_INET6);
		break;
	default:
		read = read_v2_unix(reading);
		break;
	}
	if (!read)
		return wrong(reading, cursor->begin + NR_PROXY_V2_HEAD - 2,
		             "the length has no room for the addresses");
	return read_v2_values(reading);
}

static bool is_v2_family(unsigned family)
{
	return (family & NR_PROXY_V2_FAMILY) <= NR_PROXY_V2_UNIX &&
	       (family & NR_PROXY_V2_PROTOCOL) <= NR_PROXY_V2_DGRAM;
}

/* Whether it says nothing that one could go by: then whatever follows the head
 * is skipped, and the connection speaks for itself. */
static bool is_silent(unsigned command, unsigned family)
{
	return command == NR_PROXY_V2_LOCAL ||
	       (family & NR_PROXY_V2_FAMILY) == NR_PROXY_V2_UNSPEC ||
	       (family & NR_PROXY_V2_PROTOCOL) == NR_PROXY_V2_UNSPEC;
}

/* The head of one, whose last four bytes begin at AT. */
static bool check_v2_head(struct reading *reading, const char *at,
                          unsigned command, unsigned family, size_t len)
{
	if (command >> 4 != 2)
		return wrong(reading, at, "only versions 1 and 2 are known");
	if (command > NR_PROXY_V2_PROXY)
		return wrong(reading, at, "there is no such command");
	if (command == NR_PROXY_V2_PROXY && !is_v2_family(family))
		return wrong(reading, at + 1,
		             "there is no such family or protocol");
	if (len > NR_PROXY_MAX - NR_PROXY_V2_HEAD)
		return wrong(reading, at + 2,
		             "the header is longer than 4096 bytes");
	reading->proxy->len = NR_PROXY_V2_HEAD + len;
	return true;
}

static enum nr_proxy_state read_v2(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_proxy *proxy = reading->proxy;
	uint8_t command, family;
	uint16_t len;

	proxy->version = 2;
	if (!take_beginning(reading, NR_PROXY_V2_BEGIN,
	                    sizeof(NR_PROXY_V2_BEGIN) - 1))
		return NR_PROXY_WRONG;
	if (!nr_cursor_u8(cursor, &command) || !nr_cursor_u8(cursor, &family) ||
	    !nr_cursor_u16be(cursor, &len))
		return NR_PROXY_MORE;
	if (!check_v2_head(reading, cursor->at - 4, command, family, len))
		return NR_PROXY_WRONG;
	if (nr_cursor_left(cursor) < len)
		return NR_PROXY_MORE;
	cursor->end = cursor->at + len;
	if (is_silent(command, family) || read_v2_body(reading, family))
		return NR_PROXY_WHOLE;
	return NR_PROXY_WRONG;
}

enum nr_proxy_state nr_proxy_read(const char *data, size_t len,
                                  struct nr_proxy *ret_proxy)
{
	struct reading reading = {nr_cursor(data, len), ret_proxy};

	*ret_proxy = (struct nr_proxy){0};
	switch (nr_cursor_peek(&reading.cursor)) {
	case -1:
		return NR_PROXY_MORE;
	case 'P':
		return read_v1(&reading);
	case '\r':
		return read_v2(&reading);
	default:
		(void)wrong(&reading, data, "no PROXY header begins so");
		return NR_PROXY_WRONG;
	}
}

static bool find_value(struct nr_cursor values, unsigned type,
                       struct nr_cursor *ret_value)
{
	uint8_t its_type;
	uint16_t len;

	while (nr_cursor_u8(&values, &its_type) &&
	       nr_cursor_u16be(&values, &len) &&
	       nr_cursor_bytes(&values, len, ret_value))
		if (its_type == type)
			return true;
	return false;
}

bool nr_proxy_value(struct nr_cursor values, unsigned type,
                    struct nr_cursor *ret_value)
{
	struct nr_cursor inner, head;

	if (find_value(values, type, ret_value))
		return true;
	return type > VALUE_SSL && find_value(values, VALUE_SSL, &inner) &&
	       nr_cursor_bytes(&inner, SSL_HEAD, &head) &&
	       find_value(inner, type, ret_value);
}
