/* SPDX-License-Identifier: MIT */
/*
 * Messages by every framing: they come back as they were sent, limits are
 * exact, and no byte is lost where a wait ends too early or where another
 * framing takes over. What the client sends it has framed by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

#define LIMIT 20000 /* more than a buffer of the library's */
#define BIG   (8u * 1024 * 1024)

/* Messages end with a dot. */
static ssize_t until_dot(const char *data, size_t len, size_t *seen, void *arg)
{
	size_t from = *seen;
	const char *dot = memchr(data + from, '.', len - from);

	(void)arg;
	*seen = dot ? (size_t)(dot - data) : len;
	return dot ? dot - data + 1 : 0;
}

/* A framing, and how a message of it looks: up to WIDTH bytes of length, in
 * which the message's own is added to PLUS, then the message, then a tail. */
struct kind {
	const char *name;
	struct naru_framing framing;
	unsigned width;
	bool low_first;
	size_t plus;
	const char *tail;
};

static const struct kind kinds[] = {
	{"lines", {.limit = LIMIT}, .tail = "\n"},
	{"lf", {.line_end = NARU_LINE_END_LF, .limit = LIMIT}, .tail = "\n"},
	{"crlf",
         {.line_end = NARU_LINE_END_CRLF, .limit = LIMIT},
         .tail = "\r\n"},
	{"tolerant",
         {.line_end = NARU_LINE_END_TOLERANT, .limit = LIMIT},
         .tail = "\r\n"},
	{"delimited",
         {.kind = NARU_DELIMITED,
          .limit = LIMIT,
          .delimiter = "--;--",
          .delimiter_len = 5},
         .tail = "--;--"},
	{"u16",
         {.kind = NARU_LENGTH_PREFIXED,
          .length = NARU_LENGTH_U16,
          .limit = LIMIT},
         .width = 2,
         .tail = ""},
	{"u32 le",
         {.kind = NARU_LENGTH_PREFIXED,
          .length = NARU_LENGTH_U32_LE,
          .limit = LIMIT},
         .width = 4,
         .low_first = true,
         .tail = ""},
	{"u64 that counts itself",
         {.kind = NARU_LENGTH_PREFIXED,
          .length = NARU_LENGTH_U64,
          .length_counts_header = 1,
          .limit = LIMIT},
         .width = 8,
         .plus = 8,
         .tail = ""},
	{"netstrings", {.kind = NARU_NETSTRINGS, .limit = LIMIT}, .tail = ","},
	{"custom",
         {.kind = NARU_CUSTOM, .scan = until_dot, .limit = LIMIT + 1},
         .tail = "."},
};

/* Writes LEN letters as a message of a kind to TO; returns how many bytes that
 * are. */
static size_t frame(const struct kind *kind, size_t len, char *to)
{
	size_t number = len + kind->plus, at = 0;

	for (unsigned i = 0; i < kind->width; i++) {
		unsigned byte = kind->low_first ? i : kind->width - 1 - i;

		to[at++] = (char)(number >> 8 * byte);
	}
	if (kind->framing.kind == NARU_NETSTRINGS)
		at = (size_t)sprintf(to, "%zu:", len);
	letters_fill(to + at, len, len);
	return at + len + (size_t)sprintf(to + at + len, "%s", kind->tail);
}

/* Takes over the framing that the first byte names. */
static int take_over(struct naru_conv *conv, struct naru_framing *ret_framing)
{
	unsigned char byte;

	MUST(naru_read(conv, &byte, 1), 1);
	*ret_framing = kinds[byte].framing;
	ret_framing->size = sizeof(*ret_framing);
	return naru_set_framing(conv, ret_framing);
}

/* More has come already; sends each message back. */
static int talk_echo_framed(struct naru_conv *conv, void *arg)
{
	struct naru_framing framing = {0};
	struct naru_msg msg;
	int err;

	(void)arg;
	MUST(take_over(conv, &framing), 0);
	while ((err = naru_recv(conv, &msg)) > 0) {
		MUST(msg.len <= framing.limit, true);
		MUST(naru_send(conv, msg.data, msg.len), 0);
	}
	return err;
}

