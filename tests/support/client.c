/* SPDX-License-Identifier: MIT */
/*
 * The peer of the server under test. It talks to the kernel directly, so that
 * an error of the library cannot hide behind the same error here.
 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"
#include "check.h"
#include "place.h"

#define CHUNK 65536

/* Large enough to be quick, and small enough to be full soon. */
#define LISTENER_BUFFER 65536

static socklen_t unix_address(const char *name, struct sockaddr_un *to)
{
	size_t len = strlen(name);

	if (len >= sizeof(to->sun_path))
		fail_with("socket name too long: %s", name);
	to->sun_family = AF_UNIX;
	memcpy(to->sun_path, name, len);
	if (name[0] == '@')
		to->sun_path[0] = '\0';
	else
		len++;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static socklen_t ip_address(const char *text, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
	struct sockaddr_in *four = (struct sockaddr_in *)to;
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool is_six = text[0] == '[';

	if (len == 0 || len >= sizeof(host))
		fail_with("not an endpoint: %s", text);
	memcpy(host, text + is_six, len - 2 * is_six);
	if (is_six) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)atoi(colon + 1));
		assert_int_equal(inet_pton(AF_INET6, host, &six->sin6_addr), 1);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)atoi(colon + 1));
	assert_int_equal(inet_pton(AF_INET, host, &four->sin_addr), 1);
	return sizeof(*four);
}

static bool is_udp(const char *endpoint)
{
	return strncmp(endpoint, "udp://", 6) == 0;
}

socklen_t client_address(const char *endpoint, struct sockaddr_storage *to)
{
	memset(to, 0, sizeof(*to));
	if (strncmp(endpoint, "unix:", 5) == 0)
		return unix_address(endpoint + 5, (struct sockaddr_un *)to);
	if (strncmp(endpoint, "tcp://", 6) != 0 &&
	    strncmp(endpoint, "tls://", 6) != 0 && !is_udp(endpoint))
		fail_with("not an endpoint: %s", endpoint);
	return ip_address(endpoint + 6, to);
}

