/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_PROXY_H
#define NR_NET_PROXY_H

/*
 * Headers of the PROXY protocol, versions 1 and 2, read and written. Nothing
 * here waits or allocates: whoever receives asks again with each piece.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/cursor.h"
#include "os/os_addr.h"

/* The longest line of version 1, CR LF included. */
#define NR_PROXY_V1_MAX 107

/* What stands in every header of version 2: its length is in there. */
#define NR_PROXY_V2_HEAD 16

/* The longest header that is read. Version 2 could say 65551; what stands
 * between sends a few hundred at most. */
#define NR_PROXY_MAX 4096

/* The longest header that is written: a line. */
#define NR_PROXY_WRITE_MAX 108

enum nr_proxy_state {
	NR_PROXY_MORE, /* what is there may become a header; all of it is then
	                  a part of that header */
	NR_PROXY_WHOLE,
	NR_PROXY_WRONG,
};

struct nr_proxy {
	unsigned version; /* 1 or 2; 0 where the first byte tells neither */
	size_t len;       /* of the header; 0 where that is not known yet */

	/* Of a whole one: whether somebody is announced, who calls, and whom;
	 * otherwise the connection speaks for itself. */
	bool announced;
	struct naru_addr source, destination;
	struct nr_cursor values; /* of version 2, within what was read */

	/* Of a wrong one: */
	size_t place; /* in bytes, from 1 */
	const char *reason;
};

/* Reads the LEN bytes that have come so far, from the connection's first. */
enum nr_proxy_state nr_proxy_read(const char *data, size_t len,
                                  struct nr_proxy *ret_proxy);

/* Finds the value of a TYPE among VALUES, which were read; those that describe
 * TLS lie inside of another. Returns whether there is one. */
bool nr_proxy_value(struct nr_cursor values, unsigned type,
                    struct nr_cursor *ret_value);

/* Writes the header that PROXY's version and addresses make. Whoever has no IP
 * address is not announced. Returns its length. */
size_t nr_proxy_write(const struct nr_proxy *proxy,
                      char buf[static NR_PROXY_WRITE_MAX]);

#endif
