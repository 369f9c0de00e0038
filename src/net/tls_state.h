/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_STATE_H
#define NR_NET_TLS_STATE_H

/* What one link with TLS holds: made before its handshake, and completed when
 * that is over. For tls.c. */

#include "net/tls.h"
#include "net/tls_text.h"
#include "net/tls_wire.h"

struct nr_tls_state {
	struct nr_tls_owner owner;
	SSL *ssl;
	struct nr_tls *tls;
	struct nr_tls_set *set;
	struct nr_mutex lock; /* of all that follows */
	struct nr_tls_wire wire;
	bool finished;     /* the peer was told that no more will come */
	bool dry;          /* the receiver's: nothing is left that has come */
	int read_err;      /* what receiving has failed with for good, or 0 */
	size_t sealed;     /* the sender's: bytes in a record that waits to be
	                      sent, and that the caller will come with again */
	uint64_t base;     /* bytes that went without TLS, in front */
	uint64_t data_end; /* where the last record of data ends */
	char *session_key; /* of a client */
	/* During the handshake: */
	struct nr_tls_outcome *outcome;
	const char *called;
	bool mistrusted; /* the outcome says why */
	/* After it: */
	struct naru_tls_info info;
	char *texts; /* its texts */
};

extern const struct nr_link_ops nr_tls_link;

/* Of LINK, about to shake hands. What is wrong is said in OUTCOME. */
int nr_tls_state_new(struct nr_link *link, struct nr_tls *tls,
                     const struct nr_tls_called *called,
                     struct nr_tls_outcome *outcome,
                     struct nr_tls_state **ret_state);

/* The handshake is over: what it came to. -ENOMEM. */
int nr_tls_state_settle(struct nr_tls_state *state);

void nr_tls_state_free(struct nr_tls_state *state);

#endif
