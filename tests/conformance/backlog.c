/* SPDX-License-Identifier: MIT */
/*
 * Waiting in line: clients are connected before they are served, are served
 * in the order in which they came, and wait in the backlog while the server
 * has as many conversations as it may.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"

#define ONE_AT_A_TIME NARU_OPTIONS(.workers = 1, .max_conversations = 1)

/* Connects, and is held by a talk that waits for STEP. */
static int hold(struct server *server, const char *step)
{
	int fd = client_connect(server->endpoint[0]);

	client_say(fd, "hello\n");
	client_expect(fd, "hello\n");
	client_say(fd, step);
	return fd;
}

static void test_connect_returns_before_accept(void **state)
{
	struct server *server = server_start(talk_obey, NULL, ONE_AT_A_TIME);
	int first = hold(server, "step 1\n");
	int second = client_connect(server->endpoint[0]);

	(void)state;
	client_say(second, "served\n");
	assert_false(client_hears(second, 60));
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_BEGIN]), 1);
	set_step(1);
	client_expect(first, "step 1\n");
	client_finish(first);
	client_expect_end(first);
	client_expect(second, "served\n");
	close(first);
	close(second);
	server_stop(server);
}

/* Notes the letter that its peer sends, and ends. */
static int talk_note_letter(struct naru_conv *conv, void *arg)
{
	char letter;

	(void)arg;
	MUST(naru_read(conv, &letter, 1), 1);
	if (letter == 'A')
		MUST(await_step(1), true);
	shared_note(letter);
	return naru_write(conv, &letter, 1);
}

/* Whether connections are opened several at once, and converse in the order in
 * which that was done. */
static bool are_opened_first(void)
{
	const unsigned models =
		MODEL(NARU_PROCESS) | MODEL(NARU_THREAD) | MODEL(NARU_FIBER);

	return place.transport == TRANSPORT_TLS && !place.isolated &&
	       (MODEL(place.model) & models);
}

/* SHOULD_BE in any order. */
static void expect_all(const char *seen, const char *should_be)
{
	assert_int_equal(strlen(seen), strlen(should_be));
	for (; *should_be; should_be++)
		assert_non_null(strchr(seen, *should_be));
}

static void test_backlog_is_served_in_order(void **state)
{
	struct server *server =
		server_start(talk_note_letter, NULL, ONE_AT_A_TIME);
	const char *letters = "ABCDEFGH";
	int fd[8], i;

	(void)state;
	for (i = 0; i < 8; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		client_send(fd[i], letters + i, 1);
		client_finish(fd[i]);
	}
	set_step(1);
	for (i = 0; i < 8; i++) {
		client_expect_bytes(fd[i], letters + i, 1);
		client_expect_end(fd[i]);
		close(fd[i]);
	}
	if (are_opened_first())
		expect_all(shared->order, letters);
	else
		assert_string_equal(shared->order, letters);
	server_stop(server);
}

static void test_reset_in_backlog_harms_nobody(void **state)
{
	struct linger linger = {.l_onoff = 1};
	struct server *server = server_start(talk_obey, NULL, ONE_AT_A_TIME);
	int first = hold(server, "step 1\n");
	int i, fd, last;

	(void)state;
	for (i = 0; i < 3; i++) {
		fd = client_connect(server->endpoint[0]);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(fd);
	}
	last = client_connect(server->endpoint[0]);
	client_say(last, "last\n");
	set_step(1);
	client_expect(first, "step 1\n");
	close(first);
	client_expect(last, "last\n");
	close(last);
	server_stop(server);
}

/* Waits until either hears something. */
static void put_first_who_hears(int *first, int *second)
{
	struct pollfd fds[] = {{.fd = *first, .events = POLLIN},
	                       {.fd = *second, .events = POLLIN}};

	assert_true(poll(fds, 2, WAIT_MS) > 0);
	if (!fds[0].revents) {
		*first = fds[1].fd;
		*second = fds[0].fd;
	}
}

