/* SPDX-License-Identifier: MIT */
/*
 * Datagrams: each message is one, whole or not at all. There is no end of the
 * stream, so a talk ends by itself or by silence.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"

#define BIGGEST 65507

/* Receives one datagram, which must be LEN bytes at DATA. */
static void expect(int fd, const void *data, size_t len)
{
	static char buf[BIGGEST + 1];
	ssize_t got = recv(fd, buf, sizeof(buf), 0);

	if (got < 0)
		fail_with("client's recv: %s", strerror(errno));
	assert_int_equal(got, len);
	assert_memory_equal(buf, data, len);
}

static void expect_text(int fd, const char *text)
{
	expect(fd, text, strlen(text));
}

/* client_send() has nothing to do for an empty one. */
static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static int talk_boundaries(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "one\ntwo"), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 0);
	MUST(msg.data[0], '\0');
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "three"), 0);
	MUST(naru_send(conv, "a\nb", 3), 0);
	MUST(naru_send(conv, "", 0), 0);
	MUST(naru_write(conv, "c", 1), 0);
	return naru_sendf(conv, "%s", "d");
}

static void test_messages_are_datagrams(void **state)
{
	struct server *server = server_start(talk_boundaries, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "one\ntwo");
	say(fd, "");
	say(fd, "three");
	expect_text(fd, "a\nb");
	expect_text(fd, "");
	expect_text(fd, "c");
	expect_text(fd, "d");
	close(fd);
	server_stop(server);
}

static int talk_limit(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	/* Whatever its kind, a framing's limit is all that counts. */
	MUST(naru_set_framing(conv, NARU_FRAMING(.limit = 5)), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 5);
	MUST(naru_recv(conv, &msg), -NARU_ETOOBIG);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "next"), 0);
	MUST(naru_send(conv, "123456", 6), -NARU_ETOOBIG);
	MUST(naru_sendf(conv, "%d", 123456), -NARU_ETOOBIG);
	return naru_send(conv, "12345", 5);
}

static void test_limit_costs_one_datagram(void **state)
{
	struct server *server = server_start(talk_limit, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "12345");
	say(fd, "123456");
	say(fd, "next");
	expect_text(fd, "12345");
	close(fd);
	server_stop(server);
}

static int talk_pieces(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	char buf[16] = "";

	(void)arg;
	MUST(naru_read(conv, buf, 2), 2);
	MUST(naru_read(conv, buf + 2, 14), 3);
	MUST(strcmp(buf, "first"), 0);
	/* The empty one is passed over. */
	MUST(naru_read(conv, buf, 1), 1);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "econd"), 0);
	MUST(naru_read_exact(conv, buf, 6), -NARU_ECUT);
	MUST(naru_read_exact(conv, buf, 4), 4);
	MUST(naru_read_exact(conv, buf, 1), 1);
	MUST(buf[0], 'd');
	return naru_send(conv, "ok", 2);
}

static void test_read_gives_the_rest_of_one(void **state)
{
	struct server *server = server_start(talk_pieces, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "first");
	say(fd, "");
	say(fd, "second");
	say(fd, "third");
	expect_text(fd, "ok");
	close(fd);
	server_stop(server);
}

static int talk_silence(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int64_t start = clock_ns();

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_recv(conv, &msg), -ETIMEDOUT);
	MUST(clock_ns() - start >= 60 * 1000000, true);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER), 0);
	MUST(naru_set_deadline(conv, naru_now() + 50), 0);
	MUST(naru_recv(conv, &msg), -ETIMEDOUT);
	MUST(naru_set_deadline(conv, NARU_FOREVER), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 0), 0);
	MUST(naru_recv(conv, &msg), -ETIMEDOUT);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, WAIT_MS), 0);
	MUST(naru_send(conv, "go on", 5), 0);
	MUST(naru_recv(conv, &msg), 1);
	return naru_send(conv, msg.data, msg.len);
}

static void test_timeouts_end_waits_only(void **state)
{
	struct server *server =
		server_start(talk_silence, NULL, NARU_OPTIONS(.idle_ms = 60));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "hello");
	expect_text(fd, "go on");
	say(fd, "again");
	expect_text(fd, "again");
	close(fd);
	server_stop(server);
}

static int talk_cancelled(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0)
		MUST(naru_send(conv, msg.data, msg.len), 0);
	return err;
}

static void test_stop_cancels_who_waits(void **state)
{
	struct server *server = server_start(talk_cancelled, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "hello");
	expect_text(fd, "hello");
	server_signal(server, 0);
	server_wait(server, -ECANCELED);
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), -ECANCELED);
	close(fd);
}

