/* SPDX-License-Identifier: MIT */
/*
 * 07: TLS with client certificates. The server greets each client by the name
 * that its certificate is made out to; whoever has none that CA vouches for
 * never gets as far as the talk.
 *
 *     07-tls serve ENDPOINT CERT KEY CA
 *     07-tls call ENDPOINT CERT KEY CA
 *
 * The endpoints begin with tls://, and that is all that the talks have to do
 * with it: they are the same as over TCP. Both sides show a certificate, and
 * both verify the other's. A few commands make such certificates:
 *
 *     openssl req -x509 -newkey rsa -nodes -keyout ca.key -out ca.pem \
 *             -subj /CN=ca
 *     openssl req -newkey rsa -nodes -keyout alice.key -out alice.csr \
 *             -subj /CN=alice
 *     openssl x509 -req -in alice.csr -CA ca.pem -CAkey ca.key \
 *             -CAcreateserial -out alice.pem
 *
 * A server's has the host's name, /CN=localhost. On SIGHUP the server reads its
 * certificates anew; conversations that run notice nothing.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <naru.h>

static struct naru_server *server;

static void on_signal(int number)
{
	if (number == SIGHUP)
		(void)naru_server_reload_tls_later(server);
	else
		(void)naru_server_stop(server, 1000);
}

/* Greets, then sends every line back. At an endpoint without TLS the info would
 * be null: main() takes none. */
static int greet(struct naru_conv *conv, void *arg)
{
	const struct naru_tls_info *info = naru_tls_info(conv);
	struct naru_msg msg;
	int err;

	err = naru_sendf(conv, "hello, %s", info->peer_name);
	while (err >= 0 && (err = naru_recv(conv, &msg)) > 0)
		err = naru_send(conv, msg.data, msg.len);
	return err;
}

/* Says why a handshake failed, and which file cannot be used: the report knows
 * which certificate, and why. */
static void tell(const struct naru_event *event, void *arg)
{
	char text[NARU_ADDR_TEXT];

	if (event->kind == NARU_EVENT_LISTEN &&
	    naru_addr_format(event->local, text, sizeof(text)) >= 0)
		fprintf(stderr, "listening on %s\n", text);
	if ((event->kind == NARU_EVENT_HANDSHAKE ||
	     event->kind == NARU_EVENT_ERROR) &&
	    event->result < 0)
		fprintf(stderr, "07-tls: %s: %s\n",
		        event->text ? event->text : "?",
		        naru_strerror(event->result));
}

static int serve(const char *endpoint, const struct naru_tls *tls)
{
	int err;

	err = naru_server_new(&server,
	                      NARU_OPTIONS(.tls = tls, .report = tell));
	if (err < 0)
		return err;
	if ((err = naru_server_listen(server, endpoint, greet, NULL)) == 0) {
		signal(SIGHUP, on_signal);
		signal(SIGTERM, on_signal);
		err = naru_server_run(server);
	}
	naru_server_free(server);
	return err;
}

static int call(const char *endpoint, const struct naru_tls *tls)
{
	struct naru_conv *conv;
	struct naru_msg msg;
	int closed, err;

	err = naru_dial(&conv, endpoint,
	                NARU_DIAL_OPTIONS(.tls = tls, .report = tell));
	if (err < 0)
		return err;
	if ((err = naru_recv(conv, &msg)) > 0)
		printf("%s\n", msg.data);
	closed = naru_close(conv);
	return err == 0 ? -NARU_ECUT : err < 0 ? err : closed;
}

int main(int argc, char **argv)
{
	int err = -1;

	if (argc == 6 && strncmp(argv[2], "tls://", 6) != 0) {
		fprintf(stderr, "07-tls: %s: it has to begin with tls://\n",
		        argv[2]);
	} else if (argc == 6) {
		const struct naru_tls *tls =
			NARU_TLS(.certificate = {argv[3], argv[4]},
		                 .ca = argv[5], .verify = NARU_TLS_REQUIRED);

		err = strcmp(argv[1], "serve") == 0 ? serve(argv[2], tls)
		                                    : call(argv[2], tls);
		if (err < 0)
			fprintf(stderr, "07-tls: %s: %s\n", argv[2],
			        naru_strerror(err));
	} else {
		fputs("usage: 07-tls serve|call ENDPOINT CERT KEY CA\n",
		      stderr);
	}
	return err < 0;
}
