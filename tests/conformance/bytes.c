/* SPDX-License-Identifier: MIT */
/*
 * The conversation as two streams of bytes: every byte, in order, once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

#define MB (1024u * 1024)

static void test_echo_bytes_comes_back(void **state)
{
	struct server *server = server_start(talk_echo, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	size_t at = 0, n;

	(void)state;
	for (n = 1; n < 40000; n = n * 3 + 1) {
		client_send_pattern(fd, at, n);
		client_expect_pattern(fd, at, n);
		at += n;
	}
	client_finish(fd);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_read_parts(struct naru_conv *conv, void *arg)
{
	char buf[100] = "";

	(void)arg;
	MUST(naru_read(conv, buf, sizeof(buf)), 5);
	MUST(memcmp(buf, "hello", 5), 0);
	MUST(naru_write(conv, "1", 1), 0);
	MUST(naru_read(conv, buf, 1), 1);
	MUST(buf[0], 'd');
	MUST(naru_read(conv, buf, sizeof(buf)), 3);
	MUST(memcmp(buf, "ear", 3), 0);
	MUST(naru_write(conv, "2", 1), 0);
	MUST(naru_read(conv, buf, sizeof(buf)), 0);
	MUST(naru_read(conv, buf, sizeof(buf)), 0);
	MUST(naru_read_exact(conv, buf, 4), 0);
	return 0;
}

static void test_read_takes_what_is_there_and_zero_at_the_end(void **state)
{
	struct server *server = server_start(talk_read_parts, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "hello");
	client_expect(fd, "1");
	client_say(fd, "dear");
	client_expect(fd, "2");
	client_finish(fd);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_read_exact(struct naru_conv *conv, void *arg)
{
	char buf[16] = "";

	(void)arg;
	MUST(naru_read_exact(conv, buf, 6), 6);
	MUST(memcmp(buf, "abcdef", 6), 0);
	MUST(naru_read_exact(conv, buf, 2), 2);
	MUST(memcmp(buf, "gh", 2), 0);
	MUST(naru_read_exact(conv, buf, 6), -NARU_ECUT);
	/* What came is still there. */
	MUST(naru_read_exact(conv, buf, 6), -NARU_ECUT);
	MUST(naru_read_exact(conv, buf, 2), 2);
	MUST(memcmp(buf, "ij", 2), 0);
	MUST(naru_read(conv, buf, sizeof(buf)), 1);
	MUST(buf[0], 'k');
	MUST(naru_read_exact(conv, buf, 6), 0);
	MUST(naru_read_exact(conv, buf, 6), 0);
	MUST(naru_read_exact(conv, buf, (size_t)NARU_READ_EXACT_MAX + 1),
	     -NARU_ETOOBIG);
	return naru_write(conv, "ok", 2);
}

static void test_read_exact_is_whole_or_cut(void **state)
{
	struct server *server = server_start(talk_read_exact, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "ab");
	client_say(fd, "cdefghi");
	client_say(fd, "jk");
	client_finish(fd);
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* Step 1: the first 600 KB have come and the timeout has passed. */
static int talk_read_megabyte(struct naru_conv *conv, void *arg)
{
	char *buf = naru_alloc(conv, 2 * MB);
	int64_t limit = clock_ms() + WAIT_MS;
	ssize_t got;

	(void)arg;
	MUST(buf != NULL, true);
	MUST(naru_read_exact(conv, buf, 2 * MB), 2 * MB);
	MUST(pattern_holds(buf, 0, 2 * MB), true);

	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, 100), 0);
	memset(buf, 0, MB);
	while ((got = naru_read_exact(conv, buf, MB)) == -ETIMEDOUT) {
		set_step(1);
		MUST(clock_ms() < limit, true);
	}
	MUST(got, MB);
	MUST(atomic_load(&shared->step), 1);
	MUST(pattern_holds(buf, 2 * MB, MB), true);
	return naru_write(conv, "ok", 2);
}

