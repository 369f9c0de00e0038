/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_DEMUX_H
#define NR_NET_DEMUX_H

/*
 * Datagrams of peers with whom nobody converses yet, by peer and by the
 * address of ours that they came to. Bounded in peers, and for each in
 * datagrams and bytes: the oldest makes room, and is counted. No system call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "os/os_addr.h"

struct nr_demux_limits {
	unsigned peers;     /* that wait */
	unsigned datagrams; /* of each */
	size_t bytes;       /* of each, as they are packed (base/packed.h) */
};

/* The longest datagram fits. */
#define NR_DEMUX_BYTES_MAX ((size_t)128 * 1024)
extern const struct nr_demux_limits nr_demux_limits_default;

/* A peer that waits, and what it has sent. */
struct nr_pending {
	struct nr_list node;     /* of all, the one that came first first */
	struct nr_pending *next; /* with the same hash */
	struct naru_addr peer, local;
	char *data; /* packed, from BEGIN to END */
	size_t begin, end, size;
	unsigned count;
	unsigned dropped;
	bool held; /* it is being taken: not to be dropped */
};

#define NR_DEMUX_BUCKETS 256

struct nr_demux {
	struct nr_demux_limits limits;
	struct nr_list pending;
	struct nr_pending *buckets[NR_DEMUX_BUCKETS];
	unsigned count;
	uint64_t dropped; /* with peers that were dropped, or for want of
	                     memory */
};

void nr_demux_init(struct nr_demux *demux,
                   const struct nr_demux_limits *limits);
void nr_demux_fini(struct nr_demux *demux);

/* A datagram from PEER to LOCAL. */
void nr_demux_add(struct nr_demux *demux, const struct naru_addr *peer,
                  const struct naru_addr *local, const void *data, size_t len);

/* Who has waited longest; null for nobody. It stays where it is. */
struct nr_pending *nr_demux_first(const struct nr_demux *demux);

/* Whether PENDING is what PEER has sent. */
bool nr_pending_is(const struct nr_pending *pending,
                   const struct naru_addr *peer);

/* Adds to what PENDING has sent. False, and counted, without memory. */
bool nr_pending_add(struct nr_pending *pending,
                    const struct nr_demux_limits *limits, const void *data,
                    size_t len);

/* Takes PENDING out, and what it has sent: from malloc(3), of RET_LEN bytes,
 * the first message first; null where there is none. */
char *nr_demux_take(struct nr_demux *demux, struct nr_pending *pending,
                    size_t *ret_len);

/* Drops PENDING and counts what it has sent. */
void nr_demux_drop(struct nr_demux *demux, struct nr_pending *pending);

#endif
