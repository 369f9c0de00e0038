/* SPDX-License-Identifier: MIT */
/*
 * The life of a server: it drains, cancels, refuses and ends, and outlives
 * its workers.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"

static int wait_in_receive(struct naru_conv *conv)
{
	struct naru_msg msg;

	return naru_recv(conv, &msg);
}

static int wait_in_read_exact(struct naru_conv *conv)
{
	char buf[8];

	return (int)naru_read_exact(conv, buf, sizeof(buf));
}

static int wait_in_sleep(struct naru_conv *conv)
{
	(void)conv;
	return naru_sleep(WAIT_MS * 2);
}

static int wait_in_write(struct naru_conv *conv)
{
	static char buf[65536];
	int err;

	do
		err = naru_write(conv, buf, sizeof(buf));
	while (err == 0);
	return err;
}

static int strand_sleep(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	return naru_sleep(WAIT_MS * 2);
}

static int wait_in_join(struct naru_conv *conv)
{
	MUST(naru_spawn(conv, strand_sleep, NULL), 0);
	return naru_join(conv);
}

typedef int wait_function(struct naru_conv *conv);

static wait_function *const waits[] = {
	wait_in_receive, wait_in_read_exact, wait_in_sleep,
	wait_in_write,   wait_in_join,
};

static int never_called(void *arg)
{
	(void)arg;
	EXPECT(true, false);
	return 0;
}

/* Waits as the index at ARG says, and must be cancelled. */
static int talk_wait(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	MUST(naru_write(conv, "!", 1), 0);
	MUST(naru_flush(conv), 0);
	set_step(1);
	err = waits[*(int *)arg](conv);
	MUST(err, -ECANCELED);
	/* Cancelled is cancelled: nothing waits any more. */
	MUST(naru_recv(conv, &msg), -ECANCELED);
	MUST(naru_sleep(WAIT_MS), -ECANCELED);
	MUST(naru_offload(never_called, NULL), -ECANCELED);
	set_step(2);
	return err;
}

static void cancel_in(int which)
{
	struct server *server;
	int64_t start;
	int fd;

	shared_clear();
	server = server_start(talk_wait, &which, NULL);
	fd = client_connect(server->endpoint[0]);
	client_expect(fd, "!");
	wait_step(1);
	start = clock_ms();
	server_signal(server, 0);
	wait_step(2);
	if (waits[which] != wait_in_write)
		client_expect_gone(fd);
	server_wait(server, -ECANCELED);
	if (clock_ms() - start > 5000)
		fail_with("cancelling %d took too long", which);
	client_expect_gone(fd);
	close(fd);
}

static void test_stop_cancels_whatever_waits(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < (int)COUNT(waits); i++)
		cancel_in(i);
}

/* Both wait on a conversation that was dialled; ARG is where. */
static int talk_wait_far(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;
	struct naru_msg msg;

	MUST(naru_dial(&far, arg, NULL), 0);
	MUST(naru_send(far, "far", 3), 0);
	MUST(naru_recv(far, &msg), 1);
	MUST(naru_send(conv, msg.data, msg.len), 0);
	MUST(naru_recv(far, &msg), -ECANCELED);
	(void)naru_close(far);
	set_step(2);
	return -ECANCELED;
}

static int talk_wait_in_relay(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;

	MUST(naru_dial(&far, arg, NULL), 0);
	MUST(naru_write(far, "far\n", 4), 0);
	MUST(naru_relay(conv, far), -ECANCELED);
	(void)naru_close(far);
	set_step(2);
	return -ECANCELED;
}

static void cancel_far(naru_talk *talk)
{
	struct server *far, *near;
	int fd;

	shared_clear();
	far = server_start(talk_echo_lines, NULL, NULL);
	near = server_start(talk, far->endpoint[0], NULL);
	fd = client_connect(near->endpoint[0]);
	client_expect(fd, "far\n");
	server_signal(near, 0);
	wait_step(2);
	client_expect_gone(fd);
	close(fd);
	server_wait(near, -ECANCELED);
	server_stop(far);
}

