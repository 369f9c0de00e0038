/* SPDX-License-Identifier: MIT */
/*
 * Clients that somebody else announces: PROXY headers before the first byte of
 * a conversation, however they come; and those that a dial sends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HEADER(text)                                                           \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

struct header {
	const char *data;
	size_t len;
};

static const struct header v1 =
	HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n");
static const struct header v1_ipv6 =
	HEADER("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n");
static const struct header v1_unknown = HEADER("PROXY UNKNOWN\r\n");
/* With a unique number, "u7", and a checksum. */
static const struct header v2 =
	HEADER(SIGNATURE "\x21\x11\0\x18\xc0\0\2\1\xc0\0\2\2\x12\x67\0\x50"
                         "\5\0\2u7\3\0\4\x2d\x96\x63\xcb");
static const struct header v2_local = HEADER(SIGNATURE "\x20\0\0\0");

#define REQUIRED NARU_OPTIONS(.proxy = NARU_PROXY_REQUIRED)

/* Says whom it talks with, before it says anything else and then as often as
 * it is asked. */
static int talk_who(struct naru_conv *conv, void *arg)
{
	char peer[NARU_ADDR_TEXT], local[NARU_ADDR_TEXT];
	struct naru_peer_process process;
	char via[NARU_ADDR_TEXT] = "-";
	struct naru_msg msg;
	const void *value = "-";
	ssize_t len = 1;
	int err;

	(void)arg;
	MUST(naru_addr_format(naru_peer(conv), peer, sizeof(peer)) > 0, true);
	MUST(naru_addr_format(naru_local(conv), local, sizeof(local)) > 0,
	     true);
	if (naru_via(conv)) {
		MUST(naru_addr_kind(naru_via(conv)) != NARU_ADDR_NONE, true);
		MUST(naru_peer_process(conv, &process), -EOPNOTSUPP);
		strcpy(via, "via");
	}
	MUST(naru_via_value(conv, 0x02, &value), -ENOENT);
	MUST(naru_via_value(conv, 0x05, NULL), -EINVAL);
	if (naru_via_value(conv, 0x05, &value) >= 0)
		len = naru_via_value(conv, 0x05, &value);
	err = naru_sendf(conv, "%s %s %s %.*s", peer, local, via, (int)len,
	                 (const char *)value);
	if (err < 0)
		return err;
	while ((err = naru_recv(conv, &msg)) > 0)
		if ((err = naru_send(conv, msg.data, msg.len)) < 0)
			break;
	return err;
}

static void expect_who(int fd, const char *want)
{
	char line[600];

	client_line(fd, line, sizeof(line));
	assert_string_equal(line, want);
}

/* Ends FD, and waits until its conversation has been reported. */
static void finish(int fd)
{
	int ends = atomic_load(&shared->seen[NARU_EVENT_END]);

	client_finish(fd);
	client_expect_end(fd);
	close(fd);
	wait_seen(NARU_EVENT_END, ends + 1);
}

static const struct {
	const struct header *header;
	const char *who; /* null: the connection's own ends */
} announcements[] = {
	{&v1, "192.0.2.1:4711 192.0.2.2:80 via -"},
	{&v1_ipv6, "[2001:db8::1]:65535 [::1]:0 via -"},
	{&v2, "192.0.2.1:4711 192.0.2.2:80 via u7"},
	{&v1_unknown, NULL},
	{&v2_local, NULL},
};

/* Nobody is announced: the peer is who has connected. */
static void expect_own(int fd)
{
	char line[600];

	client_line(fd, line, sizeof(line));
	if (!strstr(line, " - -"))
		fail_with("somebody is announced: %s", line);
	assert_non_null(
		strstr(line, place.transport == TRANSPORT_TCP4   ? "127.0.0.1:"
	                     : place.transport == TRANSPORT_TCP6 ? "[::1]:"
	                                                         : "unix:"));
}

static void converse(int fd, const char *who)
{
	if (who)
		expect_who(fd, who);
	else
		expect_own(fd);
	client_expect(fd, "first\n");
	client_say(fd, "second\n");
	client_expect(fd, "second\n");
	finish(fd);
}

static void test_announced_client_is_the_peer(void **state)
{
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	char both[256];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(announcements); i++) {
		const struct header *header = announcements[i].header;

		/* The first bytes come together with the header. */
		memcpy(both, header->data, header->len);
		memcpy(both + header->len, "first\n", 7);
		fd = client_connect(server->endpoint[0]);
		client_send(fd, both, header->len + 6);
		converse(fd, announcements[i].who);
	}
	assert_int_equal(shared->seen[NARU_EVENT_HANDSHAKE],
	                 COUNT(announcements));
	assert_int_equal(shared->handshake_result, 0);
	server_stop(server);
}

