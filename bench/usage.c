/* SPDX-License-Identifier: MIT */
/* What a server costs: see usage.h. */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of a process that is there, or is a zombie; 0 for one that is gone. */
static int64_t own_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &used) < 0)
		return 0;
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static ssize_t read_text(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	FILE *file;
	size_t got;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	got = fread(buf, 1, size - 1, file);
	fclose(file);
	buf[got] = '\0';
	return (ssize_t)got;
}

/* cutime and cstime, the 16th and 17th word of proc(5)'s stat. */
static int64_t reaped_ns(pid_t pid)
{
	int64_t ticks = 0;
	char text[1024], *at;

	if (read_text(pid, "stat", text, sizeof(text)) < 0)
		return 0;
	/* The second word is a name in parentheses, and may hold anything. */
	at = strrchr(text, ')');
	for (int word = 2; at && word < 17; word++) {
		at = strchr(at + 1, ' ');
		if (at && word >= 15)
			ticks += strtoll(at, NULL, 10);
	}
	return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

static int64_t children_ns(pid_t pid)
{
	char text[16384], name[48], *at = text, *end;
	int64_t sum = 0;
	long child;

	(void)snprintf(name, sizeof(name), "task/%d/children", (int)pid);
	if (read_text(pid, name, text, sizeof(text)) < 0) {
		fprintf(stderr, "bench: the kernel lists no children\n");
		exit(1);
	}
	while ((child = strtol(at, &end, 10)) > 0) {
		sum += own_ns((pid_t)child);
		at = end;
	}
	return sum;
}

int64_t bench_cpu_ns(pid_t pid)
{
	return own_ns(pid) + children_ns(pid) + reaped_ns(pid);
}
