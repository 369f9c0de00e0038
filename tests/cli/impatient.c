/* SPDX-License-Identifier: MIT */
/*
 * impatient MODEL ENDPOINT: a server whose every timeout is short, for the
 * tests of what a peer can do that is slow on purpose. It sends each line
 * back; after "fill" it sends without end. Prints its endpoint, and then how
 * each conversation ended.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <naru.h>

#define TIMEOUT_MS 400

static struct naru_server *server;

static void on_stop(int number)
{
	(void)number;
	(void)naru_server_stop(server, 0);
}

static int fill(struct naru_conv *conv)
{
	static const char block[65536];
	int err;

	do
		err = naru_write(conv, block, sizeof(block));
	while (err == 0);
	return err;
}

static int talk(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		if (strcmp(msg.data, "fill") == 0)
			return fill(conv);
		err = naru_send(conv, msg.data, msg.len);
		if (err < 0)
			break;
	}
	return err;
}

static void report(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_END)
		fprintf(stderr, "ended: %s\n",
		        event->result < 0 ? naru_errname(event->result)
		                          : "well");
}

static enum naru_model model_named(const char *name)
{
	int model = NARU_MODEL_DEFAULT;
	const struct naru_model_info *info;

	do
		info = naru_model_info((enum naru_model)++ model);
	while (info && strcmp(info->name, name) != 0);
	return (enum naru_model)model;
}

int main(int argc, char **argv)
{
	struct naru_options *options =
		NARU_OPTIONS(.workers = 4, .message_ms = TIMEOUT_MS,
	                     .write_ms = TIMEOUT_MS, .end_ms = TIMEOUT_MS,
	                     .report = report);
	struct sigaction stop = {.sa_handler = on_stop};
	char text[NARU_ADDR_TEXT];
	int err;

	if (argc != 3)
		return 2;
	options->model = model_named(argv[1]);
	if ((err = naru_server_new(&server, options)) == 0 &&
	    (err = naru_server_listen(server, argv[2], talk, NULL)) == 0 &&
	    (err = naru_server_endpoint(server, 0, text, sizeof(text))) > 0 &&
	    (err = sigaction(SIGTERM, &stop, NULL)) == 0) {
		puts(text);
		fflush(stdout);
		err = naru_server_run(server);
	}
	naru_server_free(server);
	if (err < 0)
		fprintf(stderr, "impatient: %s\n", naru_strerror(err));
	return err < 0 ? 1 : 0;
}
