/* SPDX-License-Identifier: MIT */
/*
 * A server as one part of a larger program: beside a second server, beside
 * threads of the program's own that converse, in a child that was forked
 * before it ran; and what a drain cancels, wherever a talk is parked.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge.h"
#include "cases.h"

static volatile pid_t child;

static void pass_on(int number)
{
	kill(child, number);
}

/* In the process that the test knows: a child goes on as the server, and this
 * one only passes the test's signal on, and the child's end back. */
static void go_on_in_child(void)
{
	struct sigaction action = {.sa_handler = pass_on};
	sigset_t term;
	int status;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	child = fork();
	if (child < 0)
		_exit(2);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_UNBLOCK, &term, NULL);
		return;
	}
	sigaction(SIGTERM, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static void test_child_serves_what_its_parent_set_up(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_echo_lines}},
		.before_run = go_on_in_child,
	};
	struct server *server = server_start_setup(&setup);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "child\n");
	client_expect(fd, "child\n");
	close(fd);
	server_stop(server);
}

static struct naru_server *second;
static pthread_t thread;

static void *run_second(void *arg)
{
	EXPECT(naru_server_run(second), 0);
	return arg;
}

static void start_second(void)
{
	struct naru_options options = {.size = sizeof(options),
	                               .model = place.model,
	                               .workers = 2};
	char wanted[NARU_ADDR_TEXT];

	options.io = place.io;
	options.tls = bridge_tls();
	place_endpoint(wanted, sizeof(wanted));
	EXPECT(naru_server_new(&second, &options), 0);
	EXPECT(naru_server_listen(second, wanted, talk_echo, NULL), 0);
	EXPECT(naru_server_endpoint(second, 0, shared->second_endpoint,
	                            sizeof(shared->second_endpoint)) > 0,
	       true);
	EXPECT(pthread_create(&thread, NULL, run_second, NULL), 0);
	set_step(1);
}

static void stop_second(void)
{
	EXPECT(naru_server_stop(second, WAIT_MS), 0);
	EXPECT(pthread_join(thread, NULL), 0);
	naru_server_free(second);
}

static void test_two_servers_run_in_one_process(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_echo_lines}},
		.before_run = start_second,
		.after_run = stop_second,
	};
	struct server *server = server_start_setup(&setup);
	int fd[2], i;

	(void)state;
	wait_step(1);
	fd[0] = client_connect(server->endpoint[0]);
	fd[1] = client_connect(shared->second_endpoint);
	for (i = 0; i < 100; i++) {
		client_say(fd[0], "to the first\n");
		client_say(fd[1], "to the second");
		client_expect(fd[1], "to the second");
		client_expect(fd[0], "to the first\n");
	}
	client_finish(fd[0]);
	client_expect_end(fd[0]);
	close(fd[0]);
	/* The second one goes on for a while when the first has ended. */
	server_signal(server, WAIT_MS / 2);
	client_say(fd[1], "still");
	client_expect(fd[1], "still");
	client_finish(fd[1]);
	client_expect_end(fd[1]);
	close(fd[1]);
	server_wait(server, 0);
}

/* On a thread that Naru knows nothing of, while it runs its server. */
static int converse_here(void)
{
	char endpoint[NARU_ADDR_TEXT];
	struct naru_conv *conv;
	struct naru_msg msg;

	MUST(naru_server_endpoint(atomic_load(&server_under_test), 0, endpoint,
	                          sizeof(endpoint)) > 0,
	     true);
	MUST(naru_dial(&conv, endpoint, NULL), 0);
	for (int i = 0; i < 200; i++) {
		MUST(naru_sendf(conv, "line %d", i), 0);
		MUST(naru_recv(conv, &msg), 1);
		MUST(strncmp(msg.data, "line ", 5), 0);
	}
	MUST(naru_sleep(1), 0);
	MUST(await_step_aside(0), 0);
	return naru_close(conv);
}

static void *converse_main(void *arg)
{
	EXPECT(converse_here(), 0);
	set_step(1);
	return arg;
}

