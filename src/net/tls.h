/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_H
#define NR_NET_TLS_H

/*
 * TLS between a conversation and its socket: a link like any other, once its
 * handshake is over (transport.h).
 */

#include "naru/tls.h"
#include "net/tls_context.h"
#include "net/transport.h"

/* Whom a dial has called. All null or zero on the accepting side. */
struct nr_tls_called {
	const char *host; /* as in the endpoint */
	unsigned port;
};

/* What came of a handshake, for people. */
struct nr_tls_outcome {
	char text[512];
};

/*
 * Makes LINK, whose bytes have gone without TLS so far, one with it, and holds
 * the handshake until UNTIL: as the client where it was dialled. Where this
 * fails, LINK can only be closed. Nobody else uses it meanwhile.
 *
 * -NARU_ECERT, -NARU_ETLS; -ETIMEDOUT, -ECANCELED, -ENOMEM; and what the
 * system says of the connection. RET_OUTCOME says what was agreed on, or why it
 * failed.
 */
int nr_tls_begin(struct nr_link *link, struct nr_io *io, struct nr_tls *tls,
                 const struct nr_tls_called *called, int64_t until,
                 struct nr_tls_outcome *ret_outcome);

/* What was agreed on; null where LINK has no TLS. */
const struct naru_tls_info *nr_tls_info(const struct nr_link *link);

/* Whether LINK's end is told under TLS. */
bool nr_tls_is(const struct nr_link *link);

#endif
