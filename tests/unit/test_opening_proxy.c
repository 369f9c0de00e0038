/* SPDX-License-Identifier: MIT */
/*
 * A header received from a socket: how often one waits for it, and that not
 * one byte more is taken. The waiter is the test's: where it is asked to wait,
 * it lets the next piece come.
 */
#include "conv/opening_proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conv/conv.h"
#include "naru/proxy.h"
#include "unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define REST      "the first bytes"
#define REST_LEN  (sizeof(REST) - 1)

/* What is still to come, and how. */
static struct {
	int fd;
	const char *data;
	size_t left, piece;
	unsigned waits, passes;
	int err; /* what a wait returns where nothing is left */
} peer;

static int wait_for_piece(struct nr_io *io, struct nr_handle handle,
                          enum nr_readiness what, int64_t until)
{
	size_t piece = peer.piece < peer.left ? peer.piece : peer.left;
	char byte;

	(void)io;
	(void)until;
	assert_int_equal(what, NR_READABLE);
	/* Who waits has taken all there was, or would never wait again. */
	assert_int_equal(recv(handle.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT),
	                 -1);
	peer.waits++;
	if (piece == 0)
		return peer.err;
	assert_int_equal(send(peer.fd, peer.data, piece, 0), piece);
	peer.data += piece;
	peer.left -= piece;
	return 0;
}

static int go_on(struct nr_io *io)
{
	(void)io;
	peer.passes++;
	return 0;
}

static const struct nr_io_ops ops = {
	.name = "test",
	.wait = wait_for_piece,
	.go_on = go_on,
};
static struct nr_io io = {&ops};

static struct nr_proxies proxies = {.required = true};

/* Receives LEN bytes of DATA, which come in pieces of PIECE, of which the
 * header has HEADER; says what came of it and leaves the rest in the socket. */
static int receive(const char *data, size_t len, size_t piece, size_t header)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_io *before = self->io;
	struct nr_connection connection = {.transport = &nr_transport_unix};
	struct nr_settings settings = nr_settings_default;
	struct naru_conv conv;
	char rest[64];
	int ends[2], err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	peer.fd = ends[1];
	peer.data = data;
	peer.left = len;
	peer.piece = piece;
	peer.waits = peer.passes = 0;
	peer.err = -ETIMEDOUT;
	settings.proxies = &proxies;
	connection.fd = ends[0];
	nr_conv_begin(&conv, &connection, &settings);
	self->io = &io;
	err = nr_opening_proxy(&conv, 0);
	self->io = before;
	if (err == 0) {
		/* What is not the header's is all there, or yet to come. */
		ssize_t there = recv(ends[0], rest, sizeof(rest), MSG_DONTWAIT);
		size_t got = there > 0 ? (size_t)there : 0;

		assert_int_equal(header + got + peer.left, len);
		assert_memory_equal(rest, data + header, got);
	}
	nr_conv_drop(&conv);
	close(ends[1]);
	return err;
}

static const struct {
	const char *data;
	size_t header; /* its bytes; what follows is REST */
} headers[] = {
	{"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n" REST, 40},
	{"PROXY UNKNOWN\r\n" REST, 15},
	{SIGNATURE "\x20\0\0\0" REST, 16},
	{SIGNATURE "\x21\x11\0\x12\xc0\0\2\1\xc0\0\2\2\x12\x67\0\x50"
                   "\5\0\3abc" REST,
         34},
};

static void test_every_piece_is_waited_for_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(headers); i++) {
		size_t header = headers[i].header, len = header + REST_LEN;

		for (size_t piece = 1; piece <= len; piece++) {
			size_t pieces = (header + piece - 1) / piece;

			assert_int_equal(receive(headers[i].data, len, piece,
			                         header),
			                 0);
			assert_int_equal(peer.waits, pieces);
			assert_true(peer.passes <= pieces);
		}
	}
}

/* A header that does not fit where short ones are received. */
static void test_long_header_costs_what_its_pieces_cost(void **state)
{
	static char data[4096 + REST_LEN] =
		SIGNATURE "\x21\x11\x0f\xf0\xc0\0\2\1\xc0\0\2\2\x12\x67\0\x50"
			  "\xee\x0f\xe1";

	(void)state;
	memcpy(data + 4096, REST, REST_LEN);
	for (size_t piece = 1; piece <= sizeof(data);
	     piece = piece * 2 + piece / 3) {
		size_t pieces = (4096 + piece - 1) / piece;

		assert_int_equal(receive(data, sizeof(data), piece, 4096), 0);
		assert_int_equal(peer.waits, pieces);
		/* The first of them may hold more than its room. */
		assert_true(peer.passes <= 2 * pieces + 1);
	}
}

/* Where nothing more comes, one waits once more and no longer. */
static void test_part_of_a_header_times_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(headers); i++) {
		for (size_t len = 0; len < headers[i].header; len++) {
			assert_int_equal(receive(headers[i].data, len, SIZE_MAX,
			                         0),
			                 -ETIMEDOUT);
			assert_int_equal(peer.waits, len > 0 ? 2 : 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_every_piece_is_waited_for_once),
		cmocka_unit_test(test_long_header_costs_what_its_pieces_cost),
		cmocka_unit_test(test_part_of_a_header_times_out),
	};

	return RUN("opening_proxy", cases);
}
