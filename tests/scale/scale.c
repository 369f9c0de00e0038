/* SPDX-License-Identifier: MIT */
/*
 * scale CONNECTIONS uring|epoll: so many connections at the same time, between
 * as few processes as the limit on descriptors allows. All of them are open
 * and have their conversations at once, and all of them talk; every byte is
 * checked on both sides. Says what a conversation costs the server's
 * processes.
 *
 * Where the machine has too few descriptors or too little memory the test is
 * skipped, and says so.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scale.h"

/* What one connection takes of the machine's memory, roughly: two sockets and
 * a stack. */
#define KIB_EACH 32

static struct run {
	struct plan plan;
	pid_t servers[SERVERS_MAX], clients[SERVERS_MAX];
	int64_t began, connected, talked, finished;
	long resident_before, resident, tables; /* KiB of all servers */
} run;

/* The number behind KEY in a file of /proc, or -1. */
static long read_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	long number = -1;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			number = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return number;
}

/* KiB of all servers, as /proc/PID/status names them. */
static long servers_memory(const char *key)
{
	char path[64];
	long sum = 0;

	for (int i = 0; i < run.plan.servers; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/status",
		               (int)run.servers[i]);
		sum += read_number(path, key);
	}
	return sum;
}

/* Raises the limit on descriptors as far as it goes, and lays the processes
 * out by it. False, with why, where the machine does not suffice. */
static bool lay_out(char *why, size_t size)
{
	long files = read_number("/proc/sys/fs/file-max", "");
	long memory = read_number("/proc/meminfo", "MemAvailable:");
	long wanted = run.plan.connections;
	struct rlimit limit;
	long each;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	each = limit.rlim_cur > 1000000 ? 1000000 : (long)limit.rlim_cur;
	each -= DESCRIPTORS_OWN;
	if (each <= 0 || wanted > each * SERVERS_MAX)
		(void)snprintf(why, size, "%ld descriptors for each process",
		               each + DESCRIPTORS_OWN);
	else if (files >= 0 && files < wanted * 5 / 2)
		(void)snprintf(why, size, "%ld descriptors in all", files);
	else if (memory >= 0 && memory < wanted * KIB_EACH)
		(void)snprintf(why, size, "%ld MiB of memory", memory / 1024);
	else
		run.plan.servers = (int)((wanted + each - 1) / each);
	return run.plan.servers > 0;
}

static pid_t start(int (*fn)(const struct plan *plan, int which), int which)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(fn(&run.plan, which));
}

static bool has_ports(void)
{
	for (int i = 0; i < run.plan.servers; i++)
		if (atomic_load(&page->ports[i]) == 0)
			return false;
	return true;
}

/* A process that has ended ends the test, if it was not its time. */
static bool lost_process(void)
{
	siginfo_t ended = {0};

	return waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       ended.si_pid != 0;
}

/* Waits until CONDITION comes true; false where the run has gone wrong. */
#define await(condition)                                                       \
	do {                                                                   \
		int64_t limit_ = clock_ms() + 2 * WAIT_MS;                     \
                                                                               \
		while (!(condition)) {                                         \
			if (atomic_load(&page->failures) > 0)                  \
				return false;                                  \
			if (lost_process() || clock_ms() > limit_) {           \
				(void)wrong("never came: %s", #condition);     \
				return false;                                  \
			}                                                      \
			rest();                                                \
		}                                                              \
	} while (0)

static bool is_done(enum phase phase)
{
	return atomic_load(&page->done[phase]) == run.plan.servers;
}

/* All conversations are there, and none is over. */
static bool all_talk(void)
{
	return atomic_load(&page->talking) == run.plan.connections &&
	       atomic_load(&page->begun) == run.plan.connections &&
	       atomic_load(&page->ended) == 0;
}

static bool hold_all(void)
{
	run.began = clock_ms();
	for (int i = 0; i < run.plan.servers; i++)
		run.servers[i] = start(serve_many, i);
	await(has_ports());
	run.resident_before = servers_memory("VmRSS:");
	for (int i = 0; i < run.plan.servers; i++)
		run.clients[i] = start(ask_many, i);
	await(is_done(CONNECT));
	await(all_talk());
	run.connected = clock_ms();
	atomic_store(&page->phase, TALK);
	await(is_done(TALK));
	await(all_talk());
	run.talked = clock_ms();
	run.resident = servers_memory("VmRSS:") - run.resident_before;
	run.tables = servers_memory("VmPTE:");
	atomic_store(&page->phase, FINISH);
	/* Their processes end; how, is asked for below. */
	while (!is_done(FINISH) && atomic_load(&page->failures) == 0 &&
	       clock_ms() < run.talked + 2 * WAIT_MS)
		rest();
	run.finished = clock_ms();
	return is_done(FINISH);
}

static void reap(pid_t pid, const char *what)
{
	int status;

	if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0)
		(void)wrong("a process of %s ended with status %#x", what,
		            status);
}

/* Ends the processes: those that are well end by themselves. */
static void end_all(bool well)
{
	for (int i = 0; i < run.plan.servers; i++) {
		if (!well && run.clients[i] > 0)
			kill(run.clients[i], SIGKILL);
		reap(run.clients[i], "clients");
	}
	for (int i = 0; i < run.plan.servers; i++) {
		if (run.servers[i] > 0)
			kill(run.servers[i], well ? SIGTERM : SIGKILL);
		reap(run.servers[i], "a server");
	}
	if (well && (atomic_load(&page->ended) != run.plan.connections ||
	             atomic_load(&page->talking) != 0))
		(void)wrong("%d of %d conversations have ended, %d go on",
		            atomic_load(&page->ended), run.plan.connections,
		            atomic_load(&page->talking));
}

static void print_figures(void)
{
	const double each = (double)run.plan.connections;

	printf("# %d servers and %d processes of clients\n", run.plan.servers,
	       run.plan.servers);
	printf("# connected in %.1f s, talked in %.1f s, finished in %.1f s\n",
	       (double)(run.connected - run.began) / 1000,
	       (double)(run.talked - run.connected) / 1000,
	       (double)(run.finished - run.talked) / 1000);
	printf("# %lld MiB checked; each conversation holds %.1f KiB of the "
	       "server's memory, and %.2f KiB of page tables\n",
	       atomic_load(&page->bytes) >> 20, (double)run.resident / each,
	       (double)run.tables / each);
}

static void hold_and_judge(void)
{
	bool well = hold_all();
	const char *failure = "nothing was found wrong, but not all came";

	end_all(well);
	well = well && atomic_load(&page->failures) == 0;
	if (atomic_load(&page->failure_ready))
		failure = page->failure;
	if (well)
		print_figures();
	else
		printf("# %s\n", failure);
	printf("1..1\n%sok 1 - %d connections talk at the same time\n",
	       well ? "" : "not ", run.plan.connections);
}

int main(int argc, char **argv)
{
	char why[128] = "";

	if (argc == 3)
		run.plan.connections = atoi(argv[1]);
	if (run.plan.connections <= 0) {
		(void)fprintf(stderr, "usage: scale CONNECTIONS uring|epoll\n");
		return 2;
	}
	run.plan.io =
		strcmp(argv[2], "epoll") == 0 ? NARU_IO_EPOLL : NARU_IO_URING;
	if (!lay_out(why, sizeof(why))) {
		printf("1..0 # SKIP this machine has no more than %s\n", why);
		return 0;
	}
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
	            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return 2;
	hold_and_judge();
	return atomic_load(&page->failures) > 0;
}
