/* SPDX-License-Identifier: MIT */
/* What the load's modes measure with: see load.h. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "usage.h"

_Noreturn void load_die(const char *what, int err)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(-err));
	exit(1);
}

int64_t load_now_ns(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

void load_pin(int core)
{
	cpu_set_t set;

	if (core < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		load_die("sched_setaffinity", -errno);
}

/* The server's clock is read last here and first at the end. */
void load_begin(struct load_interval *interval, int pid)
{
	interval->timeouts = bench_tcp_timeouts();
	interval->busy = bench_busy_ns();
	interval->self = bench_cpu_ns(getpid());
	interval->began = load_now_ns();
	interval->server = bench_cpu_ns(pid);
}

void load_end(struct load_interval *interval, int pid)
{
	interval->server = bench_cpu_ns(pid) - interval->server;
	interval->began = load_now_ns() - interval->began;
	interval->self = bench_cpu_ns(getpid()) - interval->self;
	interval->busy = bench_busy_ns() - interval->busy;
	interval->timeouts = bench_tcp_timeouts() - interval->timeouts;
}

void load_print_interval(const struct load_interval *interval)
{
	double others =
		(double)(interval->busy - interval->server - interval->self) /
		(double)interval->began;

	printf("\"seconds\": %.6f, \"server_cpu_s\": %.6f, "
	       "\"load_cpu_s\": %.6f, \"others_cpu\": %.3f, "
	       "\"tcp_timeouts\": %lld",
	       (double)interval->began / 1e9, (double)interval->server / 1e9,
	       (double)interval->self / 1e9, others > 0 ? others : 0,
	       (long long)interval->timeouts);
}

void load_print_times(const struct bench_histogram *times)
{
	printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, "
	       "\"max_us\": %.2f",
	       bench_histogram_ns(times, 0.5) / 1e3,
	       bench_histogram_ns(times, 0.99) / 1e3,
	       bench_histogram_ns(times, 0.999) / 1e3,
	       (double)times->most / 1e3);
}
