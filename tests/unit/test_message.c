/* SPDX-License-Identifier: MIT */
/*
 * What finding lines costs: every byte is looked at once, however slowly a
 * line comes. The linker leads memchr() through a count.
 */
#include "naru/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conv/conv.h"
#include "naru.h"
#include "unit.h"

static size_t looked_at; /* bytes, by memchr() */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker chooses these names. */
void *__real_memchr(const void *data, int byte, size_t len);
void *__wrap_memchr(const void *data, int byte, size_t len);
void *__wrap_memchr(const void *data, int byte, size_t len)
{
	looked_at += len;
	return __real_memchr(data, byte, len);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* A peer that sends LINES lines of LINE_LEN bytes, PIECE bytes at a time. */
static size_t line_len, piece, stream_len, sent;

static ssize_t peer_recv(struct nr_link *link, struct nr_io *io,
                         struct nr_span *into, bool soon, int64_t until)
{
	size_t count = piece;

	(void)link;
	(void)soon;
	(void)until;
	if (sent == stream_len)
		return 0;
	if (!into->data)
		*into = (struct nr_span){io->ops->lend(io), NR_BUFFER_SIZE};
	if (count > into->len)
		count = into->len;
	if (count > stream_len - sent)
		count = stream_len - sent;
	for (size_t i = 0; i < count; i++, sent++)
		into->data[i] = (sent + 1) % (line_len + 1) ? 'x' : '\n';
	return (ssize_t)count;
}

static int peer_finish(struct nr_link *link, struct nr_io *io, int64_t until)
{
	(void)link;
	(void)io;
	(void)until;
	return 0;
}

static void peer_close(struct nr_link *link)
{
	(void)link;
}

static const struct nr_link_ops peer_link = {
	.recv = peer_recv,
	.finish = peer_finish,
	.close = peer_close,
};

/* Receives COUNT lines of LEN bytes that come in pieces of SIZE; returns how
 * many bytes were looked at. */
static size_t cost(size_t count, size_t len, size_t size)
{
	const struct nr_transport transport = {.link = &peer_link};
	const struct nr_connection connection = {.transport = &transport};
	struct naru_conv conv;
	struct naru_msg msg;

	line_len = len;
	piece = size;
	stream_len = count * (len + 1);
	sent = 0;
	nr_conv_begin(&conv, &connection, &nr_settings_default);
	assert_int_equal(naru_set_framing(&conv, NARU_FRAMING(.limit = len)),
	                 0);
	looked_at = 0;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(naru_recv(&conv, &msg), 1);
		assert_int_equal(msg.len, len);
	}
	assert_int_equal(naru_recv(&conv, &msg), 0);
	size = looked_at;
	assert_int_equal(nr_conv_end(&conv), 0);
	return size;
}

static void test_long_line_byte_by_byte_is_looked_at_once(void **state)
{
	(void)state;
	assert_int_equal(cost(1, 1000000, 1), 1000001);
	assert_int_equal(cost(1, 1000000, 1000), 1000001);
}

static void test_short_lines_byte_by_byte_are_looked_at_once(void **state)
{
	(void)state;
	assert_int_equal(cost(20000, 9, 1), 200000);
	assert_int_equal(cost(1000, 0, 1), 1000);
}

/* A framing of a program that was built with another header. */
static void test_framing_of_other_versions_is_taken(void **state)
{
	const struct nr_transport transport = {.link = &peer_link};
	const struct nr_connection connection = {.transport = &transport};
	union {
		struct naru_framing framing;
		char space[sizeof(struct naru_framing) + 16];
	} given = {.framing = {.size = sizeof(given), .limit = 7}};
	struct naru_conv conv;

	(void)state;
	stream_len = sent = 0;
	nr_conv_begin(&conv, &connection, &nr_settings_default);
	assert_int_equal(naru_set_framing(&conv, &given.framing), 0);
	assert_int_equal(naru_send(&conv, "12345678", 8), -NARU_ETOOBIG);
	given.space[sizeof(given.space) - 1] = 1;
	assert_int_equal(naru_set_framing(&conv, &given.framing), -E2BIG);
	/* Refused, it changes nothing. */
	assert_int_equal(naru_send(&conv, "12345678", 8), -NARU_ETOOBIG);
	given.framing.size = offsetof(struct naru_framing, limit);
	assert_int_equal(naru_set_framing(&conv, &given.framing), 0);
	assert_int_equal(conv.framing.limit, 65536);
	assert_int_equal(naru_set_framing(&conv, NULL), -EINVAL);
	assert_int_equal(
		naru_set_framing(&conv, NARU_FRAMING(.limit = 1u + (1u << 30))),
		-EINVAL);
	assert_int_equal(nr_conv_end(&conv), 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_long_line_byte_by_byte_is_looked_at_once),
		cmocka_unit_test(
			test_short_lines_byte_by_byte_are_looked_at_once),
		cmocka_unit_test(test_framing_of_other_versions_is_taken),
	};

	return RUN("message", cases);
}
