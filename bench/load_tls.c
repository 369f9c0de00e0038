/* SPDX-License-Identifier: MIT */
/*
 * Load for TLS, on one core, at an echo on 127.0.0.1:
 *
 *     load_tls PORT full SECONDS         connections one after the other, eight
 *     load_tls PORT resumed SECONDS      at a time, each with its handshake,
 *                                        one byte there and back, and its end
 *     load_tls PORT bulk SECONDS SIZE    messages of SIZE bytes there and back,
 *                                        over four connections
 *
 * Prints connections, or bytes each way, in a second. Version 1.3, whatever
 * the server's default cipher is; certificates are not verified.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 8
#define STREAMS 4
#define CHUNK   16384
/* What both ends' sockets hold, so that nobody waits for ever. */
#define AHEAD 65536

static int port;
static bool resumed;
static size_t size;
static atomic_bool over;
static atomic_ullong done;
static atomic_int failures;

static SSL_CTX *make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context)
		abort();
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_set_read_ahead(context, 1);
	return context;
}

static SSL *connect_to(SSL_CTX *context, SSL_SESSION *session)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL *ssl = SSL_new(context);

	if (fd < 0 || !ssl ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		abort();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	SSL_set_fd(ssl, fd);
	if (session)
		SSL_set_session(ssl, session);
	if (SSL_connect(ssl) != 1) {
		ERR_print_errors_fp(stderr);
		abort();
	}
	return ssl;
}

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

/* One connection after the other. */
static void *shake_hands(void *arg)
{
	SSL_CTX *context = make_context();
	SSL_SESSION *session = NULL;
	char byte = 'x';

	while (!atomic_load(&over)) {
		SSL *ssl = connect_to(context, session);

		if (SSL_write(ssl, &byte, 1) != 1 ||
		    SSL_read(ssl, &byte, 1) != 1 ||
		    (session && !SSL_session_reused(ssl)))
			atomic_fetch_add(&failures, 1);
		if (resumed) {
			SSL_SESSION_free(session);
			session = SSL_get1_session(ssl);
		}
		hang_up(ssl);
		atomic_fetch_add(&done, 1);
	}
	SSL_SESSION_free(session);
	SSL_CTX_free(context);
	return arg;
}

/* Sends what may be ahead of what has come back. */
static void send_ahead(SSL *ssl, size_t *sent, size_t got)
{
	static char out[CHUNK];

	while (*sent < size && *sent - got < AHEAD) {
		size_t part = size - *sent < CHUNK ? size - *sent : CHUNK;

		if (SSL_write(ssl, out, (int)part) != (int)part)
			abort();
		*sent += part;
	}
}

/* Messages there and back. */
static void *stream(void *arg)
{
	SSL_CTX *context = make_context();
	SSL *ssl = connect_to(context, NULL);
	char in[CHUNK];

	while (!atomic_load(&over)) {
		size_t sent = 0, got = 0;

		while (got < size) {
			int n;

			send_ahead(ssl, &sent, got);
			n = SSL_read(ssl, in, sizeof(in));
			if (n <= 0)
				abort();
			got += (size_t)n;
		}
		atomic_fetch_add(&done, size);
	}
	hang_up(ssl);
	SSL_CTX_free(context);
	return arg;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	bool bulk = argc == 5 && strcmp(argv[2], "bulk") == 0;
	int count = bulk ? STREAMS : AT_ONCE;
	pthread_t threads[AT_ONCE];
	double began, seconds;

	if (argc < 4)
		return 2;
	port = (int)strtol(argv[1], NULL, 10);
	resumed = strcmp(argv[2], "resumed") == 0;
	seconds = strtod(argv[3], NULL);
	size = bulk ? (size_t)strtoul(argv[4], NULL, 10) : 0;
	signal(SIGPIPE, SIG_IGN);
	began = now();
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL,
		                   bulk ? stream : shake_hands, NULL) != 0)
			abort();
	while (now() - began < seconds)
		usleep(1000);
	printf("%.1f\n", (double)atomic_load(&done) / (now() - began));
	atomic_store(&over, true);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	if (atomic_load(&failures) > 0)
		fprintf(stderr, "load_tls: %d failures\n",
		        atomic_load(&failures));
	return atomic_load(&failures) > 0;
}
