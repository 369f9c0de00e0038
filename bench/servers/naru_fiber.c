/* SPDX-License-Identifier: MIT */
/*
 * Naru's fibers on one thread, with every default as it is: timeouts, limits
 * and the graceful end are all at work.
 *
 *     naru_fiber [uring|epoll] echo|lines
 *
 * Prints its port when clients can come, and stops on SIGTERM. Without a
 * waiter's name, Naru chooses.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <naru.h>

#include "bench_setup.h"

#define CONVERSATIONS 20000

/*
 * A talk waits for small messages with a small buffer, so that an idle one
 * costs one page of its stack, and takes large ones with a large buffer.
 */
#define SMALL 1024

static struct naru_server *server;

/* As long as what comes is large; what then came, 0 at the end, an error. */
static __attribute__((noinline)) ssize_t echo_large(struct naru_conv *conv)
{
	char buf[BENCH_READ];
	ssize_t got;
	int err;

	do {
		got = naru_read(conv, buf, sizeof(buf));
		if (got > 0) {
			err = naru_write(conv, buf, (size_t)got);
			if (err < 0)
				return err;
		}
	} while (got >= SMALL);
	return got;
}

static int echo(struct naru_conv *conv, void *arg)
{
	char buf[SMALL];
	ssize_t got;
	int err;

	(void)arg;
	do {
		got = naru_read(conv, buf, sizeof(buf));
		if (got > 0) {
			err = naru_write(conv, buf, (size_t)got);
			if (err < 0)
				return err;
		}
		if (got == SMALL)
			got = echo_large(conv);
	} while (got > 0);
	return (int)got;
}

static int answer_lines(struct naru_conv *conv, void *arg)
{
	struct naru_msg line;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &line)) > 0) {
		err = naru_send(conv, line.data, line.len);
		if (err < 0)
			break;
	}
	return err;
}

static void stop(int signo)
{
	(void)signo;
	naru_server_stop(server, 0);
}

static int serve(enum naru_io io, naru_talk *talk)
{
	char endpoint[NARU_ADDR_TEXT];
	int err =
		naru_server_new(&server,
	                        NARU_OPTIONS(.model = NARU_FIBER, .io = io,
	                                     .workers = 1,
	                                     .max_conversations = CONVERSATIONS,
	                                     .message_limit = BENCH_LINE - 1));

	if (err < 0)
		return err;
	err = naru_server_listen(server, "tcp://127.0.0.1:0", talk, NULL);
	if (err == 0)
		err = naru_server_endpoint(server, 0, endpoint,
		                           sizeof(endpoint));
	if (err >= 0) {
		(void)signal(SIGTERM, stop);
		printf("%s\n", strrchr(endpoint, ':') + 1);
		fflush(stdout);
		err = naru_server_run(server);
	}
	naru_server_free(server);
	return err;
}

int main(int argc, char **argv)
{
	const char *waiter = argc == 3 ? argv[1] : "";
	const char *mode = argc == 2 ? argv[1] : NULL;
	enum naru_io io = NARU_IO_AUTO;
	bool lines;
	int err;

	if (strcmp(waiter, "uring") == 0)
		io = NARU_IO_URING;
	else if (strcmp(waiter, "epoll") == 0)
		io = NARU_IO_EPOLL;
	if (io != NARU_IO_AUTO)
		mode = argv[2];
	lines = bench_begin("naru_fiber [uring|epoll]", mode);
	err = serve(io, lines ? answer_lines : echo);
	if (err < 0 && err != -ECANCELED) {
		fprintf(stderr, "naru_fiber: %s\n", naru_strerror(err));
		return 1;
	}
	return 0;
}