/* Whoever speaks first: the server hears nothing but the header. */
static void test_server_may_speak_first(void **state)
{
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(announcements); i++) {
		const struct header *header = announcements[i].header;

		fd = client_connect(server->endpoint[0]);
		client_send(fd, header->data, header->len);
		if (announcements[i].who)
			expect_who(fd, announcements[i].who);
		else
			expect_own(fd);
		finish(fd);
	}
	server_stop(server);
}

static void test_header_comes_byte_by_byte(void **state)
{
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	size_t i, k;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(announcements); i++) {
		const struct header *header = announcements[i].header;

		fd = client_connect(server->endpoint[0]);
		for (k = 0; k < header->len; k++) {
			client_send(fd, header->data + k, 1);
			rest();
		}
		client_say(fd, "first\n");
		converse(fd, announcements[i].who);
	}
	server_stop(server);
}

/* The longest header that is read, in pieces, and one byte more. */
static void test_long_header_is_read_to_its_limit(void **state)
{
	static char header[4097] =
		SIGNATURE "\x21\x11\x0f\xf0\xc0\0\2\1\xc0\0\2\2\x12\x67\0\x50"
			  "\5\0\2u7\xee\x0f\xdc";
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	size_t at;
	int fd;

	(void)state;
	fd = client_connect(server->endpoint[0]);
	for (at = 0; at < 4096; at += 512)
		client_send(fd, header + at, 512);
	client_say(fd, "first\n");
	converse(fd, "192.0.2.1:4711 192.0.2.2:80 via u7");
	header[15] = '\xf1';
	fd = client_connect(server->endpoint[0]);
	client_send(fd, header, 16);
	client_expect_gone(fd);
	close(fd);
	wait_seen(NARU_EVENT_HANDSHAKE, 2);
	assert_result(shared->handshake_result, -NARU_EPROXY);
	assert_non_null(strstr(shared->handshake_text, "at byte 15: "));
	server_stop(server);
}

/* Sends LEN bytes and waits until they are refused with ERR and TEXT. */
static void expect_refused(struct server *server, const struct header *header,
                           int err, const char *text)
{
	int before = atomic_load(&shared->seen[NARU_EVENT_HANDSHAKE]);
	int fd = client_connect(server->endpoint[0]);

	/* It may be refused before it has said anything, and learn it so. */
	if (send(fd, header->data, header->len, MSG_NOSIGNAL) > 0)
		client_expect_reset(fd);
	close(fd);
	wait_seen(NARU_EVENT_HANDSHAKE, before + 1);
	assert_result(shared->handshake_result, err);
	if (!strstr(shared->handshake_text, text))
		fail_with("\"%s\" is told", shared->handshake_text);
}

static void test_what_is_no_header_is_refused(void **state)
{
	static const struct {
		struct header header;
		const char *text;
	} wrong[] = {
		{HEADER("GET / HTTP/1.1\r\n\r\n"), "at byte 1: "},
		{HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\nfirst\n"),
	         "at byte 33: "},
		{HEADER(SIGNATURE "\x21\x11\0\x0e\xc0\0\2\1\xc0\0\2\2\0\1\0\2"
	                          "\5\0first\n"),
	         "at byte 29: "},
	};
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++)
		expect_refused(server, &wrong[i].header, -NARU_EPROXY,
		               wrong[i].text);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 0);
	/* Nobody else is worse off for it. */
	fd = client_connect(server->endpoint[0]);
	client_send(fd, v1.data, v1.len);
	client_say(fd, "first\n");
	converse(fd, announcements[0].who);
	server_stop(server);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 1);
	assert_int_equal(shared->seen[NARU_EVENT_END], 1);
}

static void test_peer_that_finishes_first_is_refused(void **state)
{
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	int i, fd;

	(void)state;
	for (i = 0; i < 3; i++) {
		fd = client_connect(server->endpoint[0]);
		client_send(fd, v2.data, (size_t)i * 8);
		client_finish(fd);
		client_expect_gone(fd);
		close(fd);
		wait_seen(NARU_EVENT_HANDSHAKE, i + 1);
		assert_result(shared->handshake_result, -NARU_EPROXY);
		assert_non_null(strstr(shared->handshake_text, "finished"));
	}
	server_stop(server);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 0);
}