static void test_read_exact_is_bigger_than_any_buffer(void **state)
{
	struct server *server = server_start(talk_read_megabyte, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send_pattern(fd, 0, 2 * MB);
	client_send_pattern(fd, 2 * MB, 600000);
	wait_step(1);
	client_send_pattern(fd, 2 * MB + 600000, MB - 600000);
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_write_much(struct naru_conv *conv, void *arg)
{
	char *buf = malloc(10 * MB);
	int err;

	(void)arg;
	MUST(buf != NULL, true);
	pattern_fill(buf, 0, 10 * MB);
	err = naru_write(conv, buf, 10 * MB);
	/* It may be reused at once. */
	memset(buf, 0, 10 * MB);
	free(buf);
	MUST(err, 0);
	return 0;
}

static void test_write_large_to_slow_reader_is_whole(void **state)
{
	struct server *server = server_start(talk_write_much, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	size_t at;

	(void)state;
	for (at = 0; at < 10 * MB; at += MB / 8) {
		client_expect_pattern(fd, at, MB / 8);
		rest();
	}
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_collect_output(struct naru_conv *conv, void *arg)
{
	char byte;

	(void)arg;
	MUST(naru_write(conv, "a", 1), 0);
	MUST(naru_send(conv, "b", 1), 0);
	set_step(1);
	MUST(await_step(2), true);
	MUST(naru_flush(conv), 0);
	MUST(await_step(3), true);
	MUST(naru_flush(conv), 0); /* there is nothing to send */
	MUST(naru_write(conv, "name? ", 6), 0);
	MUST(naru_read(conv, &byte, 1), 1);
	return 0;
}

static void test_output_waits_for_the_wait(void **state)
{
	struct server *server = server_start(talk_collect_output, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(1);
	assert_false(client_hears(fd, 50));
	set_step(2);
	client_expect(fd, "ab\n");
	set_step(3);
	client_expect(fd, "name? ");
	client_say(fd, "x");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int wait_for_step(void *arg)
{
	return await_step(*(int *)arg) ? 0 : -ETIME;
}

static int strand_wait_for_step(struct naru_conv *conv, void *arg)
{
	(void)conv;
	return wait_for_step(arg);
}

static int talk_write_and_wait(struct naru_conv *conv, void *arg)
{
	static int one = 1, two = 2;

	(void)arg;
	MUST(naru_write(conv, "offload", 7), 0);
	MUST(naru_offload(wait_for_step, &one), 0);
	MUST(naru_write(conv, "join", 4), 0);
	MUST(naru_spawn(conv, strand_wait_for_step, &two), 0);
	MUST(naru_join(conv), 0);
	MUST(naru_write(conv, "sleep", 5), 0);
	MUST(naru_sleep(WAIT_MS * 2), -ECANCELED);
	return 0;
}

static void test_output_is_sent_before_any_wait(void **state)
{
	struct server *server = server_start(talk_write_and_wait, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "offload");
	set_step(1);
	client_expect(fd, "join");
	set_step(2);
	client_expect(fd, "sleep");
	server_signal(server, 0);
	client_expect_gone(fd);
	close(fd);
	server_wait(server, -ECANCELED);
}

static int talk_finish(struct naru_conv *conv, void *arg)
{
	char buf[8] = "";

	(void)arg;
	MUST(naru_write(conv, "bye", 3), 0);
	MUST(naru_finish(conv), 0);
	MUST(naru_finish(conv), 0);
	MUST(naru_write(conv, "more", 4), -EPIPE);
	MUST(naru_send(conv, "more", 4), -EPIPE);
	MUST(naru_read_exact(conv, buf, 4), 4);
	MUST(memcmp(buf, "more", 4), 0);
	MUST(naru_finish(conv), 0);
	MUST(naru_read(conv, buf, sizeof(buf)), 0);
	set_step(1);
	return 0;
}

static void test_finish_half_closes(void **state)
{
	struct server *server = server_start(talk_finish, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "bye");
	client_expect_end(fd);
	client_say(fd, "more");
	client_finish(fd);
	wait_step(1);
	close(fd);
	server_stop(server);
}

static int talk_answer_after_end(struct naru_conv *conv, void *arg)
{
	char buf[64] = "";

	(void)arg;
	MUST(naru_read_exact(conv, buf, 8), 8);
	MUST(naru_read(conv, buf, sizeof(buf)), 0);
	return talk_write_much(conv, NULL);
}

static void test_peer_that_half_closed_gets_its_answer(void **state)
{
	struct server *server = server_start(talk_answer_after_end, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "question");
	client_finish(fd);
	client_expect_pattern(fd, 0, 10 * MB);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_misuse(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	char byte;

	(void)arg;
	MUST(naru_read(NULL, &byte, 1), -EINVAL);
	MUST(naru_read(conv, NULL, 1), -EINVAL);
	MUST(naru_read_exact(NULL, &byte, 1), -EINVAL);
	MUST(naru_read_exact(conv, NULL, 1), -EINVAL);
	MUST(naru_write(NULL, "x", 1), -EINVAL);
	MUST(naru_write(conv, NULL, 1), -EINVAL);
	MUST(naru_flush(NULL), -EINVAL);
	MUST(naru_finish(NULL), -EINVAL);
	MUST(naru_recv(NULL, &msg), -EINVAL);
	MUST(naru_recv(conv, NULL), -EINVAL);
	MUST(naru_send(NULL, "x", 1), -EINVAL);
	MUST(naru_send(conv, NULL, 1), -EINVAL);
	return naru_write(conv, "ok", 2);
}

static void test_misuse_is_refused(void **state)
{
	struct server *server = server_start(talk_misuse, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_echo_bytes_comes_back),
	CASE(test_read_takes_what_is_there_and_zero_at_the_end),
	CASE(test_read_exact_is_whole_or_cut),
	CASE(test_read_exact_is_bigger_than_any_buffer),
	CASE(test_write_large_to_slow_reader_is_whole),
	CASE(test_output_waits_for_the_wait),
	CASE(test_output_is_sent_before_any_wait),
	CASE(test_finish_half_closes),
	CASE(test_peer_that_half_closed_gets_its_answer),
	CASE(test_misuse_is_refused),
};
const struct conformance_list bytes_list = LIST(cases);
