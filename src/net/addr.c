/* SPDX-License-Identifier: MIT */
/* Addresses: their kinds, their texts. See naru/addr.h and addr.h. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"

const struct naru_addr nr_addr_none;

/* The longest text of an address: a unix path of 108 bytes, each as \xHH. */
_Static_assert(NARU_ADDR_TEXT >=
                       sizeof("unix:") +
                               4 * sizeof(((struct sockaddr_un *)0)->sun_path),
               "every address fits");

enum naru_addr_kind naru_addr_kind(const struct naru_addr *addr)
{
	if (!addr || addr->len < sizeof(sa_family_t))
		return NARU_ADDR_NONE;
	switch (addr->as.any.sa_family) {
	case AF_INET:
		return NARU_ADDR_IPV4;
	case AF_INET6:
		return NARU_ADDR_IPV6;
	case AF_UNIX:
		return NARU_ADDR_UNIX;
	default:
		return NARU_ADDR_NONE;
	}
}

unsigned naru_addr_port(const struct naru_addr *addr)
{
	switch (naru_addr_kind(addr)) {
	case NARU_ADDR_IPV4:
		return ntohs(addr->as.ipv4.sin_port);
	case NARU_ADDR_IPV6:
		return ntohs(addr->as.ipv6.sin6_port);
	default:
		return 0;
	}
}

void nr_addr_set_port(struct naru_addr *addr, unsigned port)
{
	if (naru_addr_kind(addr) == NARU_ADDR_IPV4)
		addr->as.ipv4.sin_port = htons((uint16_t)port);
	else if (naru_addr_kind(addr) == NARU_ADDR_IPV6)
		addr->as.ipv6.sin6_port = htons((uint16_t)port);
}

/* The bytes of a unix socket's name; 0 where it has none. An abstract name
 * begins with NUL; a path may or may not end with one. */
static size_t unix_name_len(const struct naru_addr *addr)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t len = addr->len > head ? addr->len - head : 0;

	if (len > sizeof(addr->as.local.sun_path))
		len = sizeof(addr->as.local.sun_path);
	if (len > 0 && addr->as.local.sun_path[0] != '\0')
		len = strnlen(addr->as.local.sun_path, len);
	return len;
}

const char *nr_addr_path(const struct naru_addr *addr)
{
	if (naru_addr_kind(addr) != NARU_ADDR_UNIX ||
	    unix_name_len(addr) == 0 || addr->as.local.sun_path[0] == '\0')
		return NULL;
	return addr->as.local.sun_path;
}

/* "/path", "@name" or "" in BUF. */
static int format_unix(const struct naru_addr *addr, char *buf, size_t size)
{
	const char *name = addr->as.local.sun_path;
	size_t len = unix_name_len(addr);
	int n;

	if (len == 0 || name[0] != '\0')
		return nr_escape(name, len, buf, size);
	if (size < 2)
		return -ENOSPC;
	buf[0] = '@';
	n = nr_escape(name + 1, len - 1, buf + 1, size - 1);
	return n < 0 ? n : n + 1;
}

/* An IP address without its port. A scope is written as its number: names of
 * interfaces change. */
static int format_ip(const struct naru_addr *addr, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN + sizeof("%4294967295")] = "?";
	size_t len;

	if (naru_addr_kind(addr) == NARU_ADDR_IPV4)
		(void)inet_ntop(AF_INET, &addr->as.ipv4.sin_addr, text,
		                sizeof(text));
	else
		(void)inet_ntop(AF_INET6, &addr->as.ipv6.sin6_addr, text,
		                sizeof(text));
	len = strlen(text);
	if (naru_addr_kind(addr) == NARU_ADDR_IPV6 &&
	    addr->as.ipv6.sin6_scope_id != 0)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%%%u",
		                        addr->as.ipv6.sin6_scope_id);
	if (len >= size)
		return -ENOSPC;
	memcpy(buf, text, len + 1);
	return (int)len;
}

