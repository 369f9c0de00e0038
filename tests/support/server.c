/* SPDX-License-Identifier: MIT */
/*
 * Runs the server under test in a forked process, so that the test itself
 * keeps one thread, may hold any number of clients, and survives whatever
 * happens to the server. The process gets a group of its own: a test that
 * fails ends the workers with their server.
 */
#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge.h"
#include "check.h"
#include "place.h"

struct naru_server *_Atomic server_under_test;

static struct server servers[SHARED_SERVERS];
static int own_slot; /* of the server's process */

int count_entries(const char *name)
{
	struct dirent *entry;
	DIR *dir = opendir(name);
	int count = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			count++;
	closedir(dir);
	return count;
}

static void on_signal(int number)
{
	struct naru_server *server = atomic_load(&server_under_test);
	struct shared_server *page = &shared->server[own_slot];

	(void)number;
	if (server)
		naru_server_stop(server, atomic_load(&page->drain_ms));
	atomic_fetch_add(&page->asked, 1);
}

/* In the server's process: a failure to start is told and ends it. */
static void must_start(const char *what, int err)
{
	if (err >= 0)
		return;
	expect_at("server.c", 0, what, err, 0);
	_exit(2);
}

static void listen_all(const struct setup *setup, int out)
{
	char bound[SERVER_LISTENERS][NARU_ADDR_TEXT] = {{0}};
	struct naru_server *server = atomic_load(&server_under_test);
	char wanted[NARU_ADDR_TEXT];
	unsigned i, n = 0;

	for (i = 0; i < SERVER_LISTENERS; i++) {
		const struct listener *one = &setup->listener[i];

		if (!one->talk)
			break;
		place_endpoint(wanted, sizeof(wanted));
		must_start("naru_server_listen",
		           naru_server_listen(server,
		                              one->endpoint ? one->endpoint
		                                            : wanted,
		                              one->talk, one->arg));
	}
	while (n < SERVER_LISTENERS &&
	       naru_server_endpoint(server, n, bound[n], sizeof(bound[n])) > 0)
		n++;
	EXPECT(n >= i, 1);
	EXPECT(naru_server_endpoint(server, n, wanted, sizeof(wanted)),
	       -ENOENT);
	if (write(out, bound, sizeof(bound)) != (ssize_t)sizeof(bound))
		_exit(2);
}

static void make_server(const struct setup *setup)
{
	struct naru_options options = {.size = sizeof(options)};
	struct naru_server *server = NULL;

	if (setup->options)
		options = *setup->options;
	options.model = place.model;
	options.io = place.io;
	options.isolate = place.isolated;
	if (options.workers == 0)
		options.workers = 4;
	if (!setup->unreported)
		options.report = shared_report;
	options.tls = bridge_tls();
	must_start("naru_server_new", naru_server_new(&server, &options));
	atomic_store(&server_under_test, server);
}

static void count_rest(struct shared_server *page, int fds, int threads)
{
	int64_t limit = clock_ms() + 2000;
	int left;

	atomic_store(&page->fds, count_entries("/proc/self/fd") - fds);
	/* A thread that was joined is in /proc for a moment longer. */
	while (count_entries("/proc/self/task") > threads && clock_ms() < limit)
		rest();
	left = count_entries("/proc/self/task") - threads;
	atomic_store(&page->threads, left > 0 ? left : 0);
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		atomic_store(&page->children, 1);
}

static _Noreturn void serve(const struct setup *setup, int slot, int out)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct shared_server *page = &shared->server[slot];
	struct naru_server *server;
	int fds, threads;

	own_slot = slot;
	fds = count_entries("/proc/self/fd");
	threads = count_entries("/proc/self/task") + SANITIZER_THREADS;
	make_server(setup);
	server = atomic_load(&server_under_test);
	sigaction(SIGTERM, &action, NULL);
	listen_all(setup, out);
	if (setup->stop_first)
		EXPECT(naru_server_stop(server, 0), 0);
	if (setup->before_run)
		setup->before_run();
	atomic_store(&page->result, naru_server_run(server));
	if (setup->after_run)
		setup->after_run();
	atomic_store(&page->again, naru_server_run(server));
	atomic_store(&server_under_test, NULL);
	naru_server_free(server);
	count_rest(page, fds, threads);
	atomic_store(&page->ran, 1);
	exit(0);
}

/* cmocka catches what a crash raises; here it has to end the process. */
static void reset_signals(void)
{
	static const int caught[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS};
	size_t i;

	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		signal(caught[i], SIG_DFL);
}

/* Only the standard descriptors and the pipe go into the server's process;
 * a client's socket that it held would never see its end. */
static _Noreturn void enter_process(const struct setup *setup, int slot,
                                    int out)
{
	reset_signals();
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (out != 3)
		dup2(out, 3);
	close_range(4, ~0U, 0);
	serve(setup, slot, 3);
}

