/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_SET_H
#define NR_NET_TLS_SET_H

/*
 * What one reading of the files came to: certificates with their keys, and who
 * is trusted. It never changes; a conversation holds the one that its handshake
 * began with.
 */

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "net/tls_config.h"
#include "net/tls_files.h"
#include "net/tls_sessions.h"
#include "net/tls_tickets.h"

struct nr_tls_set {
	atomic_uint refs;
	const struct nr_tls_config *config; /* outlives it */
	bool server;
	SSL_CTX **contexts; /* one for each certificate, or one */
	unsigned count;
	struct nr_tls_tickets *tickets;   /* of a server; outlives it */
	struct nr_tls_sessions *sessions; /* of a client */
};

/*
 * Reads the files that CONFIG names, which blocks. TICKETS are a server's, the
 * same for all its sets: sessions that began with another go on where the same
 * is asked of clients. Null for a client. What is wrong with the files is told
 * in RET_WRONG, as tls_files.h says.
 */
int nr_tls_set_read(const struct nr_tls_config *config,
                    struct nr_tls_tickets *tickets, struct nr_tls_set **ret_set,
                    struct nr_tls_wrong *ret_wrong);

struct nr_tls_set *nr_tls_set_hold(struct nr_tls_set *set);
void nr_tls_set_release(struct nr_tls_set *set);

/* Whose a TLS session is, who answers its questions in the midst of
 * SSL_do_handshake() and SSL_read(). */
struct nr_tls_owner {
	/* Whether the peer's certificate will do. */
	bool (*judge)(struct nr_tls_owner *owner, X509_STORE_CTX *check);
	/* The peer has given a session to go on with later: true where it is
	 * kept, and the owner's. */
	bool (*keep)(struct nr_tls_owner *owner, SSL_SESSION *session);
};

/* A TLS session that is about to begin. Null without memory. */
SSL *nr_tls_set_new(struct nr_tls_set *set, struct nr_tls_owner *owner);

#endif
