/* SPDX-License-Identifier: MIT */
/*
 * Fibers in several processes: how conversations are spread over them, what
 * dies with one, and that none holds up the others.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

#define CROWD   100
#define WORKERS 4
#define SHARE   (CROWD / WORKERS)

struct crowd {
	int fd[CROWD];
	pid_t pid[CROWD]; /* of the worker of each */
};

static long ask(int fd, const char *what)
{
	char line[32];

	client_say(fd, what);
	client_line(fd, line, sizeof(line));
	return atol(line);
}

static int join(const struct server *server, pid_t *pid)
{
	int fd = client_connect(server->endpoint[0]);

	*pid = (pid_t)ask(fd, "pid\n");
	assert_int_not_equal(*pid, server->pid);
	return fd;
}

static struct crowd gather(const struct server *server, int count)
{
	struct crowd crowd = {0};
	int i;

	for (i = 0; i < count; i++)
		crowd.fd[i] = join(server, &crowd.pid[i]);
	return crowd;
}

/* A server with a full crowd. */
static struct server *serve_crowd(struct crowd *crowd)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = WORKERS));

	*crowd = gather(server, CROWD);
	return server;
}

static void leave(const struct crowd *crowd, int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		close(crowd->fd[i]);
}

static int count_of(const struct crowd *crowd, int count, pid_t pid)
{
	int i, found = 0;

	for (i = 0; i < count; i++)
		found += crowd->pid[i] == pid;
	return found;
}

static void test_conversations_go_to_who_has_the_fewest(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL,
	                     NARU_OPTIONS(.workers = WORKERS,
	                                  .max_conversations = CROWD));
	struct crowd crowd = gather(server, CROWD);
	pid_t pid;
	int i, fd;

	(void)state;
	for (i = 0; i < CROWD; i++)
		assert_int_equal(count_of(&crowd, CROWD, crowd.pid[i]), SHARE);
	/* There is no room for one more until the accepting process has heard
	 * of an end; then it is known who has room. */
	for (i = 0; i < 5; i++) {
		close(crowd.fd[i * i]);
		fd = join(server, &pid);
		assert_int_equal(pid, crowd.pid[i * i]);
		crowd.fd[i * i] = fd;
	}
	/* All wait alike, and that is said once. */
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_WAITER]), 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_HAND_OVER]),
	                 CROWD + 5);
	leave(&crowd, 0, CROWD);
	server_stop(server);
}

/* Adds up the numbers of those that are lost, with the worker whose number is
 * the step. */
static void report_lost(const struct naru_event *event, void *arg)
{
	if (event->kind == NARU_EVENT_LOST) {
		EXPECT(event->pid, atomic_load(&shared->step));
		EXPECT(WIFSIGNALED(event->status), true);
		EXPECT(WTERMSIG(event->status), SIGKILL);
		EXPECT(event->peer != NULL, true);
		atomic_fetch_add(&shared->number, (long long)event->id);
	}
	shared_report(event, arg);
}

/* Kills the worker of the first in CROWD: those of the others have not
 * noticed. */
static void kill_first(const struct crowd *crowd)
{
	long long ids = 0;
	int i;

	for (i = 0; i < CROWD; i++)
		if (crowd->pid[i] == crowd->pid[0])
			ids += ask(crowd->fd[i], "id\n");
	set_step((int)crowd->pid[0]);
	assert_int_equal(kill(crowd->pid[0], SIGKILL), 0);
	wait_seen(NARU_EVENT_WORKER_END, 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), SHARE);
	assert_int_equal(atomic_load(&shared->number), ids);
	for (i = 0; i < CROWD; i++) {
		if (crowd->pid[i] == crowd->pid[0])
			client_expect_gone(crowd->fd[i]);
		else
			assert_int_equal(ask(crowd->fd[i], "pid\n"),
			                 crowd->pid[i]);
	}
}

