/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_DOOR_H
#define NR_NET_DOOR_H

/*
 * The door of a listener of datagrams: what "accepting" is where the kernel
 * knows of no connections. transport.h says what each call does.
 */

#include "net/transport.h"

int nr_door_open(int fd, const struct naru_addr *addr,
                 const struct nr_report *report, struct nr_door **ret_door);
int nr_door_accept(struct nr_door *door, struct nr_arrival *ret_arrival);
unsigned nr_door_waiting(const struct nr_door *door);
void nr_door_close(struct nr_door *door);

/* A datagram socket for ADDR, and FD bound to ADDR, told as they are made. */
int nr_door_socket(const struct naru_addr *addr,
                   const struct nr_report *report);
int nr_door_bind(int fd, const struct naru_addr *addr,
                 const struct nr_report *report);

#endif
