/* SPDX-License-Identifier: MIT */
/*
 * How a conversation ends: what was sent arrives, what the peer does is told
 * and never kills, and what was deferred runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

#define MUCH (4u * 1024 * 1024)

/* Step 1: there is unread input for sure. */
static int talk_leave_much(struct naru_conv *conv, void *arg)
{
	char *buf = malloc(MUCH);
	char byte;
	int err;

	(void)arg;
	MUST(buf != NULL, true);
	MUST(naru_read(conv, &byte, 1), 1);
	set_step(1);
	MUST(await_step(2), true);
	pattern_fill(buf, 0, MUCH);
	err = naru_write(conv, buf, MUCH);
	free(buf);
	return err;
}

static void test_end_delivers_all_with_unread_and_late_input(void **state)
{
	struct server *server = server_start(talk_leave_much, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_send_pattern(fd, 0, 20000);
	wait_step(1);
	client_send_pattern(fd, 0, 20000);
	set_step(2);
	client_expect_pattern(fd, 0, MUCH / 2);
	client_send_pattern(fd, 0, 20000);
	client_expect_pattern(fd, MUCH / 2, MUCH / 2);
	client_expect_end(fd);
	/* Later than everything; it is read and thrown away. */
	client_send_pattern(fd, 0, 20000);
	client_finish(fd);
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), 0);
	assert_true(atomic_load(&shared->end_sent) == MUCH);
	close(fd);
	server_stop(server);
}

static int talk_say_bye(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return naru_write(conv, "bye", 3);
}

static void test_end_timeout_bounds_a_silent_peer(void **state)
{
	struct server *server =
		server_start(talk_say_bye, NULL, NARU_OPTIONS(.end_ms = 150));
	int64_t start = clock_ms();
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "bye");
	client_expect_end(fd);
	wait_seen(NARU_EVENT_END, 1);
	assert_true(clock_ms() - start >= 150);
	assert_true(clock_ms() - start < 5000);
	close(fd);
	server_stop(server);
}

static int talk_set_end(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_END, 100), 0);
	/* A deadline that has passed does not shorten the end. */
	MUST(naru_set_deadline(conv, naru_now() - 1), 0);
	return naru_write(conv, "bye", 3);
}

static void test_end_timeout_bounds_a_talkative_peer(void **state)
{
	struct server *server = server_start(talk_set_end, NULL, NULL);
	int64_t start = clock_ms();
	int fd = client_connect(server->endpoint[0]);
	/* So much at a time that there is always something to receive. */
	static char buf[1024 * 1024];

	(void)state;
	client_expect(fd, "bye");
	client_expect_end(fd);
	while (atomic_load(&shared->seen[NARU_EVENT_END]) == 0) {
		if (clock_ms() - start > WAIT_MS)
			fail_with("the end was not bounded");
		if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) < 0 &&
		    errno != EPIPE && errno != ECONNRESET)
			fail_with("send: %s", strerror(errno));
	}
	assert_true(clock_ms() - start >= 100);
	close(fd);
	server_stop(server);
}

/* Step 1: something is unread at the peer. Step 2: the peer has reset. */
static int talk_meet_reset(struct naru_conv *conv, void *arg)
{
	char buf[16] = "";

	(void)arg;
	MUST(naru_write(conv, "x", 1), 0);
	MUST(naru_flush(conv), 0);
	MUST(await_step(2), true);
	MUST(naru_read(conv, buf, sizeof(buf)), 5);
	MUST(memcmp(buf, "hello", 5), 0);
	MUST(naru_read(conv, buf, sizeof(buf)), -ECONNRESET);
	set_step(3);
	return -ECONNRESET;
}

static void test_peer_reset_comes_after_queued_bytes(void **state)
{
	struct server *server = server_start(talk_meet_reset, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "hello");
	client_reset(fd);
	set_step(2);
	wait_step(3);
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), -ECONNRESET);
	server_stop(server);
}

/* The first conversation, whose peer is gone; others echo. */
static int talk_write_to_nobody(struct naru_conv *conv, void *arg)
{
	int64_t limit = clock_ms() + WAIT_MS;
	static char buf[65536];
	int err, gone;

	if (naru_id(conv) > 1)
		return talk_echo(conv, arg);
	MUST(await_step(1), true);
	do
		err = naru_write(conv, buf, sizeof(buf));
	while (err == 0 && clock_ms() < limit);
	gone = err == -EPIPE || err == -ECONNRESET;
	if (!gone)
		MUST(err, -EPIPE);
	/* The sending half has ended, and keeps saying why. */
	MUST(naru_write(conv, "x", 1), err);
	MUST(naru_send(conv, "x", 1), err);
	MUST(naru_flush(conv), err);
	set_step(2);
	return 0;
}

static void test_peer_gone_is_an_error_and_no_signal(void **state)
{
	struct server *server = server_start(talk_write_to_nobody, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	close(fd);
	set_step(1);
	wait_step(2);
	wait_seen(NARU_EVENT_END, 1);
	fd = client_connect(server->endpoint[0]);
	client_say(fd, "alive");
	client_expect(fd, "alive");
	close(fd);
	server_stop(server);
}

static int talk_lose_bytes(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_write(conv, "x", 1), 0);
	MUST(naru_flush(conv), 0);
	MUST(naru_write(conv, "lost", 4), 0);
	MUST(await_step(1), true);
	return 0;
}

