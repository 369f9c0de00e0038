/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_STREAM_H
#define NR_NET_STREAM_H

/* What the plain stream transports, tcp and unix, have in common. */

#include "net/transport.h"

extern const struct nr_link_ops nr_stream_link;

/* A stream socket for ADDR, told as it is made. */
int nr_stream_open(const struct naru_addr *addr,
                   const struct nr_report *report);

/* Binds FD to ADDR, told. */
int nr_stream_bind(int fd, const struct naru_addr *addr,
                   const struct nr_report *report);

/* Makes FD listen, told. */
int nr_stream_listen(int fd, const struct nr_listen *options);

#endif
