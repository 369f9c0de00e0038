/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_WIRE_H
#define NR_NET_TLS_WIRE_H

/*
 * Where OpenSSL's bytes meet the socket: a BIO that never waits.
 *
 * What the socket does not take is kept here, whole: so a record that was once
 * made is sent sometime, whoever made it, and OpenSSL never has a half-sent one
 * in mind. How much that is has a bound, for a sender sends what is kept before
 * it makes more.
 */

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nr_tls_wire {
	int fd;
	bool in_pieces;    /* as in io/io.h */
	bool dry;          /* the socket has no more, as far as is known */
	bool ended;        /* the peer's system has finished */
	bool corked;       /* what is made is kept until it is pushed */
	_Atomic bool held; /* what is kept may go out with what comes next */
	unsigned reads;    /* of the socket, in this turn; see tls_wire.c */
	int err;           /* the connection broke, or 0 */
	char *kept;        /* what the socket has not taken yet, or null */
	size_t begin, end, size;
	uint64_t sent; /* bytes that the system took, with what is kept */
};

/* Gives SSL its BIO. -ENOMEM. */
int nr_tls_wire_init(struct nr_tls_wire *wire, int fd, bool in_pieces,
                     SSL *ssl);
void nr_tls_wire_fini(struct nr_tls_wire *wire);

/* A call of OpenSSL's that reads is about to be made: the socket may have more
 * by now. */
void nr_tls_wire_begin(struct nr_tls_wire *wire);

/* Makes room for a record, so that making it cannot fail. -ENOMEM. */
int nr_tls_wire_reserve(struct nr_tls_wire *wire);

/* Sends what is kept: 0, -EAGAIN, or why the connection broke. */
int nr_tls_wire_push(struct nr_tls_wire *wire);

#endif
