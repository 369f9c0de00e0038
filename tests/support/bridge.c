/* SPDX-License-Identifier: MIT */
/* See bridge.h. It uses OpenSSL by itself, and nothing of the library's. */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define CHUNK       16384
#define PAIR_BUFFER 65536

static char dir[64], certificate[96], key[96];
static SSL_CTX *contexts[2]; /* the client's, the server's */

const struct naru_tls *bridge_tls(void)
{
	static struct naru_tls tls;

	tls = (struct naru_tls){.size = sizeof(tls),
	                        .certificate = {certificate, key}};
	return certificate[0] ? &tls : NULL;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void write_files(X509 *cert, EVP_PKEY *pair)
{
	FILE *file = fopen(certificate, "w");

	must(file != NULL, certificate);
	must(PEM_write_X509(file, cert) == 1, certificate);
	must(fclose(file) == 0, certificate);
	file = fopen(key, "w");
	must(file != NULL, key);
	must(PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL) == 1,
	     key);
	must(fclose(file) == 0, key);
}

static void make_certificate(void)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *names =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	                            "IP:127.0.0.1,IP:::1");

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	                           (const unsigned char *)"naru", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, pair);
	X509_add_ext(cert, names, -1);
	X509_EXTENSION_free(names);
	must(X509_sign(cert, pair, EVP_sha256()) > 0, "X509_sign");
	write_files(cert, pair);
	X509_free(cert);
	EVP_PKEY_free(pair);
}

static void make_folder(void)
{
	snprintf(dir, sizeof(dir), "/tmp/naru-tls-XXXXXX");
	must(mkdtemp(dir), dir);
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	/* Where OpenSSL finds the system's. */
	setenv("SSL_CERT_FILE", certificate, 1);
}

static void make_contexts(void)
{
	int i;

	contexts[0] = SSL_CTX_new(TLS_client_method());
	contexts[1] = SSL_CTX_new(TLS_server_method());
	must(contexts[0] && contexts[1], "SSL_CTX_new");
	for (i = 0; i < 2; i++)
		must(SSL_CTX_load_verify_file(contexts[i], certificate) == 1,
		     certificate);
	SSL_CTX_set_verify(contexts[0], SSL_VERIFY_PEER, NULL);
	must(SSL_CTX_use_certificate_file(contexts[1], certificate,
	                                  SSL_FILETYPE_PEM) == 1 &&
	             SSL_CTX_use_PrivateKey_file(contexts[1], key,
	                                         SSL_FILETYPE_PEM) == 1,
	     key);
}

void bridge_open(void)
{
	make_folder();
	make_certificate();
	make_contexts();
}

void bridge_open_apart(void)
{
	pid_t child;
	int status;

	make_folder();
	child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		make_certificate();
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child && status == 0, certificate);
}

void bridge_close(void)
{
	if (!certificate[0])
		return;
	SSL_CTX_free(contexts[0]);
	SSL_CTX_free(contexts[1]);
	unlink(certificate);
	unlink(key);
	rmdir(dir);
}

/* One direction: what was read and is not written yet. */
struct half {
	char data[CHUNK];
	size_t begin, end;
	bool ended; /* its source has finished */
	bool told;  /* and its target knows */
};

struct bridge {
	SSL *ssl;
	int fd, plain;
	bool over;    /* the handshake */
	bool writing; /* what TLS waits for is to write */
	struct half out, in;
};

