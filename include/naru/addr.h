/* SPDX-License-Identifier: MIT */
#ifndef NARU_ADDR_H
#define NARU_ADDR_H

#include "naru/base.h"

NARU_BEGIN_DECLS

/* A text of any address, with its terminator, fits in this many bytes. */
#define NARU_ADDR_TEXT 512

/* What an address is an address of. */
enum naru_addr_kind {
	NARU_ADDR_NONE, /* not known */
	NARU_ADDR_IPV4,
	NARU_ADDR_IPV6,
	NARU_ADDR_UNIX, /* a unix-domain socket, named or not */
};

/* What kind of address ADDR is. Never fails. */
enum naru_addr_kind naru_addr_kind(const struct naru_addr *addr);

/* The port of an IP address in the host's byte order; 0 where there is none. */
unsigned naru_addr_port(const struct naru_addr *addr);

/*
 * Writes ADDR as text: "192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/x",
 * "unix:@name", or "unix:" where the socket has no name. Bytes of a path that
 * are not printable ASCII appear as \xHH: the text is safe to log.
 *
 * Returns the length without the terminator, or -ENOSPC where SIZE bytes do
 * not hold the text and its terminator. NARU_ADDR_TEXT bytes always do.
 */
NARU_RESULT int naru_addr_format(const struct naru_addr *addr, char *buf,
                                 size_t size);

/*
 * Writes the host alone: "192.0.2.1", "2001:db8::1", or the path of a unix
 * socket ("@name" where it is abstract), with the same escapes and the same
 * results as naru_addr_format().
 */
NARU_RESULT int naru_addr_host(const struct naru_addr *addr, char *buf,
                               size_t size);

/*
 * Reads ENDPOINT as the other calls would, without resolving or connecting:
 *
 *     [tcp://]HOST[:PORT]   HOST a name, 192.0.2.1 or [2001:db8::1]
 *     [tcp://]*[:PORT]      all addresses, both families; also :PORT
 *     udp://HOST[:PORT]     the same over UDP, * for HOST included
 *     PORT                  localhost, that port
 *     unix:/PATH            a unix-domain socket in the file system
 *     unix:@NAME            one in Linux's abstract namespace
 *
 * The port is 1060 where none is given, localhost means 127.0.0.1 and ::1, and
 * null is localhost:1060. Numbers are decimal without leading zeros; nothing
 * may follow them.
 *
 * Returns 0, or -NARU_EENDPOINT and a sentence in WHY that quotes the text,
 * and names the place (counted in bytes from 1) and the reason. SIZE bytes of
 * WHY are written at most, terminator included; WHY may be null where SIZE
 * is 0.
 */
NARU_RESULT int naru_endpoint_check(const char *endpoint, char *why,
                                    size_t size);

NARU_END_DECLS

#endif
