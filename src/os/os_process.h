/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_PROCESS_H
#define NR_OS_PROCESS_H

/* Processes: forked ones that run talks, and programs. */

#include <stdbool.h>
#include <sys/types.h>

/*
 * Forks. 0 in the child, whose standard output buffer is empty: what the
 * parent had not written out yet is the parent's to write. In the parent the
 * child's pid, or -errno.
 */
pid_t nr_process_fork(void);

/* Ends a forked child: writes out what it printed, and runs nothing of what
 * the parent registered to be run at its own exit. */
_Noreturn void nr_process_exit(int status);

pid_t nr_process_id(void);

/* A descriptor that turns readable when the child PID ends (pidfd_open(2)). */
int nr_process_watch(pid_t pid);

/*
 * Reaps the child PID. 1 when it has ended, with its status; 0, only where
 * WAIT is false, while it runs. A child that somebody else reaped, or the
 * system by itself because SIGCHLD is ignored, has ended with status 0.
 */
int nr_process_reap(pid_t pid, bool wait, int *ret_status);

/* Whether the child PID has ended; it is not reaped, so that nobody else can
 * get its number. */
bool nr_process_has_ended(pid_t pid);

/* Sends a signal; one that is gone already is none of our worry. */
void nr_process_kill(pid_t pid);
void nr_process_terminate_group(pid_t leader);
void nr_process_kill_group(pid_t leader);

/*
 * Starts a program whose descriptors 0 and 1 are FD, 2 is ours, and which has
 * no other; as the leader of a process group, with no signal blocked. ENV is
 * its whole environment; ARGV[0] is searched for in our PATH. Returns its pid
 * or -errno, also where it cannot be executed.
 */
pid_t nr_process_spawn(int fd, char *const argv[], char *const env[]);

/* The environment of this process. */
char **nr_process_environment(void);

/* How many cores this process may use. At least 1. */
unsigned nr_process_cores(void);

#endif
