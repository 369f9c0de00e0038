/* SPDX-License-Identifier: MIT */
/* Processes: see os_process.h. */
#include "os/os_process.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

pid_t nr_process_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0 && __fpending(stdout) > 0)
		__fpurge(stdout);
	return pid;
}

_Noreturn void nr_process_exit(int status)
{
	/* Nobody is left to tell where this fails. */
	if (__fpending(stdout) > 0)
		(void)fflush(stdout);
	_exit(status);
}

pid_t nr_process_id(void)
{
	return getpid();
}

int nr_process_watch(pid_t pid)
{
	/* glibc 2.36 knows the call by its number only; it sets
	 * close-on-exec. */
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int nr_process_reap(pid_t pid, bool wait, int *ret_status)
{
	int status = 0;
	pid_t got;

	nr_assert(pid > 0);
	do {
		got = waitpid(pid, &status, wait ? 0 : WNOHANG);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	*ret_status = got < 0 ? 0 : status;
	return 1;
}

bool nr_process_has_ended(pid_t pid)
{
	siginfo_t info = {0};

	/* One that somebody else has reaped has ended too. */
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) <
	               0 ||
	       info.si_pid == pid;
}

void nr_process_kill(pid_t pid)
{
	nr_assert(pid > 0);
	(void)kill(pid, SIGKILL);
}

void nr_process_terminate_group(pid_t leader)
{
	nr_assert(leader > 1);
	(void)kill(-leader, SIGTERM);
}

void nr_process_kill_group(pid_t leader)
{
	nr_assert(leader > 1);
	(void)kill(-leader, SIGKILL);
}

/* What the program finds: its descriptors, in ACTIONS. */
static int set_descriptors(posix_spawn_file_actions_t *actions, int fd)
{
	int err = posix_spawn_file_actions_adddup2(actions, fd, 0);

	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, fd, 1);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(actions, 3);
	return err;
}

/* What the program finds: its group and its signals, in ATTR. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none;
	int err =
		posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP |
	                                               POSIX_SPAWN_SETSIGMASK);

	sigemptyset(&none);
	if (!err)
		err = posix_spawnattr_setpgroup(attr, 0);
	if (!err)
		err = posix_spawnattr_setsigmask(attr, &none);
	return err;
}

pid_t nr_process_spawn(int fd, char *const argv[], char *const env[])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	pid_t pid = 0;
	int err;

	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err)
		goto out_actions;
	err = set_descriptors(&actions, fd);
	if (!err)
		err = set_attributes(&attr);
	if (!err)
		err = posix_spawnp(&pid, argv[0], &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
out_actions:
	posix_spawn_file_actions_destroy(&actions);
	return err ? -err : pid;
}

char **nr_process_environment(void)
{
	return environ;
}

unsigned nr_process_cores(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}
