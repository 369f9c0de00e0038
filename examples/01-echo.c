/* SPDX-License-Identifier: MIT */
/*
 * 01: a whole server. It sends each line back to whoever sent it.
 *
 *     01-echo [ENDPOINT]               ncat localhost 1060
 *
 * The talk speaks with one peer and knows of no other. naru_serve() waits for
 * the peers and runs the talk for each, here in a thread of its own.
 *
 * naru_recv() gives 1 for a line, 0 when the peer has finished, and less when
 * something went wrong. What the talk returns is how the conversation ended.
 */

#include <stdio.h>

#include <naru.h>

static int echo(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0)
		if ((err = naru_send(conv, msg.data, msg.len)) < 0)
			break;
	return err;
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:1060";
	int err = naru_serve(endpoint, echo, NULL, NULL);

	fprintf(stderr, "01-echo: %s: %s\n", endpoint, naru_strerror(err));
	return 1;
}
