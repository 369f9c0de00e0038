/* SPDX-License-Identifier: MIT */
/* Endpoints read and resolved: see endpoint.h. */
#include "net/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "base/escape.h"
#include "naru/error.h"
#include "net/addr.h"
#include "net/transport.h"

/* Where nobody says where. */
#define ENDPOINT_DEFAULT "localhost"

/* What is being read: the text, and the first thing that is wrong with it. */
struct reading {
	struct nr_cursor cursor;
	struct nr_endpoint endpoint;
	struct nr_endpoint_error error;
};

static bool wrong(struct reading *reading, const char *at, const char *reason)
{
	struct nr_cursor there = {reading->cursor.begin, at,
	                          reading->cursor.end};

	reading->error.place = nr_cursor_place(&there);
	reading->error.reason = reason;
	return false;
}

static bool read_port(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;
	uint64_t port;

	switch (nr_cursor_number(cursor, 65535, &port)) {
	case NR_NUMBER_NONE:
		return wrong(reading, cursor->at, "a port number is missing");
	case NR_NUMBER_LEADING_ZERO:
		return wrong(reading, cursor->at,
		             "a port is written without leading zeros");
	case NR_NUMBER_OVER:
		return wrong(reading, cursor->at, "a port is at most 65535");
	case NR_NUMBER_OK:
		break;
	}
	if (nr_cursor_left(cursor) > 0)
		return wrong(reading, cursor->at,
		             "nothing may follow the port");
	reading->endpoint.port = (unsigned)port;
	return true;
}

/* The end of the endpoint behind its host: nothing, or a port. */
static bool read_port_if_any(struct reading *reading)
{
	if (nr_cursor_left(&reading->cursor) == 0)
		return true;
	if (!nr_cursor_take(&reading->cursor, ":"))
		return wrong(reading, reading->cursor.at,
		             "here a colon and a port may stand, or nothing");
	return read_port(reading);
}

static bool set_host(struct reading *reading, struct nr_cursor host)
{
	size_t len = nr_cursor_left(&host);

	if (len > NR_HOST_MAX)
		return wrong(reading, host.at,
		             "a host name is at most 255 bytes long");
	memcpy(reading->endpoint.host, host.at, len);
	reading->endpoint.host[len] = '\0';
	return true;
}

/* "[2001:db8::1]" or "[fe80::1%2]", the bracket being taken already. */
static bool read_bracketed(struct reading *reading)
{
	struct nr_cursor host = nr_cursor_until(&reading->cursor, ']');
	struct nr_cursor rest = host;
	struct naru_addr addr;
	char *scope;

	if (!nr_cursor_take(&reading->cursor, "]"))
		return wrong(reading, reading->cursor.at, "a ] is missing");
	if (!set_host(reading, host))
		return false;
	reading->endpoint.kind = NR_HOST_ADDRESS;
	scope = strchr(reading->endpoint.host, '%');
	if (scope) {
		nr_cursor_until(&rest, '%');
		if (scope[1] == '\0')
			return wrong(reading, rest.at, "a scope is missing");
		*scope = '\0';
	}
	if (!strchr(reading->endpoint.host, ':') ||
	    !nr_addr_parse_ip(reading->endpoint.host, 0, &addr))
		return wrong(reading, host.at, "this is not an IPv6 address");
	if (scope)
		*scope = '%';
	return read_port_if_any(reading);
}

/* A host that ends in a number is an IPv4 address or nothing: the resolver
 * would take 1.2.3 and 0x7f.1 for addresses too, and 010 for octal. */
static bool ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *last = dot ? dot + 1 : host;

	if (strncasecmp(last, "0x", 2) == 0)
		return last[2 + strspn(last + 2, "0123456789abcdefABCDEF")] ==
		       '\0';
	return *last != '\0' && last[strspn(last, "0123456789")] == '\0';
}