static void test_end_that_lost_bytes_is_an_error(void **state)
{
	struct server *server = server_start(talk_lose_bytes, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_reset(fd);
	set_step(1);
	wait_seen(NARU_EVENT_END, 1);
	if (atomic_load(&shared->end_result) >= 0)
		fail_with("nobody was told that bytes were lost");
	server_stop(server);
}

static int talk_lose_all(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(await_step(1), true);
	MUST(naru_write(conv, "lost", 4), 0);
	return 0;
}

/* Its end comes first, and a reset only for what is sent then. */
static void test_orderly_end_hides_no_loss(void **state)
{
	struct server *server = server_start(talk_lose_all, NULL, NULL);

	(void)state;
	close(client_connect(server->endpoint[0]));
	set_step(1);
	wait_seen(NARU_EVENT_END, 1);
	if (atomic_load(&shared->end_result) >= 0)
		fail_with("nobody was told that bytes were lost");
	server_stop(server);
}

static int talk_fail(struct naru_conv *conv, void *arg)
{
	(void)conv;
	return *(int *)arg;
}

static void test_result_of_talk_is_told_at_its_end(void **state)
{
	static int result = -EPROTO;
	struct server *server = server_start(talk_fail, &result, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	/* Its end is as graceful as any. */
	client_expect_end(fd);
	close(fd);
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), -EPROTO);
	server_stop(server);
}

static void note_deferred(void *arg)
{
	int fd = atomic_load(&shared->begin_fd);

	/* By now the connection is closed. */
	EXPECT(fcntl(fd, F_GETFD) < 0 && errno == EBADF, true);
	shared_note(*(char *)arg);
	free(arg);
}

static int defer_letter(struct naru_conv *conv, char letter)
{
	char *arg = malloc(1);

	MUST(arg != NULL, true);
	*arg = letter;
	return naru_defer(conv, note_deferred, arg);
}

/* Ends as the letter says that it receives. */
static int talk_defer(struct naru_conv *conv, void *arg)
{
	char byte;

	(void)arg;
	MUST(naru_defer(conv, NULL, NULL), -EINVAL);
	MUST(defer_letter(conv, 'a'), 0);
	MUST(defer_letter(conv, 'b'), 0);
	MUST(defer_letter(conv, 'c'), 0);
	MUST(naru_write(conv, "?", 1), 0);
	if (naru_read(conv, &byte, 1) != 1)
		return -ECONNRESET;
	return byte == 'e' ? -EPROTO : 0;
}

static void wait_order(const char *order)
{
	wait_until(strlen(shared->order) >= strlen(order));
	assert_string_equal(shared->order, order);
}

static void test_deferred_calls_run_newest_first(void **state)
{
	struct server *server = server_start(talk_defer, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "?");
	client_say(fd, ".");
	client_expect_end(fd);
	close(fd);
	wait_order("cba");
	fd = client_connect(server->endpoint[0]);
	client_expect(fd, "?");
	client_say(fd, "e");
	client_expect_end(fd);
	close(fd);
	wait_order("cbacba");
	fd = client_connect(server->endpoint[0]);
	client_reset(fd);
	wait_order("cbacbacba");
	server_stop(server);
}

static int talk_count_bytes(struct naru_conv *conv, void *arg)
{
	char buf[10];

	(void)arg;
	MUST(naru_read_exact(conv, buf, 10), 10);
	MUST(naru_sleep(60), 0);
	MUST(naru_write(conv, buf, 10), 0);
	MUST(naru_sendf(conv, "%s", "ten more!"), 0);
	return 0;
}

static void test_events_tell_what_happened(void **state)
{
	struct server *server = server_start(talk_count_bytes, NULL,
	                                     NARU_OPTIONS(.backlog = 5));
	int fd;

	(void)state;
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LISTEN]), 1);
	assert_int_equal(atomic_load(&shared->listen_backlog), 5);
	fd = client_connect(server->endpoint[0]);
	client_say(fd, "0123456789");
	client_expect(fd, "0123456789ten more!\n");
	client_expect_end(fd);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_BEGIN]), 1);
	assert_true(atomic_load(&shared->begin_named));
	close(fd);
	wait_seen(NARU_EVENT_END, 1);
	assert_true(atomic_load(&shared->end_named));
	assert_int_equal(atomic_load(&shared->end_id), 1);
	assert_int_equal(atomic_load(&shared->end_received), 10);
	assert_int_equal(atomic_load(&shared->end_sent), 20);
	assert_true(atomic_load(&shared->end_duration_ms) >= 60);
	assert_true(atomic_load(&shared->end_duration_ms) < WAIT_MS);
	assert_int_equal(atomic_load(&shared->end_result), 0);
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_BEGIN]), 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), 1);
}

static const struct conformance_case cases[] = {
	CASE(test_end_delivers_all_with_unread_and_late_input),
	CASE(test_end_timeout_bounds_a_silent_peer),
	CASE(test_end_timeout_bounds_a_talkative_peer),
	CASE(test_peer_reset_comes_after_queued_bytes),
	CASE(test_peer_gone_is_an_error_and_no_signal),
	CASE(test_end_that_lost_bytes_is_an_error),
	/* The bridge to TLS takes what its client does not. */
	CASE_IN(MODELS_ALL, STREAMS & ~TRANSPORT(TRANSPORT_TLS),
                test_orderly_end_hides_no_loss),
	CASE(test_result_of_talk_is_told_at_its_end),
	CASE(test_deferred_calls_run_newest_first),
	CASE(test_events_tell_what_happened),
};
const struct conformance_list ends_list = LIST(cases);