static void start_thread(void)
{
	EXPECT(pthread_create(&thread, NULL, converse_main, NULL), 0);
}

static void join_thread(void)
{
	EXPECT(pthread_join(thread, NULL), 0);
}

static void test_other_threads_of_the_program_converse(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_echo_lines}},
		.before_run = start_thread,
		.after_run = join_thread,
	};
	struct server *server = server_start_setup(&setup);
	int fd = client_connect(server->endpoint[0]), i;

	(void)state;
	for (i = 0; i < 100; i++) {
		client_say(fd, "beside\n");
		client_expect(fd, "beside\n");
	}
	close(fd);
	wait_step(1);
	server_stop(server);
}

/* Places to be parked in; see life.c for those with nothing around them. */

static char letters[] = {'a', 'b', 'd'};

static void note_end(void *arg)
{
	shared_note(*(char *)arg);
}

static int strand_wait(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), -ECANCELED);
	return 0;
}

static int hold_until_step_3(void *arg)
{
	(void)arg;
	set_step(2);
	return await_step(3) ? 7 : 0;
}

static int talk_park_aside(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_defer(conv, note_end, &letters[0]), 0);
	MUST(naru_defer(conv, note_end, &letters[1]), 0);
	MUST(naru_alloc(conv, 5000) != NULL, true);
	MUST(naru_spawn(conv, strand_wait, NULL), 0);
	MUST(naru_offload(hold_until_step_3, NULL), 7);
	/* What cannot be interrupted is waited for, and then nothing is. */
	MUST(naru_sleep(WAIT_MS), -ECANCELED);
	return -ECANCELED;
}

static void test_stop_waits_for_what_was_offloaded(void **state)
{
	struct server *server = server_start(talk_park_aside, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(2);
	server_signal(server, 0);
	wait_seen(NARU_EVENT_DRAIN, 1);
	assert_int_equal(atomic_load(&shared->order_len), 0);
	set_step(3);
	server_wait(server, -ECANCELED);
	assert_string_equal(shared->order, "ba");
	close(fd);
}

#define PARKED 40

/* Counts when it waits, and whoever started it does too. */
static int strand_park(struct naru_conv *conv, void *arg)
{
	atomic_fetch_add(&shared->step, 1);
	return strand_wait(conv, arg);
}

/* All ways of being parked at once, each with what must be tidied up. */
static int talk_park(struct naru_conv *conv, void *arg)
{
	int err;

	(void)arg;
	MUST(naru_defer(conv, note_end, &letters[2]), 0);
	MUST(naru_alloc(conv, 3000) != NULL, true);
	MUST(naru_spawn(conv, strand_park, NULL), 0);
	err = naru_id(conv) % 2 ? naru_join(conv) : naru_sleep(WAIT_MS * 2);
	MUST(err, -ECANCELED);
	MUST(naru_sleep(WAIT_MS), -ECANCELED);
	return naru_id(conv) % 4 < 2 ? err : 0;
}

static void test_stop_cancels_a_crowd(void **state)
{
	struct server *server =
		server_start(talk_park, NULL, NARU_OPTIONS(.workers = PARKED));
	int fd[PARKED], i;

	(void)state;
	for (i = 0; i < PARKED; i++)
		fd[i] = client_connect(server->endpoint[0]);
	wait_step(PARKED);
	server_signal(server, 0);
	server_wait(server, -ECANCELED);
	assert_int_equal(atomic_load(&shared->order_len), PARKED);
	for (i = 0; i < PARKED; i++)
		close(fd[i]);
}

static const struct conformance_case cases[] = {
	CASE(test_child_serves_what_its_parent_set_up),
	CASE_FOR(MODELS_SHARING, test_two_servers_run_in_one_process),
	CASE_FOR(MODELS_SHARING, test_other_threads_of_the_program_converse),
	CASE_FOR(MODELS_MANY, test_stop_waits_for_what_was_offloaded),
	CASE_FOR(MODELS_MANY, test_stop_cancels_a_crowd),
};
const struct conformance_list program_list = LIST(cases);