/* Both ends see a reset, and nothing is left to do. */
static _Noreturn void break_off(struct bridge *bridge)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(bridge->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	setsockopt(bridge->plain, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(bridge->fd);
	close(bridge->plain);
	_exit(0);
}

/* What SSL's call, which returned RESULT, waits for; false at the peer's end.
 */
static bool goes_on(struct bridge *bridge, int result)
{
	switch (SSL_get_error(bridge->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return true;
	case SSL_ERROR_WANT_WRITE:
		bridge->writing = true;
		return true;
	case SSL_ERROR_ZERO_RETURN:
		return false;
	default:
		break_off(bridge);
	}
}

static void shake_hands(struct bridge *bridge)
{
	int result = SSL_do_handshake(bridge->ssl);

	if (result == 1)
		bridge->over = true;
	else if (!goes_on(bridge, result))
		break_off(bridge);
}

/* From the plain side to TLS. */
static void move_out(struct bridge *bridge)
{
	struct half *out = &bridge->out;
	ssize_t got;
	int result;

	if (out->begin == out->end && !out->ended) {
		got = recv(bridge->plain, out->data, CHUNK, MSG_DONTWAIT);
		if (got < 0 && errno != EAGAIN)
			break_off(bridge);
		out->ended = got == 0;
		out->begin = 0;
		out->end = got > 0 ? (size_t)got : 0;
	}
	if (out->begin < out->end) {
		result = SSL_write(bridge->ssl, out->data + out->begin,
		                   (int)(out->end - out->begin));
		if (result > 0)
			out->begin += (size_t)result;
		else if (!goes_on(bridge, result))
			break_off(bridge);
	} else if (out->ended && !out->told) {
		result = SSL_shutdown(bridge->ssl);
		if (result < 0 && !goes_on(bridge, result))
			break_off(bridge);
		out->told = result >= 0;
		if (out->told)
			shutdown(bridge->fd, SHUT_WR);
	}
}

/* The other way. */
static void move_in(struct bridge *bridge)
{
	struct half *in = &bridge->in;
	ssize_t sent;
	int result;

	if (in->begin == in->end && !in->ended) {
		result = SSL_read(bridge->ssl, in->data, CHUNK);
		in->begin = 0;
		in->end = result > 0 ? (size_t)result : 0;
		if (result <= 0)
			in->ended = !goes_on(bridge, result);
	}
	if (in->begin < in->end) {
		sent = send(bridge->plain, in->data + in->begin,
		            in->end - in->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			in->begin += (size_t)sent;
		else if (errno != EAGAIN)
			break_off(bridge);
	} else if (in->ended && !in->told) {
		shutdown(bridge->plain, SHUT_WR);
		in->told = true;
	}
}

/* Waits for whatever can be gone on with. */
static void wait_more(const struct bridge *bridge)
{
	struct pollfd fds[2] = {{.fd = bridge->fd}, {.fd = bridge->plain}};
	const struct half *out = &bridge->out, *in = &bridge->in;

	if (bridge->writing)
		fds[0].events |= POLLOUT;
	if (!bridge->over || (in->begin == in->end && !in->ended))
		fds[0].events |= POLLIN;
	if (in->begin < in->end)
		fds[1].events |= POLLOUT;
	if (bridge->over && out->begin == out->end && !out->ended)
		fds[1].events |= POLLIN;
	/* Whoever has nothing to say is not asked how it is. */
	if (!fds[0].events)
		fds[0].fd = -1;
	if (!fds[1].events)
		fds[1].fd = -1;
	poll(fds, 2, WAIT_MS);
}

static _Noreturn void carry(struct bridge *bridge)
{
	while (!bridge->out.told || !bridge->in.told) {
		bridge->writing = false;
		if (!bridge->over)
			shake_hands(bridge);
		if (bridge->over) {
			move_out(bridge);
			move_in(bridge);
		}
		if (bridge->out.told && bridge->in.told)
			break;
		if (!SSL_pending(bridge->ssl) ||
		    bridge->in.begin < bridge->in.end || bridge->writing)
			wait_more(bridge);
	}
	_exit(0);
}

/* Closes all but the two that are needed: others wait for their ends. */
static void close_others(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b);
	unsigned high = (unsigned)(a < b ? b : a);

	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static _Noreturn void stand_between(int fd, int plain, bool server)
{
	static struct bridge bridge;

	close_others(fd, plain);
	bridge.fd = fd;
	bridge.plain = plain;
	if (!contexts[server])
		make_contexts();
	bridge.ssl = SSL_new(contexts[server]);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (!bridge.ssl || SSL_set_fd(bridge.ssl, fd) != 1)
		_exit(1);
	SSL_set_mode(bridge.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	if (server)
		SSL_set_accept_state(bridge.ssl);
	else
		SSL_set_connect_state(bridge.ssl);
	carry(&bridge);
}

/* A connection with ourselves. */
static void connect_pair(int pair[2], bool small)
{
	struct sockaddr_in own = {.sin_family = AF_INET,
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(own);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* What the system would grow is not what the test means to fill. */
	int buffer = small ? 1 : PAIR_BUFFER, on = 1;

	setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	assert_int_equal(bind(listener, (struct sockaddr *)&own, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&own, &len);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(pair[0], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	assert_int_equal(connect(pair[0], (struct sockaddr *)&own, len), 0);
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(pair[1] >= 0);
	close(listener);
	setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int bridge_over(int fd, bool server, bool small)
{
	int pair[2];
	pid_t child;

	connect_pair(pair, small);
	/* Nobody's child: nobody has to wait for it. */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (fork() == 0)
			stand_between(fd, pair[1], server);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(fd);
	close(pair[1]);
	return pair[0];
}