static void limit_waits(int fd)
{
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static bool over_tls(const char *endpoint)
{
	return strncmp(endpoint, "tls://", 6) == 0;
}

/* FD under TLS. */
static int bridged(int fd, bool server, bool small)
{
	int plain = bridge_over(fd, server, small);

	limit_waits(plain);
	return plain;
}

static int connect_with(const char *endpoint, int buffer)
{
	struct sockaddr_storage to;
	socklen_t len = client_address(endpoint, &to);
	int type = is_udp(endpoint) ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(to.ss_family, type | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	limit_waits(fd);
	/* Behind this one another socket buffers as well. */
	if (!buffer && over_tls(endpoint))
		buffer = LISTENER_BUFFER;
	if (buffer)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (to.ss_family != AF_UNIX && type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
		           sizeof(int));
	if (connect(fd, (struct sockaddr *)&to, len) == 0)
		return over_tls(endpoint) ? bridged(fd, false, buffer == 1)
		                          : fd;
	err = errno;
	close(fd);
	return -err;
}

int client_try(const char *endpoint)
{
	return connect_with(endpoint, 0);
}

int client_connect(const char *endpoint)
{
	int fd = connect_with(endpoint, 0);

	if (fd < 0)
		fail_with("connect %s: %s", endpoint, strerror(-fd));
	return fd;
}

int client_connect_small(const char *endpoint)
{
	int fd = connect_with(endpoint, 1);

	if (fd < 0)
		fail_with("connect %s: %s", endpoint, strerror(-fd));
	return fd;
}

int client_listen(char *endpoint, size_t size)
{
	struct sockaddr_storage own;
	int buffer = LISTENER_BUFFER;
	socklen_t len;
	int fd;

	place_endpoint(endpoint, size);
	len = client_address(endpoint, &own);
	fd = socket(own.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (bind(fd, (struct sockaddr *)&own, len) < 0 || listen(fd, 16) < 0)
		fail_with("listen at %s: %s", endpoint, strerror(errno));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	/* The port is at the same place for both families. */
	if (own.ss_family != AF_UNIX)
		snprintf(strrchr(endpoint, ':'), 8, ":%d",
		         ntohs(((struct sockaddr_in *)&own)->sin_port));
	return fd;
}

int client_accept(int listener)
{
	int fd;

	if (!client_hears(listener, WAIT_MS))
		fail_with("nobody has connected");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		fail_with("accept: %s", strerror(errno));
	if (place.transport == TRANSPORT_TLS)
		return bridged(fd, true, false);
	limit_waits(fd);
	return fd;
}

void client_send(int fd, const void *data, size_t len)
{
	const char *at = data;
	ssize_t sent;

	while (len > 0) {
		sent = send(fd, at, len, MSG_NOSIGNAL);
		if (sent < 0)
			fail_with("client's send: %s", strerror(errno));
		at += sent;
		len -= (size_t)sent;
	}
}

void client_say(int fd, const char *text)
{
	client_send(fd, text, strlen(text));
}

void client_send_pattern(int fd, size_t from, size_t len)
{
	static unsigned char buf[CHUNK];
	size_t n;

	for (; len > 0; from += n, len -= n) {
		n = len < CHUNK ? len : CHUNK;
		pattern_fill(buf, from, n);
		client_send(fd, buf, n);
	}
}

static void receive(int fd, void *buf, size_t len)
{
	char *to = buf;
	size_t have = 0;
	ssize_t got;

	while (have < len) {
		got = recv(fd, to + have, len - have, 0);
		if (got < 0)
			fail_with("client's recv, with %zu of %zu bytes: %s",
			          have, len, strerror(errno));
		if (got == 0)
			fail_with("the end came after %zu of %zu bytes", have,
			          len);
		have += (size_t)got;
	}
}

void client_expect_bytes(int fd, const void *data, size_t len)
{
	static char buf[CHUNK + 1];
	const char *want = data;
	size_t n;

	for (; len > 0; want += n, len -= n) {
		n = len < CHUNK ? len : CHUNK;
		receive(fd, buf, n);
		buf[n] = '\0';
		if (memcmp(buf, want, n) != 0)
			fail_with("other bytes were to come than: %s", buf);
	}
}

void client_expect(int fd, const char *text)
{
	client_expect_bytes(fd, text, strlen(text));
}

static void expect_stream(int fd, size_t from, size_t len,
                          void (*fill)(void *, size_t, size_t))
{
	static unsigned char buf[CHUNK], want[CHUNK];
	size_t n;

	for (; len > 0; from += n, len -= n) {
		n = len < CHUNK ? len : CHUNK;
		receive(fd, buf, n);
		fill(want, from, n);
		if (memcmp(buf, want, n) != 0)
			fail_with("wrong bytes between %zu and %zu", from,
			          from + n);
	}
}

void client_expect_pattern(int fd, size_t from, size_t len)
{
	expect_stream(fd, from, len, pattern_fill);
}

void client_expect_letters(int fd, size_t from, size_t len)
{
	expect_stream(fd, from, len, letters_fill);
}

void client_line(int fd, char *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		if (len == size)
			fail_with("line too long");
		receive(fd, buf + len, 1);
		if (buf[len] == '\n')
			break;
		len++;
	}
	buf[len] = '\0';
}

void client_expect_end(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	if (got < 0)
		fail_with("no end, but %s", strerror(errno));
	if (got > 0)
		fail_with("no end, but a byte %#x", (unsigned char)byte);
}

/* Receives all there is; whether a reset came behind it. */
static bool receive_rest(int fd)
{
	static char buf[CHUNK];
	ssize_t got;

	do
		got = recv(fd, buf, sizeof(buf), 0);
	while (got > 0);
	if (got < 0 && errno != ECONNRESET)
		fail_with("neither end nor reset, but %s", strerror(errno));
	return got < 0;
}

void client_expect_gone(int fd)
{
	(void)receive_rest(fd);
}

void client_expect_reset(int fd)
{
	if (!receive_rest(fd) && place.transport != TRANSPORT_UNIX)
		fail_with("an orderly end, and no reset");
}

void client_skip(int fd, size_t len)
{
	static char buf[CHUNK];
	size_t n;

	for (; len > 0; len -= n) {
		n = len < CHUNK ? len : CHUNK;
		receive(fd, buf, n);
	}
}

bool client_hears(int fd, int ms)
{
	struct pollfd waiting = {.fd = fd, .events = POLLIN};

	return poll(&waiting, 1, ms) == 1;
}

/* One send of what is left of the pattern; returns how much went. */
static size_t send_some(int fd, size_t from, size_t len)
{
	static unsigned char buf[CHUNK];
	size_t n = len < CHUNK ? len : CHUNK;
	ssize_t sent;

	pattern_fill(buf, from, n);
	sent = send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN)
		fail_with("client's send after %zu bytes: %s", from,
		          strerror(errno));
	return sent > 0 ? (size_t)sent : 0;
}

static size_t receive_some(int fd, size_t from, size_t len)
{
	static unsigned char buf[CHUNK];
	ssize_t got;

	got = recv(fd, buf, len < CHUNK ? len : CHUNK, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got <= 0)
		fail_with("client's recv after %zu bytes: %s", from,
		          got < 0 ? strerror(errno) : "end");
	if (!pattern_holds(buf, from, (size_t)got))
		fail_with("wrong bytes after %zu", from);
	return (size_t)got;
}

void client_exchange(int fd, size_t out, size_t in)
{
	size_t sent = 0, got = 0;
	struct pollfd waiting = {.fd = fd};

	while (sent < out || got < in) {
		waiting.events = 0;
		if (sent < out)
			waiting.events |= POLLOUT;
		if (got < in)
			waiting.events |= POLLIN;
		if (poll(&waiting, 1, WAIT_MS) != 1)
			fail_with("stuck with %zu sent and %zu received", sent,
			          got);
		if (sent < out && (waiting.revents & POLLOUT))
			sent += send_some(fd, sent, out - sent);
		if (got < in && (waiting.revents & (POLLIN | POLLHUP)))
			got += receive_some(fd, got, in - got);
		else if (waiting.revents & POLLERR)
			fail_with("broken with %zu sent and %zu received", sent,
			          got);
	}
}

void client_finish(int fd)
{
	if (shutdown(fd, SHUT_WR) < 0)
		fail_with("client's shutdown: %s", strerror(errno));
}

void client_reset(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (!client_hears(fd, WAIT_MS))
		fail_with("nothing is unread");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}
