/* SPDX-License-Identifier: MIT */
/*
 * TLS where the command does not go: begun in the middle of a conversation, on
 * both sides, dialled twice by one process, and with files that are wrong.
 *
 *     secure serve CERT KEY       says "go" to STARTTLS, then echoes lines
 *     secure call ENDPOINT CA     says STARTTLS there, and "hello"
 *     secure twice ENDPOINT CA    says "hello" twice, in two conversations
 *     secure check ENDPOINT CA    says what is wrong with CA, asked about it,
 *                                 and by a dial
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "naru.h"

static struct naru_server *server;

static void on_stop(int number)
{
	(void)number;
	(void)naru_server_stop(server, 1000);
}

/* Answers each line; "STARTTLS" begins TLS, and "who" is told what it knows. */
static int answer(struct naru_conv *conv, void *arg)
{
	const struct naru_tls_info *info;
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		info = naru_tls_info(conv);
		if (strcmp(msg.data, "STARTTLS") == 0) {
			err = naru_send(conv, "go", 2);
			if (err == 0)
				err = naru_start_tls(conv);
			if (err == -EBUSY)
				return naru_send(conv, "EBUSY", 5);
		} else if (strcmp(msg.data, "who") == 0 && info) {
			err = naru_sendf(conv, "%s %s %s %d", info->version,
			                 info->server_name, info->peer_name,
			                 info->verified);
		} else {
			err = naru_send(conv, msg.data, msg.len);
		}
		if (err < 0)
			return err;
	}
	return err;
}

static int serve(char **argv)
{
	char endpoint[NARU_ADDR_TEXT];
	int err = naru_server_new(
		&server,
		NARU_OPTIONS(.tls = NARU_TLS(.certificate = {argv[2],
	                                                     argv[3]})));

	if (err == 0)
		err = naru_server_listen(server, "tcp://127.0.0.1:0", answer,
		                         NULL);
	if (err == 0)
		err = naru_server_endpoint(server, 0, endpoint,
		                           sizeof(endpoint));
	if (err > 0) {
		signal(SIGTERM, on_stop);
		printf("%s\n", endpoint);
		fflush(stdout);
		err = naru_server_run(server);
		naru_server_free(server);
	}
	return err;
}

/* Says TEXT and prints the answer. */
static int ask(struct naru_conv *conv, const char *text)
{
	struct naru_msg msg = {"", 0};
	int err = naru_send(conv, text, strlen(text));

	if (err == 0)
		err = naru_recv(conv, &msg);
	if (err > 0)
		printf("%s\n", msg.data);
	return err == 0 ? -NARU_ECUT : err < 0 ? err : 0;
}

static int call(char **argv)
{
	const struct naru_tls_info *info;
	struct naru_conv *conv;
	int err = naru_dial(&conv, argv[2],
	                    NARU_DIAL_OPTIONS(.tls = NARU_TLS(.ca = argv[3])));
	int end;

	if (err < 0)
		return err;
	if (naru_tls_info(conv))
		printf("TLS before it began\n");
	err = ask(conv, "STARTTLS");
	if (err == 0)
		err = naru_start_tls(conv);
	if (err == 0 && naru_start_tls(conv) != -EALREADY)
		printf("TLS began twice\n");
	info = naru_tls_info(conv);
	if (err == 0 && info)
		printf("%s, %s\n", info->version,
		       info->verified ? "verified" : "not verified");
	if (err == 0)
		err = ask(conv, "hello");
	end = naru_close(conv);
	return err < 0 ? err : end;
}

static int twice(char **argv)
{
	int err = 0;

	for (int i = 0; i < 2 && err == 0; i++) {
		struct naru_conv *conv;

		err = naru_dial(
			&conv, argv[2],
			NARU_DIAL_OPTIONS(.tls = NARU_TLS(.ca = argv[3])));
		if (err < 0)
			return err;
		printf("%s\n",
		       naru_tls_info(conv)->resumed ? "resumed" : "whole");
		err = ask(conv, "hello");
		if (err < 0)
			(void)naru_close(conv);
		else
			err = naru_close(conv);
	}
	return err;
}

/* The text of the first event, for a caller whose ARG is empty. */
static void keep(const struct naru_event *event, void *arg)
{
	char *text = arg;

	if (!text[0])
		snprintf(text, 200, "%d %s: %s", (int)event->kind, event->call,
		         event->text);
}

static int check(char **argv)
{
	const struct naru_tls *tls = NARU_TLS(.ca = argv[3]);
	char why[200] = "as it was", event[200] = "";
	struct naru_conv *conv;
	int err = naru_tls_check(tls, NULL, 0);

	if (naru_tls_check(tls, why, sizeof(why)) != err)
		return -1;
	printf("%s: %s\n", why, naru_errname(err));
	err = naru_dial(&conv, argv[2],
	                NARU_DIAL_OPTIONS(.tls = tls, .report = keep,
	                                  .report_arg = event,
	                                  .report_calls = 1, .tries = 3));
	printf("%s\n", event);
	return err < 0 ? err : naru_close(conv);
}

int main(int argc, char **argv)
{
	int err = -1;

	if (argc != 4)
		return 2;
	if (strcmp(argv[1], "serve") == 0)
		err = serve(argv);
	else if (strcmp(argv[1], "call") == 0)
		err = call(argv);
	else if (strcmp(argv[1], "twice") == 0)
		err = twice(argv);
	else if (strcmp(argv[1], "check") == 0)
		err = check(argv);
	if (err < 0)
		printf("%s\n", naru_errname(err));
	return err < 0;
}
