/* SPDX-License-Identifier: MIT */
/*
 * The limits: echo servers with nothing in them but the system calls that the
 * work needs. No timeouts, no limits, no report, and no way to stop but a
 * signal: a bound to measure by, not servers that one could run.
 *
 *     bare loop      one at a time
 *     bare fork      a process for each connection
 *     bare prefork   processes started beforehand, all of them in accept()
 *
 * Prints its port when clients can come.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 16

/* Nothing that went wrong may run on without an end. */
#define LIFE_S 120

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_listener(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		die("listen");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

static int accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		die("accept4");
	return fd;
}

/* Until the peer has finished, as an echo server does. */
static void echo(int fd)
{
	char buf[4096];
	ssize_t got;

	while ((got = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (send(fd, buf, (size_t)got, MSG_NOSIGNAL) != got)
			break;
	close(fd);
}

static _Noreturn void run_loop(int listener)
{
	for (;;)
		echo(accept_one(listener));
}

static _Noreturn void run_fork(int listener)
{
	for (;;) {
		int fd = accept_one(listener);
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			close(listener);
			echo(fd);
			_exit(0);
		}
		close(fd);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static _Noreturn void run_prefork(int listener)
{
	for (int i = 0; i < WORKERS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			run_loop(listener);
		}
	}
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";

	alarm(LIFE_S);
	if (strcmp(mode, "loop") == 0)
		run_loop(open_listener());
	if (strcmp(mode, "fork") == 0)
		run_fork(open_listener());
	if (strcmp(mode, "prefork") == 0)
		run_prefork(open_listener());
	fprintf(stderr, "usage: bare loop|fork|prefork\n");
	return 2;
}