static int talk_output(struct naru_conv *conv, void *arg)
{
	static char big[BIGGEST + 1];
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 40; i++)
		MUST(naru_sendf(conv, "answer %d", i), 0);
	MUST(naru_write(conv, big, BIGGEST + 1), -EMSGSIZE);
	MUST(naru_write(conv, big, BIGGEST), 0);
	MUST(naru_write(conv, big, 20000), 0);
	MUST(naru_send(conv, "end", 3), 0);
	MUST(naru_finish(conv), 0);
	MUST(naru_finish(conv), 0);
	return naru_write(conv, "x", 1) == -EPIPE ? 0 : -EPROTO;
}

static void test_output_keeps_its_order(void **state)
{
	struct server *server = server_start(talk_output, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	static char big[BIGGEST];
	char text[32];

	(void)state;
	memset(big, 'b', sizeof(big));
	say(fd, "?");
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "answer %d", i);
		expect_text(fd, text);
	}
	expect(fd, big, BIGGEST);
	expect(fd, big, 20000);
	expect_text(fd, "end");
	close(fd);
	server_stop(server);
	assert_result(atomic_load(&shared->end_result), 0);
}

static int strand_answers(struct naru_conv *conv, void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++) {
		MUST(naru_sendf(conv, "aside %d", i), 0);
		MUST(naru_sleep(1), 0);
	}
	return 0;
}

static int talk_aside(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_spawn(conv, strand_answers, NULL), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_join(conv), 0);
	return naru_send(conv, msg.data, msg.len);
}

static void test_companion_sends_while_talk_receives(void **state)
{
	struct server *server = server_start(talk_aside, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	char text[32];

	(void)state;
	say(fd, "begin");
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "aside %d", i);
		expect_text(fd, text);
	}
	say(fd, "end");
	expect_text(fd, "end");
	close(fd);
	server_stop(server);
}

/* A UDP socket of the client's own, at an endpoint that a talk may dial. */
static int open_socket(char *endpoint, size_t size)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	socklen_t len = sizeof(own);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	snprintf(endpoint, size, "udp://127.0.0.1:%d", ntohs(own.sin_port));
	return fd;
}

/* Dials what the first datagram names; nobody is there at first. */
static int talk_dial(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other;
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_dial(&other, msg.data, NULL), 0);
	MUST(naru_send(other, "anybody?", 8), 0);
	MUST(naru_recv(other, &msg), -ECONNREFUSED);
	MUST(naru_send(conv, "refused", 7), 0);
	/* Nothing of that is this conversation's. */
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_send(other, "now?", 4), 0);
	MUST(naru_recv(other, &msg), 1);
	MUST(naru_send(conv, msg.data, msg.len), 0);
	return naru_close(other);
}

static void test_refusal_is_passing_and_ones_own(void **state)
{
	struct server *server = server_start(talk_dial, NULL, NULL);
	int fd = client_connect(server->endpoint[0]), there;
	struct sockaddr_storage from, own;
	char endpoint[NARU_ADDR_TEXT], buf[16];
	socklen_t len = sizeof(from);

	(void)state;
	close(open_socket(endpoint, sizeof(endpoint)));
	say(fd, endpoint);
	expect_text(fd, "refused");
	len = client_address(endpoint, &own);
	there = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(there, (struct sockaddr *)&own, len), 0);
	say(fd, "go on");
	len = sizeof(from);
	assert_int_equal(recvfrom(there, buf, sizeof(buf), 0,
	                          (struct sockaddr *)&from, &len),
	                 4);
	assert_memory_equal(buf, "now?", 4);
	assert_int_equal(sendto(there, "yes", 3, 0, (struct sockaddr *)&from,
	                        len),
	                 3);
	expect_text(fd, "yes");
	close(there);
	close(fd);
	server_stop(server);
}

static int talk_program(struct naru_conv *conv, void *arg)
{
	char *argv[] = {(char[]){"true"}, NULL};
	struct naru_msg msg;
	int status;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_program(conv, argv, &status), -EOPNOTSUPP);
	return naru_send(conv, "ok", 2);
}

static void test_program_is_refused(void **state)
{
	struct server *server = server_start(talk_program, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "?");
	expect_text(fd, "ok");
	close(fd);
	server_stop(server);
}

/* Does not receive before step 1. */
static int talk_late(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_send(conv, "here", 4), 0);
	MUST(naru_flush(conv), 0);
	MUST(await_step_aside(1), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 50), 0);
	while ((err = naru_recv(conv, &msg)) > 0)
		;
	return err == -ETIMEDOUT ? 0 : err;
}

