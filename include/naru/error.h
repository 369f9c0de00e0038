/* SPDX-License-Identifier: MIT */
#ifndef NARU_ERROR_H
#define NARU_ERROR_H

#include "naru/base.h"

NARU_BEGIN_DECLS

/*
 * What can go wrong besides errno(3). Calls return these negated, like the
 * numbers of errno; they lie beyond every number that a system uses.
 */
enum naru_error {
	/* The stream ended inside a message, or inside naru_read_exact(); or
	 * under TLS without a close_notify. */
	NARU_ECUT = 10001,
	/* A message is longer than the limit of its framing. */
	NARU_ETOOBIG,
	/* An endpoint's text cannot be read; naru_endpoint_check() says why. */
	NARU_EENDPOINT,
	/* No such name: the resolver knows no address for it. */
	NARU_ENONAME,
	/* The resolver could not answer now; a later try may succeed. */
	NARU_ERESOLVE,
	/* The connection came back to the socket that asked for it. */
	NARU_ESELF,
	/* What came is no message of the framing. */
	NARU_EFRAME,
	/* A PROXY header is missing, or cannot be read. */
	NARU_EPROXY,
	/* TLS failed: its handshake, or what came under it. */
	NARU_ETLS,
	/* The peer's certificate is missing or not trusted. */
	NARU_ECERT,
};

/*
 * What an error means, as a phrase in English without a full stop. ERR is a
 * result of Naru, negated or not; an unknown number gives "unknown error".
 * The text is static: it is never freed and never changes.
 */
const char *naru_strerror(int err);

/*
 * The name of an error as the manual pages write it: "ECONNRESET",
 * "NARU_ECUT". An unknown number gives "EUNKNOWN". The text is static.
 */
const char *naru_errname(int err);

NARU_END_DECLS

#endif
