/* SPDX-License-Identifier: MIT */
/*
 * Time: nothing ends early, everything ends, and a deadline loses no byte.
 * Lower bounds are exact; upper ones are generous, for a busy machine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"

#define BIG  (8u * 1024 * 1024)
#define LATE 5000 /* what took longer than this was not bounded at all */

/* Whether what began at START_NS has taken from MS milliseconds to LATE. */
static bool took(int64_t start_ns, int64_t ms)
{
	int64_t spent = clock_ns() - start_ns;

	return spent >= ms * 1000000 && spent < (ms + LATE) * 1000000;
}

static int talk_sleep(struct naru_conv *conv, void *arg)
{
	static const int times[] = {0, 1, 2, 3, 5, 8, 13, 21, 60};
	int64_t start, before, now;
	size_t i;

	(void)arg;
	for (i = 0; i < COUNT(times); i++) {
		start = clock_ns();
		MUST(naru_sleep(times[i]), 0);
		MUST(took(start, times[i]), true);
		before = clock_ms();
		now = naru_now();
		MUST(now >= before && now <= clock_ms(), true);
	}
	MUST(naru_sleep(-1), -EINVAL);
	return naru_write(conv, "ok", 2);
}

static void test_sleep_is_never_early(void **state)
{
	struct server *server = server_start(talk_sleep, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_idle(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int64_t start = clock_ns();
	char buf[8] = "";

	(void)arg;
	/* The server's options say 60. */
	MUST(naru_recv(conv, &msg), -ETIMEDOUT);
	MUST(took(start, 60), true);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 100), 0);
	start = clock_ns();
	MUST(naru_read(conv, buf, sizeof(buf)), -ETIMEDOUT);
	MUST(took(start, 100), true);
	start = clock_ns();
	MUST(naru_read_exact(conv, buf, 3), -ETIMEDOUT);
	MUST(took(start, 100), true);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER), 0);
	MUST(naru_send(conv, "now", 3), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "line"), 0);
	MUST(naru_read_exact(conv, buf, 3), 3);
	return naru_write(conv, "ok", 2);
}

static void test_idle_timeout_ends_the_wait_only(void **state)
{
	struct server *server =
		server_start(talk_idle, NULL, NARU_OPTIONS(.idle_ms = 60));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "now\n");
	client_say(fd, "line\nabc");
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_not_waiting(struct naru_conv *conv, void *arg)
{
	int64_t limit = clock_ms() + WAIT_MS;
	ssize_t got;
	char byte;

	(void)arg;
	MUST(naru_set_timeout(conv, (enum naru_timeout)99, 1), -EINVAL);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, -1), -EINVAL);
	MUST(naru_set_timeout(NULL, NARU_TIMEOUT_IDLE, 1), -EINVAL);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 0), 0);
	MUST(naru_read(conv, &byte, 1), -ETIMEDOUT);
	set_step(1);
	while ((got = naru_read(conv, &byte, 1)) == -ETIMEDOUT)
		MUST(clock_ms() < limit, true);
	MUST(got, 1);
	/* What is here already needs no wait. */
	MUST(naru_read(conv, &byte, 1), 1);
	MUST(naru_set_deadline(conv, naru_now() - 1), 0);
	MUST(naru_read(conv, &byte, 1), -ETIMEDOUT);
	return naru_write(conv, "ok", 2);
}

static void test_timeout_of_zero_does_not_wait(void **state)
{
	struct server *server = server_start(talk_not_waiting, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(1);
	client_say(fd, "xy");
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* The server's options bound a message by 150. */
static int talk_trickle(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	char buf[16] = "";
	int64_t start;

	(void)arg;
	MUST(naru_read(conv, buf, 1), 1);
	start = clock_ns();
	MUST(naru_recv(conv, &msg), -ETIMEDOUT);
	MUST(took(start, 150), true);
	set_step(1);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, WAIT_MS), 0);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "0123456789"), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, 150), 0);
	MUST(naru_read(conv, buf, 1), 1);
	start = clock_ns();
	MUST(naru_read_exact(conv, buf, 10), -ETIMEDOUT);
	MUST(took(start, 150), true);
	set_step(2);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, WAIT_MS), 0);
	MUST(naru_read_exact(conv, buf, 10), 10);
	MUST(memcmp(buf, "9876543210", 10), 0);
	return naru_write(conv, "ok", 2);
}

/* A byte each 30 ms: each comes long before any timeout, the whole does
 * not. */
static void trickle(int fd, const char *text)
{
	struct timespec pace = {.tv_nsec = 30000000};

	for (; *text; text++) {
		client_send(fd, text, 1);
		nanosleep(&pace, NULL);
	}
}