/* Whether BYTE may be a part of a name: letters, digits, '-', '_', '.', and
 * whatever is not ASCII, which the resolver judges. */
static bool is_name_byte(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' ||
	       byte == '.' || byte >= 0x80;
}

static bool judge_name(struct reading *reading, struct nr_cursor host)
{
	struct nr_endpoint *endpoint = &reading->endpoint;
	struct naru_addr addr;

	for (const char *at = host.at; at < host.end; at++)
		if (!is_name_byte((unsigned char)*at))
			return wrong(reading, at,
			             "this cannot be part of a host name");
	if (strcasecmp(endpoint->host, "localhost") == 0) {
		endpoint->kind = NR_HOST_LOCALHOST;
	} else if (ends_in_number(endpoint->host)) {
		endpoint->kind = NR_HOST_ADDRESS;
		if (!nr_addr_parse_ip(endpoint->host, 0, &addr))
			return wrong(reading, host.at,
			             "this is not an IPv4 address: four "
			             "decimal numbers up to 255 without "
			             "leading zeros");
	}
	return true;
}

static bool is_all_digits(struct nr_cursor text)
{
	for (; text.at < text.end; text.at++)
		if (*text.at < '0' || *text.at > '9')
			return false;
	return true;
}

static bool read_ip(struct reading *reading, bool bare)
{
	struct nr_cursor *cursor = &reading->cursor;
	struct nr_cursor host = *cursor;

	reading->endpoint.port = NR_PORT_DEFAULT;
	if (nr_cursor_left(cursor) == 0)
		return wrong(reading, cursor->at, "a host is missing");
	if (nr_cursor_take(cursor, "["))
		return read_bracketed(reading);
	reading->endpoint.kind = NR_HOST_ALL;
	if (nr_cursor_peek(cursor) == ':') {
		if (nr_cursor_left(cursor) > 1 && cursor->at[1] == ':')
			return wrong(reading, cursor->at,
			             "an IPv6 address stands in brackets, "
			             "as in [::1]:1060");
		return read_port_if_any(reading);
	}
	if (nr_cursor_take(cursor, "*"))
		return read_port_if_any(reading);
	if (bare && is_all_digits(host)) {
		reading->endpoint.kind = NR_HOST_LOCALHOST;
		return read_port(reading);
	}
	reading->endpoint.kind = NR_HOST_NAME;
	host = nr_cursor_until(cursor, ':');
	if (nr_cursor_left(cursor) > 1 &&
	    memchr(cursor->at + 1, ':', nr_cursor_left(cursor) - 1))
		return wrong(reading, host.at,
		             "an IPv6 address stands in brackets, as in "
		             "[::1]:1060");
	return set_host(reading, host) && judge_name(reading, host) &&
	       read_port_if_any(reading);
}

static bool read_unix(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;
	bool abstract = nr_cursor_take(cursor, "@");

	reading->endpoint.transport = &nr_transport_unix;
	if (nr_cursor_left(cursor) == 0)
		return wrong(reading, cursor->at,
		             abstract ? "a name is missing behind @"
		                      : "a path is missing, or @ and a name");
	if (!nr_addr_unix(cursor->at, nr_cursor_left(cursor), abstract,
	                  &reading->endpoint.local))
		return wrong(reading, cursor->at,
		             "a unix socket's name is at most 107 bytes long");
	return true;
}

/* Transports over IP, as endpoints name them. */
static const struct {
	const char *scheme;
	const struct nr_transport *transport;
} schemes[] = {
	{"tcp://", &nr_transport_tcp},
	{"tls://", &nr_transport_tls},
	{"udp://", &nr_transport_udp},
};

