/* SPDX-License-Identifier: MIT */
/*
 * Naru with its defaults as they are: timeouts, limits and the graceful end are
 * all at work.
 *
 *     naru_server uring|epoll|MODEL echo|lines|datagrams
 *
 * The first two are fibers on one thread with that waiter; datagrams are UDP's.
 * Prints its port when clients can come, and stops on SIGTERM.
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

static int answer(struct naru_conv *conv, void *arg)
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

static const struct {
	const char *name;
	enum naru_model model;
	enum naru_io io;
} kinds[] = {
	{"uring", NARU_FIBER, NARU_IO_URING},
	{"epoll", NARU_FIBER, NARU_IO_EPOLL},
	{"iterative", NARU_ITERATIVE, 0},
	{"process", NARU_PROCESS, 0},
	{"thread", NARU_THREAD, 0},
	{"prefork", NARU_PREFORK, 0},
	{"pool", NARU_POOL, 0},
};

/* What NAME stands for; false for nothing. */
static bool find(const char *name, struct naru_options *options)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		options->model = kinds[i].model;
		options->io = kinds[i].io;
		return true;
	}
	return false;
}

static int serve(const char *at, const struct naru_options *options,
                 naru_talk *talk)
{
	char endpoint[NARU_ADDR_TEXT];
	int err = naru_server_new(&server, options);

	if (err < 0)
		return err;
	err = naru_server_listen(server, at, talk, NULL);
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
	struct naru_options options = {.size = sizeof(options),
	                               .message_limit = BENCH_LINE - 1};
	const char *usage = "naru_server uring|epoll|MODEL";
	bool datagrams = argc == 3 && strcmp(argv[2], "datagrams") == 0;
	const char *mode = datagrams ? "lines" : argc == 3 ? argv[2] : NULL;
	bool known = argc == 3 && find(argv[1], &options);
	bool lines = bench_begin(usage, known ? mode : NULL);
	int err;

	if (options.model == NARU_FIBER) {
		options.workers = 1;
		options.max_conversations = CONVERSATIONS;
	}
	err = serve(datagrams ? "udp://127.0.0.1:0" : "tcp://127.0.0.1:0",
	            &options, lines ? answer : echo);
	if (err < 0 && err != -ECANCELED) {
		fprintf(stderr, "naru_server: %s\n", naru_strerror(err));
		return 1;
	}
	return 0;
}