static void test_stop_cancels_waits_on_dialled_conversations(void **state)
{
	(void)state;
	cancel_far(talk_wait_far);
	cancel_far(talk_wait_in_relay);
}

static void test_drain_that_is_too_short_cancels(void **state)
{
	static int receive = 0;
	struct server *server = server_start(talk_wait, &receive, NULL);
	int fd = client_connect(server->endpoint[0]);
	int64_t start;

	(void)state;
	client_expect(fd, "!");
	start = clock_ms();
	server_signal(server, 150);
	client_expect_gone(fd);
	assert_true(clock_ms() - start >= 149);
	server_wait(server, -ECANCELED);
	close(fd);
}

/* Who comes during the drain is refused, in the way of the transport. */
static bool is_refused(const char *endpoint)
{
	int fd = client_try(endpoint);

	if (fd >= 0)
		close(fd);
	else if (fd != -ECONNREFUSED && fd != -ENOENT)
		fail_with("refused with %s", strerror(-fd));
	return fd < 0;
}

static void test_drain_lets_conversations_end(void **state)
{
	struct server *server = server_start(talk_echo_lines, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	int64_t start = clock_ms();
	int i;

	(void)state;
	client_say(fd, "hello\n");
	client_expect(fd, "hello\n");
	server_signal(server, WAIT_MS * 2);
	wait_until(is_refused(server->endpoint[0]));
	for (i = 0; i < 10; i++) {
		client_say(fd, "still here\n");
		client_expect(fd, "still here\n");
		assert_true(is_refused(server->endpoint[0]));
	}
	client_finish(fd);
	client_expect_end(fd);
	close(fd);
	server_wait(server, 0);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_DRAIN]), 1);
	/* It does not wait for the drain's time once nobody is left. */
	assert_true(clock_ms() - start < WAIT_MS / 2);
}

static void test_second_stop_sets_the_time_anew(void **state)
{
	struct server *server = server_start(talk_echo, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "hello");
	client_expect(fd, "hello");
	server_signal(server, WAIT_MS * 2);
	client_say(fd, "again");
	client_expect(fd, "again");
	server_signal(server, 0);
	client_expect_gone(fd);
	close(fd);
	server_wait(server, -ECANCELED);
}

static void test_stop_of_an_idle_server_is_clean(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_echo}, {.talk = talk_echo}}};
	struct server *server = server_start_setup(&setup);

	(void)state;
	server_signal(server, WAIT_MS);
	server_wait(server, 0);
	/* A server runs once. */
	assert_result(atomic_load(&shared->server[server->slot].again), -EBUSY);
	/* A stop that comes before the run is not lost. */
	setup.stop_first = true;
	server = server_start_setup(&setup);
	server_wait(server, 0);
}

static void test_stop_lets_go_of_the_backlog(void **state)
{
	struct server *server =
		server_start(talk_echo, NULL,
	                     NARU_OPTIONS(.workers = 1,
	                                  .max_conversations = 1));
	int first = client_connect(server->endpoint[0]), second, third;

	(void)state;
	client_say(first, "hello");
	client_expect(first, "hello");
	second = client_connect(server->endpoint[0]);
	third = client_connect(server->endpoint[0]);
	client_say(third, "nobody reads this");
	server_signal(server, WAIT_MS * 2);
	client_expect_gone(second);
	client_expect_gone(third);
	client_say(first, "again");
	client_expect(first, "again");
	close(first);
	close(second);
	close(third);
	server_wait(server, 0);
}

/* Stops its own server, with the time that its peer names. */
static int talk_stop(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_server_stop(atomic_load(&server_under_test), -1), -EINVAL);
	MUST(naru_server_stop(atomic_load(&server_under_test), atoi(msg.data)),
	     0);
	return naru_send(conv, "stopped", 7);
}

