/* SPDX-License-Identifier: MIT */
/*
 * The door of a listener of datagrams. A peer that nobody converses with yet
 * gets a socket of its own, bound to the address that it sent to and connected
 * to it: from then on the kernel tells its datagrams from all others, ICMP's
 * errors come to it alone, and its answers leave from the right address.
 *
 * Between bind() and connect() the new socket is one more that others' first
 * datagrams could go to, and what is on its way to it just then cannot be
 * called back. Two things make the kernel prefer the listener: for IPv4, the
 * new socket is an IPv6 one with mapped addresses, which counts for less in
 * udp(7)'s look-up; for IPv6, a filter that picks the listener out of those
 * that share its port (nr_datagram_prefer()). Where the listener has all
 * addresses, the new socket has too until it is connected, if the system then
 * chooses the address that was asked; only where it would choose another is
 * there a moment in which somebody else's datagram may go astray.
 *
 * So that nothing is lost then either, and what a peer sends stays in order
 * wherever it went meanwhile:
 *
 *   bind the new socket;
 *   read the listener until it is empty: all of that came first;
 *   connect the new socket;
 *   read the new one: others' go to where they wait, the peer's own are put
 *     aside;
 *   read the listener again: what is the peer's came before what was put
 *     aside, and nothing else of it is left there.
 *
 * What a conversation receives is the peer's in any case: os_datagram.h.
 */
#include "net/door.h"

#include <errno.h>
#include <stdlib.h>

#include "base/packed.h"
#include "base/time.h"
#include "net/addr.h"
#include "net/demux.h"
#include "net/trace.h"
#include "os/os_datagram.h"
#include "os/os_file.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* How often dropping is told of at the most. */
#define TELL_NS NR_NS_PER_S

/* How often a socket is read until it must be empty: more than its queue
 * holds. */
#define ROUNDS_MAX 64

struct nr_door {
	int fd;
	struct naru_addr addr;
	const struct nr_report *report;
	struct nr_demux demux;
	uint64_t told; /* of what was dropped */
	int64_t told_at;
	struct nr_heard heard[NR_DATAGRAMS_MAX];
	char *room; /* for what is heard */
};

int nr_door_socket(const struct naru_addr *addr, const struct nr_report *report)
{
	const bool six = naru_addr_kind(addr) == NARU_ADDR_IPV6;
	int fd = nr_datagram_open(addr->as.any.sa_family);

	nr_trace(report,
	         &(struct nr_traced){.call = "socket",
	                             .fd = -1,
	                             .result = fd,
	                             .text = six ? "AF_INET6, SOCK_DGRAM"
	                                         : "AF_INET, SOCK_DGRAM"});
	return fd;
}

int nr_door_bind(int fd, const struct naru_addr *addr,
                 const struct nr_report *report)
{
	int err = nr_socket_bind(fd, addr);

	nr_trace_addr(report, "bind", fd, addr, err);
	return err;
}

int nr_door_open(int fd, const struct naru_addr *addr,
                 const struct nr_report *report, struct nr_door **ret_door)
{
	struct nr_door *door = calloc(1, sizeof(*door));

	if (!door)
		return -ENOMEM;
	/* It takes memory as far as datagrams are long. */
	door->room = malloc((size_t)NR_DATAGRAMS_MAX * NR_DATAGRAM_ROOM);
	if (!door->room) {
		free(door);
		return -ENOMEM;
	}
	door->fd = fd;
	door->addr = *addr;
	door->report = report;
	nr_demux_init(&door->demux, &nr_demux_limits_default);
	for (unsigned i = 0; i < NR_DATAGRAMS_MAX; i++) {
		door->heard[i].data = door->room + i * NR_DATAGRAM_ROOM;
		door->heard[i].room = NR_DATAGRAM_MAX;
	}
	*ret_door = door;
	return 0;
}

static void tell_dropped(struct nr_door *door)
{
	uint64_t dropped = door->demux.dropped + nr_datagram_dropped(door->fd);

	door->told_at = nr_now_coarse();
	if (dropped <= door->told)
		return;
	nr_report(door->report,
	          &(struct naru_event){.kind = NARU_EVENT_DROPPED,
	                               .local = &door->addr,
	                               .dropped = dropped - door->told});
	door->told = dropped;
}

void nr_door_close(struct nr_door *door)
{
	if (!door)
		return;
	nr_demux_fini(&door->demux);
	tell_dropped(door);
	free(door->room);
	free(door);
}

unsigned nr_door_waiting(const struct nr_door *door)
{
	return door->demux.count;
}

/* Takes some of what waits in the listener. How many, or an error. */
static int hear(struct nr_door *door)
{
	int got = nr_datagram_hear(door->fd, door->heard, NR_DATAGRAMS_MAX);

	for (int i = 0; i < got; i++) {
		const struct nr_heard *heard = &door->heard[i];

		nr_demux_add(&door->demux, &heard->peer, &heard->local,
		             heard->data, heard->len);
	}
	return got;
}

/* Takes all that waits in the listener. */
static void drain(struct nr_door *door)
{
	int got = NR_DATAGRAMS_MAX;

	for (int i = 0; i < ROUNDS_MAX && got == NR_DATAGRAMS_MAX; i++)
		got = hear(door);
}

/* Takes what came to FD, the new socket of PENDING: its own to OWN, what is
 * others' to where they wait. */
