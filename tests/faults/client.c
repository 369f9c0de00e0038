/* SPDX-License-Identifier: MIT */
/*
 * The client's side of a run: plain sockets, which share no code with the
 * library. A conversation may be lost; bytes that are not those expected, and
 * silence, may never be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge.h"
#include "scenario.h"

static void note_wrong(struct client *client, const char *what)
{
	if (client->wrong[0] == '\0')
		snprintf(client->wrong, sizeof(client->wrong), "%s", what);
}

/* Waits for EVENTS on either; false, noted, where nothing comes. */
static bool await(struct client *client, int fd, int other, short events)
{
	struct pollfd fds[] = {{.fd = fd, .events = events},
	                       {.fd = other, .events = events}};
	int64_t left = (client->until - clock_ns()) / 1000000;
	int ready;

	do {
		ready = poll(fds, 2, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		note_wrong(client, "the server keeps silent");
	return ready > 0;
}

static int connect_tcp(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)atoi(strrchr(scenario->tcp, ':') + 1));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	return scenario_tls ? bridge_over(fd, false, false) : fd;
}

static int connect_local(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%.100s",
	         scenario->local + strlen("unix:"));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool send_all(struct client *client, int fd, const char *data,
                     size_t len)
{
	while (len > 0) {
		ssize_t sent;

		if (!await(client, fd, -1, POLLOUT))
			return false;
		sent = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent > 0) {
			data += sent;
			len -= (size_t)sent;
		}
	}
	return true;
}

static bool say(struct client *client, int fd, const char *text)
{
	return send_all(client, fd, text, strlen(text));
}

/* Receives exactly LEN bytes that must be DATA; false where they do not come
 * because the connection ended. */
static bool hear_all(struct client *client, int fd, const char *data,
                     size_t len)
{
	char buf[4096];

	while (len > 0) {
		ssize_t got;

		if (!await(client, fd, -1, POLLIN))
			return false;
		got = recv(fd, buf, len < sizeof(buf) ? len : sizeof(buf), 0);
		if (got <= 0)
			return false;
		if (memcmp(buf, data, (size_t)got) != 0) {
			note_wrong(client, "other bytes came than were meant");
			return false;
		}
		data += got;
		len -= (size_t)got;
	}
	return true;
}

static bool hear(struct client *client, int fd, const char *text)
{
	return hear_all(client, fd, text, strlen(text));
}

/* The peer has finished, and sent nothing more. */
static bool hear_end(struct client *client, int fd)
{
	char byte;
	ssize_t got;

	if (!await(client, fd, -1, POLLIN))
		return false;
	got = recv(fd, &byte, 1, 0);
	if (got > 0)
		note_wrong(client, "more bytes came than were meant");
	return got == 0;
}

static bool finish(struct client *client, int fd)
{
	return shutdown(fd, SHUT_WR) == 0 && hear_end(client, fd);
}

#define LONG_LINE 40000

/* A line that fits into no buffer of the library's at first. */
static bool echo_long(struct client *client, int fd)
{
	static char line[LONG_LINE + 1];

	for (size_t i = 0; i < LONG_LINE; i++)
		line[i] = (char)('a' + i * 7 % 26);
	line[LONG_LINE] = '\n';
	return send_all(client, fd, line, sizeof(line)) &&
	       hear_all(client, fd, line, sizeof(line));
}

bool client_echo(struct client *client)
{
	int fd = connect_tcp();
	bool held;

	if (fd < 0)
		return false;
	held = say(client, fd, "echo\none\ntwo\n") &&
	       hear(client, fd, "one\ntwo\n") && echo_long(client, fd) &&
	       finish(client, fd);
	close(fd);
	return held;
}

