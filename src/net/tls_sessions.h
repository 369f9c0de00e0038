/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_SESSIONS_H
#define NR_NET_TLS_SESSIONS_H

/*
 * Sessions of TLS that a client may go on with: those of one reading of its
 * options and files, so that what decides whom to trust is the same for all of
 * them, by the name and the port that were called. Any thread.
 */

#include <openssl/ssl.h>

#include "os/os_thread.h"

#define NR_TLS_SESSIONS_MAX 64

/* A name, a host and a port. */
#define NR_TLS_SESSION_KEY 544

struct nr_tls_sessions {
	struct nr_mutex lock;
	unsigned next; /* the place that is used next */
	struct {
		char *key;
		SSL_SESSION *session;
	} all[NR_TLS_SESSIONS_MAX];
};

void nr_tls_sessions_init(struct nr_tls_sessions *sessions);
void nr_tls_sessions_fini(struct nr_tls_sessions *sessions);

/* Keeps SESSION, which is the cache's from now on. */
void nr_tls_sessions_put(struct nr_tls_sessions *sessions, const char *key,
                         SSL_SESSION *session);

/* The newest session of KEY, which is the caller's from now on, or null. It is
 * used once: one that is seen twice tells that it is the same client. */
SSL_SESSION *nr_tls_sessions_take(struct nr_tls_sessions *sessions,
                                  const char *key);

#endif
