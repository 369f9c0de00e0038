/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_DATAGRAM_H
#define NR_OS_DATAGRAM_H

/*
 * Datagram sockets (udp(7)). As in os_socket.h, every call returns -errno where
 * it fails, is never interrupted, and never waits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "os/os_addr.h"

/* The longest datagram over IPv4: 65535 less the two headers. */
#define NR_DATAGRAM_MAX 65507

/* How far apart pieces of memory for one datagram each lie, so that those that
 * lie together do not share lines of a cache. */
#define NR_DATAGRAM_ROOM ((size_t)65536 + 4160)

/* The most that one call receives or sends. */
#define NR_DATAGRAMS_MAX 32

/* A datagram socket of FAMILY (AF_INET, AF_INET6), which is told of what ICMP
 * says of its datagrams. */
int nr_datagram_open(int family);

/* The same for IPv4 within an IPv6 socket: its addresses are "mapped"
 * (ipv6(7)). -EAFNOSUPPORT where the system has no IPv6. */
int nr_datagram_open_mapped(void);
struct naru_addr nr_datagram_mapped(const struct naru_addr *ipv4);

/* Makes a mapped address IPv4's own; leaves others as they are. */
void nr_datagram_unmap(struct naru_addr *addr);

/* Before FD is bound: of the unconnected sockets that will share its port
 * (SO_REUSEPORT), FD gets what comes. */
int nr_datagram_prefer(int fd);

/* Names the only peer that FD speaks with from now on. What came from others
 * before stays in its queue. */
int nr_datagram_connect(int fd, const struct naru_addr *peer);

/* Lets other sockets of the same user bind to the same address and port
 * (SO_REUSEPORT, socket(7)), if they allow it too. */
int nr_datagram_share(int fd);

/* Has each datagram tell which of our addresses it came to. */
int nr_datagram_tell_local(int fd, int family);

/* Has FD, which sends nothing, no longer be told of ICMP. */
int nr_datagram_ignore_errors(int fd, int family);

/* Lets SIZE bytes wait to be received, as many of them as the system grants. */
int nr_datagram_queue(int fd, size_t size);

/* A piece of memory for one datagram, and where it came from and to: LOCAL is
 * of length 0 where it is not told. */
struct nr_heard {
	char *data;
	size_t room;
	size_t len;
	struct naru_addr peer, local;
};

/* Receives up to COUNT datagrams with their addresses, NR_DATAGRAMS_MAX at
 * most. How many; -EAGAIN where none waits. */
int nr_datagram_hear(int fd, struct nr_heard *heard, unsigned count);

/* A piece of memory for datagrams of one peer. Where SEGMENT is not 0, they
 * came in one piece, each of SEGMENT bytes but for the last. */
struct nr_slot {
	char *data;
	size_t room;
	size_t len;
	size_t segment;
};

/*
 * The same for a connected socket: only what comes from PEER, NR_SLOTS_MAX
 * datagrams at most. What others sent before it was connected is thrown away,
 * and counted in RET_FOREIGN. -EAGAIN where nothing else was there. What ICMP
 * has said is returned as an error, once.
 */
#define NR_SLOTS_MAX 16
int nr_datagram_recv(int fd, const struct naru_addr *peer,
                     struct nr_slot *slots, unsigned count,
                     unsigned *ret_foreign);

/* Sends COUNT datagrams. How many the kernel took, at least one, or why it
 * did not take the first. */
int nr_datagram_send(int fd, const struct iovec *datagrams, unsigned count);

/* The most that go in one piece. */
#define NR_SEGMENTS_MAX 64

/* Sends COUNT datagrams of one size, the last of which may be shorter, in one
 * piece (UDP_SEGMENT): all or none. Together they are no longer than one
 * datagram may be. */
int nr_datagram_send_segments(int fd, const struct iovec *datagrams,
                              unsigned count);

/* Has FD, which only nr_datagram_recv() reads from now on, receive datagrams of
 * one size in one piece (UDP_GRO). Where the system cannot, they come one by
 * one. */
void nr_datagram_take_segments(int fd);

/* How many datagrams the kernel has dropped for FD, for want of room in its
 * queue mostly. 0 where the system does not tell. */
unsigned nr_datagram_dropped(int fd);

/* Ends receiving: whoever waits is woken. */
void nr_datagram_shut(int fd);

bool nr_datagram_is(int fd);

#endif
