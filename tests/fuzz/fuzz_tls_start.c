/* SPDX-License-Identifier: MIT */
/*
 * TLS's handshake with any bytes: whatever a client says first, in whichever
 * pieces, the server ends in an error that it can name, keeps to its bounds and
 * gives everything back. The first byte of the input says who speaks: with an
 * odd one, a server to our client. How the bytes are torn makes no difference
 * to what the handshake comes to.
 */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "fuzz.h"
#include "io/block.h"
#include "naru.h"
#include "net/stream.h"
#include "net/tls.h"
#include "os/os_time.h"

/* Longer inputs are torn at so many places only. */
#define SPLIT_ALL 24

/* What the peer has still to say, in pieces: given to the socket when the
 * handshake waits for it. */
static struct {
	const uint8_t *data;
	size_t len, at, piece;
	int fd;
} peer;

/* Says the next piece; after the last, that this was all. */
static int peer_wait(struct nr_io *io, struct nr_handle handle,
                     enum nr_readiness what, int64_t until)
{
	size_t left = peer.len - peer.at;
	char waste[4096];

	(void)io;
	(void)handle;
	(void)what;
	(void)until;
	while (recv(peer.fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
	if (left == 0) {
		MUST(shutdown(peer.fd, SHUT_WR) == 0);
		return 0;
	}
	if (left > peer.piece)
		left = peer.piece;
	MUST(send(peer.fd, peer.data + peer.at, left, MSG_NOSIGNAL) ==
	     (ssize_t)left);
	peer.at += left;
	return 0;
}

static int peer_go_on(struct nr_io *io)
{
	(void)io;
	return 0;
}

static const struct nr_io_ops peer_ops = {
	.name = "peer",
	.wait = peer_wait,
	.go_on = peer_go_on,
};

/* A certificate and its key, made once, in files that are gone at once. */
static struct nr_tls *make_server(void)
{
	static const struct nr_report nobody = {NULL, NULL, false};
	char cert_path[] = "/tmp/naru-fuzz-XXXXXX";
	int fd = mkstemp(cert_path);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	FILE *file = fdopen(fd, "w");
	struct nr_tls *tls;

	MUST(fd >= 0 && key && cert && file);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
	                           MBSTRING_ASC, (const unsigned char *)"fuzz",
	                           -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	MUST(X509_sign(cert, key, EVP_sha256()) > 0);
	MUST(PEM_write_X509(file, cert) &&
	     PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) &&
	     fclose(file) == 0);
	MUST(nr_tls_new_server(NARU_TLS(.certificate.chain = cert_path),
	                       &nobody, &tls) == 0);
	unlink(cert_path);
	X509_free(cert);
	EVP_PKEY_free(key);
	return tls;
}

static struct nr_tls *make_client(void)
{
	static const struct nr_report nobody = {NULL, NULL, false};
	struct nr_tls *tls;

	MUST(nr_tls_get_client(NARU_TLS(.verify = NARU_TLS_NONE), &nobody,
	                       &tls) == 0);
	MUST(nr_tls_refresh(tls, &nobody) == 0);
	return tls;
}

/* One handshake, in pieces of PIECE bytes. Returns what it came to. */
static int shake(struct nr_tls *tls, bool client, size_t piece)
{
	static const struct nr_report nobody = {NULL, NULL, false};
	const struct nr_tls_called called = {"fuzz", 1};
	struct nr_tls_outcome outcome;
	struct nr_io io = {&peer_ops};
	struct nr_link link = {.ops = &nr_stream_link,
	                       .report = &nobody,
	                       .dialled = client};
	int fds[2], err;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	link.fd = fds[0];
	link.in_pieces = true;
	peer.fd = fds[1];
	peer.at = 0;
	peer.piece = piece ? piece : 1;
	err = nr_tls_begin(&link, &io, tls, &called,
	                   nr_time_add(nr_now(), NR_NS_PER_S), &outcome);
	MUST(err == -NARU_ETLS || err == -NARU_ECERT || err == -EPIPE ||
	     err == -ECONNRESET);
	MUST(outcome.text[0] && strlen(outcome.text) < sizeof(outcome.text));
	link.ops->close(&link);
	close(fds[1]);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nr_tls *server, *client;
	struct nr_tls *tls;
	bool is_client;
	int whole;

	if (!server) {
		server = make_server();
		client = make_client();
	}
	if (size == 0)
		return 0;
	is_client = data[0] & 1;
	tls = is_client ? client : server;
	peer.data = data + 1;
	peer.len = size - 1;
	whole = shake(tls, is_client, peer.len);
	MUST(shake(tls, is_client, 1) == whole);
	for (size_t i = 2; i < peer.len; i += 1 + peer.len / SPLIT_ALL)
		MUST(shake(tls, is_client, i) == whole);
	return 0;
}
