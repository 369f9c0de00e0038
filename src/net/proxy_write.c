/* SPDX-License-Identifier: MIT */
/* Headers of the PROXY protocol, written: see proxy.h. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "net/addr.h"
#include "net/proxy.h"
#include "net/proxy_format.h"

/* An IP address as text fits. */
#define HOST INET6_ADDRSTRLEN

/* The family of both addresses, or NR_PROXY_V2_UNSPEC where they are not to be
 * told: version 2 could name unix sockets, and that a client is not known, but
 * there are those who take neither (HAProxy). */
static unsigned family_of(const struct nr_proxy *proxy)
{
	enum naru_addr_kind kind = naru_addr_kind(&proxy->source);

	if (!proxy->announced || kind != naru_addr_kind(&proxy->destination))
		return NR_PROXY_V2_UNSPEC;
	return kind == NARU_ADDR_IPV4   ? NR_PROXY_V2_INET
	       : kind == NARU_ADDR_IPV6 ? NR_PROXY_V2_INET6
	                                : NR_PROXY_V2_UNSPEC;
}

/* An IP address without its scope, which means something here alone. */
static void put_host(const struct naru_addr *addr, char buf[static HOST])
{
	struct naru_addr plain = *addr;

	if (naru_addr_kind(&plain) == NARU_ADDR_IPV6)
		plain.as.ipv6.sin6_scope_id = 0;
	if (naru_addr_host(&plain, buf, HOST) < 0)
		buf[0] = '\0';
}

static size_t write_v1(const struct nr_proxy *proxy, char *buf)
{
	unsigned family = family_of(proxy);
	char source[HOST], destination[HOST];
	int len;

	if (family == NR_PROXY_V2_INET || family == NR_PROXY_V2_INET6) {
		put_host(&proxy->source, source);
		put_host(&proxy->destination, destination);
		len = snprintf(buf, NR_PROXY_WRITE_MAX,
		               "PROXY %s %s %s %u %u\r\n",
		               family == NR_PROXY_V2_INET ? "TCP4" : "TCP6",
		               source, destination,
		               naru_addr_port(&proxy->source),
		               naru_addr_port(&proxy->destination));
	} else {
		len = snprintf(buf, NR_PROXY_WRITE_MAX, "PROXY UNKNOWN\r\n");
	}
	nr_assert(len > 0 && len <= NR_PROXY_V1_MAX);
	return (size_t)len;
}

static char *put(char *to, const void *data, size_t len)
{
	memcpy(to, data, len);
	return to + len;
}

/* Both addresses and both ports, as they are in memory: the highest byte is
 * first there too. */
static char *put_addrs(char *to, const struct nr_proxy *proxy, unsigned family)
{
	const struct naru_addr *from = &proxy->source;
	const struct naru_addr *dest = &proxy->destination;

	switch (family) {
	case NR_PROXY_V2_INET:
		to = put(to, &from->as.ipv4.sin_addr, 4);
		to = put(to, &dest->as.ipv4.sin_addr, 4);
		to = put(to, &from->as.ipv4.sin_port, 2);
		return put(to, &dest->as.ipv4.sin_port, 2);
	case NR_PROXY_V2_INET6:
		to = put(to, &from->as.ipv6.sin6_addr, 16);
		to = put(to, &dest->as.ipv6.sin6_addr, 16);
		to = put(to, &from->as.ipv6.sin6_port, 2);
		return put(to, &dest->as.ipv6.sin6_port, 2);
	default:
		return to;
	}
}

static size_t write_v2(const struct nr_proxy *proxy, char *buf)
{
	unsigned family = family_of(proxy);
	char *body = buf + NR_PROXY_V2_HEAD;
	size_t len = (size_t)(put_addrs(body, proxy, family) - body);

	memcpy(buf, NR_PROXY_V2_BEGIN, sizeof(NR_PROXY_V2_BEGIN) - 1);
	buf[12] = (char)(family ? NR_PROXY_V2_PROXY : NR_PROXY_V2_LOCAL);
	buf[13] = (char)(family ? family | NR_PROXY_V2_STREAM
	                        : NR_PROXY_V2_UNSPEC);
	buf[14] = (char)(len >> 8);
	buf[15] = (char)(len & 0xff);
	return NR_PROXY_V2_HEAD + len;
}

size_t nr_proxy_write(const struct nr_proxy *proxy,
                      char buf[static NR_PROXY_WRITE_MAX])
{
	nr_assert(proxy->version == 1 || proxy->version == 2);
	return proxy->version == 1 ? write_v1(proxy, buf)
	                           : write_v2(proxy, buf);
}