static void test_what_found_no_room_is_counted(void **state)
{
	struct server *server = server_start(talk_late, NULL, NULL);
	int fd = client_connect(server->endpoint[0]), i;
	static char data[8000];
	long long came;

	(void)state;
	say(fd, "?");
	expect_text(fd, "here");
	for (i = 0; i < 2000; i++)
		client_send(fd, data, sizeof(data));
	set_step(1);
	wait_seen(NARU_EVENT_END, 1);
	came = atomic_load(&shared->end_received);
	assert_int_equal((came - 1) % (long long)sizeof(data), 0);
	came = (came - 1) / (long long)sizeof(data);
	assert_true(atomic_load(&shared->end_dropped) > 0);
	assert_int_equal(came + atomic_load(&shared->end_dropped), 2000);
	close(fd);
	server_stop(server);
}

static int talk_who(struct naru_conv *conv, void *arg)
{
	char local[NARU_ADDR_TEXT], peer[NARU_ADDR_TEXT];
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_addr_format(naru_local(conv), local, sizeof(local)) > 0,
	     true);
	MUST(naru_addr_format(naru_peer(conv), peer, sizeof(peer)) > 0, true);
	return naru_sendf(conv, "%s %s", local, peer);
}

static void test_both_addresses_are_known(void **state)
{
	struct server *server = server_start(talk_who, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	char text[300];

	(void)state;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	snprintf(text, sizeof(text), "%s 127.0.0.1:%d",
	         server->endpoint[0] + strlen("udp://"), ntohs(own.sin_port));
	say(fd, "?");
	expect_text(fd, text);
	close(fd);
	server_stop(server);
	assert_true(atomic_load(&shared->end_named));
}

/* Waits for the peer's word before it answers. */
static int talk_echo_datagrams(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0 &&
	       strcmp(msg.data, "end") != 0)
		MUST(naru_send(conv, msg.data, msg.len), 0);
	return err < 0 ? err : 0;
}

static void test_peers_at_once_are_kept_apart(void **state)
{
	struct server *server = server_start(talk_echo_datagrams, NULL,
	                                     NARU_OPTIONS(.workers = 20));
	int fds[20];
	char text[32];

	(void)state;
	for (int i = 0; i < 20; i++)
		fds[i] = client_connect(server->endpoint[0]);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "%d of %d", round, i);
			say(fds[i], text);
		}
		for (int i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "%d of %d", round, i);
			expect_text(fds[i], text);
		}
	}
	for (int i = 0; i < 20; i++) {
		say(fds[i], "end");
		close(fds[i]);
	}
	wait_seen(NARU_EVENT_END, 20);
	server_stop(server);
}

/* What leaves and comes in one piece is as many messages as it was. */
static void test_pieces_are_cut_into_datagrams(void **state)
{
	struct server *server = server_start(talk_echo_datagrams, NULL, NULL);
	int fd = client_connect(server->endpoint[0]), segment = 100;
	char data[1050], buf[200];

	(void)state;
	/* The listener has the first one, and the conversation the rest. */
	say(fd, "first");
	expect_text(fd, "first");
	pattern_fill(data, 0, sizeof(data));
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment,
	                            sizeof(segment)),
	                 0);
	client_send(fd, data, sizeof(data));
	for (size_t at = 0; at < sizeof(data); at += 100) {
		size_t len = at + 100 < sizeof(data) ? 100 : sizeof(data) - at;

		assert_int_equal(recv(fd, buf, sizeof(buf), 0), len);
		assert_true(pattern_holds(buf, at, len));
	}
	say(fd, "end");
	close(fd);
	server_stop(server);
}

static int talk_none(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	return 0;
}

static void test_proxy_headers_are_refused(void **state)
{
	struct naru_server *server;

	(void)state;
	assert_result(
		naru_server_new(&server,
	                        NARU_OPTIONS(.proxy = NARU_PROXY_REQUIRED)),
		0);
	assert_result(naru_server_listen(server, "udp://127.0.0.1:0", talk_none,
	                                 NULL),
	              -EOPNOTSUPP);
	naru_server_free(server);
}

#define CASE_UDP(function) CASE_OVER(TRANSPORT_UDP, function)

static const struct conformance_case cases[] = {
	CASE_UDP(test_messages_are_datagrams),
	CASE_UDP(test_limit_costs_one_datagram),
	CASE_UDP(test_read_gives_the_rest_of_one),
	CASE_UDP(test_timeouts_end_waits_only),
	CASE_UDP(test_stop_cancels_who_waits),
	CASE_UDP(test_output_keeps_its_order),
	CASE_UDP(test_companion_sends_while_talk_receives),
	CASE_UDP(test_refusal_is_passing_and_ones_own),
	CASE_UDP(test_program_is_refused),
	CASE_UDP(test_what_found_no_room_is_counted),
	CASE_UDP(test_both_addresses_are_known),
	CASE_UDP(test_pieces_are_cut_into_datagrams),
	CASE_UDP(test_proxy_headers_are_refused),
	CASE_IN(MODELS_MANY, TRANSPORT(TRANSPORT_UDP),
                test_peers_at_once_are_kept_apart),
};
const struct conformance_list datagrams_list = LIST(cases);
