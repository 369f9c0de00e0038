/* SPDX-License-Identifier: MIT */
/*
 * What a drain need not wait for: a peer's next datagram, which nobody knows to
 * be the last, and what comes before a conversation.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"

/* Longer than any test lasts: a drain that waits for it fails. */
#define LONG_MS (10 * WAIT_MS)

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void expect(int fd, const char *text)
{
	char buf[256];
	ssize_t got = recv(fd, buf, sizeof(buf), 0);

	assert_int_equal(got, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

/* Every call that receives says the same from then on. */
static int expect_end(struct naru_conv *conv)
{
	struct naru_msg msg;
	char buf[8];

	MUST(naru_recv(conv, &msg), 0);
	MUST(naru_read(conv, buf, sizeof(buf)), 0);
	MUST(naru_read_exact(conv, buf, sizeof(buf)), 0);
	return 0;
}

static int talk_waits(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER), 0);
	while ((err = naru_recv(conv, &msg)) > 0)
		MUST(naru_send(conv, msg.data, msg.len), 0);
	MUST(err, 0);
	MUST(expect_end(conv), 0);
	/* It may say so, and take its time. */
	MUST(naru_sleep(20), 0);
	return naru_send(conv, "bye", 3);
}

static void test_drain_ends_the_wait_for_a_datagram(void **state)
{
	struct server *server = server_start(talk_waits, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "hello");
	expect(fd, "hello");
	server_signal(server, LONG_MS);
	expect(fd, "bye");
	server_wait(server, 0);
	assert_result(atomic_load(&shared->end_result), 0);
	close(fd);
}

static int talk_reads(struct naru_conv *conv, void *arg)
{
	char buf[64];
	ssize_t got;

	(void)arg;
	while ((got = naru_read(conv, buf, sizeof(buf))) > 0)
		MUST(naru_write(conv, buf, (size_t)got), 0);
	return (int)got;
}

static void test_drain_ends_many_waits(void **state)
{
	struct server *server = server_start(talk_reads, NULL, NULL);
	int fd[4];

	(void)state;
	for (size_t i = 0; i < COUNT(fd); i++) {
		fd[i] = client_connect(server->endpoint[0]);
		say(fd[i], "hello");
		expect(fd[i], "hello");
	}
	server_signal(server, LONG_MS);
	server_wait(server, 0);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), COUNT(fd));
	assert_result(atomic_load(&shared->end_result), 0);
	for (size_t i = 0; i < COUNT(fd); i++)
		close(fd[i]);
}

/* Is at work until step 1, and only then looks for more. */
static int talk_works(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_send(conv, "at work", 7), 0);
	MUST(naru_flush(conv), 0);
	while (atomic_load(&shared->step) < 1)
		MUST(naru_sleep(5), 0);
	MUST(await_step_aside(1), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "one"), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "two"), 0);
	MUST(expect_end(conv), 0);
	return naru_send(conv, "done", 4);
}

static void test_drain_loses_no_datagram_that_came(void **state)
{
	struct server *server = server_start(talk_works, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "begin");
	expect(fd, "at work");
	server_signal(server, LONG_MS);
	say(fd, "one");
	say(fd, "two");
	set_step(1);
	expect(fd, "done");
	server_wait(server, 0);
	assert_result(atomic_load(&shared->end_result), 0);
	close(fd);
}

static int strand_waits(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_send(conv, "beside", 6), 0);
	return expect_end(conv);
}

static int talk_beside(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_spawn(conv, strand_waits, NULL), 0);
	MUST(naru_join(conv), 0);
	return naru_send(conv, "done", 4);
}

static void test_drain_ends_the_wait_of_a_companion(void **state)
{
	struct server *server = server_start(talk_beside, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	say(fd, "begin");
	expect(fd, "beside");
	server_signal(server, LONG_MS);
	expect(fd, "done");
	server_wait(server, 0);
	close(fd);
}

/* Asks whom the first datagram names, and waits for the answer. */
static int talk_asks(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other;
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_dial(&other, msg.data, NULL), 0);
	MUST(naru_send(other, "?", 1), 0);
	MUST(naru_recv(other, &msg), 1);
	MUST(naru_send(conv, msg.data, msg.len), 0);
	return naru_close(other);
}

/* Carries all but the first datagram to whom that names. */
static int talk_relays(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other;
	struct naru_msg msg;
	int err, closed;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_dial(&other, msg.data, NULL), 0);
	err = naru_relay(conv, other);
	closed = naru_close(other);
	return err < 0 ? err : closed;
}

static void answer_in_drain(naru_talk *talk)
{
	struct server *server = server_start(talk, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	int there = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in own = {.sin_family = AF_INET}, from;
	socklen_t len = sizeof(own);
	char endpoint[64], mark;

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(there, (struct sockaddr *)&own, len), 0);
	assert_int_equal(getsockname(there, (struct sockaddr *)&own, &len), 0);
	snprintf(endpoint, sizeof(endpoint), "udp://127.0.0.1:%d",
	         ntohs(own.sin_port));
	say(fd, endpoint);
	if (talk == talk_relays)
		say(fd, "?");
	assert_int_equal(recvfrom(there, &mark, 1, 0, (struct sockaddr *)&from,
	                          &len),
	                 1);
	server_signal(server, LONG_MS);
	/* Whoever gave up would have done it by then. */
	assert_false(client_hears(fd, 100));
	assert_int_equal(sendto(there, "answer", 6, 0, (struct sockaddr *)&from,
	                        len),
	                 6);
	expect(fd, "answer");
	server_wait(server, 0);
	assert_result(atomic_load(&shared->end_result), 0);
	close(there);
	close(fd);
}

static void test_drain_lets_a_dialled_one_wait(void **state)
{
	(void)state;
	answer_in_drain(talk_asks);
}

static void test_drain_ends_a_relay_after_its_answers(void **state)
{
	(void)state;
	answer_in_drain(talk_relays);
}

static void test_drain_does_not_wait_for_a_header(void **state)
{
	struct server *server =
		server_start(talk_echo, NULL,
	                     NARU_OPTIONS(.proxy = NARU_PROXY_REQUIRED,
	                                  .handshake_ms = LONG_MS));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "PROXY ");
	/* Somebody waits for the rest; nobody else can tell when. */
	client_hears(fd, 50);
	server_signal(server, LONG_MS);
	client_expect_gone(fd);
	close(fd);
	server_wait(server, 0);
	assert_int_equal(shared->seen[NARU_EVENT_BEGIN], 0);
	if (shared->seen[NARU_EVENT_HANDSHAKE] > 0)
		assert_result(shared->handshake_result, -ECANCELED);
}

#define CASE_UDP(function) CASE_OVER(TRANSPORT_UDP, function)

static const struct conformance_case cases[] = {
	CASE_UDP(test_drain_ends_the_wait_for_a_datagram),
	CASE_IN(MODELS_MANY, TRANSPORT(TRANSPORT_UDP),
                test_drain_ends_many_waits),
	CASE_UDP(test_drain_loses_no_datagram_that_came),
	CASE_UDP(test_drain_ends_the_wait_of_a_companion),
	CASE_UDP(test_drain_lets_a_dialled_one_wait),
	CASE_UDP(test_drain_ends_a_relay_after_its_answers),
	/* Under TLS the header comes before all that the client encrypts. */
	CASE_IN(MODELS_ALL, STREAMS & ~TRANSPORT(TRANSPORT_TLS),
                test_drain_does_not_wait_for_a_header),
};
const struct conformance_list drains_list = LIST(cases);