static void take_strays(struct nr_door *door, int fd,
                        const struct nr_pending *pending,
                        struct nr_pending *own)
{
	int got = 0;

	for (int i = 0; i < ROUNDS_MAX && got != -EAGAIN; i++) {
		got = nr_datagram_hear(fd, door->heard, NR_DATAGRAMS_MAX);
		for (int k = 0; k < got; k++) {
			const struct nr_heard *heard = &door->heard[k];

			if (nr_pending_is(pending, &heard->peer))
				(void)nr_pending_add(own, &door->demux.limits,
				                     heard->data, heard->len);
			else
				nr_demux_add(&door->demux, &heard->peer,
				             &pending->local, heard->data,
				             heard->len);
		}
	}
}

/* Puts what was put aside behind what PENDING has. */
static void join(struct nr_door *door, struct nr_pending *pending,
                 struct nr_pending *own)
{
	const char *at = own->data + own->begin;

	for (; own->count > 0; own->count--) {
		size_t len = nr_packed_len(at);

		(void)nr_pending_add(pending, &door->demux.limits,
		                     at + NR_PACKED_HEAD, len);
		at += nr_packed_size(len);
	}
	pending->dropped += own->dropped;
	free(own->data);
}

/* Where PENDING sent to: the answers are to come from there. */
static struct naru_addr local_of(const struct nr_door *door,
                                 const struct nr_pending *pending)
{
	struct naru_addr local = door->addr;

	if (pending->local.len > 0) {
		local = pending->local;
		nr_addr_set_port(&local, naru_addr_port(&door->addr));
	}
	return local;
}

/* A new socket, and the addresses that are its own words for LOCAL and PEER. */
static int open_new(struct nr_door *door, struct naru_addr *local,
                    struct naru_addr *peer)
{
	int fd = -EAFNOSUPPORT;

	if (naru_addr_kind(local) == NARU_ADDR_IPV4)
		fd = nr_datagram_open_mapped();
	if (fd == -EAFNOSUPPORT)
		return nr_door_socket(local, door->report);
	*local = nr_datagram_mapped(local);
	*peer = nr_datagram_mapped(peer);
	return fd;
}

/* Binds FD to LOCAL and connects it to PEER, and has what came meanwhile where
 * it belongs. */
static int bind_and_connect(struct nr_door *door, int fd,
                            struct nr_pending *pending,
                            const struct naru_addr *local,
                            const struct naru_addr *peer)
{
	struct nr_pending own = {.count = 0};
	int err = nr_datagram_share(fd);

	if (err == 0)
		err = nr_door_bind(fd, local, door->report);
	if (err < 0)
		return err;
	drain(door);
	err = nr_datagram_connect(fd, peer);
	nr_trace_addr(door->report, "connect", fd, peer, err);
	take_strays(door, fd, pending, &own);
	drain(door);
	join(door, pending, &own);
	return err;
}

/* A socket for PENDING's peer, bound to LOCAL and with the address WANTED;
 * -EADDRNOTAVAIL where the system would choose another. */
static int open_bound(struct nr_door *door, struct nr_pending *pending,
                      struct naru_addr local, const struct naru_addr *wanted)
{
	struct naru_addr peer = pending->peer, chosen;
	int fd = open_new(door, &local, &peer), err;

	if (fd < 0)
		return fd;
	err = bind_and_connect(door, fd, pending, &local, &peer);
	if (err == 0)
		err = nr_socket_local(fd, &chosen);
	if (err == 0) {
		nr_datagram_unmap(&chosen);
		if (!nr_addr_equal(&chosen, wanted))
			err = -EADDRNOTAVAIL;
	}
	if (err < 0)
		nr_trace_close(door->report, fd, 0, NULL);
	else
		nr_datagram_take_segments(fd);
	return err < 0 ? err : fd;
}

static int open_socket(struct nr_door *door, struct nr_pending *pending,
                       const struct naru_addr *wanted)
{
	int fd = open_bound(door, pending, door->addr, wanted);

	if (fd == -EADDRNOTAVAIL && pending->local.len > 0)
		fd = open_bound(door, pending, *wanted, wanted);
	return fd;
}

/* Whether ERR would be every other peer's too, now. */
static bool is_everybodys(int err)
{
	switch (-err) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EACCES:
	case EADDRINUSE:
		return true;
	default:
		return false;
	}
}

int nr_door_accept(struct nr_door *door, struct nr_arrival *ret_arrival)
{
	struct nr_arrival arrival = {0};
	struct nr_pending *pending;
	int got;

	if (nr_now_coarse() - door->told_at >= TELL_NS)
		tell_dropped(door);
	if (door->demux.count == 0) {
		got = hear(door);
		if (got < 0)
			return got;
	}
	pending = nr_demux_first(&door->demux);
	if (!pending)
		return -ENOMEM;
	pending->held = true;
	arrival.local = local_of(door, pending);
	arrival.fd = open_socket(door, pending, &arrival.local);
	pending->held = false;
	if (arrival.fd < 0 && is_everybodys(arrival.fd))
		return arrival.fd;
	if (arrival.fd < 0) {
		nr_demux_drop(&door->demux, pending);
		return -ECONNABORTED;
	}
	arrival.peer = pending->peer;
	arrival.dropped = pending->dropped;
	arrival.first =
		nr_demux_take(&door->demux, pending, &arrival.first_len);
	*ret_arrival = arrival;
	return 0;
}