static void test_message_timeout_bounds_a_trickle(void **state)
{
	struct server *server = server_start(talk_trickle, NULL,
	                                     NARU_OPTIONS(.message_ms = 150));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	/* The last byte comes when the time was up, however slow the talk. */
	trickle(fd, "-0123456789");
	wait_step(1);
	client_say(fd, "\n");
	trickle(fd, "-987654321");
	wait_step(2);
	client_say(fd, "0");
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* What is written to a peer that has stopped reading. Step 1: timed out. */
static int talk_stuck_write(struct naru_conv *conv, void *arg)
{
	char *buf = malloc(BIG);
	int64_t start;

	(void)arg;
	MUST(buf != NULL, true);
	if (naru_defer(conv, free, buf) < 0)
		return -ENOMEM;
	pattern_fill(buf, 0, BIG);
	start = clock_ns();
	MUST(naru_write(conv, buf, BIG), -ETIMEDOUT);
	MUST(took(start, 120), true);
	MUST(naru_write(conv, "x", 1), -EBUSY);
	MUST(naru_send(conv, "x", 1), -EBUSY);
	MUST(naru_sendf(conv, "x"), -EBUSY);
	MUST(naru_write(conv, buf, BIG), -ETIMEDOUT);
	set_step(1);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, WAIT_MS), 0);
	MUST(naru_write(conv, buf, BIG), 0);
	return naru_write(conv, "ok", 2);
}

static void test_write_timeout_loses_nothing(void **state)
{
	struct server *server = server_start(talk_stuck_write, NULL,
	                                     NARU_OPTIONS(.write_ms = 120));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(1);
	client_expect_pattern(fd, 0, BIG);
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_stuck_send(struct naru_conv *conv, void *arg)
{
	char *buf = malloc(BIG);

	(void)arg;
	MUST(buf != NULL, true);
	if (naru_defer(conv, free, buf) < 0)
		return -ENOMEM;
	letters_fill(buf, 0, BIG);
	MUST(naru_send(conv, buf, BIG), -ETIMEDOUT);
	MUST(naru_write(conv, "x", 1), -EBUSY);
	MUST(naru_send(conv, "x", 1), -EBUSY);
	set_step(1);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, WAIT_MS), 0);
	MUST(naru_send(conv, buf, BIG), 0);
	return naru_send(conv, "ok", 2);
}

static void test_send_timeout_loses_nothing(void **state)
{
	struct server *server =
		server_start(talk_stuck_send, NULL,
	                     NARU_OPTIONS(.write_ms = 120,
	                                  .message_limit = BIG));
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(1);
	client_expect_letters(fd, 0, BIG);
	client_expect(fd, "\nok\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* Lines come at a pace that no timeout minds; the deadline ends them all.
 * Step 1: it has. */
static int talk_deadline(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int64_t start = clock_ns();
	int next = 0, err;

	(void)arg;
	MUST(naru_set_deadline(conv, naru_now() + 150), 0);
	while ((err = naru_recv(conv, &msg)) > 0)
		MUST(atoi(msg.data), next++);
	MUST(err, -ETIMEDOUT);
	/* The clock of the deadline counts in whole milliseconds. */
	MUST(took(start, 149), true);
	MUST(next > 0, true);
	MUST(naru_set_deadline(conv, NARU_FOREVER), 0);
	set_step(1);
	while ((err = naru_recv(conv, &msg)) > 0) {
		if (strcmp(msg.data, "end") == 0)
			return naru_sendf(conv, "%d", next);
		MUST(atoi(msg.data), next++);
	}
	MUST(err, 1);
	return err;
}

static void test_deadline_spans_calls_until_taken_away(void **state)
{
	struct server *server = server_start(talk_deadline, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	struct timespec pace = {.tv_nsec = 10000000};
	char line[32];
	int count = 0;

	(void)state;
	while (atomic_load(&shared->step) < 1 && count < 2000) {
		snprintf(line, sizeof(line), "%d\n", count++);
		client_say(fd, line);
		nanosleep(&pace, NULL);
	}
	client_say(fd, "end\n");
	snprintf(line, sizeof(line), "%d\n", count);
	client_expect(fd, line);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int strand_sleep(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	return naru_sleep(WAIT_MS * 2);
}

static int talk_deadline_elsewhere(struct naru_conv *conv, void *arg)
{
	char *buf = malloc(BIG);
	int64_t start = clock_ns();

	(void)arg;
	MUST(buf != NULL, true);
	if (naru_defer(conv, free, buf) < 0)
		return -ENOMEM;
	MUST(naru_spawn(conv, strand_sleep, NULL), 0);
	MUST(naru_set_deadline(conv, naru_now() + 80), 0);
	MUST(naru_join(conv), -ETIMEDOUT);
	MUST(took(start, 79), true);
	start = clock_ns();
	pattern_fill(buf, 0, BIG);
	MUST(naru_set_deadline(conv, naru_now() + 80), 0);
	MUST(naru_write(conv, buf, BIG), -ETIMEDOUT);
	MUST(took(start, 79), true);
	set_step(1);
	MUST(naru_set_deadline(conv, NARU_FOREVER), 0);
	MUST(naru_write(conv, buf, BIG), 0);
	return 0;
}

static void test_deadline_holds_for_joins_and_writes(void **state)
{
	struct server *server =
		server_start(talk_deadline_elsewhere, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(1);
	client_expect_pattern(fd, 0, BIG);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_sleep_is_never_early),
	CASE(test_idle_timeout_ends_the_wait_only),
	CASE(test_timeout_of_zero_does_not_wait),
	CASE(test_message_timeout_bounds_a_trickle),
	CASE(test_write_timeout_loses_nothing),
	CASE(test_send_timeout_loses_nothing),
	CASE(test_deadline_spans_calls_until_taken_away),
	CASE(test_deadline_holds_for_joins_and_writes),
};
const struct conformance_list time_list = LIST(cases);
