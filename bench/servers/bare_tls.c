/* SPDX-License-Identifier: MIT */
/*
 * The limit of TLS: one thread, one epoll, OpenSSL as its manual shows it, an
 * echo, and nothing else.
 *
 *     bare_tls CERT KEY
 *
 * Prints its port on 127.0.0.1 when clients can connect; ends on SIGTERM.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK  16384
#define EVENTS 256

struct peer {
	SSL *ssl;
	int fd;
	bool writing; /* waits until the socket takes more */
	size_t begin, end;
	char data[CHUNK];
};

static int poller;

static void drop(struct peer *peer)
{
	SSL_free(peer->ssl);
	close(peer->fd);
	free(peer);
}

static void await(struct peer *peer, bool writing)
{
	struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN,
	                            .data.ptr = peer};

	if (peer->writing == writing)
		return;
	peer->writing = writing;
	epoll_ctl(poller, EPOLL_CTL_MOD, peer->fd, &event);
}

/* What OpenSSL's call, which returned RESULT, waits for; false at the end. */
static bool goes_on(struct peer *peer, int result)
{
	switch (SSL_get_error(peer->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		await(peer, false);
		return true;
	case SSL_ERROR_WANT_WRITE:
		await(peer, true);
		return true;
	case SSL_ERROR_ZERO_RETURN:
		(void)SSL_shutdown(peer->ssl);
		return false;
	default:
		return false;
	}
}

static void turn(struct peer *peer)
{
	int result;

	ERR_clear_error();
	for (;;) {
		if (peer->begin == peer->end) {
			result = SSL_read(peer->ssl, peer->data, CHUNK);
			peer->begin = 0;
			peer->end = result > 0 ? (size_t)result : 0;
		} else {
			result = SSL_write(peer->ssl, peer->data + peer->begin,
			                   (int)(peer->end - peer->begin));
			peer->begin += result > 0 ? (size_t)result : 0;
		}
		if (result > 0)
			continue;
		if (!goes_on(peer, result))
			drop(peer);
		return;
	}
}

static void welcome(int listener, SSL_CTX *context)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct peer *peer;
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
	                     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		peer = calloc(1, sizeof(*peer));
		if (!peer)
			abort();
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
		           sizeof(int));
		peer->fd = fd;
		peer->ssl = SSL_new(context);
		SSL_set_fd(peer->ssl, fd);
		SSL_set_accept_state(peer->ssl);
		event.data.ptr = peer;
		epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
		turn(peer);
	}
}

static int listen_somewhere(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET,
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(own);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (bind(listener, (struct sockaddr *)&own, len) < 0 ||
	    listen(listener, 4096) < 0 ||
	    getsockname(listener, (struct sockaddr *)&own, &len) < 0)
		abort();
	printf("%d\n", ntohs(own.sin_port));
	fflush(stdout);
	return listener;
}

int main(int argc, char **argv)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
	int listener, count;

	if (argc != 3 || !context ||
	    SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) !=
	            1)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
	                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"b", 1);
	/* Fewer calls: what is there is read at once. */
	SSL_CTX_set_read_ahead(context, 1);
	listener = listen_somewhere();
	poller = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		count = epoll_wait(poller, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				turn(events[i].data.ptr);
			else
				welcome(listener, context);
		}
	}
}
