/* SPDX-License-Identifier: MIT */
/* Lists of networks from any text: an error lies within it, and what was read
 * has its own addresses in it. */
#include <string.h>

#include "fuzz.h"
#include "net/addr.h"
#include "net/networks.h"

/* The first address of NETWORK. */
static struct naru_addr first_of(const struct nr_network *network)
{
	struct naru_addr addr = nr_addr_none;

	if (network->kind == NARU_ADDR_IPV4) {
		addr.as.ipv4.sin_family = AF_INET;
		memcpy(&addr.as.ipv4.sin_addr, network->addr, 4);
		addr.len = sizeof(addr.as.ipv4);
	} else if (network->kind == NARU_ADDR_IPV6) {
		addr.as.ipv6.sin6_family = AF_INET6;
		memcpy(&addr.as.ipv6.sin6_addr, network->addr, 16);
		addr.len = sizeof(addr.as.ipv6);
	} else {
		addr.as.any.sa_family = AF_UNIX;
		addr.len = sizeof(sa_family_t);
	}
	return addr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nr_networks_error error = {0, NULL};
	struct nr_networks networks;
	char *text = malloc(size + 1);

	MUST(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (nr_networks_read(text, &networks, &error) < 0) {
		MUST(error.place >= 1 && error.place <= strlen(text) + 1);
		MUST(error.reason && error.reason[0]);
	} else {
		MUST(networks.count >= 1 && networks.count <= NR_NETWORKS_MAX);
		for (unsigned i = 0; i < networks.count; i++) {
			struct naru_addr addr = first_of(&networks.list[i]);

			MUST(nr_networks_have(&networks, &addr));
		}
		MUST(!nr_networks_have(&networks, &nr_addr_none));
	}
	free(text);
	return 0;
}