static bool wait_readable(int fd)
{
	struct pollfd waiting = {.fd = fd, .events = POLLIN};

	return poll(&waiting, 1, WAIT_MS) == 1;
}

static void read_endpoints(struct server *server, int in)
{
	char *to = server->endpoint[0];
	size_t left = sizeof(server->endpoint);
	ssize_t got;

	while (left > 0) {
		if (!wait_readable(in))
			fail_with("the server did not start in time");
		got = read(in, to, left);
		if (got <= 0)
			fail_with("the server did not start");
		to += got;
		left -= (size_t)got;
	}
	close(in);
}

static struct server *free_server(void)
{
	int i;

	for (i = 0; i < SHARED_SERVERS; i++) {
		if (servers[i].pid == 0) {
			servers[i].slot = i;
			return &servers[i];
		}
	}
	fail_with("too many servers in one test");
	return NULL;
}

struct server *server_start_setup(const struct setup *setup)
{
	struct server *server = free_server();
	int ends[2];

	memset(&shared->server[server->slot], 0, sizeof(shared->server[0]));
	if (pipe(ends) < 0)
		fail_with("pipe: %s", strerror(errno));
	fflush(NULL);
	server->pid = fork();
	if (server->pid == 0)
		enter_process(setup, server->slot, ends[1]);
	close(ends[1]);
	if (server->pid < 0) {
		server->pid = 0;
		fail_with("fork: %s", strerror(errno));
	}
	setpgid(server->pid, server->pid);
	read_endpoints(server, ends[0]);
	return server;
}

struct server *server_start(naru_talk *talk, void *arg,
                            const struct naru_options *options)
{
	struct setup setup = {
		.listener = {{.talk = talk, .arg = arg}},
		.options = options,
	};

	return server_start_setup(&setup);
}

/* The thread sanitizer keeps a signal back until its thread makes a call that
 * it knows, and it knows none of io_uring's: another signal ends the wait. */
#define ASK_AGAIN_MS (SANITIZER_THREADS ? 100 : WAIT_MS)

void server_signal(struct server *server, int64_t drain_ms)
{
	struct shared_server *page = &shared->server[server->slot];
	int before = atomic_load(&page->asked);
	int64_t limit = clock_ms() + WAIT_MS, again = 0;

	atomic_store(&page->drain_ms, drain_ms);
	/* Until it was seen: a second signal must not melt into this one. */
	while (atomic_load(&page->asked) == before) {
		if (clock_ms() > limit)
			fail_with("the server does not take its signal");
		if (clock_ms() >= again) {
			kill(server->pid, SIGTERM);
			again = clock_ms() + ASK_AGAIN_MS;
		}
		rest();
	}
}

static int wait_process(struct server *server)
{
	int64_t limit = clock_ms() + WAIT_MS;
	int status;
	pid_t got;

	while ((got = waitpid(server->pid, &status, WNOHANG)) == 0) {
		if (clock_ms() > limit)
			fail_with("the server has not ended in time");
		rest();
	}
	if (got != server->pid)
		fail_with("waitpid: %s", strerror(errno));
	server->pid = 0;
	return status;
}

/* A unix socket must have left the file system with its listener. */
static void check_removed(const struct server *server)
{
	int i;

	for (i = 0; i < SERVER_LISTENERS; i++) {
		const char *at = server->endpoint[i];

		if (strncmp(at, "unix:/", 6) == 0 && access(at + 5, F_OK) == 0)
			fail_with("%s is still there", at);
	}
}

int server_wait_any(struct server *server)
{
	struct shared_server *page = &shared->server[server->slot];
	int status = wait_process(server);

	if (atomic_load(&shared->failures) > 0)
		fail_with("%d failures", atomic_load(&shared->failures));
	if (!atomic_load(&page->ran))
		fail_with("the server died, status %#x", status);
	if (atomic_load(&page->fds) != 0)
		fail_with("%d descriptors left", atomic_load(&page->fds));
	if (atomic_load(&page->threads) != 0)
		fail_with("%d threads left", atomic_load(&page->threads));
	if (atomic_load(&page->children) != 0)
		fail_with("child processes left");
	if (status != 0)
		fail_with("the server's process ended with status %#x", status);
	check_removed(server);
	return atomic_load(&page->result);
}

void server_wait(struct server *server, int result)
{
	assert_result(server_wait_any(server), result);
}

void server_stop(struct server *server)
{
	server_signal(server, WAIT_MS / 2);
	server_wait(server, 0);
}

void server_kill_all(void)
{
	int i;

	for (i = 0; i < SHARED_SERVERS; i++) {
		if (servers[i].pid == 0)
			continue;
		kill(-servers[i].pid, SIGKILL);
		kill(servers[i].pid, SIGKILL);
		waitpid(servers[i].pid, NULL, 0);
		servers[i].pid = 0;
	}
}