static void test_killed_worker_loses_its_conversations_only(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_obey}},
		.options =
			NARU_OPTIONS(.workers = WORKERS, .report = report_lost),
		.unreported = true,
	};
	struct server *server = server_start_setup(&setup);
	struct crowd crowd = gather(server, CROWD), more;
	int i;

	(void)state;
	kill_first(&crowd);
	/* Who took its place has the fewest. */
	wait_seen(NARU_EVENT_WORKER_BEGIN, WORKERS + 1);
	more = gather(server, SHARE);
	for (i = 0; i < SHARE; i++) {
		assert_int_equal(more.pid[i], more.pid[0]);
		assert_int_equal(count_of(&crowd, CROWD, more.pid[i]), 0);
	}
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), 0);
	leave(&more, 0, SHARE);
	leave(&crowd, 0, CROWD);
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), SHARE);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), CROWD);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_WORKER_END]),
	                 WORKERS + 1);
}

static void test_drain_waits_for_all_workers(void **state)
{
	struct crowd crowd;
	struct server *server = serve_crowd(&crowd);
	int i;

	(void)state;
	server_signal(server, WAIT_MS * 2);
	wait_seen(NARU_EVENT_DRAIN, 1);
	for (i = 0; i < CROWD; i++) {
		assert_int_equal(ask(crowd.fd[i], "pid\n"), crowd.pid[i]);
		client_finish(crowd.fd[i]);
		client_expect_end(crowd.fd[i]);
	}
	server_wait(server, 0);
	leave(&crowd, 0, CROWD);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), CROWD);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), 0);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_WORKER_END]),
	                 WORKERS);
}

static void test_end_of_the_drain_cancels_in_all_workers(void **state)
{
	struct crowd crowd;
	struct server *server = serve_crowd(&crowd);
	int i;

	(void)state;
	server_signal(server, 50);
	for (i = 0; i < CROWD; i++)
		client_expect_gone(crowd.fd[i]);
	server_wait(server, -ECANCELED);
	leave(&crowd, 0, CROWD);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), CROWD);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), 0);
}

static void test_worker_that_dies_in_the_drain_is_not_replaced(void **state)
{
	struct crowd crowd;
	struct server *server = serve_crowd(&crowd);
	int i;

	(void)state;
	server_signal(server, WAIT_MS * 2);
	wait_seen(NARU_EVENT_DRAIN, 1);
	/* One that is over is none that is lost. */
	client_finish(crowd.fd[0]);
	client_expect_end(crowd.fd[0]);
	wait_seen(NARU_EVENT_END, 1);
	assert_int_equal(ask(crowd.fd[WORKERS], "pid\n"), crowd.pid[0]);
	assert_int_equal(kill(crowd.pid[0], SIGKILL), 0);
	wait_seen(NARU_EVENT_WORKER_END, 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]),
	                 SHARE - 1);
	for (i = 0; i < CROWD; i++)
		if (crowd.pid[i] != crowd.pid[0])
			assert_int_equal(ask(crowd.fd[i], "pid\n"),
			                 crowd.pid[i]);
	leave(&crowd, 0, CROWD);
	server_wait(server, 0);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_WORKER_BEGIN]),
	                 WORKERS);
}

/* Waits where nobody can cancel it, once it has told its process. */
static int talk_never_end(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_sendf(conv, "%ld", (long)getpid()), 0);
	MUST(naru_flush(conv), 0);
	for (;;)
		pause();
}

static void test_worker_that_does_not_end_is_killed(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_obey}, {.talk = talk_never_end}},
		.options =
			NARU_OPTIONS(.workers = WORKERS, .report = report_lost),
		.unreported = true,
	};
	struct server *server = server_start_setup(&setup);
	struct crowd crowd = gather(server, WORKERS);
	int fd = client_connect(server->endpoint[1]);
	char line[32];

	(void)state;
	client_line(fd, line, sizeof(line));
	set_step(atoi(line));
	server_signal(server, 0);
	server_wait(server, -ECANCELED);
	/* The one itself, and who was with it. */
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), 2);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]),
	                 WORKERS - 1);
	leave(&crowd, 0, WORKERS);
	close(fd);
}

