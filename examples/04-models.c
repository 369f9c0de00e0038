/* SPDX-License-Identifier: MIT */
/*
 * 04: one talk under every model.
 *
 *     04-models [ENDPOINT [MODEL]]     ncat localhost 1060
 *
 * MODEL is iterative, process, thread, prefork, pool or fiber. The talk stays
 * the same; who runs it is an option. It tells each client where it runs:
 * connect twice, at once and in turn, and compare what the models answer. Of
 * fibers there are many to a thread: the fifth client shares one of the four.
 *
 * The report function is told what happens; here it prints the listeners, so
 * that with port 0 the port can be learnt, and how fibers wait.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <naru.h>

static const struct {
	const char *name;
	enum naru_model model;
} models[] = {
	{"iterative", NARU_ITERATIVE}, {"process", NARU_PROCESS},
	{"thread", NARU_THREAD},       {"prefork", NARU_PREFORK},
	{"pool", NARU_POOL},           {"fiber", NARU_FIBER},
};

static int where_am_i(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		err = naru_sendf(conv,
		                 "conversation %ju, process %d, thread %d",
		                 (uintmax_t)naru_id(conv), getpid(), gettid());
		if (err < 0)
			break;
	}
	return err;
}

static void report(const struct naru_event *event, void *arg)
{
	char text[NARU_ADDR_TEXT];

	(void)arg;
	if (event->kind == NARU_EVENT_LISTEN &&
	    naru_addr_format(event->local, text, sizeof(text)) >= 0)
		fprintf(stderr, "listening on %s\n", text);
	else if (event->kind == NARU_EVENT_WAITER)
		fprintf(stderr, "fibers wait with %s\n", event->call);
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:1060";
	const char *name = argc > 2 ? argv[2] : "fiber";
	int err;

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcmp(models[i].name, name) != 0)
			continue;
		err = naru_serve(endpoint, where_am_i, NULL,
		                 NARU_OPTIONS(.model = models[i].model,
		                              .workers = 4, .report = report));
		fprintf(stderr, "%s: %s\n", endpoint, naru_strerror(err));
		return 1;
	}
	fprintf(stderr, "04-models: no model is called %s\n", name);
	return 2;
}
