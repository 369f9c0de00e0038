/* SPDX-License-Identifier: MIT */
#ifndef NR_CLIENT_ORDER_H
#define NR_CLIENT_ORDER_H

/*
 * In which order addresses are called (RFC 8305, section 4): as they were
 * given, but IPv6 and IPv4 by turns, as long as there are both. More may be
 * added at any time; none is called twice.
 */

#include <stdbool.h>

#include "naru/addr.h"
#include "os/os_resolve.h"

/* The most addresses that one endpoint is called at. */
#define NR_ORDER_MAX (2 * NR_RESOLVE_MAX)

/* One filled with zeros is empty. */
struct nr_order {
	struct naru_addr addrs[NR_ORDER_MAX];
	bool called[NR_ORDER_MAX];
	int count, left;          /* left: not called yet */
	enum naru_addr_kind last; /* kind of the last one that was */
};

/* Adds COUNT addresses, the best first; but for those that it has already,
 * and those that it has no room for. */
void nr_order_add(struct nr_order *order, const struct naru_addr *addrs,
                  int count);

/* The next one, which stays where it is; null where none is left. */
const struct naru_addr *nr_order_next(struct nr_order *order);

#endif
