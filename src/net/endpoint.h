/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_ENDPOINT_H
#define NR_NET_ENDPOINT_H

/* Endpoints: addresses as the user writes them. naru_endpoint_check() in
 * naru/addr.h describes the grammar. */

#include "naru/server.h"
#include "os/os_resolve.h"

/* The port of an endpoint that names none. */
#define NR_PORT_DEFAULT 1060

/* The longest host: a name of 253 bytes (RFC 1035), or an address with its
 * scope. */
#define NR_HOST_MAX 255

struct nr_transport;

enum nr_host_kind {
	NR_HOST_NAME,      /* to be resolved */
	NR_HOST_ADDRESS,   /* numeric, possibly with a scope */
	NR_HOST_LOCALHOST, /* 127.0.0.1 and ::1, whatever the resolver says
	                      (RFC 6761, section 6.3) */
	NR_HOST_ALL,       /* every address of this machine */
};

struct nr_endpoint {
	const struct nr_transport *transport;
	enum nr_host_kind kind;
	char host[NR_HOST_MAX + 1];
	unsigned port;
	struct naru_addr local; /* of a unix endpoint */
};

/* Where and why a text is no endpoint. */
struct nr_endpoint_error {
	size_t place; /* in bytes, from 1 */
	const char *reason;
};

/* Reads TEXT; null stands for the default, localhost:1060. Returns 0, or
 * -NARU_EENDPOINT and where and why. */
int nr_endpoint_parse(const char *text, struct nr_endpoint *ret_endpoint,
                      struct nr_endpoint_error *ret_error);

/*
 * The addresses that an endpoint stands for, in RET_ADDRS, which has room for
 * NR_RESOLVE_MAX. A name is looked up, which blocks. Returns how many, at
 * least one; -NARU_ENONAME, also where it has none in FAMILY, or
 * -NARU_ERESOLVE.
 */
int nr_endpoint_addrs(const struct nr_endpoint *endpoint,
                      enum naru_family family, struct naru_addr *ret_addrs);

#endif
