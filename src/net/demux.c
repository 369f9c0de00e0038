/* SPDX-License-Identifier: MIT */
/* Datagrams of peers with whom nobody converses yet: see demux.h. */
#include "net/demux.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/packed.h"

const struct nr_demux_limits nr_demux_limits_default = {
	.peers = 1024,
	.datagrams = 256,
	.bytes = NR_DEMUX_BYTES_MAX,
};

/* The least that is allocated for a peer. */
#define SIZE_MIN ((size_t)512)

void nr_demux_init(struct nr_demux *demux, const struct nr_demux_limits *limits)
{
	*demux = (struct nr_demux){.limits = *limits};
	nr_list_init(&demux->pending);
}

void nr_demux_fini(struct nr_demux *demux)
{
	while (demux->count > 0)
		nr_demux_drop(demux, nr_demux_first(demux));
}

/* What is hashed and compared of an address: all but padding. */
static size_t significant(const struct naru_addr *addr)
{
	if (addr->as.any.sa_family == AF_INET)
		return offsetof(struct sockaddr_in, sin_zero);
	return addr->len < sizeof(addr->as) ? addr->len : sizeof(addr->as);
}

/* FNV-1a. */
static uint32_t hash_more(uint32_t hash, const struct naru_addr *addr)
{
	const unsigned char *at = (const unsigned char *)&addr->as;

	for (size_t i = 0; addr->len > 0 && i < significant(addr); i++)
		hash = (hash ^ at[i]) * UINT32_C(16777619);
	return hash;
}

static bool is_same(const struct naru_addr *a, const struct naru_addr *b)
{
	return a->len == b->len &&
	       (a->len == 0 || memcmp(&a->as, &b->as, significant(a)) == 0);
}

bool nr_pending_is(const struct nr_pending *pending,
                   const struct naru_addr *peer)
{
	return is_same(&pending->peer, peer);
}

static struct nr_pending **bucket_of(struct nr_demux *demux,
                                     const struct naru_addr *peer,
                                     const struct naru_addr *local)
{
	uint32_t hash = hash_more(hash_more(UINT32_C(2166136261), peer), local);

	return &demux->buckets[(hash ^ hash >> 16) % NR_DEMUX_BUCKETS];
}

/* Frees PENDING, which is nowhere any more. */
static void free_pending(struct nr_pending *pending)
{
	free(pending->data);
	free(pending);
}

static void unlink_pending(struct nr_demux *demux, struct nr_pending *pending)
{
	struct nr_pending **at =
		bucket_of(demux, &pending->peer, &pending->local);

	while (*at != pending) {
		nr_assert(*at);
		at = &(*at)->next;
	}
	*at = pending->next;
	nr_list_remove(&pending->node);
	demux->count--;
}

void nr_demux_drop(struct nr_demux *demux, struct nr_pending *pending)
{
	demux->dropped += pending->dropped + pending->count;
	unlink_pending(demux, pending);
	free_pending(pending);
}

struct nr_pending *nr_demux_first(const struct nr_demux *demux)
{
	if (nr_list_empty(&demux->pending))
		return NULL;
	return nr_list_entry(demux->pending.next, struct nr_pending, node);
}

/* Makes room for one more peer: the one that has waited longest goes. */
static void make_room(struct nr_demux *demux)
{
	struct nr_pending *oldest = nr_demux_first(demux);

	if (demux->count < demux->limits.peers)
		return;
	if (oldest->held)
		oldest = nr_list_entry(oldest->node.next, struct nr_pending,
		                       node);
	if (&oldest->node != &demux->pending)
		nr_demux_drop(demux, oldest);
}

static struct nr_pending *find_or_add(struct nr_demux *demux,
                                      const struct naru_addr *peer,
                                      const struct naru_addr *local)
{
	struct nr_pending **bucket = bucket_of(demux, peer, local), *one;

	for (one = *bucket; one; one = one->next)
		if (is_same(&one->peer, peer) && is_same(&one->local, local))
			return one;
	make_room(demux);
	one = calloc(1, sizeof(*one));
	if (!one)
		return NULL;
	one->peer = *peer;
	one->local = *local;
	one->next = *bucket;
	*bucket = one;
	nr_list_append(&demux->pending, &one->node);
	demux->count++;
	return one;
}

static void drop_oldest(struct nr_pending *pending)
{
	nr_assert(pending->count > 0);
	pending->begin +=
		nr_packed_size(nr_packed_len(pending->data + pending->begin));
	pending->count--;
	pending->dropped++;
}

/* Room for MORE bytes behind what is there. */
static bool reserve(struct nr_pending *pending, size_t more)
{
	size_t used = pending->end - pending->begin, size = pending->size;
	char *data;

	if (more <= size - pending->end)
		return true;
	if (pending->begin > 0) {
		memmove(pending->data, pending->data + pending->begin, used);
		pending->begin = 0;
		pending->end = used;
	}
	if (more <= size - used)
		return true;
	if (size < SIZE_MIN)
		size = SIZE_MIN;
	while (size < used + more)
		size *= 2;
	data = realloc(pending->data, size);
	if (!data)
		return false;
	pending->data = data;
	pending->size = size;
	return true;
}

bool nr_pending_add(struct nr_pending *pending,
                    const struct nr_demux_limits *limits, const void *data,
                    size_t len)
{
	size_t size = nr_packed_size(len);

	nr_assert(size <= limits->bytes && limits->datagrams > 0);
	while (pending->count >= limits->datagrams ||
	       pending->end - pending->begin + size > limits->bytes)
		drop_oldest(pending);
	if (!reserve(pending, size)) {
		pending->dropped++;
		return false;
	}
	nr_assert(pending->data);
	(void)nr_packed_put(pending->data + pending->end, data, len);
	pending->end += size;
	pending->count++;
	return true;
}

void nr_demux_add(struct nr_demux *demux, const struct naru_addr *peer,
                  const struct naru_addr *local, const void *data, size_t len)
{
	struct nr_pending *pending;

	/* Nobody can be answered who has no address. */
	pending = peer->len > 0 ? find_or_add(demux, peer, local) : NULL;
	if (!pending) {
		demux->dropped++;
		return;
	}
	/* For want of memory: with nothing of it left, nobody waits. */
	if (!nr_pending_add(pending, &demux->limits, data, len) &&
	    pending->count == 0 && !pending->held)
		nr_demux_drop(demux, pending);
}

char *nr_demux_take(struct nr_demux *demux, struct nr_pending *pending,
                    size_t *ret_len)
{
	size_t len = pending->end - pending->begin;
	char *data = pending->data;

	if (pending->begin > 0)
		memmove(data, data + pending->begin, len);
	if (len == 0) {
		free(data);
		data = NULL;
	}
	pending->data = NULL;
	unlink_pending(demux, pending);
	free_pending(pending);
	*ret_len = len;
	return data;
}
