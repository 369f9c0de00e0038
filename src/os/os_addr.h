/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_ADDR_H
#define NR_OS_ADDR_H

/*
 * An address as the kernel knows it: what the public, opaque struct naru_addr
 * is. net/addr.h has what one does with it.
 */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct naru_addr {
	socklen_t len; /* of the member in use; 0 where nothing is known */
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
		struct sockaddr_un local;
	} as;
};

#endif
