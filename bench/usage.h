/* SPDX-License-Identifier: MIT */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

/* What a server costs: the time that its processes were running, and memory. */

#include <stdint.h>
#include <sys/types.h>

/*
 * The CPU time, in nanoseconds, of process PID with all its threads, of the
 * children that it has, and of those that it had and reaped; user and system
 * together. Take it twice and subtract. The reaped ones are counted by the
 * kernel in clock ticks (10 ms), the others exactly.
 */
int64_t bench_cpu_ns(pid_t pid);

/*
 * The time that all cores worked, for whomever, or were kept from working by
 * the machine below this one; in nanoseconds, counted in clock ticks.
 */
int64_t bench_busy_ns(void);

/*
 * How often the kernel had to send something anew because no acknowledgement
 * came, on any connection of the machine. On loopback that is a packet that
 * was dropped: a slice with such a pause in it measures the machine.
 */
int64_t bench_tcp_timeouts(void);

/*
 * The bytes of user memory that process PID has: resident pages and the page
 * tables for them. -1 if the process has ended.
 */
int64_t bench_memory(pid_t pid);

#endif