static void test_messages_of_each_framing_come_back(void **state)
{
	static const size_t sizes[] = {0, 1, 17, 3000, LIMIT, 2, LIMIT, 0};
	static char bytes[4 * LIMIT];
	struct server *server = server_start(talk_echo_framed, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		int fd = client_connect(server->endpoint[0]);
		size_t len = 1;

		bytes[0] = (char)i;
		for (size_t k = 0; k < COUNT(sizes); k++)
			len += frame(&kinds[i], sizes[k], bytes + len);
		client_send(fd, bytes, len);
		client_expect_bytes(fd, bytes + 1, len - 1);
		client_finish(fd);
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

static void test_message_over_the_limit_is_refused_in_each_framing(void **state)
{
	static char bytes[2 * LIMIT];
	struct server *server = server_start(talk_echo_framed, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		int fd = client_connect(server->endpoint[0]);
		size_t len;

		bytes[0] = (char)i;
		len = 1 + frame(&kinds[i], 5, bytes + 1);
		client_send(fd, bytes, len);
		client_expect_bytes(fd, bytes + 1, len - 1);
		atomic_store(&shared->end_result, 0);
		client_send(fd, bytes, frame(&kinds[i], LIMIT + 1, bytes));
		client_expect_end(fd);
		client_finish(fd);
		wait_seen(NARU_EVENT_END, (int)i + 1);
		assert_result(atomic_load(&shared->end_result), -NARU_ETOOBIG);
		close(fd);
	}
	server_stop(server);
}

/* The same, and a message that begins has 3 ms; the step counts how often that
 * was too short. */
static int talk_echo_in_haste(struct naru_conv *conv, void *arg)
{
	struct naru_framing framing;
	struct naru_msg msg;
	int err;

	(void)arg;
	MUST(take_over(conv, &framing), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, 3), 0);
	while ((err = naru_recv(conv, &msg)) > 0 || err == -ETIMEDOUT) {
		if (err > 0)
			MUST(naru_send(conv, msg.data, msg.len), 0);
		else
			atomic_fetch_add(&shared->step, 1);
	}
	return err;
}

/* Sends a message in two parts, the second when the first has been waited for
 * in vain, and another one behind it. */
static void send_late(int fd, const char *bytes, size_t len, size_t at)
{
	int before = atomic_load(&shared->step);

	client_send(fd, bytes, at);
	wait_step(before + 1);
	client_send(fd, bytes + at, len - at);
	client_send(fd, bytes, len);
	client_expect_bytes(fd, bytes, len);
	client_expect_bytes(fd, bytes, len);
}

static void test_timeout_in_each_framing_loses_nothing(void **state)
{
	struct server *server = server_start(talk_echo_in_haste, NULL, NULL);
	char bytes[64];

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		int fd = client_connect(server->endpoint[0]);
		char byte = (char)i;
		size_t len = frame(&kinds[i], 9, bytes);

		client_send(fd, &byte, 1);
		send_late(fd, bytes, len, 1);
		send_late(fd, bytes, len, len / 2);
		send_late(fd, bytes, len, len - 1);
		client_finish(fd);
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

/* Each framing in turn, on bytes that have come long before. */
static int talk_change(struct naru_conv *conv, void *arg)
{
	char buf[8] = "";
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "line"), 0);
	MUST(naru_set_framing(conv, NARU_FRAMING(.kind = NARU_LENGTH_PREFIXED,
	                                         .length = NARU_LENGTH_VARINT)),
	     0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len == 3 && memcmp(msg.data, "abc", 3) == 0, true);
	MUST(naru_set_framing(conv, NARU_FRAMING(.kind = NARU_NETSTRINGS)), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "hello"), 0);
	/* What is wrong stays there, for another framing. */
	MUST(naru_recv(conv, &msg), -NARU_EFRAME);
	MUST(naru_recv(conv, &msg), -NARU_EFRAME);
	MUST(naru_set_framing(conv, NARU_FRAMING(.kind = NARU_FIXED_SIZE,
	                                         .limit = 4)),
	     0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len == 4 && memcmp(msg.data, "\r\nxy", 4) == 0, true);
	MUST(naru_set_framing(conv,
	                      NARU_FRAMING(.line_end = NARU_LINE_END_CRLF)),
	     0);
	MUST(naru_recv(conv, &msg), -NARU_EFRAME);
	MUST(naru_read(conv, buf, 2), 2);
	MUST(memcmp(buf, "z\n", 2), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "end"), 0);
	MUST(naru_recv(conv, &msg), -NARU_ECUT);
	return naru_sendf(conv, "%s", "ok");
}

