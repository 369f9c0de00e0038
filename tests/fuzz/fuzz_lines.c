/* SPDX-License-Identifier: MIT */
/*
 * Lines out of any bytes, however they are torn: the messages of a stream do
 * not depend on the pieces in which it comes. The first byte of the input is
 * the limit on a line, the others are the stream.
 */
#include <errno.h>
#include <string.h>

#include "conv/conv.h"
#include "fuzz.h"
#include "naru.h"

/* Longer streams are torn at so many places only. */
#define SPLIT_ALL 64

/* A stream as a peer sends it: pieces of SIZE bytes, the first of FIRST. */
struct peer {
	const char *data;
	size_t len, at;
	size_t first, size;
};
static struct peer peer;

static ssize_t peer_recv(struct nr_link *link, struct nr_io *io,
                         struct nr_span *into, bool soon, int64_t until)
{
	size_t piece = peer.at == 0 ? peer.first : peer.size;
	size_t left = peer.len - peer.at;

	(void)link;
	(void)soon;
	(void)until;
	if (left == 0)
		return 0;
	if (!into->data)
		*into = (struct nr_span){io->ops->lend(io), NR_BUFFER_SIZE};
	MUST(into->data && into->len > 0);
	if (piece > left)
		piece = left;
	if (piece > into->len)
		piece = into->len;
	memcpy(into->data, peer.data + peer.at, piece);
	peer.at += piece;
	return (ssize_t)piece;
}

static ssize_t peer_send(struct nr_link *link, struct nr_io *io,
                         const struct iovec *iov, int count, int64_t until)
{
	(void)link;
	(void)io;
	(void)iov;
	(void)count;
	(void)until;
	return -EPIPE;
}

static int peer_finish(struct nr_link *link, struct nr_io *io, int64_t until)
{
	(void)link;
	(void)io;
	(void)until;
	return 0;
}

static void peer_end(struct nr_link *link)
{
	(void)link;
}

static uint64_t peer_acknowledged(struct nr_link *link, uint64_t sent)
{
	(void)link;
	return sent;
}

static const struct nr_link_ops peer_link = {
	.recv = peer_recv,
	.send = peer_send,
	.finish = peer_finish,
	.abort = peer_end,
	.acknowledged = peer_acknowledged,
	.close = peer_end,
};

static const struct nr_transport peer_transport = {
	.name = "peer",
	.link = &peer_link,
};

/* What naru_recv() has to say of the stream from AT on, by the words of its
 * contract and nothing else. Moves AT behind a message. */
static int expected(const char *data, size_t len, size_t limit, size_t *at,
                    struct naru_msg *ret_msg)
{
	const char *from = data + *at;
	size_t left = len - *at, size;
	const char *lf = left ? memchr(from, '\n', left) : NULL;

	if (left == 0)
		return 0;
	size = lf ? (size_t)(lf - from) : left;
	if (size > 0 && from[size - 1] == '\r')
		size--;
	if (size > limit)
		return -NARU_ETOOBIG;
	if (!lf)
		return -NARU_ECUT;
	*ret_msg = (struct naru_msg){from, size};
	*at = (size_t)(lf - data) + 1;
	return 1;
}

/* Receives the whole stream in the pieces that PEER says. */
static void check(size_t limit, size_t first, size_t size)
{
	const struct nr_connection connection = {.transport = &peer_transport,
	                                         .fd = -1};
	struct naru_msg got, want;
	struct naru_conv conv;
	size_t at = 0;
	int result;

	peer.at = 0;
	peer.first = first;
	peer.size = size;
	nr_conv_begin(&conv, &connection, &nr_settings_default);
	MUST(naru_set_framing(&conv, NARU_FRAMING(.limit = limit)) == 0);
	do {
		result = naru_recv(&conv, &got);
		MUST(result ==
		     expected(peer.data, peer.len, limit, &at, &want));
		if (result == 1) {
			MUST(got.len == want.len);
			MUST(memcmp(got.data, want.data, got.len) == 0);
			MUST(got.data[got.len] == '\0');
		}
	} while (result == 1);
	/* It stays so. */
	MUST(naru_recv(&conv, &got) == result);
	MUST(nr_conv_end(&conv) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t limit, step;

	if (size == 0)
		return 0;
	limit = data[0] ? data[0] : 65536;
	peer.data = (const char *)data + 1;
	peer.len = size - 1;
	check(limit, peer.len, peer.len);
	check(limit, 1, 1);
	step = 1 + peer.len / SPLIT_ALL;
	for (size_t i = 1; i < peer.len; i += step) {
		check(limit, i, peer.len);
		check(limit, i, i);
	}
	return 0;
}
