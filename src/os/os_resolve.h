/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_RESOLVE_H
#define NR_OS_RESOLVE_H

#include "os/os_addr.h"

/* The most addresses that are taken from one name. */
#define NR_RESOLVE_MAX 32

/*
 * Looks HOST up, a name or a numeric address, for stream sockets. FAMILY is
 * AF_UNSPEC, AF_INET or AF_INET6. Fills RET_ADDRS, which has room for
 * NR_RESOLVE_MAX, in the order of RFC 6724, with PORT in each. Blocks for as
 * long as the system's resolver does.
 *
 * Returns how many, -NARU_ENONAME, -NARU_ERESOLVE, or -errno.
 */
int nr_resolve(const char *host, int family, unsigned port,
               struct naru_addr *ret_addrs);

#endif
