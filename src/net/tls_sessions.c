/* SPDX-License-Identifier: MIT */
/* Sessions that a client may go on with: see tls_sessions.h. */
#include "net/tls_sessions.h"

#include <stdlib.h>
#include <string.h>

void nr_tls_sessions_init(struct nr_tls_sessions *sessions)
{
	memset(sessions, 0, sizeof(*sessions));
	nr_mutex_init(&sessions->lock);
}

/* Empties place I. Its session is the caller's. */
static SSL_SESSION *empty(struct nr_tls_sessions *sessions, unsigned i)
{
	SSL_SESSION *session = sessions->all[i].session;

	free(sessions->all[i].key);
	sessions->all[i].key = NULL;
	sessions->all[i].session = NULL;
	return session;
}

void nr_tls_sessions_fini(struct nr_tls_sessions *sessions)
{
	for (unsigned i = 0; i < NR_TLS_SESSIONS_MAX; i++)
		SSL_SESSION_free(empty(sessions, i));
	nr_mutex_fini(&sessions->lock);
}

void nr_tls_sessions_put(struct nr_tls_sessions *sessions, const char *key,
                         SSL_SESSION *session)
{
	char *own = strdup(key);
	SSL_SESSION *oldest;
	unsigned at;

	if (!own) {
		SSL_SESSION_free(session);
		return;
	}
	nr_mutex_lock(&sessions->lock);
	at = sessions->next;
	sessions->next = (at + 1) % NR_TLS_SESSIONS_MAX;
	oldest = empty(sessions, at);
	sessions->all[at].key = own;
	sessions->all[at].session = session;
	nr_mutex_unlock(&sessions->lock);
	SSL_SESSION_free(oldest);
}

/* Whether the peer that SESSION was agreed on with would still be trusted, as
 * far as time goes. */
static bool is_fresh(SSL_SESSION *session)
{
	const X509 *cert = SSL_SESSION_get0_peer(session);

	return SSL_SESSION_is_resumable(session) &&
	       (!cert || X509_cmp_current_time(X509_get0_notAfter(cert)) > 0);
}

SSL_SESSION *nr_tls_sessions_take(struct nr_tls_sessions *sessions,
                                  const char *key)
{
	SSL_SESSION *found = NULL;

	nr_mutex_lock(&sessions->lock);
	for (unsigned n = 1; n <= NR_TLS_SESSIONS_MAX && !found; n++) {
		unsigned i = (sessions->next + NR_TLS_SESSIONS_MAX - n) %
		             NR_TLS_SESSIONS_MAX;

		if (sessions->all[i].key &&
		    strcmp(sessions->all[i].key, key) == 0)
			found = empty(sessions, i);
	}
	nr_mutex_unlock(&sessions->lock);
	if (found && !is_fresh(found)) {
		SSL_SESSION_free(found);
		found = NULL;
	}
	return found;
}