#define QUEUE 300 /* more than a channel holds */

static void test_worker_that_rests_is_not_flooded(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = 1));
	static int fd[QUEUE];
	pid_t pid;
	int i, first = join(server, &pid);

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (i = 0; i < QUEUE; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		client_say(fd[i], "hello\n");
	}
	wait_seen(NARU_EVENT_PAUSE, 1);
	assert_result(atomic_load(&shared->pause_result), -EUSERS);
	assert_true(atomic_load(&shared->seen[NARU_EVENT_HAND_OVER]) < QUEUE);
	assert_int_equal(kill(pid, SIGCONT), 0);
	for (i = 0; i < QUEUE; i++) {
		client_expect(fd[i], "hello\n");
		close(fd[i]);
	}
	assert_int_equal(ask(first, "pid\n"), pid);
	close(first);
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), QUEUE + 1);
}

static bool has_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What a worker had not taken is none of its conversations. */
static void test_sockets_of_a_dead_worker_go_to_another(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = 1));
	int fd[SHARE], i, first;
	pid_t pid, other;

	(void)state;
	first = join(server, &pid);
	/* Where the end of a process is told by its channel alone, nothing can
	 * be taken back out of it. */
	if (!has_pidfd()) {
		close(first);
		server_stop(server);
		return;
	}
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (i = 0; i < SHARE; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		client_say(fd[i], "hello\n");
	}
	wait_seen(NARU_EVENT_HAND_OVER, SHARE + 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	client_expect_gone(first);
	for (i = 0; i < SHARE; i++) {
		client_expect(fd[i], "hello\n");
		other = (pid_t)ask(fd[i], "pid\n");
		assert_int_not_equal(other, pid);
		client_finish(fd[i]);
		client_expect_end(fd[i]);
		close(fd[i]);
	}
	close(first);
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_END]), SHARE);
}

/* A worker that is not heard goes on, and tells later. */
static void test_accepting_process_that_rests_holds_up_nobody(void **state)
{
	struct server *server =
		server_start(talk_obey, NULL, NARU_OPTIONS(.workers = 1));
	static int fd[QUEUE];
	pid_t pid, other;
	int i, last = join(server, &pid);

	(void)state;
	for (i = 0; i < QUEUE; i++)
		fd[i] = join(server, &other);
	assert_int_equal(kill(server->pid, SIGSTOP), 0);
	for (i = 0; i < QUEUE; i++) {
		close(fd[i]);
		/* One at a time, so that of each is told by itself. */
		wait_seen(NARU_EVENT_END, i + 1);
		assert_int_equal(ask(last, "pid\n"), pid);
	}
	assert_int_equal(kill(server->pid, SIGCONT), 0);
	close(last);
	/* It waits until it has heard of all. */
	server_stop(server);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_LOST]), 0);
}

#define ISOLATED(function) CASE_FOR(MODEL_ISOLATED, function)

static const struct conformance_case cases[] = {
	ISOLATED(test_conversations_go_to_who_has_the_fewest),
	ISOLATED(test_killed_worker_loses_its_conversations_only),
	ISOLATED(test_drain_waits_for_all_workers),
	ISOLATED(test_end_of_the_drain_cancels_in_all_workers),
	ISOLATED(test_worker_that_dies_in_the_drain_is_not_replaced),
	ISOLATED(test_worker_that_does_not_end_is_killed),
	ISOLATED(test_worker_that_rests_is_not_flooded),
	ISOLATED(test_sockets_of_a_dead_worker_go_to_another),
	ISOLATED(test_accepting_process_that_rests_holds_up_nobody),
};
const struct conformance_list isolated_list = LIST(cases);
