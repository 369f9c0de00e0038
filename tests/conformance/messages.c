/* SPDX-License-Identifier: MIT */
/*
 * The conversation as messages: lines are found wherever the stream was cut,
 * limits are exact, and no byte is lost between one way of receiving and
 * another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

/* Answers each line with its length and itself. */
static int talk_measure_lines(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		MUST(err, 1);
		MUST(msg.data[msg.len], 0);
		MUST(naru_sendf(conv, "%zu:%s", msg.len, msg.data), 0);
	}
	return err;
}

static void test_lines_end_with_lf_or_crlf(void **state)
{
	struct server *server = server_start(talk_measure_lines, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "plain\nwith cr\r\n\n\r\na\rb\nc\r\r\n");
	client_send(fd, "n\0l\n", 4);
	client_say(fd, "last\n");
	client_finish(fd);
	client_expect(fd, "5:plain\n7:with cr\n0:\n0:\n3:a\rb\n2:c\r\n3:n\n"
	                  "4:last\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static void test_lines_come_byte_by_byte(void **state)
{
	struct server *server = server_start(talk_echo_lines, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	const char *text = "hello\r\nworld\n\n!\n";
	size_t i;

	(void)state;
	for (i = 0; text[i]; i++)
		client_send(fd, text + i, 1);
	client_expect(fd, "hello\nworld\n\n!\n");
	close(fd);
	server_stop(server);
}

/* Counts in the step how often a message began and did not end in time. */
static int talk_count_halves(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, 3), 0);
	for (;;) {
		err = naru_recv(conv, &msg);
		if (err == -ETIMEDOUT)
			atomic_fetch_add(&shared->step, 1);
		else if (err <= 0)
			return err;
		else
			MUST(naru_send(conv, msg.data, msg.len), 0);
	}
}

/* Sends TEXT in two parts, the second when the first has been seen. */
static void split_at(int fd, const char *text, size_t at)
{
	int before = atomic_load(&shared->step);

	client_send(fd, text, at);
	if (at > 0 && text[at - 1] != '\n')
		wait_step(before + 1);
	client_say(fd, text + at);
	client_expect(fd, "one\ntwo\n\nthree\n");
}

static void test_lines_are_split_at_every_point(void **state)
{
	struct server *server = server_start(talk_count_halves, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	const char *text = "one\r\ntwo\n\r\nthree\r\n";
	size_t at;

	(void)state;
	for (at = 0; at < strlen(text); at++)
		split_at(fd, text, at);
	close(fd);
	server_stop(server);
}

static int talk_limit(struct naru_conv *conv, void *arg)
{
	char buf[32] = "";
	struct naru_msg msg;

	(void)arg;
	MUST(naru_set_framing(conv, NARU_FRAMING(.limit = 10)), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 10);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 10);
	MUST(memcmp(msg.data, "0123456789", 11), 0);
	MUST(naru_recv(conv, &msg), -NARU_ETOOBIG);
	MUST(naru_recv(conv, &msg), -NARU_ETOOBIG);
	MUST(naru_read_exact(conv, buf, 12), 12);
	MUST(memcmp(buf, "0123456789x\n", 12), 0);
	/* A CR that ends nothing counts. */
	MUST(naru_recv(conv, &msg), -NARU_ETOOBIG);
	MUST(naru_read_exact(conv, buf, 12), 12);
	MUST(memcmp(buf, "0123456789\rx", 12), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 0);
	/* Too big is known before the line ends, and a higher limit helps. */
	MUST(naru_recv(conv, &msg), -NARU_ETOOBIG);
	MUST(naru_write(conv, "?", 1), 0);
	MUST(naru_set_framing(conv, NARU_FRAMING(.limit = 20)), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(memcmp(msg.data, "0123456789abc!", 15), 0);
	return naru_write(conv, "ok", 2);
}

static void test_limit_is_exact_and_loses_nothing(void **state)
{
	struct server *server = server_start(talk_limit, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "0123456789\n");
	client_say(fd, "0123456789\r\n");
	client_say(fd, "0123456789x\n");
	client_say(fd, "0123456789\rx\n");
	client_say(fd, "0123456789abc");
	client_expect(fd, "?");
	client_say(fd, "!\n");
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* The default limit, or the server's, whose value ARG points to. */
static int talk_first_limit(struct naru_conv *conv, void *arg)
{
	size_t limit = *(size_t *)arg, i;
	struct naru_msg msg;

	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, limit);
	for (i = 0; i < limit; i++)
		if (msg.data[i] != (char)letter_at(i))
			break;
	MUST(i, limit);
	MUST(naru_recv(conv, &msg), -NARU_ETOOBIG);
	return naru_write(conv, "ok", 2);
}

static void try_limit(size_t limit, const struct naru_options *options)
{
	struct server *server = server_start(talk_first_limit, &limit, options);
	int fd = client_connect(server->endpoint[0]);
	char *line = malloc(limit + 2);

	assert_non_null(line);
	letters_fill(line, 0, limit + 1);
	line[limit] = '\n';
	client_send(fd, line, limit + 1);
	line[limit] = 'x';
	line[limit + 1] = '\n';
	client_send(fd, line, limit + 2);
	free(line);
	client_expect(fd, "ok");
	client_finish(fd);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static void test_limit_at_first_is_the_servers(void **state)
{
	(void)state;
	try_limit(65536, NULL);
	try_limit(100, NARU_OPTIONS(.message_limit = 100));
	try_limit(300000, NARU_OPTIONS(.message_limit = 300000));
}

static int talk_unterminated(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	char buf[8] = "";

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_recv(conv, &msg), -NARU_ECUT);
	MUST(naru_recv(conv, &msg), -NARU_ECUT);
	MUST(naru_read(conv, buf, sizeof(buf)), 3);
	MUST(memcmp(buf, "abc", 3), 0);
	MUST(naru_recv(conv, &msg), 0);
	MUST(naru_recv(conv, &msg), 0);
	return naru_write(conv, "ok", 2);
}

static void test_unterminated_line_is_cut(void **state)
{
	struct server *server = server_start(talk_unterminated, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "whole\nabc");
	client_finish(fd);
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_switch(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	char buf[32] = "";

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "first"), 0);
	MUST(naru_read_exact(conv, buf, 8), 8);
	MUST(memcmp(buf, "\n\0bytes\n", 8), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "second"), 0);
	MUST(naru_read(conv, buf, 2), 2);
	MUST(memcmp(buf, "th", 2), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "ird"), 0);
	MUST(naru_write(conv, "?", 1), 0);
	MUST(naru_read(conv, buf, 1), 1);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "ourth"), 0);
	return naru_send(conv, "ok", 2);
}