static void test_limit_leaves_clients_in_backlog(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL,
	                     NARU_OPTIONS(.max_conversations = 2));
	int fd[4], i;

	(void)state;
	for (i = 0; i < 4; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		client_say(fd[i], "hello\n");
		if (i < 2)
			client_expect(fd[i], "hello\n");
	}
	assert_false(client_hears(fd[2], 60));
	assert_false(client_hears(fd[3], 0));
	wait_seen(NARU_EVENT_PAUSE, 1);
	assert_result(atomic_load(&shared->pause_result), -EUSERS);
	client_say(fd[0], "again\n");
	client_expect(fd[0], "again\n");
	close(fd[0]);
	if (are_opened_first())
		put_first_who_hears(&fd[2], &fd[3]);
	client_expect(fd[2], "hello\n");
	assert_false(client_hears(fd[3], 60));
	close(fd[2]);
	client_expect(fd[3], "hello\n");
	client_say(fd[1], "still\n");
	client_expect(fd[1], "still\n");
	close(fd[1]);
	close(fd[3]);
	wait_seen(NARU_EVENT_RESUME, 1);
	server_stop(server);
}

#define SILENT 70 /* more than may be opened at once */

/* Whose conversations begin at once are still taken. */
static void test_bound_on_handshakes_is_of_their_listeners(void **state)
{
	const struct setup setup = {
		.listener = {{.talk = talk_echo},
	                     {.endpoint = "tcp://127.0.0.1:0",
	                      .talk = talk_echo}},
		.options = NARU_OPTIONS(.max_conversations = 8,
	                                .handshake_ms = 10 * WAIT_MS),
	};
	struct server *server;
	char plain[NARU_ADDR_TEXT];
	int silent[SILENT], fd, i;

	(void)state;
	if (!are_opened_first())
		return;
	server = server_start_setup(&setup);
	snprintf(plain, sizeof(plain), "tcp%s", server->endpoint[0] + 3);
	for (i = 0; i < SILENT; i++)
		silent[i] = client_connect(plain);
	wait_seen(NARU_EVENT_PAUSE, 1);
	assert_result(atomic_load(&shared->pause_result), -EBUSY);
	for (i = 0; i < 3; i++) {
		fd = client_connect(server->endpoint[1]);
		client_say(fd, "hello\n");
		client_expect(fd, "hello\n");
		client_finish(fd);
		client_expect_end(fd);
		close(fd);
	}
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_RESUME]), 0);
	for (i = 0; i < SILENT; i++)
		close(silent[i]);
	fd = client_connect(server->endpoint[0]);
	client_say(fd, "hello\n");
	client_expect(fd, "hello\n");
	close(fd);
	wait_seen(NARU_EVENT_RESUME, 1);
	server_stop(server);
}

/* Where every worker is busy, nobody takes a client out of the backlog. */
static void test_busy_workers_leave_clients_in_backlog(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = 2));
	int fd[4], i;

	(void)state;
	for (i = 0; i < 4; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		client_say(fd[i], "hello\n");
	}
	client_expect(fd[0], "hello\n");
	client_expect(fd[1], "hello\n");
	assert_false(client_hears(fd[2], 60));
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_BEGIN]), 2);
	close(fd[1]);
	client_expect(fd[2], "hello\n");
	close(fd[0]);
	client_expect(fd[3], "hello\n");
	close(fd[2]);
	close(fd[3]);
	server_stop(server);
}

static int talk_name(struct naru_conv *conv, void *arg)
{
	return naru_write(conv, arg, strlen(arg));
}

static void test_listeners_have_talks_of_their_own(void **state)
{
	static char one[] = "one", two[] = "two", three[] = "three";
	const struct setup setup = {
		.listener = {{.talk = talk_name, .arg = one},
	                     {.talk = talk_name, .arg = two},
	                     {.talk = talk_name, .arg = three}},
	};
	struct server *server = server_start_setup(&setup);
	const char *names[] = {one, two, three};
	int fd, i;

	(void)state;
	for (i = 0; i < 9; i++) {
		fd = client_connect(server->endpoint[i * 2 % 3]);
		client_expect(fd, names[i * 2 % 3]);
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_connect_returns_before_accept),
	CASE(test_backlog_is_served_in_order),
	CASE(test_reset_in_backlog_harms_nobody),
	CASE_FOR(MODELS_MANY, test_limit_leaves_clients_in_backlog),
	CASE_OVER(TRANSPORT_TLS,
                  test_bound_on_handshakes_is_of_their_listeners),
	CASE_FOR(MODEL(NARU_PREFORK) | MODEL(NARU_POOL),
                 test_busy_workers_leave_clients_in_backlog),
	CASE(test_listeners_have_talks_of_their_own),
};
const struct conformance_list backlog_list = LIST(cases);
