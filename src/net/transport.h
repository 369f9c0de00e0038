/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TRANSPORT_H
#define NR_NET_TRANSPORT_H

/*
 * A transport carries a conversation's bytes. This is the contract that each
 * keeps; a transport is one file that ends in one const struct nr_transport.
 * It stands on a waiter (io/io.h) and never waits in any other way.
 */

#include <stdatomic.h>

#include "base/report.h"
#include "io/io.h"
#include "os/os_addr.h"

struct nr_door;
struct nr_link;
struct nr_slot;
struct nr_transport;
struct nr_tuning;

/* How a link's bytes go: what is between a conversation and its socket. */
struct nr_link_ops {
	/* As in io/io.h. */
	ssize_t (*recv)(struct nr_link *link, struct nr_io *io,
	                struct nr_span *into, bool soon, int64_t until);
	ssize_t (*send)(struct nr_link *link, struct nr_io *io,
	                const struct iovec *iov, int count, int64_t until);

	/* As in io/io.h; all three null where what the socket carries is not
	 * what the conversation receives and sends. Between the first call
	 * and the last one, splicing() has the socket not block. */
	ssize_t (*splice_in)(struct nr_link *link, struct nr_io *io,
	                     struct nr_pipe *pipe, int64_t until);
	ssize_t (*splice_out)(struct nr_link *link, struct nr_io *io,
	                      struct nr_pipe *pipe, int64_t until);
	int (*splicing)(struct nr_link *link, bool on);

	/* Whether what looks like the peer's end is a break, of which only one
	 * of those who wait was told; where we have not finished ourselves.
	 * Null where that does not happen. */
	bool (*broke)(struct nr_link *link);

	/* Says that no more will be sent. 0 as well where there is nobody any
	 * more to be told, which the link's GONE says then: what the peer said
	 * before is still to be received. */
	int (*finish)(struct nr_link *link, struct nr_io *io, int64_t until);

	/* Makes every wait for the peer end at once, and the closing a reset.
	 * Any strand may call this. */
	void (*abort)(struct nr_link *link);

	/* How many bytes the peer's system has acknowledged; SENT where that
	 * cannot be known. Also of a connection that is broken. */
	uint64_t (*acknowledged)(struct nr_link *link, uint64_t sent);

	/* Closes the socket. Does not wait, nor does it care for bytes. */
	void (*close)(struct nr_link *link);
};

/* One connection, embedded in the conversation that it carries. */
struct nr_link {
	const struct nr_link_ops *ops;
	int fd;
	unsigned serial; /* of the socket, as in io/io.h */
	bool in_pieces;  /* as in io/io.h */
	bool dialled;    /* we asked for it, not the peer */
	bool gone;       /* finishing found no connection any more */
	bool late; /* it connects with its first bytes (RFC 7413), and may not
	              have yet */
	_Atomic bool unsaid; /* there were none of these yet */
	uint64_t id;         /* the conversation's */
	const struct nr_report *report;
	const struct nr_transport *transport;
	void *state; /* the operations' own, or null */

	/* Of datagrams: */
	bool keeps_messages;   /* its transport does */
	bool no_segments;      /* the way out does not cut pieces */
	_Atomic bool shut;     /* by abort() */
	unsigned char at_once; /* how many the last receive brought */
	unsigned foreign;      /* how many were not the peer's */
	const struct naru_addr *peer;
};

/* Who has come to a listener of datagrams: a socket of its own for it, and what
 * it has sent, packed (base/packed.h), from malloc(3) or null. */
struct nr_arrival {
	int fd;
	struct naru_addr peer, local;
	char *first;
	size_t first_len;
	unsigned dropped; /* of its datagrams */
};

/* Datagrams that came together, in memory that does not outlive the next
 * wait. */
struct nr_received {
	const struct nr_slot *slots;
	unsigned count;
	bool more; /* there are probably more */
};

/* What a transport of datagrams has besides. A door is a listener's: it keeps
 * the datagrams of those with whom nobody converses yet. */
struct nr_datagram_ops {
	/* The door of FD, which listens on ADDR. */
	int (*open)(int fd, const struct naru_addr *addr,
	            const struct nr_report *report, struct nr_door **ret_door);

	/* The peer that has waited longest. Does not wait: -EAGAIN. After any
	 * error it still waits, unless the error was its own
	 * (-ECONNABORTED). */
	int (*accept)(struct nr_door *door, struct nr_arrival *ret_arrival);

	/* How many peers wait that no readiness of FD tells of. */
	unsigned (*waiting)(const struct nr_door *door);

	/* Tells of what was dropped, and frees the door. May be null. */
	void (*close)(struct nr_door *door);

	/* Receives at least one datagram. How many. */
	int (*recv)(struct nr_link *link, struct nr_io *io, bool soon,
	            int64_t until, struct nr_received *ret_received);

	/* Sends at least one of COUNT datagrams. How many. */
	int (*send)(struct nr_link *link, struct nr_io *io,
	            const struct iovec *datagrams, unsigned count,
	            int64_t until);

	/* How many datagrams the system has dropped for LINK. */
	unsigned (*dropped)(const struct nr_link *link);
};

struct nr_listen {
	unsigned backlog; /* 0 for the system's maximum */
	const struct nr_report *report;
	const struct nr_tuning *tuning; /* null for none */
};

struct nr_transport {
	const char *name;
	const struct nr_link_ops *link;
	bool in_pieces; /* its sockets are read so, see io/io.h */
	bool secure;    /* TLS's handshake comes before a conversation */

	/* Null where bytes are a stream. */
	const struct nr_datagram_ops *datagram;

	/* A socket that listens on ADDR, whose port 0 the system replaces. */
	int (*listen)(const struct naru_addr *addr,
	              const struct nr_listen *options);

	/* A socket that is ready to be connected from SOURCE, which may be
	 * null, to ADDR. */
	int (*open)(const struct naru_addr *addr,
	            const struct naru_addr *source,
	            const struct nr_report *report);
};

extern const struct nr_transport nr_transport_tcp;
extern const struct nr_transport nr_transport_tls;
extern const struct nr_transport nr_transport_unix;
extern const struct nr_transport nr_transport_udp;

#endif
