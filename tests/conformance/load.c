/* SPDX-License-Identifier: MIT */
/*
 * Many conversations: ten thousand in turn and five hundred at once, each
 * byte checked.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cases.h"

#define IN_TURN (SANITIZED ? 1000 : 10000)
#define AT_ONCE (SANITIZED ? 100 : 500)

static void say_number(int fd, int number)
{
	char text[40];

	snprintf(text, sizeof(text), "conversation %d\n", number);
	client_say(fd, text);
}

static void expect_number(int fd, int number)
{
	char text[40];

	snprintf(text, sizeof(text), "conversation %d\n", number);
	client_expect(fd, text);
}

static void test_ten_thousand_in_turn(void **state)
{
	struct server *server = server_start(talk_echo, NULL, NULL);
	int fd, i;

	(void)state;
	for (i = 0; i < IN_TURN; i++) {
		fd = client_connect(server->endpoint[0]);
		say_number(fd, i);
		expect_number(fd, i);
		client_finish(fd);
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_BEGIN]), IN_TURN);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), IN_TURN);
}

static void test_five_hundred_at_once(void **state)
{
	struct server *server =
		server_start(talk_echo, NULL, NARU_OPTIONS(.workers = AT_ONCE));
	static int fd[AT_ONCE];
	int i;

	(void)state;
	for (i = 0; i < AT_ONCE; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		say_number(fd[i], i);
	}
	for (i = 0; i < AT_ONCE; i++)
		expect_number(fd[i], i);
	/* All are there, and each still answers. */
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_BEGIN]), AT_ONCE);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), 0);
	for (i = AT_ONCE; i-- > 0;) {
		say_number(fd[i], i + AT_ONCE);
		expect_number(fd[i], i + AT_ONCE);
		client_finish(fd[i]);
	}
	for (i = 0; i < AT_ONCE; i++) {
		client_expect_end(fd[i]);
		close(fd[i]);
	}
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), AT_ONCE);
}

/* More clients than workers, in bursts, with several messages each. */
static void test_bursts_are_all_served(void **state)
{
	struct server *server = server_start(talk_echo_lines, NULL, NULL);
	int fd[20], i, round;

	(void)state;
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 20; i++) {
			fd[i] = client_connect(server->endpoint[0]);
			say_number(fd[i], i);
			say_number(fd[i], round);
			client_finish(fd[i]);
		}
		for (i = 0; i < 20; i++) {
			expect_number(fd[i], i);
			expect_number(fd[i], round);
			client_expect_end(fd[i]);
			close(fd[i]);
		}
	}
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_bursts_are_all_served),
	CASE(test_ten_thousand_in_turn),
	CASE_FOR(MODELS_MANY, test_five_hundred_at_once),
};
const struct conformance_list load_list = LIST(cases);