static void test_late_header_is_not_waited_for(void **state)
{
	struct server *server =
		server_start(talk_who, NULL,
	                     NARU_OPTIONS(.proxy = NARU_PROXY_REQUIRED,
	                                  .handshake_ms = 100));
	int64_t start = clock_ms();
	int fd = client_connect(server->endpoint[0]), i;

	(void)state;
	/* Not from the last byte on: from the first. */
	for (i = 0; i < 12 && !client_hears(fd, 20); i++)
		(void)send(fd, v2.data + i, 1, MSG_NOSIGNAL);
	client_expect_gone(fd);
	close(fd);
	wait_seen(NARU_EVENT_HANDSHAKE, 1);
	assert_true(clock_ms() - start >= 100);
	assert_result(shared->handshake_result, -ETIMEDOUT);
	assert_non_null(strstr(shared->handshake_text, "in time"));
	/* Nor for the first. */
	fd = client_connect(server->endpoint[0]);
	client_expect_gone(fd);
	close(fd);
	wait_seen(NARU_EVENT_HANDSHAKE, 2);
	assert_result(shared->handshake_result, -ETIMEDOUT);
	server_stop(server);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 0);
}

#define ELSEWHERE "192.0.2.0/24,2001:db8::/32"
#define HERE      ELSEWHERE ",127.0.0.1,::1,unix"

static void test_header_from_elsewhere_is_refused(void **state)
{
	struct server *server =
		server_start(talk_who, NULL,
	                     NARU_OPTIONS(.proxy = NARU_PROXY_REQUIRED,
	                                  .proxy_from = ELSEWHERE));

	(void)state;
	expect_refused(server, &v1, -NARU_EPROXY, "from there");
	server_stop(server);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 0);
}

/* Who is not in the list speaks for itself: a header is its own line. */
static void test_header_of_a_client_is_its_own(void **state)
{
	struct server *server =
		server_start(talk_who, NULL,
	                     NARU_OPTIONS(.proxy = NARU_PROXY_ALLOWED,
	                                  .proxy_from = ELSEWHERE));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send(fd, v1.data, v1.len);
	expect_own(fd);
	client_expect(fd, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\n");
	finish(fd);
	assert_int_equal(shared->seen[NARU_EVENT_HANDSHAKE], 0);
	server_stop(server);
}

/* Who is in it has to send one. */
static void test_header_from_the_list_is_expected(void **state)
{
	static const struct header none = HEADER("first\n");
	struct server *server =
		server_start(talk_who, NULL,
	                     NARU_OPTIONS(.proxy = NARU_PROXY_ALLOWED,
	                                  .proxy_from = HERE));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send(fd, v2.data, v2.len);
	client_say(fd, "first\n");
	converse(fd, announcements[2].who);
	expect_refused(server, &none, -NARU_EPROXY, "at byte 1: ");
	server_stop(server);
}

static void test_stop_ends_the_wait_for_a_header(void **state)
{
	struct server *server = server_start(talk_who, NULL, REQUIRED);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send(fd, v2.data, 5);
	/* Somebody waits for the rest; nobody else can tell when. */
	client_hears(fd, 50);
	server_signal(server, 0);
	client_expect_gone(fd);
	close(fd);
	(void)server_wait_any(server);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 0);
	if (shared->seen[NARU_EVENT_HANDSHAKE] > 0)
		assert_result(shared->handshake_result, -ECANCELED);
}

static void test_values_need_memory(void **state)
{
	struct server *server =
		server_start(talk_who, NULL,
	                     NARU_OPTIONS(.proxy = NARU_PROXY_REQUIRED,
	                                  .memory_limit = 16));

	(void)state;
	expect_refused(server, &v2, -ENOMEM, "");
	server_stop(server);
}

/* Dials ARG for its peer, with both versions, and says so. */
static int talk_announce(struct naru_conv *conv, void *arg)
{
	static const enum naru_announce versions[] = {NARU_ANNOUNCE_V1,
	                                              NARU_ANNOUNCE_V2};
	struct naru_conv *far;
	struct naru_msg msg;
	size_t i, k;

	MUST(naru_dial(&far, arg, NARU_DIAL_OPTIONS(.announce = 3)), -EINVAL);
	for (i = 0; i < COUNT(versions); i++) {
		for (k = 0; k < 2; k++) {
			struct naru_conv *whom = k == 0 ? conv : NULL;

			MUST(naru_dial(&far, arg,
			               NARU_DIAL_OPTIONS(.announce =
			                                         versions[i],
			                                 .announce_for = whom)),
			     0);
			/* The header is there before anything is said. */
			MUST(naru_recv(far, &msg), 1);
			MUST(naru_send(far, msg.data, msg.len), 0);
			MUST(naru_close(far), 0);
		}
	}
	return naru_send(conv, "done", 4);
}

