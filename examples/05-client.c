/* SPDX-License-Identifier: MIT */
/*
 * 05: the client's side. Sends one line and prints the line that comes back.
 *
 *     05-client [ENDPOINT [TEXT]]
 *
 * Once connected, nothing tells the two ends apart: the talk below takes the
 * same calls that a server's does. It gets one deadline for all that it does.
 * naru_close() says whether the end, too, went well.
 */

#include <stdio.h>
#include <string.h>

#include <naru.h>

#define IN_ALL_MS 10000

static int ask(struct naru_conv *conv, const char *text)
{
	struct naru_msg msg;
	int err;

	if ((err = naru_set_deadline(conv, naru_now() + IN_ALL_MS)) < 0 ||
	    (err = naru_send(conv, text, strlen(text))) < 0)
		return err;
	err = naru_recv(conv, &msg);
	if (err == 0)
		return -NARU_ECUT; /* it finished without an answer */
	if (err > 0 && fwrite(msg.data, 1, msg.len, stdout) == msg.len)
		putchar('\n');
	return err;
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:1060";
	const char *text = argc > 2 ? argv[2] : "hello";
	struct naru_conv *conv;
	int closed, err;

	err = naru_dial(&conv, endpoint,
	                NARU_DIAL_OPTIONS(.timeout_ms = IN_ALL_MS));
	if (err == 0) {
		err = ask(conv, text);
		closed = naru_close(conv);
		if (err >= 0)
			err = closed;
	}
	if (err < 0)
		fprintf(stderr, "05-client: %s: %s\n", endpoint,
		        naru_strerror(err));
	return err < 0 || ferror(stdout) ? 1 : 0;
}
