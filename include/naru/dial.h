/* SPDX-License-Identifier: MIT */
#ifndef NARU_DIAL_H
#define NARU_DIAL_H

/*
 * The client's side. Once connected, nothing tells the two ends apart: a
 * dialled conversation takes the same calls as an accepted one.
 */

#include "naru/base.h"
#include "naru/event.h"
#include "naru/server.h"

NARU_BEGIN_DECLS

/* Which header a dial sends before all else (naru/proxy.h), once the
 * connection stands. */
enum naru_announce {
	NARU_ANNOUNCE_NONE = 0,
	NARU_ANNOUNCE_V1, /* a line of text */
	NARU_ANNOUNCE_V2, /* binary */
};

/* The most endpoints that one dial takes, and the most tries of them. */
#define NARU_DIAL_ENDPOINTS_MAX 64
#define NARU_DIAL_TRIES_MAX     1000000

/* Write them as NARU_DIAL_OPTIONS(.timeout_ms = 500); zero means the default.
 */
struct naru_dial_options {
	size_t size;             /* of this struct; the macro fills it in */
	int64_t timeout_ms;      /* for the whole dial; 30 seconds */
	enum naru_family family; /* of IP addresses; both */
	const char *source;      /* local address, "192.0.2.7", "[::1]",
	                            "192.0.2.7:4000"; the system's choice */
	naru_report *report;     /* told what happens; nobody */
	void *report_arg;
	int report_calls; /* also of each socket call (NARU_EVENT_CALL) */
	int fast_open;    /* nonzero to let the first bytes go with the
	                     connection's first packet (RFC 7413), so that an
	                     error may come as late as with the first wait; no */
	const char *const *alternatives; /* further endpoints, ended by null,
	                                    each dialled when those before it
	                                    could not be reached; with the
	                                    first, NARU_DIAL_ENDPOINTS_MAX at
	                                    most; none */
	unsigned tries; /* of the endpoint with its alternatives, at most
	                   NARU_DIAL_TRIES_MAX; 1 */
	enum naru_announce announce; /* NARU_ANNOUNCE_NONE */
	int64_t retry_ms;     /* pause before the second try, twice as long
	                         before each further one, and shorter by a
	                         random part of up to one half; 100 */
	int64_t retry_max_ms; /* the longest pause; 10 seconds */
	int64_t resolution_delay_ms; /* RFC 8305's, for IPv6 addresses while
	                                only IPv4's are known; 50 */
	int64_t attempt_delay_ms; /* RFC 8305's, from one attempt to the next;
	                             250 */
	int64_t keepalive_ms;     /* as in naru_options */
	int64_t user_timeout_ms;  /* as in naru_options */
	struct naru_conv *announce_for;     /* whose peer and local address are
	                                       announced, where they are IP
	                                       addresses. Null where the caller
	                                       speaks for itself */
	const struct naru_tls *tls;         /* of tls:// endpoints, and of
	                                       naru_start_tls(); the defaults.
	                                       The files are read before anybody
	                                       is called */
	int64_t handshake_ms;               /* of TLS; 10 seconds */
	const struct naru_framing *framing; /* of the conversation at first,
	                                       copied; lines */
};
#define NARU_DIAL_OPTIONS(...) NARU_STRUCT(naru_dial_options, __VA_ARGS__)

/*
 * Connects to ENDPOINT (naru_endpoint_check()), or to the first of its
 * alternatives that can be reached, and returns the conversation in RET_CONV;
 * the caller owns it and ends it with naru_close(). OPTIONS may be null. Waits,
 * for timeout_ms at the longest, looking names up included.
 *
 * The addresses of a name are tried as in RFC 8305, "Happy Eyeballs": in the
 * system's order (RFC 6724), IPv6 and IPv4 by turns, the next one where one has
 * failed, or has not answered within attempt_delay_ms; the first that answers
 * is taken, and the others are given up. Where not all addresses are known
 * within resolution_delay_ms, those of one family are enough to begin with.
 *
 * With alternatives, each endpoint has its share of the time that is left; so
 * has each of several tries. Every text is read before anybody is called. There
 * is no further try after errors that it would meet again: -NARU_EENDPOINT,
 * -EINVAL, -ECANCELED, -NARU_ECERT.
 *
 * When it returns, the connection has been put into the server's backlog; that
 * the server has accepted it is not implied. With fast_open, where the server
 * has been called before, nothing has happened yet: the connection begins with
 * the first bytes, or with the first wait for the peer.
 *
 * Returns 0, or the error that says most of all those that the addresses
 * gave:
 *   -ECONNREFUSED  nobody listens there
 *   -ETIMEDOUT     no answer in time
 *   -EHOSTUNREACH, -ENETUNREACH  no way there
 *   -ENOENT        no such unix socket
 *   -NARU_ENONAME, -NARU_ERESOLVE  the name does not resolve
 *   -NARU_EENDPOINT  an endpoint or the source cannot be read
 *   -NARU_ESELF    the connection came back to itself: the system chose the
 *                  port that was to be called, which nobody listens on
 *   -ECANCELED     the calling strand was cancelled
 *   -EINVAL        an option is out of its range
 *   -E2BIG         one is set that this library is too old to know
 *   -NARU_ECERT, -NARU_ETLS  the handshake of TLS failed (naru/tls.h)
 * or another error of socket(2), bind(2) or connect(2). Where a file of tls
 * cannot be used, nobody has been called: that is -NARU_ETLS, or, as of
 * naru_tls_check(), what the system says, and NARU_EVENT_ERROR tells of it with
 * the call "read TLS".
 */
NARU_RESULT int naru_dial(struct naru_conv **ret_conv, const char *endpoint,
                          const struct naru_dial_options *options);

/*
 * Ends a dialled conversation gracefully (naru/conv.h) and frees it, whatever
 * it returns. CONV may be null. Waits, under NARU_TIMEOUT_WRITE and
 * NARU_TIMEOUT_END.
 *
 * Returns 0, or the error of an end that lost bytes; -EINVAL, and nothing
 * happens, for a conversation that a server accepted: those end with their
 * talk.
 */
int naru_close(struct naru_conv *conv);

NARU_END_DECLS

#endif
