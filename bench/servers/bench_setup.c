/* SPDX-License-Identifier: MIT */
/* What all servers of the benchmarks have in common: see bench_setup.h. */
#include "bench_setup.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Nothing that went wrong may run on without an end. */
#define LIFE_S 180

void bench_die(const char *what)
{
	perror(what);
	exit(1);
}

bool bench_begin(const char *program, const char *mode)
{
	struct rlimit limit;
	bool lines = mode && strcmp(mode, "lines") == 0;

	if (!mode || (!lines && strcmp(mode, "echo") != 0)) {
		fprintf(stderr, "usage: %s echo|lines\n", program);
		exit(2);
	}
	alarm(LIFE_S);
	/* A client that is gone is an error of the call that finds out. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		bench_die("getrlimit");
	limit.rlim_cur =
		limit.rlim_max < BENCH_FDS ? limit.rlim_max : BENCH_FDS;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		bench_die("setrlimit");
	return lines;
}

int bench_listen(int flags)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* What is accepted inherits TCP_NODELAY. */
	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, BENCH_BACKLOG) < 0)
		bench_die("listen");
	return fd;
}

void bench_ready(int fd)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		bench_die("getsockname");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
}

size_t bench_answer(char *out, const char *in, size_t len)
{
	size_t used = 0;
	const char *end;

	while ((end = memchr(in + used, '\n', len - used))) {
		size_t line = (size_t)(end - in) + 1 - used;

		memcpy(out + used, in + used, line);
		used += line;
	}
	return used;
}
