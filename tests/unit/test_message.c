/* SPDX-License-Identifier: MIT */
/*
 * What finding messages costs: every byte is looked at once, however slowly a
 * message comes; and there is one buffer for it, of its size, once that is
 * known not to be over the limit. The linker leads memchr() and malloc()
 * through a count.
 */
#include "naru/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conv/conv.h"
#include "naru.h"
#include "unit.h"

static size_t looked_at;               /* bytes, by memchr() or a scan */
static size_t large_count, large_size; /* buffers larger than what waiters lend,
                                          and the last one's size */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker chooses these names. */
void *__real_memchr(const void *data, int byte, size_t len);
void *__wrap_memchr(const void *data, int byte, size_t len);
void *__wrap_memchr(const void *data, int byte, size_t len)
{
	looked_at += len;
	return __real_memchr(data, byte, len);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	if (size > NR_BUFFER_SIZE) {
		large_count++;
		large_size = size;
	}
	return __real_malloc(size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* A peer that sends a head and then lines of LINE_LEN bytes, PIECE bytes at a
 * time. */
static const char *head;
static size_t head_len, line_len, piece, stream_len, sent;

static char byte_at(size_t at)
{
	if (at < head_len)
		return head[at];
	return (at - head_len + 1) % (line_len + 1) ? 'x' : '\n';
}

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
		into->data[i] = byte_at(sent);
	return (ssize_t)count;
}

/* What was sent to it, and in how many sends. */
static char heard[4096];
static size_t heard_len, send_count;

static ssize_t peer_send(struct nr_link *link, struct nr_io *io,
                         const struct iovec *iov, int count, int64_t until)
{
	size_t before = heard_len;

	(void)link;
	(void)io;
	(void)until;
	send_count++;
	for (int i = 0; i < count; i++) {
		assert_true(iov[i].iov_len <= sizeof(heard) - heard_len);
		memcpy(heard + heard_len, iov[i].iov_base, iov[i].iov_len);
		heard_len += iov[i].iov_len;
	}
	return (ssize_t)(heard_len - before);
}

static int peer_finish(struct nr_link *link, struct nr_io *io, int64_t until)
{
	(void)link;
	(void)io;
	(void)until;
	return 0;
}

/* Asked where the end takes longer than it may. */
static uint64_t peer_acknowledged(struct nr_link *link, uint64_t count)
{
	(void)link;
	return count;
}

static void peer_close(struct nr_link *link)
{
	(void)link;
}

static const struct nr_link_ops peer_link = {
	.recv = peer_recv,
	.send = peer_send,
	.finish = peer_finish,
	.acknowledged = peer_acknowledged,
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

/* A whole message ends with the first line of the stream. */
static ssize_t until_lf(const char *data, size_t len, size_t *seen, void *arg)
{
	size_t from = *seen;

	(void)arg;
	looked_at += len - from;
	*seen = len;
	for (size_t i = from; i < len; i++)
		if (data[i] == '\n')
			return (ssize_t)(i + 1);
	return 0;
}

static size_t taken; /* of the stream, when recv_one() knew */

/* One message after HEAD with LEN bytes behind it, in pieces of SIZE; what
 * naru_recv() says. */
static int recv_one(const struct naru_framing *framing, const char *bytes,
                    size_t bytes_len, size_t len, size_t size)
{
	const struct nr_transport transport = {.link = &peer_link};
	const struct nr_connection connection = {.transport = &transport};
	struct naru_conv conv;
	struct naru_msg msg;
	int result;

	head = bytes;
	head_len = bytes_len;
	line_len = len;
	piece = size;
	stream_len = head_len + len + 1;
	sent = looked_at = large_count = large_size = 0;
	nr_conv_begin(&conv, &connection, &nr_settings_default);
	assert_int_equal(naru_set_framing(&conv, framing), 0);
	result = naru_recv(&conv, &msg);
	taken = sent;
	if (result == 1)
		assert_int_equal(msg.data[msg.len - 1], '\n');
	assert_int_equal(nr_conv_end(&conv), 0);
	head_len = 0;
	return result;
}

static void test_custom_scan_is_shown_each_byte_once(void **state)
{
	const struct naru_framing framing = {.size = sizeof(framing),
	                                     .kind = NARU_CUSTOM,
	                                     .limit = 1000001,
	                                     .scan = until_lf};

	(void)state;
	assert_int_equal(recv_one(&framing, "", 0, 1000000, 1), 1);
	assert_int_equal(looked_at, 1000001);
	/* From 16 KiB on, the buffer is doubled until it is large enough. */
	assert_int_equal(large_count, 6);
	assert_int_equal(recv_one(&framing, "", 0, 1000000, 777), 1);
	assert_int_equal(looked_at, 1000001);
	assert_int_equal(recv_one(&framing, "", 0, 1000001, 1), -NARU_ETOOBIG);
	assert_int_equal(looked_at, 1000001);
}

/* Sizes as a peer may announce them, and what memory they get. */
static void test_announced_message_has_one_buffer_of_its_size(void **state)
{
	struct naru_framing framing = {.size = sizeof(framing),
	                               .kind = NARU_LENGTH_PREFIXED,
	                               .length = NARU_LENGTH_U32,
	                               .limit = 1000000};

	(void)state;
	assert_int_equal(recv_one(&framing, "\0\x0f\x42\x40", 4, 999999, 1), 1);
	assert_int_equal(large_count, 1);
	assert_int_equal(large_size, 1000004);
	assert_int_equal(recv_one(&framing, "\0\x0f\x42\x41", 4, 1000000, 1),
	                 -NARU_ETOOBIG);
	assert_int_equal(large_count, 0);
	assert_int_equal(taken, 4);
	framing.length = NARU_LENGTH_U64;
	assert_int_equal(recv_one(&framing, "\xff\xff\xff\xff\xff\xff\xff\xff",
	                          8, 0, 1),
	                 -NARU_ETOOBIG);
	assert_int_equal(large_count, 0);
	framing.kind = NARU_NETSTRINGS;
	framing.length = 0;
	assert_int_equal(recv_one(&framing, "1000001:", 8, 1000000, 1),
	                 -NARU_ETOOBIG);
	assert_int_equal(large_count, 0);
	framing.kind = NARU_FIXED_SIZE;
	assert_int_equal(recv_one(&framing, "", 0, 999999, 1), 1);
	assert_int_equal(large_count, 1);
	assert_int_equal(large_size, 1000000);
}

static const struct naru_framing framings[] = {
	{.kind = NARU_LINES},
	{.line_end = NARU_LINE_END_CRLF},
	{.kind = NARU_DELIMITED, .delimiter = "--", .delimiter_len = 2},
	{.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U32},
	{.kind = NARU_LENGTH_PREFIXED, .length_offset = 3},
	{.kind = NARU_FIXED_SIZE, .limit = 7},
	{.kind = NARU_NETSTRINGS},
	{.kind = NARU_CUSTOM, .scan = until_lf},
};

/* A conversation that sends COUNT messages, or as many answers as messages
 * come. */
static void converse(const struct naru_framing *framing, size_t count)
{
	const struct nr_transport transport = {.link = &peer_link};
	const struct nr_connection connection = {.transport = &transport};
	/* A scan of this file's sees its messages end with LF. */
	const char *text = framing->scan ? "answer\n" : "answer!";
	struct naru_framing own = *framing;
	struct nr_strand *self = nr_strand_self();
	struct naru_conv conv;
	struct naru_msg msg;
	int result = 0;

	heard_len = send_count = sent = 0;
	nr_conv_begin(&conv, &connection, &nr_settings_default);
	nr_strand_own(self, &conv);
	own.size = sizeof(own);
	assert_int_equal(naru_set_framing(&conv, &own), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(naru_send(&conv, text, strlen(text)), 0);
	while (count == 0 && (result = naru_recv(&conv, &msg)) > 0)
		assert_int_equal(naru_send(&conv, msg.data, msg.len), 0);
	assert_int_equal(result, 0);
	assert_int_equal(nr_conv_end(&conv), 0);
	nr_strand_own(self, NULL);
	self->wrote = false;
}

static void test_sixteen_answers_leave_in_one_send(void **state)
{
	char stream[sizeof(heard)];

	(void)state;
	for (size_t i = 0; i < COUNT(framings); i++) {
		stream_len = 0;
		converse(&framings[i], 16);
		assert_int_equal(send_count, 1);
		memcpy(stream, heard, heard_len);
		head = stream;
		head_len = stream_len = piece = heard_len;
		converse(&framings[i], 0);
		assert_int_equal(send_count, 1);
		assert_int_equal(heard_len, head_len);
		assert_memory_equal(stream, heard, heard_len);
		head_len = 0;
	}
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
		cmocka_unit_test(test_custom_scan_is_shown_each_byte_once),
		cmocka_unit_test(
			test_announced_message_has_one_buffer_of_its_size),
		cmocka_unit_test(test_sixteen_answers_leave_in_one_send),
		cmocka_unit_test(test_framing_of_other_versions_is_taken),
	};

	return RUN("message", cases);
}
