/* SPDX-License-Identifier: MIT */
/*
 * Naru's echo, under the model that is asked for, with every default as it
 * is: timeouts, limits and the graceful end are all at work.
 *
 *     naru_echo MODEL
 *
 * Prints its port when clients can come, and stops on SIGTERM.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <naru.h>

/* Nothing that went wrong may run on without an end. */
#define LIFE_S 120

static const struct {
	const char *name;
	enum naru_model model;
} models[] = {
	{"iterative", NARU_ITERATIVE}, {"process", NARU_PROCESS},
	{"thread", NARU_THREAD},       {"prefork", NARU_PREFORK},
	{"pool", NARU_POOL},
};

static struct naru_server *server;

static int echo(struct naru_conv *conv, void *arg)
{
	char buf[4096];
	ssize_t got;
	int err;

	(void)arg;
	while ((got = naru_read(conv, buf, sizeof(buf))) > 0) {
		err = naru_write(conv, buf, (size_t)got);
		if (err < 0)
			return err;
	}
	return (int)got;
}

static void stop(int signo)
{
	(void)signo;
	naru_server_stop(server, 0);
}

static int find_model(const char *name, enum naru_model *ret_model)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcmp(models[i].name, name) == 0) {
			*ret_model = models[i].model;
			return 0;
		}
	}
	return -1;
}

static int serve(enum naru_model model)
{
	char endpoint[NARU_ADDR_TEXT];
	int err = naru_server_new(&server, NARU_OPTIONS(.model = model));

	if (err < 0)
		return err;
	err = naru_server_listen(server, "tcp://127.0.0.1:0", echo, NULL);
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
	enum naru_model model;
	int err;

	if (argc != 2 || find_model(argv[1], &model) < 0) {
		fprintf(stderr, "usage: naru_echo MODEL\n");
		return 2;
	}
	alarm(LIFE_S);
	err = serve(model);
	if (err < 0 && err != -ECANCELED) {
		fprintf(stderr, "naru_echo: %s\n", naru_strerror(err));
		return 1;
	}
	return 0;
}