static bool read_endpoint(struct reading *reading)
{
	struct nr_cursor *cursor = &reading->cursor;
	const char *mark;

	reading->endpoint.transport = &nr_transport_tcp;

	if (nr_cursor_left(cursor) == 0)
		return wrong(reading, cursor->at, "the endpoint is empty");
	if (nr_cursor_take(cursor, "unix:"))
		return read_unix(reading);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (!nr_cursor_take(cursor, schemes[i].scheme))
			continue;
		reading->endpoint.transport = schemes[i].transport;
		return read_ip(reading, false);
	}
	mark = memmem(cursor->at, nr_cursor_left(cursor), "://", 3);
	if (mark)
		return wrong(reading, cursor->at,
		             "no such transport; there are tcp://, tls://, "
		             "udp:// and unix:");
	if (*cursor->at == '/')
		return wrong(reading, cursor->at,
		             "a unix socket's path stands behind unix:");
	return read_ip(reading, true);
}

int nr_endpoint_parse(const char *text, struct nr_endpoint *ret_endpoint,
                      struct nr_endpoint_error *ret_error)
{
	struct reading reading = {0};

	if (!text)
		text = ENDPOINT_DEFAULT;
	reading.cursor = nr_cursor(text, strlen(text));
	if (!read_endpoint(&reading)) {
		nr_assert(reading.error.reason);
		*ret_error = reading.error;
		return -NARU_EENDPOINT;
	}
	*ret_endpoint = reading.endpoint;
	return 0;
}

int naru_endpoint_check(const char *endpoint, char *why, size_t size)
{
	struct nr_endpoint_error error;
	struct nr_endpoint read;
	/* A quoted text that is too long to be an endpoint is left out. */
	char quoted[4 * NR_HOST_MAX + 64];
	int err = nr_endpoint_parse(endpoint, &read, &error);

	if (err == 0 || !why || size == 0)
		return err;
	if (nr_escape(endpoint, strlen(endpoint), quoted, sizeof(quoted)) < 0)
		(void)snprintf(quoted, sizeof(quoted), "...");
	(void)snprintf(why, size, "\"%s\": at byte %zu: %s", quoted,
	               error.place, error.reason);
	return err;
}

static int system_family(enum naru_family family)
{
	switch (family) {
	case NARU_FAMILY_IPV4:
		return AF_INET;
	case NARU_FAMILY_IPV6:
		return AF_INET6;
	case NARU_FAMILY_ANY:
		break;
	}
	return AF_UNSPEC;
}

/* The two addresses of localhost or of all, those of FAMILY. IPv6 goes first
 * among the loopbacks, as in RFC 6724; IPv4 among the wildcards, so that its
 * port is chosen first. */
static int fixed_addrs(const struct nr_endpoint *endpoint,
                       enum naru_family family, struct naru_addr *ret_addrs)
{
	bool all = endpoint->kind == NR_HOST_ALL;
	int count = 0;

	if (family != NARU_FAMILY_IPV6 &&
	    nr_addr_parse_ip(all ? "0.0.0.0" : "127.0.0.1", endpoint->port,
	                     &ret_addrs[count]))
		count++;
	if (family != NARU_FAMILY_IPV4 &&
	    nr_addr_parse_ip(all ? "::" : "::1", endpoint->port,
	                     &ret_addrs[count]))
		count++;
	return count;
}

int nr_endpoint_addrs(const struct nr_endpoint *endpoint,
                      enum naru_family family, struct naru_addr *ret_addrs)
{
	int count;

	if (endpoint->transport == &nr_transport_unix) {
		ret_addrs[0] = endpoint->local;
		return 1;
	}
	if (endpoint->kind == NR_HOST_LOCALHOST ||
	    endpoint->kind == NR_HOST_ALL)
		return fixed_addrs(endpoint, family, ret_addrs);
	count = nr_resolve(endpoint->host, system_family(family),
	                   endpoint->port, ret_addrs);
	/* An address has one family, and is no name that could have both. */
	if (count == -NARU_ENONAME && endpoint->kind == NR_HOST_ADDRESS)
		return -EAFNOSUPPORT;
	return count;
}
