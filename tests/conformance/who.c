/* SPDX-License-Identifier: MIT */
/*
 * Who speaks, as both ends see it, and what lives as long as the
 * conversation.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cases.h"

/* Writes an address as the client's kernel gives it, by the test's own
 * rules. */
static void format_unix(const struct sockaddr_un *at, socklen_t len, char *buf,
                        size_t size)
{
	size_t base = offsetof(struct sockaddr_un, sun_path);

	if (len <= base)
		snprintf(buf, size, "unix:");
	else if (at->sun_path[0] == '\0')
		snprintf(buf, size, "unix:@%.*s", (int)(len - base - 1),
		         at->sun_path + 1);
	else
		snprintf(buf, size, "unix:%.*s", (int)(len - base),
		         at->sun_path);
}

static void format_own(const struct sockaddr_storage *at, socklen_t len,
                       char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	memcpy(&six, at, sizeof(six));
	memcpy(&four, at, sizeof(four));
	if (at->ss_family == AF_UNIX) {
		format_unix((const struct sockaddr_un *)at, len, buf, size);
	} else if (at->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof(host));
		snprintf(buf, size, "[%s]:%d", host, ntohs(six.sin6_port));
	} else {
		inet_ntop(AF_INET, &four.sin_addr, host, sizeof(host));
		snprintf(buf, size, "%s:%d", host, ntohs(four.sin_port));
	}
}

static int check_address(const struct naru_addr *addr)
{
	static const enum naru_addr_kind kinds[] = {
		[TRANSPORT_TCP4] = NARU_ADDR_IPV4,
		[TRANSPORT_TCP6] = NARU_ADDR_IPV6,
		[TRANSPORT_UNIX] = NARU_ADDR_UNIX,
		[TRANSPORT_TLS] = NARU_ADDR_IPV4,
	};
	char text[NARU_ADDR_TEXT];
	int len = naru_addr_format(addr, text, sizeof(text));

	MUST(naru_addr_kind(addr), kinds[place.transport]);
	MUST(len, strlen(text));
	MUST(naru_addr_format(addr, text, (size_t)len), -ENOSPC);
	MUST(naru_addr_format(addr, text, (size_t)len + 1), len);
	if (place.transport == TRANSPORT_UNIX)
		MUST(naru_addr_port(addr), 0);
	else
		MUST(naru_addr_port(addr), atoi(strrchr(text, ':') + 1));
	return 0;
}

/* Tells its peer both addresses, in full and by host. */
static int talk_tell_addresses(struct naru_conv *conv, void *arg)
{
	const struct naru_addr *both[] = {naru_peer(conv), naru_local(conv)};
	char text[NARU_ADDR_TEXT], host[NARU_ADDR_TEXT];
	size_t i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		MUST(check_address(both[i]), 0);
		MUST(naru_addr_format(both[i], text, sizeof(text)) > 0, true);
		MUST(naru_addr_host(both[i], host, sizeof(host)) >= 0, true);
		MUST(naru_sendf(conv, "%s %s", text, host), 0);
	}
	return 0;
}

/* The host in an address's text, as the client expects it. */
static void host_of(const char *text, char *host, size_t size)
{
	const char *colon = strrchr(text, ':');

	if (strncmp(text, "unix:", 5) == 0)
		snprintf(host, size, "%s", text + 5);
	else if (text[0] == '[')
		snprintf(host, size, "%.*s", (int)(colon - text - 2), text + 1);
	else
		snprintf(host, size, "%.*s", (int)(colon - text), text);
}

static void expect_address(int fd, const struct sockaddr_storage *at,
                           socklen_t len)
{
	char text[200], host[200], want[500], line[500];

	format_own(at, len, text, sizeof(text));
	host_of(text, host, sizeof(host));
	snprintf(want, sizeof(want), "%s %s", text, host);
	client_line(fd, line, sizeof(line));
	assert_string_equal(line, want);
}

/* The four-tuple is the same at both ends; the server's half of it is the
 * listener. */
static void expect_both_addresses(struct server *server, int fd)
{
	struct sockaddr_storage own = {0}, far = {0}, listener;
	socklen_t own_len = sizeof(own), far_len = sizeof(far), len;

	assert_int_equal(getsockname(fd, (void *)&own, &own_len), 0);
	assert_int_equal(getpeername(fd, (void *)&far, &far_len), 0);
	expect_address(fd, &own, own_len);
	expect_address(fd, &far, far_len);
	client_expect_end(fd);
	len = client_address(server->endpoint[0], &listener);
	assert_int_equal(len, far_len);
	assert_memory_equal(&listener, &far, far_len);
}

static void test_addresses_are_those_that_the_peer_sees(void **state)
{
	struct server *server = server_start(talk_tell_addresses, NULL, NULL);
	int fd, i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fd = client_connect(server->endpoint[0]);
		expect_both_addresses(server, fd);
		close(fd);
	}
	server_stop(server);
}

