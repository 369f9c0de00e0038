/* SPDX-License-Identifier: MIT */
/*
 * Conversations that share a thread: what one of them waits for, or is busy
 * with, the others do not feel.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

#define MB (1024u * 1024)

/* Where fibers are run, all of them on one thread. */
static const struct naru_options *on_one_thread(void)
{
	static struct naru_options options;

	options = (struct naru_options){.size = sizeof(options)};
	if (place.model == NARU_FIBER)
		options.workers = 1;
	return &options;
}

#define THREADS 4
#define HELD    400

static int talk_tell_thread(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_sendf(conv, "%ld", (long)gettid()), 0);
	return naru_recv(conv, &msg);
}

static void count_thread(long thread, long threads[THREADS],
                         int counts[THREADS])
{
	for (int i = 0; i < THREADS; i++) {
		if (threads[i] == 0)
			threads[i] = thread;
		if (threads[i] == thread) {
			counts[i]++;
			return;
		}
	}
	fail_with("more threads than were asked for");
}

static void test_connections_are_spread_evenly(void **state)
{
	struct server *server = server_start(talk_tell_thread, NULL,
	                                     NARU_OPTIONS(.workers = THREADS));
	long threads[THREADS] = {0};
	int counts[THREADS] = {0};
	static int fd[HELD];
	char line[40];

	(void)state;
	for (int i = 0; i < HELD; i++)
		fd[i] = client_connect(server->endpoint[0]);
	for (int i = 0; i < HELD; i++) {
		client_line(fd[i], line, sizeof(line));
		count_thread(atol(line), threads, counts);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(counts[i], HELD / THREADS);
	for (int i = 0; i < HELD; i++)
		close(fd[i]);
	server_stop(server);
}

/* "wait" waits in the way that is tried, for step 1; other lines come back. */
typedef int way_to_wait(void);

static int talk_wait_or_echo(struct naru_conv *conv, void *arg)
{
	way_to_wait *wait = *(way_to_wait **)arg;
	struct naru_msg msg;
	int err;

	while ((err = naru_recv(conv, &msg)) > 0) {
		if (strcmp(msg.data, "wait") == 0) {
			shared_note('w');
			MUST(wait(), 0);
			MUST(naru_send(conv, "waited", 6), 0);
		} else {
			MUST(naru_send(conv, msg.data, msg.len), 0);
		}
	}
	return err;
}

/* While one conversation waits, another that came before it and one that comes
 * after it go on. */
static void go_on_beside(way_to_wait *wait)
{
	struct server *server =
		server_start(talk_wait_or_echo, &wait, on_one_thread());
	int early = client_connect(server->endpoint[0]);
	int waiter = client_connect(server->endpoint[0]), late;

	client_say(early, "early\n");
	client_expect(early, "early\n");
	client_say(waiter, "wait\n");
	wait_until(atomic_load(&shared->order_len) >= 1);
	late = client_connect(server->endpoint[0]);
	for (int i = 0; i < 100; i++) {
		client_say(early, "early\n");
		client_expect(early, "early\n");
		client_say(late, "late\n");
		client_expect(late, "late\n");
	}
	assert_false(client_hears(waiter, 0));
	set_step(1);
	client_expect(waiter, "waited\n");
	close(early);
	close(waiter);
	close(late);
	server_stop(server);
}

static int wait_aside(void)
{
	return await_step_aside(1);
}

static void test_offload_parks_only_its_own(void **state)
{
	(void)state;
	go_on_beside(wait_aside);
}

/* A name that takes until step 1 to be looked up, in vain. The library comes
 * here instead of to the C library. */
static const char slow_name[] = "slow.invalid";

typedef int resolver(const char *node, const char *service,
                     const struct addrinfo *hints, struct addrinfo **res);
static resolver *real_getaddrinfo(void)
{
	resolver *found;
	void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");

	memcpy(&found, &symbol, sizeof(found));
	return found;
}

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
{
	if (!node || strcmp(node, slow_name) != 0)
		return real_getaddrinfo()(node, service, hints, res);
	shared_note('l');
	return await_step(1) ? EAI_NONAME : EAI_FAIL;
}

static int wait_for_name(void)
{
	struct naru_conv *far = NULL;
	int err = naru_dial(&far, "tcp://slow.invalid:9", NULL);

	EXPECT(err, -NARU_ENONAME);
	/* It was our resolver that was asked; for a family alone, too, where it
	 * takes its time. */
	EXPECT(strncmp(shared->order, "wl", 2), 0);
	return 0;
}

static void test_name_look_up_parks_only_its_own(void **state)
{
	(void)state;
	go_on_beside(wait_for_name);
}

/* Dials the second listener of the server that it runs in. */
static int wait_for_own_server(void)
{
	char endpoint[NARU_ADDR_TEXT], reply[8];
	struct naru_conv *own;

	MUST(naru_server_endpoint(atomic_load(&server_under_test), 1, endpoint,
	                          sizeof(endpoint)) > 0,
	     true);
	MUST(naru_dial(&own, endpoint, NULL), 0);
	for (int i = 0; i < 20; i++) {
		MUST(naru_write(own, "question", 8), 0);
		MUST(naru_read_exact(own, reply, 8), 8);
		MUST(memcmp(reply, "question", 8), 0);
	}
	return naru_close(own);
}

static void test_talk_dials_its_own_server(void **state)
{
	static way_to_wait *wait = wait_for_own_server;
	struct setup setup = {
		.listener = {{.talk = talk_wait_or_echo, .arg = &wait},
	                     {.talk = talk_echo}},
		.options = on_one_thread(),
	};
	struct server *server = server_start_setup(&setup);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "wait\n");
	client_expect(fd, "waited\n");
	close(fd);
	server_stop(server);
}

