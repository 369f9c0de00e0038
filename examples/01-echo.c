/* SPDX-License-Identifier: MIT */
/*
 * 01: a whole server. It sends each line back to whoever sent it.
 *
 *     01-echo [ENDPOINT]               ncat localhost 1060
 *
 * The talk speaks with one peer and knows of no other. naru_serve() waits for
 * the peers and runs the talk for each, here in a fiber of its own; it returns
 * only where it fails. Without an endpoint it serves localhost:1060.
 *
 * naru_recv() gives 1 for a line, 0 when the peer has finished, and less when
 * something went wrong. What the talk returns is how the conversation ended.
 */

#include <naru.h>
#include <stdio.h>

static int echo(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err = 0;

	while (err >= 0 && (err = naru_recv(conv, &msg)) > 0)
		err = naru_send(conv, msg.data, msg.len);
	return err;
}

int main(int argc, char **argv)
{
	puts(naru_strerror(naru_serve(argv[1], echo, NULL, NULL)));
	return 1;
}