/* What the talk dials: HEADER comes, nothing else before we speak, and the
 * conversation behind it. */
static void expect_announced(int listener, const struct header *header)
{
	int fd = client_accept(listener);

	client_expect_bytes(fd, header->data, header->len);
	client_say(fd, "hello\n");
	client_expect(fd, "hello\n");
	client_expect_end(fd);
	close(fd);
}

/* The client of the talk is announced itself, so that what is passed on is
 * known. */
static void test_dial_announces_whom_it_is_told(void **state)
{
	static const struct header passed =
		HEADER(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2"
	                         "\x12\x67\0\x50");
	char endpoint[NARU_ADDR_TEXT];
	int listener = client_listen(endpoint, sizeof(endpoint));
	struct server *server = server_start(talk_announce, endpoint, REQUIRED);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send(fd, v2.data, v2.len);
	expect_announced(listener, &v1);
	expect_announced(listener, &v1_unknown);
	expect_announced(listener, &passed);
	expect_announced(listener, &v2_local);
	client_expect(fd, "done\n");
	finish(fd);
	close(listener);
	server_stop(server);
}

static const char *awaited; /* in the text of an error */

static void count_errors(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_ERROR && event->result == -EINVAL &&
	    strstr(event->text, awaited))
		atomic_fetch_add(&shared->number, 1);
}

static void test_wrong_lists_are_told(void **state)
{
	static const struct {
		enum naru_proxy proxy;
		const char *from;
		const char *text;
	} wrong[] = {
		{NARU_PROXY_ALLOWED, NULL, "needs a list"},
		{NARU_PROXY_NONE, "::1", "without"},
		{NARU_PROXY_REQUIRED, "", "\"\": at byte 1: "},
		{NARU_PROXY_ALLOWED, "::1,x", "\"::1,x\": at byte 5: "},
	};
	struct naru_options real = {.size = sizeof(real)};
	struct naru_server *server = NULL;
	char list[] = "192.0.2.0/24,unix";
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		awaited = wrong[i].text;
		assert_result(naru_server_new(
				      &server,
				      NARU_OPTIONS(.proxy = wrong[i].proxy,
		                                   .proxy_from = wrong[i].from,
		                                   .report = count_errors)),
		              -EINVAL);
		assert_int_equal(shared->number, (long long)i + 1);
	}
	assert_result(naru_server_new(&server, NARU_OPTIONS(.proxy = 3)),
	              -EINVAL);
	assert_result(naru_server_new(&server,
	                              NARU_OPTIONS(.proxy = NARU_PROXY_ALLOWED,
	                                           .proxy_from = list)),
	              0);
	/* It is the server's own. */
	list[0] = 'x';
	assert_result(naru_server_options(server, &real), 0);
	assert_string_equal(real.proxy_from, "192.0.2.0/24,unix");
	naru_server_free(server);
}

/* Under TLS the header comes before all that the client would encrypt. */
#define PLAIN(function)                                                        \
	CASE_IN(MODELS_ALL, STREAMS & ~TRANSPORT(TRANSPORT_TLS), function)

static const struct conformance_case cases[] = {
	PLAIN(test_announced_client_is_the_peer),
	PLAIN(test_server_may_speak_first),
	PLAIN(test_header_comes_byte_by_byte),
	PLAIN(test_long_header_is_read_to_its_limit),
	PLAIN(test_what_is_no_header_is_refused),
	PLAIN(test_peer_that_finishes_first_is_refused),
	PLAIN(test_late_header_is_not_waited_for),
	CASE(test_header_from_elsewhere_is_refused),
	PLAIN(test_header_of_a_client_is_its_own),
	PLAIN(test_header_from_the_list_is_expected),
	PLAIN(test_stop_ends_the_wait_for_a_header),
	PLAIN(test_values_need_memory),
	PLAIN(test_dial_announces_whom_it_is_told),
	CASE(test_wrong_lists_are_told),
};
const struct conformance_list announced_list = LIST(cases);
