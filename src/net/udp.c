/* SPDX-License-Identifier: MIT */
/*
 * UDP (RFC 768) over IPv4 and IPv6. A conversation has a connected socket of
 * its own on both sides (door.c): what it receives and sends is datagrams, and
 * an error is what ICMP said of one of them.
 */
#include <errno.h>

#include "net/addr.h"
#include "net/door.h"
#include "net/trace.h"
#include "os/os_datagram.h"
#include "os/os_socket.h"

/* What may wait for a listener: the first datagrams of many at once. */
#define QUEUE_SIZE ((size_t)4 * 1024 * 1024)

/*
 * Alone at its port when it is bound, so that nobody takes another server's
 * datagrams unawares; then it lets the sockets of its conversations share it.
 */
static int udp_listen(const struct naru_addr *addr,
                      const struct nr_listen *options)
{
	int fd = nr_door_socket(addr, options->report), err = 0;

	if (fd < 0)
		return fd;
	err = nr_datagram_queue(fd, QUEUE_SIZE);
	if (err == 0)
		err = nr_datagram_ignore_errors(fd, addr->as.any.sa_family);
	if (err == 0 && nr_addr_is_wildcard(addr))
		err = nr_datagram_tell_local(fd, addr->as.any.sa_family);
	if (err == 0)
		err = nr_datagram_prefer(fd);
	if (err == 0)
		err = nr_door_bind(fd, addr, options->report);
	if (err == 0)
		err = nr_datagram_share(fd);
	if (err < 0)
		nr_trace_close(options->report, fd, 0, NULL);
	return err < 0 ? err : fd;
}

static int udp_open(const struct naru_addr *addr,
                    const struct naru_addr *source,
                    const struct nr_report *report)
{
	int fd = nr_door_socket(addr, report), err = 0;

	if (fd < 0)
		return fd;
	nr_datagram_take_segments(fd);
	if (source)
		err = nr_door_bind(fd, source, report);
	if (err < 0)
		nr_trace_close(report, fd, 0, NULL);
	return err < 0 ? err : fd;
}

/* Memory for what is received, in the waiter's scratch. */
struct space {
	struct nr_slot slots[NR_SLOTS_MAX];
	char data[];
};
_Static_assert(sizeof(struct space) + NR_SLOTS_MAX * NR_DATAGRAM_ROOM <=
                       NR_SCRATCH_SIZE,
               "the scratch holds as much as one call receives");

struct receiving {
	struct nr_attempt attempt;
	struct nr_link *link;
	struct nr_slot *slots;
	unsigned count;
};

static ssize_t try_recv(int fd, void *arg)
{
	struct receiving *receiving = arg;
	struct nr_link *link = receiving->link;
	unsigned foreign;
	int got;

	if (atomic_load_explicit(&link->shut, memory_order_relaxed))
		return -ECANCELED;
	do {
		foreign = link->foreign;
		got = nr_datagram_recv(fd, link->peer, receiving->slots,
		                       receiving->count, &link->foreign);
		foreign = link->foreign - foreign;
		/* Behind others' there may be the peer's. */
	} while (got == -EAGAIN && foreign > 0);
	receiving->attempt.more =
		got > 0 && (unsigned)got + foreign == receiving->count;
	return got;
}

static struct nr_handle handle_of(const struct nr_link *link)
{
	return (struct nr_handle){link->fd, link->serial, link->in_pieces};
}

/* Asks for twice as many as came the last time: one finds that there are no
 * more without another call. */
static int udp_recv_many(struct nr_link *link, struct nr_io *io, bool soon,
                         int64_t until, struct nr_received *ret_received)
{
	struct space *space = (struct space *)(void *)io->ops->scratch(io);
	struct receiving receiving = {
		.attempt = {.call = try_recv,
	                    .arg = &receiving,
	                    .what = NR_READABLE,
	                    .soon = soon},
		.link = link,
		.count = link->at_once > 0 ? link->at_once * 2u : 2u,
	};
	ssize_t got;

	if (!space)
		return -ENOMEM;
	if (receiving.count > NR_SLOTS_MAX)
		receiving.count = NR_SLOTS_MAX;
	receiving.slots = space->slots;
	for (unsigned i = 0; i < receiving.count; i++) {
		space->slots[i].data = space->data + i * NR_DATAGRAM_ROOM;
		space->slots[i].room = NR_DATAGRAM_ROOM;
	}
	got = io->ops->attempt(io, handle_of(link), &receiving.attempt, until);
	if (got < 0)
		return (int)got;
	link->at_once = (unsigned char)got;
	*ret_received = (struct nr_received){.slots = space->slots,
	                                     .count = (unsigned)got,
	                                     .more = receiving.attempt.more};
	return (int)got;
}

