/* SPDX-License-Identifier: MIT */
/* Streams in pieces: see torn.h. */
#include "torn.h"

#include <errno.h>
#include <string.h>

#include "conv/conv.h"

/* Longer streams are torn at so many places only. */
#define SPLIT_ALL 64

/* A stream as a peer sends it: pieces of SIZE bytes, the first of FIRST. */
struct peer {
	const char *data;
	size_t len, at;
	size_t first, size;
};
static struct peer peer;

/* What was sent to it. */
static struct {
	char data[1 << 20];
	size_t len;
} echo;

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
	size_t sent = 0;

	(void)link;
	(void)io;
	(void)until;
	for (int i = 0; i < count; i++) {
		MUST(echo.len + iov[i].iov_len <= sizeof(echo.data));
		memcpy(echo.data + echo.len, iov[i].iov_base, iov[i].iov_len);
		echo.len += iov[i].iov_len;
		sent += iov[i].iov_len;
	}
	return (ssize_t)sent;
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

static void begin(struct naru_conv *conv, const struct naru_framing *framing,
                  size_t first, size_t size)
{
	static const struct nr_connection connection = {
		.transport = &peer_transport,
		.fd = -1,
	};

	peer.at = 0;
	peer.first = first;
	peer.size = size;
	nr_conv_begin(conv, &connection, &nr_settings_default);
	MUST(naru_set_framing(conv, framing) == 0);
}

/* Receives the whole stream, the first piece of FIRST bytes and the others of
 * SIZE. */
static void check(const struct naru_framing *framing, torn_expected *expected,
                  size_t first, size_t size)
{
	struct naru_msg got, want;
	struct naru_conv conv;
	size_t at = 0, used = 0;
	int result;

	begin(&conv, framing, first, size);
	do {
		at += used;
		result = naru_recv(&conv, &got);
		MUST(result ==
		     (at == peer.len ? 0
		                     : expected(framing, peer.data + at,
		                                peer.len - at, &want, &used)));
		if (result == 1) {
			MUST(got.len == want.len && used > 0);
			MUST(memcmp(got.data, want.data, got.len) == 0);
			if (want.data + want.len < peer.data + at + used)
				MUST(got.data[got.len] == '\0');
		}
	} while (result == 1);
	/* It stays so. */
	MUST(naru_recv(&conv, &got) == result);
	MUST(nr_conv_end(&conv) == 0);
}

void torn_check(const struct naru_framing *framing, const char *data,
                size_t len, torn_expected *expected)
{
	size_t step = 1 + len / SPLIT_ALL;

	peer.data = data;
	peer.len = len;
	check(framing, expected, len, len);
	check(framing, expected, 1, 1);
	for (size_t i = 1; i < len; i += step) {
		check(framing, expected, i, len);
		check(framing, expected, i, i);
	}
}

void torn_send(const struct naru_framing *framing, const char *data, size_t len,
               size_t head)
{
	struct naru_conv conv;
	struct naru_msg got;
	int result;

	echo.len = 0;
	begin(&conv, framing, 1, 1);
	result = naru_send(&conv, data, len);
	MUST(result == 0 || result == -EINVAL || result == -NARU_ETOOBIG);
	MUST(naru_flush(&conv) == 0);
	MUST((result == 0) == (echo.len > 0));
	MUST(nr_conv_end(&conv) == 0);
	if (result < 0)
		return;
	peer.data = echo.data;
	peer.len = echo.len;
	begin(&conv, framing, 1, 1);
	MUST(naru_recv(&conv, &got) == 1);
	if (head == 0) {
		MUST(got.len == len);
		MUST(len == 0 || memcmp(got.data, data, len) == 0);
	}
	MUST(naru_recv(&conv, &got) == 0);
	MUST(nr_conv_end(&conv) == 0);
}