#define SLEEPERS 200
#define NAP_MS   300

/* STEP counts those that sleep, NUMBER is the most of them at one time. */
static int talk_nap(struct naru_conv *conv, void *arg)
{
	int64_t start;
	long long asleep, most = atomic_load(&shared->number);

	(void)arg;
	MUST(naru_send(conv, "begun", 5), 0);
	asleep = atomic_fetch_add(&shared->step, 1) + 1;
	while (most < asleep &&
	       !atomic_compare_exchange_weak(&shared->number, &most, asleep))
		;
	start = naru_now();
	MUST(naru_sleep(NAP_MS), 0);
	atomic_fetch_sub(&shared->step, 1);
	MUST(naru_now() - start >= NAP_MS - 1, true);
	return naru_send(conv, "slept", 5);
}

static void test_many_sleep_at_the_same_time(void **state)
{
	struct server *server = server_start(talk_nap, NULL, on_one_thread());
	static int fd[SLEEPERS];

	(void)state;
	for (int i = 0; i < SLEEPERS; i++)
		fd[i] = client_connect(server->endpoint[0]);
	for (int i = 0; i < SLEEPERS; i++) {
		client_expect(fd[i], "begun\nslept\n");
		client_expect_end(fd[i]);
		close(fd[i]);
	}
	/* A busy machine may not get all of them to sleep within one nap. */
	assert_true(atomic_load(&shared->number) > 1);
	server_stop(server);
}

static void test_megabyte_each_way_beside_another(void **state)
{
	struct server *server = server_start(talk_echo, NULL, on_one_thread());
	int large = client_connect(server->endpoint[0]);
	int small = client_connect(server->endpoint[0]);

	(void)state;
	client_send_pattern(large, 0, 60000);
	client_say(small, "small");
	client_expect(small, "small");
	client_expect_pattern(large, 0, 60000);
	client_exchange(large, MB, MB);
	client_say(small, "again");
	client_expect(small, "again");
	close(large);
	close(small);
	server_stop(server);
}

/* Lines that begin with "f" are a flood, and are not answered. */
static int talk_wade(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		if (msg.data[0] == 'f')
			set_step(1);
		else
			MUST(naru_send(conv, msg.data, msg.len), 0);
	}
	return err;
}

/* A process that sends without an end. */
static pid_t start_flood(int fd)
{
	static char lines[65536];
	pid_t pid;

	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 4 == 3 ? '\n' : 'f';
	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (send(fd, lines, sizeof(lines), MSG_NOSIGNAL) > 0)
		;
	_exit(0);
}