static void test_framing_changes_in_the_middle(void **state)
{
	struct server *server = server_start(talk_change, NULL, NULL);
	const char all[] = "line\n\3abc5:hello,\r\nxyz\nend\r\ncut";
	int fd;

	(void)state;
	for (size_t step = 1; step <= sizeof(all); step += sizeof(all) - 2) {
		fd = client_connect(server->endpoint[0]);
		for (size_t at = 0; at < sizeof(all) - 1; at += step)
			client_send(fd, all + at,
			            step < sizeof(all) - 1 - at
			                    ? step
			                    : sizeof(all) - 1 - at);
		client_finish(fd);
		client_expect(fd, "ok\r\n");
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

/* Sends and receives a header of a type and a length, and then the body. */
static int talk_kept_header(struct naru_conv *conv, void *arg)
{
	struct naru_options options = {.size = sizeof(options)};
	struct naru_msg msg;

	/* Whoever asks is shown the server's own copy. */
	MUST(naru_server_options(server_under_test, &options), 0);
	MUST(options.framing != arg, true);
	MUST(options.framing->length_offset, 2);
	MUST(options.framing->limit, 20);
	MUST(naru_recv(conv, &msg), 1);
	MUST(msg.len, 7);
	MUST(memcmp(msg.data, "Ty\0\3abc", 7), 0);
	MUST(naru_send(conv, "Re??hello", 9), 0);
	MUST(naru_send(conv, "Re?", 3), -EINVAL);
	MUST(naru_send(conv, "Re??0123456789abcdefg", 21), -NARU_ETOOBIG);
	return naru_sendf(conv, "Re  %d", 42);
}

static void test_header_is_kept_and_its_length_filled_in(void **state)
{
	const struct naru_framing framing = {.size = sizeof(framing),
	                                     .kind = NARU_LENGTH_PREFIXED,
	                                     .length = NARU_LENGTH_U16,
	                                     .length_offset = 2,
	                                     .limit = 20};
	struct server *server =
		server_start(talk_kept_header, (void *)(uintptr_t)&framing,
	                     NARU_OPTIONS(.framing = &framing));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send(fd, "Ty\0\3abc", 7);
	client_expect_bytes(fd, "Re\0\5helloRe\0\00242", 15);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* Dials ARG with a framing of its own, and speaks for its peer there. */
static int talk_dial_framed(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;
	struct naru_msg msg;
	int err;

	MUST(naru_dial(
		     &far, arg,
		     NARU_DIAL_OPTIONS(
				     .framing = NARU_FRAMING(
						     .line_end =
							     (enum naru_line_end)9))),
	     -EINVAL);
	MUST(naru_dial(
		     &far, arg,
		     NARU_DIAL_OPTIONS(.framing = NARU_FRAMING(
						       .kind = NARU_FIXED_SIZE,
						       .limit = 3))),
	     0);
	err = naru_recv(conv, &msg);
	if (err == 1) {
		MUST(naru_send(far, msg.data, msg.len), 0);
		MUST(naru_recv(far, &msg), 1);
		MUST(naru_send(conv, msg.data, msg.len), 0);
	}
	MUST(naru_close(far), 0);
	return err;
}

static void test_framing_is_given_by_options(void **state)
{
	char endpoint[NARU_ADDR_TEXT];
	int listener = client_listen(endpoint, sizeof(endpoint)), far, fd;
	struct server *server = server_start(
		talk_dial_framed, endpoint,
		NARU_OPTIONS(.framing = NARU_FRAMING(.kind = NARU_NETSTRINGS),
	                     .message_limit = 5));

	(void)state;
	fd = client_connect(server->endpoint[0]);
	client_say(fd, "3:abc,");
	far = client_accept(listener);
	client_expect(far, "abc");
	client_say(far, "xyz");
	client_expect(fd, "3:xyz,");
	close(far);
	client_expect_end(fd);
	close(fd);
	wait_seen(NARU_EVENT_END, 1);
	fd = client_connect(server->endpoint[0]);
	far = client_accept(listener);
	client_say(fd, "6:");
	client_finish(fd);
	client_finish(far);
	client_expect_end(fd);
	wait_seen(NARU_EVENT_END, 2);
	assert_result(atomic_load(&shared->end_result), -NARU_ETOOBIG);
	close(fd);
	close(far);
	close(listener);
	server_stop(server);
}

/* Step 1: a message timed out when a part of it was taken. */
static int talk_stuck_message(struct naru_conv *conv, void *arg)
{
	char *buf = malloc(BIG);

	(void)arg;
	MUST(buf != NULL, true);
	if (naru_defer(conv, free, buf) < 0)
		return -ENOMEM;
	letters_fill(buf, 0, BIG);
	MUST(naru_send(conv, buf, BIG), -ETIMEDOUT);
	MUST(naru_send(conv, "x", 1), -EBUSY);
	MUST(naru_send(conv, buf, BIG), -ETIMEDOUT);
	set_step(1);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, WAIT_MS), 0);
	MUST(naru_send(conv, buf, BIG), 0);
	return naru_send(conv, "ok", 2);
}

static void test_message_that_timed_out_goes_on(void **state)
{
	const struct naru_framing framing = {.size = sizeof(framing),
	                                     .kind = NARU_NETSTRINGS,
	                                     .limit = BIG};
	struct server *server =
		server_start(talk_stuck_message, NULL,
	                     NARU_OPTIONS(.framing = &framing, .write_ms = 60));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(1);
	client_expect(fd, "8388608:");
	client_expect_letters(fd, 0, BIG);
	client_expect(fd, ",2:ok,");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_messages_of_each_framing_come_back),
	CASE(test_message_over_the_limit_is_refused_in_each_framing),
	CASE(test_timeout_in_each_framing_loses_nothing),
	CASE(test_framing_changes_in_the_middle),
	CASE(test_header_is_kept_and_its_length_filled_in),
	CASE(test_framing_is_given_by_options),
	CASE(test_message_that_timed_out_goes_on),
};
const struct conformance_list framings_list = LIST(cases);
