/* SPDX-License-Identifier: MIT */
/*
 * What becomes of fibers where io_uring(7) is forbidden, as containers do it
 * with a seccomp filter, and administrators with kernel.io_uring_disabled:
 * they wait with epoll(7) and say why, or do not start where io_uring was
 * asked for.
 *
 * The sysctl is the whole machine's. It is set, for a moment, only where
 * NARU_TEST_SYSCTL is in the environment.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "naru.h"

#define DISABLED "/proc/sys/kernel/io_uring_disabled"
#define WAIT_S   10

/* What the server's process tells. */
static struct told {
	atomic_int port;
	atomic_int waiters; /* how often it was said how fibers wait */
	char waiter[16];
	atomic_int why; /* the event's result */
	atomic_int result;
} * told;

struct trial {
	const char *name;
	enum naru_io io;
	int call;           /* that is forbidden; 0 for none */
	int error;          /* that the kernel forbids it with */
	int result;         /* naru_server_run() has to return */
	const char *waiter; /* that has to be told of; null for none */
};

static const struct trial trials[] = {
	{"auto takes io_uring where it may", NARU_IO_AUTO, 0, 0, 0, "uring"},
	{"auto falls back where io_uring is forbidden", NARU_IO_AUTO,
         SYS_io_uring_setup, EPERM, 0, "epoll"},
	{"auto falls back where the kernel has none", NARU_IO_AUTO,
         SYS_io_uring_setup, ENOSYS, 0, "epoll"},
	{"auto falls back where buffers cannot be lent", NARU_IO_AUTO,
         SYS_io_uring_register, EPERM, 0, "epoll"},
	{"auto falls back where only entering is forbidden", NARU_IO_AUTO,
         SYS_io_uring_enter, EPERM, 0, "epoll"},
	{"io_uring that is asked for and forbidden is an error", NARU_IO_URING,
         SYS_io_uring_setup, EPERM, -EPERM, NULL},
	{"io_uring that is asked for and missing is an error", NARU_IO_URING,
         SYS_io_uring_setup, ENOSYS, -ENOSYS, NULL},
	{"epoll that is asked for needs no reason", NARU_IO_EPOLL,
         SYS_io_uring_setup, EPERM, 0, "epoll"},
};
#define TRIALS ((int)(sizeof(trials) / sizeof(trials[0])))

static struct naru_server *server;

/* Has the kernel answer CALL with ERROR, in this process from here on. The
 * call's number means the same in any architecture's table that has io_uring,
 * for it is newer than their differences. */
static void forbid(int call, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(2);
}

static void report(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind != NARU_EVENT_WAITER)
		return;
	(void)snprintf(told->waiter, sizeof(told->waiter), "%s", event->call);
	atomic_store(&told->why, event->result);
	atomic_fetch_add(&told->waiters, 1);
}

static int echo(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		err = naru_send(conv, msg.data, msg.len);
		if (err < 0)
			break;
	}
	return err;
}

static void on_signal(int number)
{
	(void)number;
	naru_server_stop(server, WAIT_S * 1000);
}

static _Noreturn void serve(const struct trial *trial)
{
	struct sigaction action = {.sa_handler = on_signal};
	char endpoint[NARU_ADDR_TEXT];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (trial->call)
		forbid(trial->call, trial->error);
	if (naru_server_new(&server,
	                    NARU_OPTIONS(.model = NARU_FIBER, .io = trial->io,
	                                 .workers = 2, .report = report)) < 0 ||
	    naru_server_listen(server, "tcp://127.0.0.1:0", echo, NULL) < 0 ||
	    naru_server_endpoint(server, 0, endpoint, sizeof(endpoint)) < 0)
		_exit(2);
	sigaction(SIGTERM, &action, NULL);
	atomic_store(&told->port, atoi(strrchr(endpoint, ':') + 1));
	atomic_store(&told->result, naru_server_run(server));
	naru_server_free(server);
	_exit(0);
}

static bool has_ended(pid_t pid)
{
	siginfo_t ended = {0};

	return waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) <
	               0 ||
	       ended.si_pid != 0;
}

