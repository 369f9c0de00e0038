/* SPDX-License-Identifier: MIT */
/* The order of addresses: see order.h. */
#include "client/order.h"

#include <string.h>

#include "base/assert.h"

static bool has(const struct nr_order *order, const struct naru_addr *addr)
{
	for (int i = 0; i < order->count; i++) {
		const struct naru_addr *one = &order->addrs[i];

		if (one->len == addr->len &&
		    memcmp(&one->as, &addr->as, addr->len) == 0)
			return true;
	}
	return false;
}

void nr_order_add(struct nr_order *order, const struct naru_addr *addrs,
                  int count)
{
	for (int i = 0; i < count && order->count < NR_ORDER_MAX; i++) {
		if (has(order, &addrs[i]))
			continue;
		order->addrs[order->count++] = addrs[i];
		order->left++;
	}
}

const struct naru_addr *nr_order_next(struct nr_order *order)
{
	int next = -1;

	for (int i = 0; i < order->count; i++) {
		if (order->called[i])
			continue;
		if (next < 0)
			next = i;
		if (naru_addr_kind(&order->addrs[i]) != order->last) {
			next = i;
			break;
		}
	}
	if (next < 0)
		return NULL;
	nr_assert(order->left > 0);
	order->left--;
	order->called[next] = true;
	order->last = naru_addr_kind(&order->addrs[next]);
	return &order->addrs[next];
}