/* A client that has bound itself to a name. */
static void test_peer_of_a_bound_client_has_its_name(void **state)
{
	struct server *server = server_start(talk_tell_addresses, NULL, NULL);
	struct sockaddr_storage to, own;
	char name[64] = "tcp://127.0.0.1:0";
	socklen_t len;
	int fd;

	(void)state;
	if (place.transport == TRANSPORT_TCP6)
		strcpy(name, "tcp://[::1]:0");
	else if (place.transport == TRANSPORT_UNIX)
		snprintf(name, sizeof(name), "unix:@naru-client-%ld",
		         (long)getpid());
	len = client_address(name, &own);
	fd = socket(own.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (void *)&own, len), 0);
	len = client_address(server->endpoint[0], &to);
	assert_int_equal(connect(fd, (void *)&to, len), 0);
	expect_both_addresses(server, fd);
	close(fd);
	server_stop(server);
}

static void test_abstract_name_is_an_endpoint(void **state)
{
	char name[64];
	struct setup setup = {.listener = {{name, talk_tell_addresses, NULL}}};
	struct server *server;
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "unix:@naru-server-%ld", (long)getpid());
	server = server_start_setup(&setup);
	assert_string_equal(server->endpoint[0], name);
	fd = client_connect(server->endpoint[0]);
	expect_both_addresses(server, fd);
	close(fd);
	server_stop(server);
}

static void test_conversations_are_numbered(void **state)
{
	struct server *server = server_start(talk_obey, NULL, NULL);
	char want[16];
	int fd, i;

	(void)state;
	for (i = 1; i <= 12; i++) {
		fd = client_connect(server->endpoint[0]);
		client_say(fd, "id\n");
		snprintf(want, sizeof(want), "%d\n", i);
		client_expect(fd, want);
		close(fd);
	}
	server_stop(server);
}

static int talk_peer_process(struct naru_conv *conv, void *arg)
{
	struct naru_peer_process process;

	(void)arg;
	if (place.transport != TRANSPORT_UNIX) {
		MUST(naru_peer_process(conv, &process), -EOPNOTSUPP);
		return naru_write(conv, "none", 4);
	}
	MUST(naru_peer_process(conv, &process), 0);
	return naru_sendf(conv, "%ld %ld %ld", (long)process.pid,
	                  (long)process.uid, (long)process.gid);
}