static void test_talk_stops_its_server(void **state)
{
	struct server *server = server_start(talk_stop, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "10000\n");
	client_expect(fd, "stopped\n");
	client_expect_end(fd);
	close(fd);
	server_wait(server, 0);
}

/* Two that end at a SIGTERM and one that does not, which tells its number. */
static char *const stubborn[] = {
	(char[]){"sh"},
	(char[]){"-c"},
	(char[]){"sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & "
                 "exec sleep 60"},
	NULL,
};

/* Runs until the deadline, in ARG milliseconds, or until it is cancelled. */
static int talk_stubborn(struct naru_conv *conv, void *arg)
{
	int in_ms = *(int *)arg, status, err;

	if (in_ms > 0)
		MUST(naru_set_deadline(conv, naru_now() + in_ms), 0);
	err = naru_program(conv, stubborn, &status);
	MUST(err, in_ms > 0 ? -ETIMEDOUT : -ECANCELED);
	MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, true);
	return err;
}

/* A process that nobody has reaped yet is gone too. */
static bool is_gone(pid_t pid)
{
	char path[64], line[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	file = fopen(path, "r");
	if (!file)
		return true;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	state = strrchr(line, ')');
	return !state || state[2] == 'Z' || state[2] == 'X';
}

static void end_stubborn(int in_ms)
{
	struct server *server = server_start(talk_stubborn, &in_ms, NULL);
	int fd = client_connect(server->endpoint[0]);
	char line[32];
	int64_t limit;
	pid_t pid;

	client_line(fd, line, sizeof(line));
	pid = (pid_t)atol(line);
	assert_false(is_gone(pid));
	if (in_ms == 0)
		server_signal(server, 0);
	client_expect_gone(fd);
	close(fd);
	limit = clock_ms() + 5000;
	while (!is_gone(pid) && clock_ms() < limit)
		rest();
	if (!is_gone(pid)) {
		kill(pid, SIGKILL);
		fail_with("a part of the program has survived");
	}
	if (in_ms == 0)
		server_wait(server, -ECANCELED);
	else
		server_stop(server);
}

static void test_program_ends_with_all_of_its_group(void **state)
{
	(void)state;
	end_stubborn(1000);
	shared_clear();
	end_stubborn(0);
}

/* What an administrator's tool may do to a server: shuts the first COUNT
 * listeners down. */
static void shut_down(int count)
{
	socklen_t len = sizeof(int);
	int fd, listens;

	for (fd = 3; fd < 64 && count > 0; fd++) {
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) <
		            0 ||
		    !listens)
			continue;
		shutdown(fd, SHUT_RDWR);
		count--;
	}
}

static void shut_listeners_down(void)
{
	shut_down(SERVER_LISTENERS);
}

static int64_t cpu_ms_of(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &used), 0);
	return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* How much the server computes in half a second, once it has started: the
 * least that is seen. */
static int64_t least_cpu_ms(pid_t pid)
{
	int64_t least = INT64_MAX, start, used;
	int i;

	for (i = 0; i < 6 && least >= 100; i++) {
		start = clock_ms();
		used = cpu_ms_of(pid);
		wait_until(clock_ms() - start >= 500);
		used = cpu_ms_of(pid) - used;
		if (used < least)
			least = used;
	}
	return least;
}

static void test_broken_listener_costs_no_time(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_echo}},
		.before_run = shut_listeners_down,
	};
	struct server *server = server_start_setup(&setup);
	int64_t least = least_cpu_ms(server->pid);

	(void)state;
	if (least >= 100)
		fail_with("%lld ms of 500 spent on nothing", (long long)least);
	server_stop(server);
}

static void shut_first_listener_down(void)
{
	shut_down(1);
}

static void test_broken_listener_takes_no_others_turn(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_echo}, {.talk = talk_echo}},
		.before_run = shut_first_listener_down,
	};
	struct server *server = server_start_setup(&setup);
	int i, fd;

	(void)state;
	for (i = 0; i < 5; i++) {
		fd = client_connect(server->endpoint[1]);
		client_say(fd, "hello");
		client_expect(fd, "hello");
		close(fd);
	}
	server_stop(server);
}