/* One exchange with the server PID; false where it ends instead. */
static bool exchange(pid_t pid)
{
	const struct timeval limit = {.tv_sec = WAIT_S};
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[7] = "";
	bool right;

	while (atomic_load(&told->port) == 0 && !has_ended(pid))
		usleep(1000);
	to.sin_port = htons((uint16_t)atomic_load(&told->port));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	right = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	        send(fd, "hello\n", 6, MSG_NOSIGNAL) == 6 &&
	        recv(fd, line, 6, MSG_WAITALL) == 6 &&
	        strcmp(line, "hello\n") == 0;
	close(fd);
	return right;
}

/* Prints what is not as it has to be; nothing where all is. */
static bool judge(const struct trial *trial, bool held, int status)
{
	int why = trial->io == NARU_IO_AUTO ? -trial->error : 0;
	int result = atomic_load(&told->result);
	int count = atomic_load(&told->waiters);
	bool right = true;

	if (status != 0 || result != trial->result)
		right = false;
	if (trial->result == 0 && !held)
		right = false;
	if (count != (trial->waiter ? 1 : 0))
		right = false;
	if (trial->waiter && (strcmp(told->waiter, trial->waiter) != 0 ||
	                      atomic_load(&told->why) != why))
		right = false;
	if (!right)
		printf("# status %#x, result %s, exchange %s, told %d times "
		       "\"%s\" because of %s\n",
		       status, naru_errname(result), held ? "held" : "lost",
		       count, told->waiter,
		       naru_errname(atomic_load(&told->why)));
	return right;
}

static bool run(const struct trial *trial)
{
	int status = 0;
	bool held;
	pid_t pid;

	memset(told, 0, sizeof(*told));
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		serve(trial);
	held = exchange(pid);
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	return judge(trial, held, status);
}

/* Whether io_uring is to be had at all where this runs. */
static bool has_uring(void)
{
	return syscall(SYS_io_uring_setup, 0, NULL) < 0 && errno == EFAULT;
}

/* The sysctl. */

static int disabled_before = -1;

static bool set_disabled(int value)
{
	char digit = (char)('0' + value);
	int fd = open(DISABLED, O_WRONLY | O_CLOEXEC);
	bool set = fd >= 0 && write(fd, &digit, 1) == 1;

	if (fd >= 0)
		close(fd);
	return set;
}

static void restore_disabled(void)
{
	if (disabled_before >= 0)
		(void)set_disabled(disabled_before);
	disabled_before = -1;
}

static void on_abort(int number)
{
	restore_disabled();
	_exit(128 + number);
}

/* Returns whether all was right. */
static bool try_sysctl(int number)
{
	static const struct trial trial = {.io = NARU_IO_AUTO,
	                                   .error = EPERM,
	                                   .waiter = "epoll"};
	static const char name[] = "auto falls back where a sysctl forbids";
	const char *wanted = getenv("NARU_TEST_SYSCTL");
	char digit = '0';
	int fd = open(DISABLED, O_RDONLY | O_CLOEXEC);
	bool known = fd >= 0 && read(fd, &digit, 1) == 1, right;

	if (fd >= 0)
		close(fd);
	if (!wanted || !known) {
		printf("ok %d - %s # SKIP %s\n", number, name,
		       known ? "without NARU_TEST_SYSCTL" : "no " DISABLED);
		return true;
	}
	disabled_before = digit - '0';
	(void)signal(SIGINT, on_abort);
	(void)signal(SIGTERM, on_abort);
	/* 2 forbids it to everybody, root too. */
	if (!set_disabled(2)) {
		printf("ok %d - %s # SKIP it takes root\n", number, name);
		return true;
	}
	right = run(&trial);
	restore_disabled();
	printf("%sok %d - %s\n", right ? "" : "not ", number, name);
	return right;
}

int main(void)
{
	int bad = 0;

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
	            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		return 2;
	printf("1..%d\n", TRIALS + 1);
	for (int i = 0; i < TRIALS; i++) {
		const struct trial *trial = &trials[i];
		bool skip = trial->error != ENOSYS && !has_uring() &&
		            trial->io != NARU_IO_EPOLL;
		bool right = skip || run(trial);

		printf("%sok %d - %s%s\n", right ? "" : "not ", i + 1,
		       trial->name, skip ? " # SKIP no io_uring here" : "");
		bad += !right;
	}
	bad += !try_sysctl(TRIALS + 1);
	return bad > 0;
}