/* What unix clients have to send first, with a value of 300 bytes. */
static bool announce(struct client *client, int fd)
{
	static const char head[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x3b"
				   "\xc0\0\2\1\xc0\0\2\2\x12\x67\0\x50"
				   "\xee\x01\x2c";
	char header[sizeof(head) - 1 + 300] = {0};

	memcpy(header, head, sizeof(head) - 1);
	return send_all(client, fd, header, sizeof(header));
}

bool client_companion(struct client *client)
{
	char joined[700];
	int fd = connect_local();
	bool held;

	if (fd < 0)
		return false;
	snprintf(joined, sizeof(joined), "aside\njoined %0600d\n", 7);
	held = announce(client, fd) && say(client, fd, "companion\n") &&
	       hear(client, fd, joined) && finish(client, fd);
	close(fd);
	return held;
}

/* What the server dials, or -1 where it has ended FD instead. */
static int accept_relayed(struct client *client, int fd)
{
	struct pollfd one = {.fd = client->listener, .events = POLLIN};

	if (!await(client, fd, client->listener, POLLIN))
		return -1;
	if (poll(&one, 1, 0) != 1)
		return -1;
	return accept4(client->listener, NULL, NULL, SOCK_CLOEXEC);
}

/* What a lost conversation has dialled is none of the next one's. */
static void forget_dialled(struct client *client)
{
	struct pollfd one = {.fd = client->listener, .events = POLLIN};

	while (poll(&one, 1, 0) == 1)
		close(accept4(client->listener, NULL, NULL, SOCK_CLOEXEC));
}

#define BULK 200000

/* More than a relay copies before it takes a pipe. */
static bool pass_bulk(struct client *client, int from, int to)
{
	static char bulk[BULK];

	for (size_t i = 0; i < BULK; i++)
		bulk[i] = (char)(i * 31 + i / 251);
	return send_all(client, from, bulk, BULK) &&
	       hear_all(client, to, bulk, BULK);
}

/* What the server dials and speaks to: it may have given up another before,
 * which had come about all the same. */
static int accept_speaking(struct client *client, int fd)
{
	for (;;) {
		int other = accept_relayed(client, fd);

		if (other < 0 ||
		    hear(client, other, "PROXY UNKNOWN\r\nthere\n"))
			return other;
		close(other);
	}
}

bool client_relay(struct client *client)
{
	int fd, other;
	bool held;

	forget_dialled(client);
	fd = connect_tcp();
	if (fd < 0)
		return false;
	held = say(client, fd, "relay\nthere\n");
	other = held ? accept_speaking(client, fd) : -1;
	held = other >= 0 && say(client, other, "and back\n") &&
	       hear(client, fd, "and back\n") && pass_bulk(client, fd, other) &&
	       shutdown(fd, SHUT_WR) == 0 && hear_end(client, other) &&
	       say(client, other, "last\n") && hear(client, fd, "last\n") &&
	       shutdown(other, SHUT_WR) == 0 && hear_end(client, fd);
	if (other >= 0)
		close(other);
	close(fd);
	return held;
}

bool client_program(struct client *client)
{
	int fd = connect_tcp();
	bool held;

	if (fd < 0)
		return false;
	held = say(client, fd, "program\n") && hear(client, fd, "ready\n") &&
	       say(client, fd, "through cat\n") &&
	       hear(client, fd, "through cat\n") && finish(client, fd);
	close(fd);
	return held;
}

bool client_aside(struct client *client)
{
	int fd = connect_tcp();
	bool held;

	if (fd < 0)
		return false;
	held = say(client, fd, "aside\n") &&
	       hear(client, fd, "answered 42\n") && finish(client, fd);
	close(fd);
	return held;
}

bool client_stop(struct client *client, pid_t pid)
{
	int fd = connect_tcp();
	bool held = fd >= 0 && say(client, fd, "echo\nbefore\n") &&
	            hear(client, fd, "before\n");

	kill(pid, SIGTERM);
	held = held && say(client, fd, "after\n") &&
	       hear(client, fd, "after\n") && finish(client, fd);
	if (fd >= 0)
		close(fd);
	return held;
}

void client_open(struct client *client)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	*client = (struct client){.until = clock_ns() + RUN_NS};
	client->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(client->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(client->listener, 8) < 0 ||
	    getsockname(client->listener, (struct sockaddr *)&at, &len) < 0)
		note_wrong(client, "the client has no listener");
	snprintf(scenario->relay_to, sizeof(scenario->relay_to),
	         FAULT_NAME ":%u", ntohs(at.sin_port));
}

void client_close(struct client *client)
{
	close(client->listener);
}

/* How long an answer may take before the question is sent anew. */
#define ASK_AGAIN_MS 30

/* Datagrams may be lost: whoever asks over UDP asks again. An answer that never
 * comes is wrong all the same. */
bool client_datagrams(struct client *client)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool answered = false;
	char buf[64];

	to.sin_port = htons((uint16_t)atoi(strrchr(scenario->udp, ':') + 1));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		note_wrong(client, "a datagram socket cannot be connected");
	/* Where it could not start, nobody is there to answer. */
	while (!answered && clock_ns() < client->until &&
	       atomic_load(&scenario->state) == READY) {
		struct pollfd one = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (send(fd, "datagrams", 9, 0) < 0 ||
		    send(fd, "question", 8, 0) < 0)
			continue;
		if (poll(&one, 1, ASK_AGAIN_MS) <= 0)
			continue;
		got = recv(fd, buf, sizeof(buf), 0);
		answered = got == 6 || got == 7;
		if (got >= 0 &&
		    (!answered || memcmp(buf, got == 6 ? "answer" : "another",
		                         (size_t)got) != 0))
			note_wrong(client, "another datagram came than was "
			                   "meant");
	}
	if (!answered && atomic_load(&scenario->state) == READY)
		note_wrong(client, "no datagram is ever answered");
	close(fd);
	return answered;
}
