/* SPDX-License-Identifier: MIT */
/* The system's resolver: see os_resolve.h. */
#include "os/os_resolve.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "naru/error.h"

/* getaddrinfo(3)'s own numbers in ours. */
static int resolver_error(int code)
{
	switch (code) {
	case EAI_AGAIN:
	case EAI_FAIL:
		return -NARU_ERESOLVE;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -NARU_ERESOLVE;
	default:
		return -NARU_ENONAME;
	}
}

int nr_resolve(const char *host, int family, unsigned port,
               struct naru_addr *ret_addrs)
{
	const struct addrinfo hints = {.ai_family = family,
	                               .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int code, count = 0;

	code = getaddrinfo(host, NULL, &hints, &found);
	if (code)
		return resolver_error(code);
	for (struct addrinfo *one = found; one; one = one->ai_next) {
		struct naru_addr *addr = &ret_addrs[count];

		if (one->ai_family != AF_INET && one->ai_family != AF_INET6)
			continue;
		memset(addr, 0, sizeof(*addr));
		addr->len = one->ai_addrlen;
		memcpy(&addr->as, one->ai_addr, one->ai_addrlen);
		if (one->ai_family == AF_INET)
			addr->as.ipv4.sin_port = htons((uint16_t)port);
		else
			addr->as.ipv6.sin6_port = htons((uint16_t)port);
		if (++count == NR_RESOLVE_MAX)
			break;
	}
	freeaddrinfo(found);
	return count ? count : -NARU_ENONAME;
}