static void test_flood_starves_nobody(void **state)
{
	struct server *server = server_start(talk_wade, NULL, on_one_thread());
	int flood = client_connect(server->endpoint[0]);
	int fd = client_connect(server->endpoint[0]);
	pid_t pid = start_flood(flood);

	(void)state;
	assert_true(pid > 0);
	wait_step(1);
	for (int i = 0; i < (SANITIZED ? 10 : 50); i++) {
		client_say(fd, "hello\n");
		client_expect(fd, "hello\n");
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(flood);
	close(fd);
	server_stop(server);
}

static int talk_compute(struct naru_conv *conv, void *arg)
{
	int64_t until = clock_ms() + *(int *)arg;
	struct naru_msg msg;

	MUST(naru_send(conv, "x", 1), 0);
	while (clock_ms() < until)
		;
	return naru_recv(conv, &msg);
}

/* STALLS of each conversation are awaited before its peer ends it. */
static void compute(int ms, int64_t stall_ms, int stalls)
{
	struct server *server =
		server_start(talk_compute, &ms,
	                     NARU_OPTIONS(.stall_ms = stall_ms, .workers = 1));
	int fd;

	for (int i = 0; i < 2; i++) {
		fd = client_connect(server->endpoint[0]);
		client_expect(fd, "x\n");
		wait_seen(NARU_EVENT_STALL, (i + 1) * stalls);
		client_finish(fd);
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

static void test_long_computing_is_told(void **state)
{
	(void)state;
	compute(300, 100, 1);
	/* One for each conversation; the second came last. */
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_STALL]), 2);
	assert_int_equal(atomic_load(&shared->stall_id), 2);
	assert_in_range(atomic_load(&shared->stall_ms), 280, WAIT_MS);
	/* This program, and where in it; what a sanitizer puts in between comes
	 * before it. */
	if (!SANITIZED)
		assert_ptr_equal(strstr(shared->stall_text, "conformance("),
		                 shared->stall_text);
	assert_non_null(strstr(shared->stall_text, "+0x"));
}

static void test_long_computing_is_not_told_where_not_wanted(void **state)
{
	(void)state;
	compute(300, NARU_FOREVER, 0);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_STALL]), 0);
	/* Nor where it was not long. */
	compute(0, WAIT_MS, 0);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_STALL]), 0);
}

#define COMPUTES_MS 200

/* Whatever it is told, it computes on until step 1, which comes when somebody
 * has said that it does. */
static int talk_compute_until_told(struct naru_conv *conv, void *arg)
{
	int64_t limit = clock_ms() + WAIT_MS;
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		while (strcmp(msg.data, "compute") == 0 &&
		       atomic_load(&shared->step) < 1)
			MUST(clock_ms() < limit, true);
		MUST(naru_send(conv, msg.data, msg.len), 0);
	}
	return err;
}

static void test_computing_is_told_of_while_it_lasts(void **state)
{
	struct server *server =
		server_start(talk_compute_until_told, NULL,
	                     NARU_OPTIONS(.stall_ms = COMPUTES_MS,
	                                  .workers = 2));
	int busy = client_connect(server->endpoint[0]), other;
	char text[sizeof(shared->computes_text)];
	int thread, process, length = 0;

	(void)state;
	/* One on each thread, or process: the first is conversation 1. */
	client_say(busy, "begun\n");
	client_expect(busy, "begun\n");
	other = client_connect(server->endpoint[0]);
	client_say(other, "begun\n");
	client_expect(other, "begun\n");
	client_say(busy, "compute\n");
	wait_until(atomic_load(&shared->computes_ms[1]) > 0);
	assert_true(atomic_load(&shared->computes_ms[1]) >= COMPUTES_MS);
	snprintf(text, sizeof(text), "%s", shared->computes_text);
	assert_int_equal(sscanf(text, "thread %d of process %d%n", &thread,
	                        &process, &length),
	                 2);
	assert_int_equal(length, strlen(text));
	/* Which exists, as one may signal it. */
	assert_int_equal(tgkill(process, thread, 0), 0);
	for (int i = 0; i < 20; i++) {
		client_say(other, "and others?\n");
		client_expect(other, "and others?\n");
	}
	assert_false(client_hears(busy, 0));
	set_step(1);
	client_expect(busy, "compute\n");
	wait_until(atomic_load(&shared->computed_ms[1]) >=
	           atomic_load(&shared->computes_ms[1]));
	close(busy);
	close(other);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE_FOR(MODEL(NARU_FIBER), test_connections_are_spread_evenly),
	CASE_FOR(MODELS_MANY, test_offload_parks_only_its_own),
	CASE_IN(MODELS_MANY, STREAMS & ~TRANSPORT(TRANSPORT_UNIX),
                test_name_look_up_parks_only_its_own),
	CASE_FOR(MODELS_MANY, test_talk_dials_its_own_server),
	CASE_FOR(MODEL(NARU_THREAD) | MODEL(NARU_PROCESS) | MODEL(NARU_FIBER),
                 test_many_sleep_at_the_same_time),
	CASE_FOR(MODELS_MANY, test_megabyte_each_way_beside_another),
	CASE_FOR(MODELS_MANY, test_flood_starves_nobody),
	CASE_FOR(MODEL(NARU_FIBER), test_long_computing_is_told),
	CASE_FOR(MODEL(NARU_FIBER),
                 test_long_computing_is_not_told_where_not_wanted),
	CASE_FOR(MODEL(NARU_FIBER) | MODEL_ISOLATED,
                 test_computing_is_told_of_while_it_lasts),
};
const struct conformance_list sharing_list = LIST(cases);
