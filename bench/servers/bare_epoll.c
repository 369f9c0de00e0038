/* SPDX-License-Identifier: MIT */
/*
 * The limit on epoll: one thread and nothing but the system calls that the
 * work needs. No timeouts, no limits, and no way to stop but a signal: a bound
 * to measure by, not a server that one could run.
 *
 *     bare_epoll echo|lines
 *
 * Edge-triggered: a read that came short has emptied the socket, so whatever
 * comes later is a new edge and needs no read to find out. A peer's end may
 * share its edge with data; EPOLLRDHUP tells, and then reading goes on. All
 * connections use one buffer. Only what could not be sent at once is kept, and
 * a connection that has some is not read from until it is gone; from then on
 * its edges tell of room as well, which costs nothing while there is room.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_setup.h"

#define EVENTS_MAX 512
#define INPUT      (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define ENDS       (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* In the order of descriptors; what is null is not needed now. */
struct conn {
	char *unsent; /* from the first byte that could not be sent */
	char *rest;   /* of what was read: a line that is not complete */
	uint32_t unsent_len, rest_len;
	uint32_t watched; /* for these events */
};

static struct conn conns[BENCH_FDS];
static char input[BENCH_LINE + BENCH_READ], output[BENCH_LINE + BENCH_READ];
static int watch;
static bool lines;

static void drop(int fd)
{
	struct conn *conn = &conns[fd];

	free(conn->unsent);
	free(conn->rest);
	memset(conn, 0, sizeof(*conn));
	close(fd);
}

static void await(int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	struct conn *conn = &conns[fd];
	int op = conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (conn->watched != events && epoll_ctl(watch, op, fd, &event) < 0)
		bench_die("epoll_ctl");
	conn->watched = events;
}

static char *copy(const char *data, size_t len)
{
	char *made = malloc(len);

	if (!made)
		bench_die("malloc");
	return memcpy(made, data, len);
}

/* Whether all was sent; else the connection waits for room, or is gone. */
static bool answer(int fd, const char *data, size_t len)
{
	struct conn *conn = &conns[fd];
	ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

	if (sent == (ssize_t)len)
		return true;
	if (sent < 0 && errno != EAGAIN) {
		drop(fd);
		return false;
	}
	sent = sent < 0 ? 0 : sent;
	conn->unsent_len = (uint32_t)(len - (size_t)sent);
	conn->unsent = copy(data + sent, conn->unsent_len);
	await(fd, INPUT | EPOLLOUT);
	return false;
}

/* Keeps the LEN bytes at DATA for the next read; false where no line may be
 * as long. */
static bool keep_rest(struct conn *conn, const char *data, size_t len)
{
	if (len >= BENCH_LINE)
		return false;
	free(conn->rest);
	conn->rest = len > 0 ? copy(data, len) : NULL;
	conn->rest_len = (uint32_t)len;
	return true;
}

/* GOT bytes stand behind the rest of last time. */
static bool answer_lines(int fd, size_t got)
{
	struct conn *conn = &conns[fd];
	size_t len = conn->rest_len + got;
	size_t used = bench_answer(output, input, len);

	if ((used < len || conn->rest) &&
	    !keep_rest(conn, input + used, len - used)) {
		drop(fd);
		return false;
	}
	return used == 0 || answer(fd, output, used);
}

/*
 * Reads until the socket is empty: with ENDED, until it says so itself. Returns
 * whether the connection waits for input now.
 */
static bool serve(int fd, bool ended)
{
	struct conn *conn = &conns[fd];
	ssize_t got;

	do {
		if (conn->rest)
			memcpy(input, conn->rest, conn->rest_len);
		got = recv(fd, input + conn->rest_len, BENCH_READ, 0);
		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0) {
			drop(fd);
			return false;
		}
		if (lines ? !answer_lines(fd, (size_t)got)
		          : !answer(fd, input, (size_t)got))
			return false;
	} while (got == BENCH_READ || ended);
	return true;
}

/* There is room: sends what is left, and takes up reading again. */
static void resume(int fd)
{
	struct conn *conn = &conns[fd];
	ssize_t sent = send(fd, conn->unsent, conn->unsent_len, MSG_NOSIGNAL);

	if (sent < 0 && errno == EAGAIN)
		return;
	if (sent < 0) {
		drop(fd);
		return;
	}
	conn->unsent_len -= (uint32_t)sent;
	if (conn->unsent_len > 0) {
		memmove(conn->unsent, conn->unsent + sent, conn->unsent_len);
		return;
	}
	free(conn->unsent);
	conn->unsent = NULL;
	/* Edges passed meanwhile, the peer's end perhaps among them. */
	(void)serve(fd, true);
}

/* Clients that speak first have often spoken by the time they are accepted. */
static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL,
		                 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			if (serve(fd, false))
				await(fd, INPUT);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != ECONNABORTED) {
			bench_die("accept4");
		}
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];
	int listener;

	lines = bench_begin("bare_epoll", argc == 2 ? argv[1] : NULL);
	listener = bench_listen(SOCK_NONBLOCK);
	watch = epoll_create1(EPOLL_CLOEXEC);
	if (watch < 0)
		bench_die("epoll_create1");
	await(listener, INPUT);
	bench_ready(listener);
	for (;;) {
		int ready = epoll_wait(watch, events, EVENTS_MAX, -1);

		if (ready < 0 && errno != EINTR)
			bench_die("epoll_wait");
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				accept_all(listener);
			else if (conns[fd].unsent)
				resume(fd);
			else
				(void)serve(fd, events[i].events & ENDS);
		}
	}
}
