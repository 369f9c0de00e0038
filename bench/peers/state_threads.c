/* SPDX-License-Identifier: MIT */
/*
 * State Threads: a thread of its own kind for each client, which reads and
 * writes as if it blocked. It waits in poll(2): Debian's package is built
 * without epoll, and select(2), which it falls back to, ends at 1024
 * descriptors and is no faster below. Like Naru's talk, it waits for small
 * messages with a small buffer on its stack, so that an idle client costs one
 * page of it, and takes large ones with a large buffer.
 *
 *     state_threads echo|lines
 */
#include <st.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bench_setup.h>

#define SMALL 1024
#define STACK 65536

static bool lines;

static bool answer(st_netfd_t peer, const char *data, size_t len)
{
	return st_write(peer, data, len, ST_UTIME_NO_TIMEOUT) == (ssize_t)len;
}

/* As long as what comes is large; what then came, or not above 0 at the end. */
static __attribute__((noinline)) ssize_t echo_large(st_netfd_t peer)
{
	char buf[BENCH_READ];
	ssize_t got;

	do {
		got = st_read(peer, buf, sizeof(buf), ST_UTIME_NO_TIMEOUT);
		if (got > 0 && !answer(peer, buf, (size_t)got))
			return -1;
	} while (got >= SMALL);
	return got;
}

static void echo(st_netfd_t peer)
{
	char buf[SMALL];
	ssize_t got;

	do {
		got = st_read(peer, buf, sizeof(buf), ST_UTIME_NO_TIMEOUT);
		if (got > 0 && !answer(peer, buf, (size_t)got))
			return;
		if (got == SMALL)
			got = echo_large(peer);
	} while (got > 0);
}

/* Each answer is a write of its own. */
static void answer_lines(st_netfd_t peer)
{
	char buf[BENCH_LINE + BENCH_READ];
	size_t len = 0;
	ssize_t got;

	while (len < BENCH_LINE && (got = st_read(peer, buf + len, BENCH_READ,
	                                          ST_UTIME_NO_TIMEOUT)) > 0) {
		char *line = buf, *end;

		len += (size_t)got;
		while ((end = memchr(line, '\n', len))) {
			size_t size = (size_t)(end - line) + 1;

			if (!answer(peer, line, size))
				return;
			line += size;
			len -= size;
		}
		memmove(buf, line, len);
	}
}

static void *serve(void *arg)
{
	st_netfd_t peer = arg;

	if (lines)
		answer_lines(peer);
	else
		echo(peer);
	st_netfd_close(peer);
	return NULL;
}

int main(int argc, char **argv)
{
	st_netfd_t listener, peer;
	int fd;

	lines = bench_begin("state_threads", argc == 2 ? argv[1] : NULL);
	fd = bench_listen(0);
	if (st_set_eventsys(ST_EVENTSYS_POLL) < 0 || st_init() < 0 ||
	    !(listener = st_netfd_open_socket(fd)))
		bench_die("st_init");
	bench_ready(fd);
	while ((peer = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT)))
		if (!st_thread_create(serve, peer, 0, STACK))
			st_netfd_close(peer);
	bench_die("st_accept");
}