static void test_peer_process_is_known_over_unix(void **state)
{
	struct server *server = server_start(talk_peer_process, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	char want[100] = "none";

	(void)state;
	if (place.transport == TRANSPORT_UNIX)
		snprintf(want, sizeof(want), "%ld %ld %ld\n", (long)getpid(),
		         (long)getuid(), (long)getgid());
	client_expect(fd, want);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static bool all_zero(const unsigned char *at, size_t len)
{
	while (len > 0 && at[len - 1] == 0)
		len--;
	return len == 0;
}

static int talk_alloc(struct naru_conv *conv, void *arg)
{
	unsigned char *all[400];
	size_t i, len;

	(void)arg;
	for (i = 0; i < COUNT(all); i++) {
		len = 1 + i * i % 5000;
		all[i] = naru_alloc(conv, len);
		MUST(all[i] != NULL, true);
		MUST((uintptr_t)all[i] % alignof(max_align_t), 0);
		MUST(all_zero(all[i], len), true);
		memset(all[i], (int)i, len);
	}
	/* None lies over another. */
	for (i = 0; i < COUNT(all); i++) {
		len = 1 + i * i % 5000;
		MUST(all[i][0], i & 0xff);
		MUST(all[i][len - 1], i & 0xff);
	}
	return naru_write(conv, "ok", 2);
}

static void test_alloc_is_zeroed_and_aligned(void **state)
{
	struct server *server = server_start(talk_alloc, NULL, NULL);
	int fd, i;

	(void)state;
	/* Twice in the same worker, so that memory comes again. */
	for (i = 0; i < 6; i++) {
		fd = client_connect(server->endpoint[0]);
		client_expect(fd, "ok");
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

static int talk_alloc_limit(struct naru_conv *conv, void *arg)
{
	size_t total = 0;

	(void)arg;
	MUST(naru_alloc(conv, 60000) != NULL, true);
	MUST(naru_alloc(conv, 60000) == NULL, true);
	MUST(naru_alloc(conv, SIZE_MAX) == NULL, true);
	MUST(naru_alloc(conv, SIZE_MAX - 64) == NULL, true);
	MUST(naru_alloc(conv, 20000) != NULL, true);
	while (naru_alloc(conv, 100))
		total += 100;
	MUST(total <= 20000, true);
	return naru_write(conv, "ok", 2);
}

static void test_alloc_stops_at_the_memory_limit(void **state)
{
	struct server *server =
		server_start(talk_alloc_limit, NULL,
	                     NARU_OPTIONS(.memory_limit = 100000));
	int fd, i;

	(void)state;
	/* Each conversation has the whole of it. */
	for (i = 0; i < 6; i++) {
		fd = client_connect(server->endpoint[0]);
		client_expect(fd, "ok");
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

static int talk_dial_nobody(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other = NULL;
	int err = naru_dial(&other, arg, NULL);

	MUST(other == NULL, true);
	return naru_sendf(conv, "%s", naru_errname(err));
}

/* An address that is taken, so that nobody else gets it, and where nobody
 * listens. */
static int take_address(char *endpoint, size_t size)
{
	struct sockaddr_storage own;
	socklen_t len;
	char text[100];
	int fd;

	place_endpoint(endpoint, size);
	if (place.transport == TRANSPORT_UNIX)
		return -1;
	len = client_address(endpoint, &own);
	fd = socket(own.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (void *)&own, len), 0);
	assert_int_equal(getsockname(fd, (void *)&own, &len), 0);
	format_own(&own, len, text, sizeof(text));
	snprintf(endpoint, size, "tcp://%s", text);
	return fd;
}

static void test_dial_tells_that_nobody_listens(void **state)
{
	char endpoint[NARU_ADDR_TEXT];
	int taken = take_address(endpoint, sizeof(endpoint));
	struct server *server = server_start(talk_dial_nobody, endpoint, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, place.transport == TRANSPORT_UNIX ? "ENOENT\n"
	                                                    : "ECONNREFUSED\n");
	client_expect_end(fd);
	close(fd);
	if (taken >= 0)
		close(taken);
	server_stop(server);
}

/* The port of the endpoint at ARG, at the address that means "any". */
static void any_address(char *buf, size_t size, const char *endpoint)
{
	snprintf(buf, size, "%s%s",
	         place.transport == TRANSPORT_TCP6 ? "[::]" : "0.0.0.0",
	         strrchr(endpoint, ':'));
}

static int talk_dial_any(struct naru_conv *conv, void *arg)
{
	char any[NARU_ADDR_TEXT], text[NARU_ADDR_TEXT];
	struct naru_conv *far;

	any_address(any, sizeof(any), arg);
	MUST(naru_dial(&far, any, NULL), 0);
	MUST(naru_addr_format(naru_peer(far), text, sizeof(text)) > 0, true);
	MUST(naru_close(far), 0);
	return naru_sendf(conv, "tcp://%s", text);
}

static void test_dial_of_any_address_tells_who_answered(void **state)
{
	char endpoint[NARU_ADDR_TEXT], line[NARU_ADDR_TEXT + 8];
	int listener = client_listen(endpoint, sizeof(endpoint));
	struct server *server = server_start(talk_dial_any, endpoint, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	close(client_accept(listener));
	client_line(fd, line, sizeof(line));
	assert_string_equal(line, endpoint);
	close(fd);
	close(listener);
	server_stop(server);
}

/* Calls the port that it calls from. */
static int talk_dial_itself(struct naru_conv *conv, void *arg)
{
	char any[NARU_ADDR_TEXT];
	const char *source = (const char *)arg + strlen("tcp://");
	struct naru_conv *far;
	int err;

	any_address(any, sizeof(any), arg);
	err = naru_dial(&far, any, NARU_DIAL_OPTIONS(.source = source));
	if (err == 0)
		(void)naru_close(far);
	return naru_sendf(conv, "%s", naru_errname(err));
}

static void test_dial_of_any_address_tells_that_it_is_itself(void **state)
{
	char endpoint[NARU_ADDR_TEXT], line[64] = "EADDRINUSE";
	struct server *server;
	int fd, i;

	(void)state;
	/* Somebody else may get the port that was free a moment ago. */
	for (i = 0; i < 10 && strcmp(line, "EADDRINUSE") == 0; i++) {
		close(take_address(endpoint, sizeof(endpoint)));
		server = server_start(talk_dial_itself, endpoint, NULL);
		fd = client_connect(server->endpoint[0]);
		client_line(fd, line, sizeof(line));
		close(fd);
		server_stop(server);
	}
	assert_string_equal(line, "NARU_ESELF");
}

static const struct conformance_case cases[] = {
	CASE(test_addresses_are_those_that_the_peer_sees),
	CASE(test_peer_of_a_bound_client_has_its_name),
	CASE_OVER(TRANSPORT_UNIX, test_abstract_name_is_an_endpoint),
	CASE(test_conversations_are_numbered),
	CASE(test_peer_process_is_known_over_unix),
	CASE(test_alloc_is_zeroed_and_aligned),
	CASE(test_alloc_stops_at_the_memory_limit),
	CASE(test_dial_tells_that_nobody_listens),
	CASE_TCP(test_dial_of_any_address_tells_who_answered),
	CASE_TCP(test_dial_of_any_address_tells_that_it_is_itself),
};
const struct conformance_list who_list = LIST(cases);