#define CROWD  (SANITIZED ? 30 : 100)
#define VICTIM (CROWD / 2)

static pid_t worker_of(int fd)
{
	char line[32];

	client_say(fd, "pid\n");
	client_line(fd, line, sizeof(line));
	return (pid_t)atol(line);
}

/* Connects a crowd; each is served by a process of its own. */
static void gather(struct server *server, int *fd, pid_t *pid)
{
	int i, k;

	for (i = 0; i < CROWD; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		pid[i] = worker_of(fd[i]);
		assert_int_not_equal(pid[i], server->pid);
		assert_int_not_equal(pid[i], getpid());
		for (k = 0; k < i; k++)
			assert_int_not_equal(pid[i], pid[k]);
	}
}

/* The worker of one is killed; the others have not noticed. */
static void kill_one(const int *fd, const pid_t *pid)
{
	int i;

	assert_int_equal(kill(pid[VICTIM], SIGKILL), 0);
	client_expect_gone(fd[VICTIM]);
	wait_seen(NARU_EVENT_LOST, 1);
	for (i = 0; i < CROWD; i++)
		if (i != VICTIM)
			assert_int_equal(worker_of(fd[i]), pid[i]);
}

static void test_killed_worker_loses_its_conversation_only(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = CROWD));
	int fd[CROWD], waiting[2] = {-1, -1}, i;
	pid_t pid[CROWD];

	(void)state;
	gather(server, fd, pid);
	for (i = 0; i < 2; i++) {
		waiting[i] = client_connect(server->endpoint[0]);
		client_say(waiting[i], "served\n");
	}
	if (place.model == NARU_PREFORK)
		assert_false(client_hears(waiting[0], 30));
	kill_one(fd, pid);
	/* The replacement serves who waited; then a worker that got free. */
	client_expect(waiting[0], "served\n");
	close(fd[0]);
	client_expect(waiting[1], "served\n");
	if (place.model == NARU_PREFORK)
		wait_seen(NARU_EVENT_WORKER_BEGIN, CROWD + 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), 1);
	for (i = 1; i < CROWD; i++)
		close(fd[i]);
	close(waiting[0]);
	close(waiting[1]);
	server_stop(server);
}

/* Killed again and again, a server still serves. */
static void test_workers_are_replaced_each_time(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = 2));
	int fd, i;

	(void)state;
	for (i = 0; i < 8; i++) {
		fd = client_connect(server->endpoint[0]);
		assert_int_equal(kill(worker_of(fd), SIGKILL), 0);
		client_expect_gone(fd);
		close(fd);
		/* Until that is known, the next may be handed to the dead. */
		wait_seen(NARU_EVENT_LOST, i + 1);
	}
	fd = client_connect(server->endpoint[0]);
	client_say(fd, "served\n");
	client_expect(fd, "served\n");
	close(fd);
	server_stop(server);
}

#define MODELS_FORK (MODEL(NARU_PROCESS) | MODEL(NARU_PREFORK))

static const struct conformance_case cases[] = {
	CASE(test_stop_cancels_whatever_waits),
	CASE(test_stop_cancels_waits_on_dialled_conversations),
	CASE(test_drain_that_is_too_short_cancels),
	CASE(test_drain_lets_conversations_end),
	CASE(test_second_stop_sets_the_time_anew),
	CASE(test_stop_of_an_idle_server_is_clean),
	CASE(test_stop_lets_go_of_the_backlog),
	CASE(test_talk_stops_its_server),
	CASE(test_program_ends_with_all_of_its_group),
	CASE(test_broken_listener_costs_no_time),
	CASE(test_broken_listener_takes_no_others_turn),
	CASE_FOR(MODELS_FORK, test_killed_worker_loses_its_conversation_only),
	CASE_FOR(MODELS_FORK | MODEL_ISOLATED,
                 test_workers_are_replaced_each_time),
};
const struct conformance_list life_list = LIST(cases);
