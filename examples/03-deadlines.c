/* SPDX-License-Identifier: MIT */
/*
 * 03: time. A quiz that does not wait for ever, and a server that stops.
 *
 *     03-deadlines [ENDPOINT [MS]]     ncat localhost 1060
 *
 * A timeout bounds each wait, a deadline all of them together. Both give
 * -ETIMEDOUT, and neither loses a byte: half a line that has come is still
 * there for the next naru_recv(). Ctrl-C (SIGINT) makes the server drain: no
 * new clients, two seconds for those that are here. A second one kills it.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <naru.h>

#define DRAIN_MS 2000

/* Global, because a signal handler is given nothing but the signal. */
static struct naru_server *server;

static void on_signal(int signal)
{
	(void)signal;
	naru_server_stop(server, DRAIN_MS);
}

/* ARG is how long the peer has in all; a quarter of it without a line gives a
 * reminder. */
static int quiz(struct naru_conv *conv, void *arg)
{
	int64_t in_all = *(const int64_t *)arg;
	int64_t deadline = naru_now() + in_all;
	struct naru_msg msg;
	int err;

	if ((err = naru_set_deadline(conv, deadline)) < 0 ||
	    (err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, in_all / 4)) < 0 ||
	    (err = naru_sendf(conv, "What is six times seven?")) < 0)
		return err;
	while ((err = naru_recv(conv, &msg)) != 0) {
		if (err > 0 && strcmp(msg.data, "42") == 0)
			return naru_sendf(conv, "Right.");
		if (err > 0)
			err = naru_sendf(conv, "No. Try again.");
		else if (err == -ETIMEDOUT && naru_now() < deadline)
			err = naru_sendf(conv, "Are you still there?");
		if (err < 0)
			break;
	}
	/* The last word needs time, too. */
	if (err == -ETIMEDOUT && naru_set_deadline(conv, NARU_FOREVER) == 0)
		err = naru_sendf(conv, "Time is up.");
	return err;
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:1060";
	int64_t in_all = argc > 2 ? strtoll(argv[2], NULL, 10) : 60000;
	struct sigaction action = {.sa_handler = on_signal,
	                           .sa_flags = SA_RESETHAND};
	char text[NARU_ADDR_TEXT];
	int err;

	if ((err = naru_server_new(&server, NULL)) == 0 &&
	    (err = naru_server_listen(server, endpoint, quiz, &in_all)) == 0 &&
	    (err = naru_server_endpoint(server, 0, text, sizeof(text))) > 0 &&
	    (err = sigaction(SIGINT, &action, NULL)) == 0) {
		fprintf(stderr, "listening on %s\n", text);
		err = naru_server_run(server);
	}
	naru_server_free(server);
	if (err < 0)
		fprintf(stderr, "%s: %s\n", endpoint, naru_strerror(err));
	return err < 0 ? 1 : 0;
}
