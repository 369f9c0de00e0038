/* SPDX-License-Identifier: MIT */
#ifndef NARU_TLS_H
#define NARU_TLS_H

/*
 * TLS 1.2 (RFC 5246) and 1.3 (RFC 8446) on both sides: endpoints that begin
 * with tls://, and naru_start_tls() for protocols that change over in the
 * middle.
 *
 * The end of a stream is told under TLS (close_notify). Where it ends without,
 * it was cut, maybe by somebody who wants the rest not to be seen: naru_read()
 * returns -NARU_ECUT. naru_recv() and naru_read_exact() do so inside a message;
 * where a message would begin, nothing is missing, and they return 0, for many
 * peers leave close_notify out.
 *
 * A client that comes again may go on with its session, whichever worker it
 * meets; where another certificate was shown, or others vouch for clients
 * since, it may not. A dial does so by itself, with the same options and
 * unchanged files.
 */

#include "naru/base.h"

NARU_BEGIN_DECLS

/* A certificate with those that lead to its issuer, and its key. */
struct naru_tls_certificate {
	const char *chain; /* a PEM file, the own certificate first */
	const char *key;   /* a PEM file; null where CHAIN has it as well */
};

/* What is asked of the peer's certificate. */
enum naru_tls_verify {
	/* Of a server's: NARU_TLS_REQUIRED; of a client's: NARU_TLS_NONE. */
	NARU_TLS_VERIFY_DEFAULT = 0,
	/* Nothing: anybody may be at the other end. */
	NARU_TLS_NONE,
	/* Of a client's: that it can be trusted, where there is one; of a
	 * server's the same as NARU_TLS_REQUIRED. */
	NARU_TLS_OPTIONAL,
	/* That there is one, that it can be trusted, and, of a server's, that
	 * it is made out to the name that was called (RFC 6125). */
	NARU_TLS_REQUIRED,
};

/*
 * Write it as NARU_TLS(.certificate.chain = "server.pem"); zero means the
 * default. A key that is encrypted is refused. It is copied, and so are the
 * texts and lists that it points to.
 */
struct naru_tls {
	size_t size; /* of this struct; NARU_TLS fills it in */
	struct naru_tls_certificate certificate;   /* a server needs one */
	const struct naru_tls_certificate *others; /* of which the one is shown
	                          that is made out to the name that the client
	                          asks for (SNI, RFC 6066); none */
	unsigned other_count;
	enum naru_tls_verify verify;
	const char *ca; /* a PEM file of who is trusted; the system's store */
	const char *const *alpn; /* protocols (RFC 7301), ended by null, the
	                            preferred first; none */
	const char *server_name; /* of a dial: the name to ask for and to
	                            verify; the endpoint's host */
	const char *pin; /* what the peer's public key must be: "sha256//" and
	                    the base64 of its digest (RFC 7469), several
	                    with ";" between; any. With NARU_TLS_NONE it
	                    decides alone */
};
#define NARU_TLS(...) NARU_STRUCT(naru_tls, __VA_ARGS__)

/*
 * Reads the files that TLS names as a dial would, without calling anybody: for
 * a program that dials later, and would not begin where they cannot be used.
 * A null TLS is the defaults. Waits for the files.
 *
 * Returns 0; -ENOENT and the like for a file that the system does not give;
 * -NARU_ETLS for one that does not hold what it should; -EINVAL for what is no
 * file. WHY, which may be null where SIZE is 0, is written where there is
 * something to say, as the text of NARU_EVENT_ERROR is: the file, and what is
 * wrong with what is in it.
 */
NARU_RESULT int naru_tls_check(const struct naru_tls *tls, char *why,
                               size_t size);

/* What a handshake has agreed on. Texts are never null and may be empty. */
struct naru_tls_info {
	const char *version;     /* "TLSv1.3" */
	const char *cipher;      /* "TLS_AES_256_GCM_SHA384" */
	const char *alpn;        /* "h2" */
	const char *server_name; /* that the client asked for */
	const char *peer_name;   /* the peer's, verified: of its certificate */
	const char *subject;     /* of the peer's certificate, RFC 2253 */
	const char *issuer;
	const char *expires; /* "2027-01-31T12:00:00Z" */
	int verified;        /* whether the certificate can be trusted */
	int resumed;         /* whether an earlier session goes on */
};

/*
 * What CONV's TLS has agreed on; it belongs to the conversation. Null where
 * there is no TLS. Never fails.
 */
const struct naru_tls_info *naru_tls_info(struct naru_conv *conv);

/*
 * Changes over to TLS in the middle of a conversation (STARTTLS): sends what
 * was written, then holds the handshake, under the handshake's timeout. All
 * that follows is under TLS. With the options that the server or the dial was
 * given.
 *
 * Returns 0; -NARU_ETLS or -NARU_ECERT where the handshake failed, after which
 * nothing more can be received or sent; -EBUSY, with nothing done, where bytes
 * were received that nobody has read: they came without TLS, and must not be
 * taken for what came under it (also where the peer has finished); -EALREADY
 * under TLS; -EOPNOTSUPP where the server has no certificate, or the transport
 * no stream. No other strand may receive meanwhile.
 */
NARU_RESULT int naru_start_tls(struct naru_conv *conv);

/*
 * Reads the files of naru_options.tls anew: handshakes from now on, in every
 * process and thread of SERVER, use what is in them then. Conversations that
 * run keep what they agreed on. Any thread; not in a signal handler.
 *
 * Returns 0, or why a file cannot be used (it is reported, too), with nothing
 * changed; -EOPNOTSUPP where the server has no certificate.
 */
NARU_RESULT int naru_server_reload_tls(struct naru_server *server);

/*
 * Has SERVER itself do so, soon: for a signal handler (signal-safety(7)), such
 * as SIGHUP's. What comes of it is reported (NARU_EVENT_RELOAD). Whoever
 * accepts connections reads the files, and accepts none meanwhile. Does not
 * wait.
 *
 * Returns 0, or -EOPNOTSUPP where the server has no certificate.
 */
int naru_server_reload_tls_later(struct naru_server *server);

NARU_END_DECLS

#endif
