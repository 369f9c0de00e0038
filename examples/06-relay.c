/* SPDX-License-Identifier: MIT */
/*
 * 06: a relay, with two conversations in one talk.
 *
 *     06-relay ENDPOINT BACKEND...     06-relay localhost:1060 a:7000 b:7000
 *
 * Each client is carried to a backend: to each in its turn, or, where that
 * cannot be reached, to the next that can. Nothing of what they say to each
 * other is known here. What finishes on one side finishes on the other, a slow
 * receiver slows its sender and nobody else, and where one side breaks off, so
 * does the other. A client for whom no backend can be reached sees a reset.
 */

#include <inttypes.h>
#include <stdio.h>

#include <naru.h>

#define DIAL_MS 3000

struct backends {
	char **endpoint;
	unsigned count;
};

static int forward(struct naru_conv *client, void *arg)
{
	const struct backends *backends = arg;
	unsigned first = (unsigned)(naru_id(client) % backends->count);
	struct naru_conv *backend = NULL;
	int err = 0, end;

	for (unsigned i = 0; i < backends->count; i++) {
		const char *endpoint =
			backends->endpoint[(first + i) % backends->count];

		err = naru_dial(&backend, endpoint,
		                NARU_DIAL_OPTIONS(.timeout_ms = DIAL_MS));
		if (err == 0)
			break;
		fprintf(stderr, "%s: %s\n", endpoint, naru_strerror(err));
	}
	if (err < 0) {
		/* An orderly end would be an answer with nothing in it. */
		naru_abort(client);
		return err;
	}
	err = naru_relay(client, backend);
	end = naru_close(backend);
	return err < 0 ? err : end;
}

static void report(const struct naru_event *event, void *arg)
{
	char text[NARU_ADDR_TEXT] = "?";

	if (event->kind == NARU_EVENT_LISTEN &&
	    naru_addr_format(event->local, text, sizeof(text)) >= 0)
		fprintf(stderr, "listening on %s\n", text);
	else if (event->kind == NARU_EVENT_RELAY &&
	         naru_addr_format(event->peer, text, sizeof(text)) >= 0)
		fprintf(stderr, "%" PRIu64 " bytes to %s, %" PRIu64 " back\n",
		        event->received, text, event->sent);
}

int main(int argc, char **argv)
{
	struct backends backends = {argv + 2, (unsigned)argc - 2};
	int err;

	if (argc < 3) {
		fprintf(stderr, "usage: 06-relay ENDPOINT BACKEND...\n");
		return 2;
	}
	err = naru_serve(argv[1], forward, &backends,
	                 NARU_OPTIONS(.report = report));
	fprintf(stderr, "%s: %s\n", argv[1], naru_strerror(err));
	return 1;
}