struct sending {
	struct nr_attempt attempt;
	struct nr_link *link;
	const struct iovec *datagrams;
	unsigned count;
};

/* How many of COUNT datagrams can go in one piece: those of the first one's
 * size, and one that is shorter behind them. */
static unsigned count_segments(const struct iovec *datagrams, unsigned count)
{
	size_t size = datagrams[0].iov_len, total = size;
	unsigned n = 1;

	if (size == 0)
		return 1;
	while (n < count && n < NR_SEGMENTS_MAX &&
	       datagrams[n - 1].iov_len == size && datagrams[n].iov_len > 0 &&
	       datagrams[n].iov_len <= size &&
	       total + datagrams[n].iov_len <= NR_DATAGRAM_MAX)
		total += datagrams[n++].iov_len;
	return n;
}

/* Whether it is only in one piece that they cannot go: the way out has no
 * checksums, or the size is more than goes through it at once. */
static bool is_segments_own(int err)
{
	return err == -EIO || err == -EINVAL || err == -EMSGSIZE ||
	       err == -EOPNOTSUPP;
}

static ssize_t try_send(int fd, void *arg)
{
	struct sending *sending = arg;
	struct nr_link *link = sending->link;
	unsigned count = sending->count, together;
	int err;

	if (atomic_load_explicit(&link->shut, memory_order_relaxed))
		return -ECANCELED;
	together = link->no_segments
	                   ? 1
	                   : count_segments(sending->datagrams, count);
	if (together > 1) {
		err = nr_datagram_send_segments(fd, sending->datagrams,
		                                together);
		if (err == -ENOBUFS)
			return (ssize_t)together;
		if (!is_segments_own(err))
			return err < 0 ? err : (ssize_t)together;
		link->no_segments = true;
	}
	if (count > NR_DATAGRAMS_MAX)
		count = NR_DATAGRAMS_MAX;
	err = nr_datagram_send(fd, sending->datagrams, count);
	/* A full queue on the way out has lost it, as any other could. */
	return err == -ENOBUFS ? 1 : err;
}

static int udp_send_many(struct nr_link *link, struct nr_io *io,
                         const struct iovec *datagrams, unsigned count,
                         int64_t until)
{
	struct sending sending = {
		.attempt = {.call = try_send,
	                    .arg = &sending,
	                    .what = NR_WRITABLE,
	                    .soon = true},
		.link = link,
		.datagrams = datagrams,
		.count = count,
	};

	return (int)io->ops->attempt(io, handle_of(link), &sending.attempt,
	                             until);
}

static unsigned udp_dropped(const struct nr_link *link)
{
	return nr_datagram_dropped(link->fd) + link->foreign;
}

/* One datagram into the caller's memory: what does not fit is cut off. */
static ssize_t udp_recv(struct nr_link *link, struct nr_io *io,
                        struct nr_span *into, bool soon, int64_t until)
{
	return io->ops->recv(io, handle_of(link), into, soon, until);
}

static ssize_t udp_send(struct nr_link *link, struct nr_io *io,
                        const struct iovec *iov, int count, int64_t until)
{
	return io->ops->send(io, handle_of(link), iov, count, until);
}

/* Nothing tells a peer that no more will come. */
static int udp_finish(struct nr_link *link, struct nr_io *io, int64_t until)
{
	(void)link;
	(void)io;
	(void)until;
	return 0;
}

/* Disconnected, it would take what others send to the listener. */
static void udp_abort(struct nr_link *link)
{
	atomic_store_explicit(&link->shut, true, memory_order_relaxed);
	nr_datagram_shut(link->fd);
}

/* Nobody knows. */
static uint64_t udp_acknowledged(struct nr_link *link, uint64_t sent)
{
	(void)link;
	return sent;
}

static void udp_close(struct nr_link *link)
{
	nr_trace_close(link->report, link->fd, link->id, NULL);
	link->fd = -1;
}

static const struct nr_link_ops udp_link = {
	.recv = udp_recv,
	.send = udp_send,
	.finish = udp_finish,
	.abort = udp_abort,
	.acknowledged = udp_acknowledged,
	.close = udp_close,
};

static const struct nr_datagram_ops udp_datagram = {
	.open = nr_door_open,
	.accept = nr_door_accept,
	.waiting = nr_door_waiting,
	.close = nr_door_close,
	.recv = udp_recv_many,
	.send = udp_send_many,
	.dropped = udp_dropped,
};

const struct nr_transport nr_transport_udp = {
	.name = "udp",
	.link = &udp_link,
	.datagram = &udp_datagram,
	.listen = udp_listen,
	.open = udp_open,
};
