/* SPDX-License-Identifier: MIT */
/*
 * A thread for each connection, on a stack of 64 KiB, in calls that block: the
 * plain way to write straight-line servers. Lines that come together are
 * answered together, as in the bare loops.
 *
 *     threads echo|lines
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bench_setup.h>

#define STACK 65536

static bool answer(int fd, const char *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void echo(int fd)
{
	char buf[BENCH_READ];
	ssize_t got;

	while ((got = recv(fd, buf, sizeof(buf), 0)) > 0 &&
	       answer(fd, buf, (size_t)got))
		;
}

static void answer_lines(int fd)
{
	char in[BENCH_LINE + BENCH_READ], out[BENCH_LINE + BENCH_READ];
	size_t len = 0, used;
	ssize_t got;

	while (len < BENCH_LINE &&
	       (got = recv(fd, in + len, BENCH_READ, 0)) > 0) {
		len += (size_t)got;
		used = bench_answer(out, in, len);
		if (used > 0 && !answer(fd, out, used))
			return;
		len -= used;
		memmove(in, in + used, len);
	}
}

static void *serve_echo(void *arg)
{
	int fd = (int)(intptr_t)arg;

	echo(fd);
	close(fd);
	return NULL;
}

static void *serve_lines(void *arg)
{
	int fd = (int)(intptr_t)arg;

	answer_lines(fd);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	bool lines = bench_begin("threads", argc == 2 ? argv[1] : NULL);
	int listener = bench_listen(0);
	pthread_attr_t attributes;
	pthread_t thread;

	if (pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setstacksize(&attributes, STACK) != 0 ||
	    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) !=
	            0)
		bench_die("pthread_attr_init");
	bench_ready(listener);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && errno != ECONNABORTED)
			bench_die("accept4");
		if (fd >= 0 && pthread_create(&thread, &attributes,
		                              lines ? serve_lines : serve_echo,
		                              (void *)(intptr_t)fd) != 0)
			close(fd);
	}
}