static void test_bytes_and_messages_mix(void **state)
{
	struct server *server = server_start(talk_switch, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send(fd, "first\n\n\0bytes\nsecond\r\nthird\n", 28);
	client_expect(fd, "?");
	client_say(fd, "fourth\n");
	client_expect(fd, "ok\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_send_kinds(struct naru_conv *conv, void *arg)
{
	static char line[5001];

	(void)arg;
	memset(line, 'z', 5000);
	MUST(naru_send(conv, "one", 3), 0);
	MUST(naru_send(conv, "", 0), 0);
	MUST(naru_sendf(conv, "%d and %s", 2, "two"), 0);
	MUST(naru_send(conv, "a\nb", 3), -EINVAL);
	MUST(naru_sendf(conv, "a%cb", '\n'), -EINVAL);
	MUST(naru_sendf(conv, "%s", line), 0);
	MUST(naru_set_framing(conv, NARU_FRAMING(.limit = 4)), 0);
	MUST(naru_send(conv, "1234", 4), 0);
	MUST(naru_send(conv, "12345", 5), -NARU_ETOOBIG);
	MUST(naru_sendf(conv, "%d", 12345), -NARU_ETOOBIG);
	MUST(naru_sendf(conv, "%d", 5678), 0);
	return 0;
}

static void test_send_frames_or_refuses(void **state)
{
	struct server *server = server_start(talk_send_kinds, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	char line[5002];

	(void)state;
	memset(line, 'z', 5000);
	line[5000] = '\n';
	client_expect(fd, "one\n\n2 and two\n");
	client_expect_bytes(fd, line, 5001);
	client_expect(fd, "1234\n5678\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_set_framing(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_set_framing(conv, NARU_FRAMING(.limit = NARU_MESSAGE_MAX)),
	     0);
	MUST(naru_set_framing(
		     conv, NARU_FRAMING(.limit = (size_t)NARU_MESSAGE_MAX + 1)),
	     -EINVAL);
	MUST(naru_set_framing(conv,
	                      NARU_FRAMING(.kind = (enum naru_framing_kind)99)),
	     -EINVAL);
	MUST(naru_set_framing(NULL, NARU_FRAMING(.limit = 1)), -EINVAL);
	/* What was refused has changed nothing. */
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 5);
	return naru_send(conv, "ok", 2);
}

static void test_framing_limits_are_checked(void **state)
{
	struct server *server = server_start(talk_set_framing, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "hello\n");
	client_expect(fd, "ok\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static void test_pipelined_lines_are_all_answered(void **state)
{
	struct server *server = server_start(talk_echo_lines, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	char text[16 * 16] = "";
	int i, round;

	(void)state;
	for (i = 0; i < 16; i++)
		sprintf(text + strlen(text), "request %d\n", i);
	for (round = 0; round < 50; round++) {
		client_say(fd, text);
		client_expect(fd, text);
	}
	close(fd);
	server_stop(server);
}

/* Fills LINE with the line of a number, and returns its length. */
static size_t make_line(char *line, size_t number)
{
	size_t len = number * 37 % 3000;

	letters_fill(line, number, len);
	line[len] = '\n';
	return len + 1;
}

/* Three at a time, so that they meet every edge of the buffers. */
static void test_lines_of_many_lengths_come_back(void **state)
{
	struct server *server = server_start(talk_echo_lines, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	char line[3001];
	size_t i, k;

	(void)state;
	for (i = 0; i < 300; i += 3) {
		for (k = i; k < i + 3; k++)
			client_send(fd, line, make_line(line, k));
		for (k = i; k < i + 3; k++)
			client_expect_bytes(fd, line, make_line(line, k));
	}
	close(fd);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_lines_end_with_lf_or_crlf),
	CASE(test_lines_come_byte_by_byte),
	CASE(test_lines_are_split_at_every_point),
	CASE(test_limit_is_exact_and_loses_nothing),
	CASE(test_limit_at_first_is_the_servers),
	CASE(test_unterminated_line_is_cut),
	CASE(test_bytes_and_messages_mix),
	CASE(test_send_frames_or_refuses),
	CASE(test_framing_limits_are_checked),
	CASE(test_pipelined_lines_are_all_answered),
	CASE(test_lines_of_many_lengths_come_back),
};
const struct conformance_list messages_list = LIST(cases);
