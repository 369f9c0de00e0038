/* SPDX-License-Identifier: MIT */
/*
 * Naru over UDP with its defaults as they are, fibers on one thread.
 *
 *     naru_udp uring|epoll
 *
 * Prints its port when datagrams can come, and stops on SIGTERM.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <naru.h>

static struct naru_server *server;

static int echo(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err = 0;

	(void)arg;
	while (err >= 0 && (err = naru_recv(conv, &msg)) > 0)
		err = naru_send(conv, msg.data, msg.len);
	return err;
}

static void stop(int signo)
{
	(void)signo;
	naru_server_stop(server, 0);
}

int main(int argc, char **argv)
{
	struct naru_options options = {.size = sizeof(options),
	                               .model = NARU_FIBER,
	                               .workers = 1};
	char endpoint[NARU_ADDR_TEXT];
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: naru_udp uring|epoll\n");
		return 2;
	}
	options.io =
		strcmp(argv[1], "epoll") == 0 ? NARU_IO_EPOLL : NARU_IO_URING;
	err = naru_server_new(&server, &options);
	if (err == 0)
		err = naru_server_listen(server, "udp://127.0.0.1:0", echo,
		                         NULL);
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
	if (err == 0 || err == -ECANCELED)
		return 0;
	fprintf(stderr, "naru_udp: %s\n", naru_strerror(err));
	return 1;
}