int naru_addr_host(const struct naru_addr *addr, char *buf, size_t size)
{
	if (!buf || size == 0)
		return -ENOSPC;
	switch (naru_addr_kind(addr)) {
	case NARU_ADDR_IPV4:
	case NARU_ADDR_IPV6:
		return format_ip(addr, buf, size);
	case NARU_ADDR_UNIX:
		return format_unix(addr, buf, size);
	default:
		return nr_escape("?", 1, buf, size);
	}
}

int naru_addr_format(const struct naru_addr *addr, char *buf, size_t size)
{
	char host[NARU_ADDR_TEXT];
	enum naru_addr_kind kind = naru_addr_kind(addr);
	int n = naru_addr_host(addr, host, sizeof(host));

	if (n < 0)
		return n;
	if (!buf || size == 0)
		return -ENOSPC;
	if (kind == NARU_ADDR_UNIX)
		n = snprintf(buf, size, "unix:%s", host);
	else if (kind == NARU_ADDR_IPV6)
		n = snprintf(buf, size, "[%s]:%u", host, naru_addr_port(addr));
	else if (kind == NARU_ADDR_IPV4)
		n = snprintf(buf, size, "%s:%u", host, naru_addr_port(addr));
	else
		n = snprintf(buf, size, "%s", host);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

int nr_addr_endpoint(const struct naru_addr *addr, const char *scheme,
                     char *buf, size_t size)
{
	int skip, n;

	if (naru_addr_kind(addr) == NARU_ADDR_UNIX)
		return naru_addr_format(addr, buf, size);
	skip = buf ? snprintf(buf, size, "%s://", scheme) : 0;
	if (skip <= 0 || (size_t)skip >= size)
		return -ENOSPC;
	n = naru_addr_format(addr, buf + skip, size - (size_t)skip);
	return n < 0 ? n : n + skip;
}

const char *nr_addr_text(const struct naru_addr *addr,
                         char buf[static NARU_ADDR_TEXT])
{
	return naru_addr_format(addr, buf, NARU_ADDR_TEXT) < 0 ? "?" : buf;
}

bool nr_addr_parse_ip(const char *text, unsigned port,
                      struct naru_addr *ret_addr)
{
	struct naru_addr addr = nr_addr_none;

	if (inet_pton(AF_INET, text, &addr.as.ipv4.sin_addr) == 1) {
		addr.as.ipv4.sin_family = AF_INET;
		addr.len = sizeof(addr.as.ipv4);
	} else if (inet_pton(AF_INET6, text, &addr.as.ipv6.sin6_addr) == 1) {
		addr.as.ipv6.sin6_family = AF_INET6;
		addr.len = sizeof(addr.as.ipv6);
	} else {
		return false;
	}
	nr_addr_set_port(&addr, port);
	*ret_addr = addr;
	return true;
}

bool nr_addr_unix(const char *path, size_t len, bool abstract,
                  struct naru_addr *ret_addr)
{
	struct naru_addr addr = nr_addr_none;
	size_t skip = abstract ? 1 : 0;

	/* An abstract name has a NUL before it, a path one behind it. */
	if (len == 0 || len + 1 > sizeof(addr.as.local.sun_path))
		return false;
	addr.as.local.sun_family = AF_UNIX;
	memcpy(addr.as.local.sun_path + skip, path, len);
	addr.len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	*ret_addr = addr;
	return true;
}

bool nr_addr_is_wildcard(const struct naru_addr *addr)
{
	switch (naru_addr_kind(addr)) {
	case NARU_ADDR_IPV4:
		return addr->as.ipv4.sin_addr.s_addr == htonl(INADDR_ANY);
	case NARU_ADDR_IPV6:
		return IN6_IS_ADDR_UNSPECIFIED(&addr->as.ipv6.sin6_addr);
	default:
		return false;
	}
}

bool nr_addr_equal(const struct naru_addr *a, const struct naru_addr *b)
{
	char text_a[NARU_ADDR_TEXT], text_b[NARU_ADDR_TEXT];

	return naru_addr_kind(a) == naru_addr_kind(b) &&
	       strcmp(nr_addr_text(a, text_a), nr_addr_text(b, text_b)) == 0;
}
