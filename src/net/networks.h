/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_NETWORKS_H
#define NR_NET_NETWORKS_H

/*
 * Lists of networks as the user writes them,
 * "192.0.2.0/24,2001:db8::/32,::1,unix": an address, with the number of its
 * bits that count behind a slash where it stands for more than itself, or the
 * peers of unix sockets. No bit behind those that count may be set: whoever
 * wrote it meant something else.
 *
 * An IPv4 address that is written as an IPv6 one (::ffff:192.0.2.1; RFC 4291,
 * section 2.5.5.2) is the IPv4 address here, in a list and in what is looked
 * for there.
 */

#include <stdbool.h>
#include <stddef.h>

#include "naru/addr.h"

/* The most networks of one list. */
#define NR_NETWORKS_MAX 256

struct nr_network {
	enum naru_addr_kind kind;
	unsigned bits; /* that count */
	unsigned char addr[16];
};

struct nr_networks {
	unsigned count;
	struct nr_network list[NR_NETWORKS_MAX];
};

/* Where and why a text is no list. */
struct nr_networks_error {
	size_t place; /* in bytes, from 1 */
	const char *reason;
};

/* Reads TEXT. 0, or -EINVAL and where and why; then RET_NETWORKS is not to be
 * used. */
int nr_networks_read(const char *text, struct nr_networks *ret_networks,
                     struct nr_networks_error *ret_error);

/* Whether addresses of KIND can be in one of NETWORKS. */
bool nr_networks_have_kind(const struct nr_networks *networks,
                           enum naru_addr_kind kind);

/* Whether ADDR is in one of NETWORKS; its port does not matter. */
bool nr_networks_have(const struct nr_networks *networks,
                      const struct naru_addr *addr);

#endif
