/* SPDX-License-Identifier: MIT */
/*
 * Many conversations: ten thousand in turn and five hundred at once, each
 * byte checked; and what goes wrong only sometimes, many times.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
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

static int talk_wait_forever(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	MUST(naru_send(conv, "here", 4), 0);
	err = naru_recv(conv, &msg);
	MUST(err, -ECANCELED);
	/* How a talk takes it does not matter. */
	return naru_id(conv) % 2 ? err : 0;
}

#define STOPS (SANITIZED ? 15 : 50)

static void test_stop_that_cut_says_so_each_time(void **state)
{
	struct server *server;
	int fd[2], i;

	(void)state;
	for (i = 0; i < STOPS; i++) {
		server = server_start(talk_wait_forever, NULL, NULL);
		fd[0] = client_connect(server->endpoint[0]);
		fd[1] = client_connect(server->endpoint[0]);
		client_expect(fd[0], "here\n");
		server_signal(server, i % 3);
		server_wait(server, -ECANCELED);
		close(fd[0]);
		close(fd[1]);
	}
}

#define ASKS (SANITIZED ? 50 : 300)

static atomic_int asking;

static int meet_the_other(void *arg)
{
	int64_t limit = clock_ms() + WAIT_MS;

	(void)arg;
	atomic_fetch_add(&asking, 1);
	while (atomic_load(&asking) < 2 && clock_ms() < limit)
		;
	return atomic_load(&asking);
}

/* Asks at the same time as the other. */
static int strand_ask_local(struct naru_conv *conv, void *arg)
{
	MUST(naru_offload(meet_the_other, NULL), 2);
	MUST(naru_addr_kind(naru_local(conv)), *(enum naru_addr_kind *)arg);
	return 0;
}

static int talk_ask_local(struct naru_conv *conv, void *arg)
{
	atomic_store(&asking, 0);
	MUST(naru_spawn(conv, strand_ask_local, arg), 0);
	MUST(naru_spawn(conv, strand_ask_local, arg), 0);
	return naru_join(conv);
}

static void test_local_address_is_right_for_all_who_ask(void **state)
{
	static enum naru_addr_kind kinds[] = {
		[TRANSPORT_TCP4] = NARU_ADDR_IPV4,
		[TRANSPORT_TCP6] = NARU_ADDR_IPV6,
	};
	/* Nobody but the strands asks for it: there is no report, and the
	 * listener has no address of its own. */
	struct setup setup = {
		.listener = {{.endpoint = place.transport == TRANSPORT_TCP6
	                                          ? "[::]:0"
	                                          : "0.0.0.0:0",
	                      .talk = talk_ask_local,
	                      .arg = &kinds[place.transport]}},
		.unreported = true,
	};
	struct server *server = server_start_setup(&setup);
	int fd, i;

	(void)state;
	for (i = 0; i < ASKS; i++) {
		fd = client_connect(server->endpoint[0]);
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

/* Makes the moment between bind() and listen() long. */
static void rest_after_bind(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_CALL && event->result == 0 &&
	    strcmp(event->call, "bind") == 0)
		rest();
}

/* In a process of its own: tries to listen together with another, and tells
 * what came of it; they begin at step 1, and
 * hold on until step 2. */
static _Noreturn void race_to_listen(const char *endpoint,
                                     const struct naru_options *options)
{
	struct naru_server *server = NULL;
	int err;

	if (naru_server_new(&server, options) < 0)
		_exit(1);
	atomic_fetch_add(&shared->number, 1);
	while (atomic_load(&shared->step) < 1)
		;
	err = naru_server_listen(server, endpoint, talk_echo, NULL);
	if (err == 0)
		shared_note('y');
	else
		shared_note(err == -EADDRINUSE ? 'n' : '?');
	(void)await_step(2);
	naru_server_free(server);
	_exit(0);
}

static void leave_dead_socket(const char *endpoint)
{
	struct sockaddr_storage own;
	socklen_t len = client_address(endpoint, &own);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&own, len), 0);
	close(fd);
}

static void race_once(const char *endpoint, const struct naru_options *options)
{
	pid_t pid[2];
	int i;

	shared_clear();
	fflush(NULL);
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			race_to_listen(endpoint, options);
		assert_true(pid[i] > 0);
	}
	wait_until(atomic_load(&shared->number) == 2);
	set_step(1);
	wait_until(strlen(shared->order) == 2);
	set_step(2);
	for (i = 0; i < 2; i++)
		assert_int_equal(waitpid(pid[i], NULL, 0), pid[i]);
	if (strcmp(shared->order, "yn") != 0 &&
	    strcmp(shared->order, "ny") != 0)
		fail_with("of two servers, these can listen: %s",
		          shared->order);
}

#define RACES (SANITIZED ? 40 : 200)

static void test_one_of_two_servers_gets_a_socket(void **state)
{
	const struct naru_options *slow =
		NARU_OPTIONS(.report = rest_after_bind, .report_calls = 1);
	char endpoint[NARU_ADDR_TEXT];
	int i;

	(void)state;
	for (i = 0; i < RACES; i++) {
		place_endpoint(endpoint, sizeof(endpoint));
		if (i % 2)
			leave_dead_socket(endpoint);
		race_once(endpoint, i % 4 < 2 ? NULL : slow);
	}
}

static const struct conformance_case cases[] = {
	CASE(test_bursts_are_all_served),
	CASE(test_ten_thousand_in_turn),
	CASE_FOR(MODELS_MANY, test_five_hundred_at_once),
	CASE(test_stop_that_cut_says_so_each_time),
	CASE_TCP(test_local_address_is_right_for_all_who_ask),
	CASE_IN(MODEL(NARU_THREAD), TRANSPORT(TRANSPORT_UNIX),
                test_one_of_two_servers_gets_a_socket),
};
const struct conformance_list load_list = LIST(cases);
