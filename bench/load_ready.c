/* SPDX-License-Identifier: MIT */
/*
 * From exec to ready: starts a server on its core and takes the time from just
 * before execve() until a client has connected to the port that it printed;
 * then until that client has its first answer, which shows that the server
 * meant it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

#define PATIENCE_NS INT64_C(20000000000)

/* The child writes when it called execve(), and whether that failed. */
struct start {
	int64_t at;
	int err;
};

static _Noreturn void become(const struct load_args *args, int out,
                             struct start *start)
{
	load_pin(args->server_core);
	if (dup2(out, STDOUT_FILENO) < 0)
		load_die("dup2", -errno);
	start->at = load_now_ns();
	execv(args->command[0], args->command);
	start->err = -errno;
	_exit(127);
}

/* Spins, so that waking up is not in the figure. Returns the port. */
static int read_port(int in)
{
	int64_t end = load_now_ns() + PATIENCE_NS;
	char line[16] = "";
	size_t len = 0;

	while (!memchr(line, '\n', len) && len < sizeof(line) - 1) {
		ssize_t got = read(in, line + len, sizeof(line) - 1 - len);

		if (got == 0)
			return -ECONNREFUSED;
		if (got < 0 && errno != EAGAIN)
			return -errno;
		if (load_now_ns() > end)
			return -ETIMEDOUT;
		len += got > 0 ? (size_t)got : 0;
	}
	return (int)strtol(line, NULL, 10);
}

static void stop(pid_t pid, int64_t patience)
{
	int64_t end = load_now_ns() + patience;

	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (load_now_ns() < end)
			continue;
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return;
	}
}

/* The first exchange; how long after the start it could begin and was done. */
static int exchange(const struct load_args *args, const struct start *start)
{
	struct load load = {0};
	int64_t ready, answer;
	int err;

	load_pattern_init(&load.pattern, LOAD_MESSAGE);
	load_init(&load, args);
	err = load_open(&load, 0);
	ready = load_now_ns();
	if (err == 0) {
		load_allow(&load, &load.clients[0], 1);
		err = load_send(&load, &load.clients[0]);
	}
	if (err == 0)
		err = load_drain(&load);
	answer = load_now_ns();
	if (err == 0) {
		load_close(&load);
		printf("{\"ready_us\": %.1f, \"answer_us\": %.1f}\n",
		       (double)(ready - start->at) / 1e3,
		       (double)(answer - start->at) / 1e3);
	}
	load_fini(&load);
	return err;
}

void load_ready(const struct load_args *args)
{
	struct load_args now = *args;
	struct start *start = mmap(NULL, sizeof(*start), PROT_READ | PROT_WRITE,
	                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ends[2], err;
	pid_t pid;

	if (start == MAP_FAILED || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		load_die("pipe", -errno);
	pid = fork();
	if (pid < 0)
		load_die("fork", -errno);
	if (pid == 0)
		become(args, ends[1], start);
	close(ends[1]);
	now.port = err = read_port(ends[0]);
	if (err >= 0)
		err = exchange(&now, start);
	stop(pid, args->stall_ms * LOAD_NS_PER_MS);
	close(ends[0]);
	if (start->err < 0)
		err = start->err;
	munmap(start, sizeof(*start));
	if (err < 0)
		load_die("the server did not start", err);
}
