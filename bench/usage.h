/* SPDX-License-Identifier: MIT */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

/* What a server costs: the time that its processes were running. */

#include <stdint.h>
#include <sys/types.h>

/*
 * The CPU time, in nanoseconds, of process PID with all its threads, of the
 * children that it has, and of those that it had and reaped; user and system
 * together. Take it twice and subtract. The reaped ones are counted by the
 * kernel in clock ticks (10 ms), the others exactly.
 */
int64_t bench_cpu_ns(pid_t pid);

#endif
