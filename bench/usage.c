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

static ssize_t read_text(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t got;

	if (!file)
		return -1;
	got = fread(buf, 1, size - 1, file);
	fclose(file);
	buf[got] = '\0';
	return (ssize_t)got;
}

static ssize_t read_process(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return read_text(path, buf, size);
}

/* cutime and cstime, the 16th and 17th word of proc(5)'s stat. */
static int64_t reaped_ns(pid_t pid)
{
	int64_t ticks = 0;
	char text[1024], *at;

	if (read_process(pid, "stat", text, sizeof(text)) < 0)
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
	if (read_process(pid, name, text, sizeof(text)) < 0) {
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

int64_t bench_busy_ns(void)
{
	char text[512], *at;
	int64_t ticks = 0;

	if (read_text("/proc/stat", text, sizeof(text)) < 0)
		return 0;
	/* user nice system idle iowait irq softirq steal, after "cpu" */
	at = strchr(text, ' ');
	for (int word = 0; at && word < 8; word++) {
		int64_t value = strtoll(at, &at, 10);

		if (word != 3 && word != 4)
			ticks += value;
	}
	return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* Lines come in pairs, names and values, word by word. */
int64_t bench_tcp_timeouts(void)
{
	static char text[32768];
	char *names = text, *values;

	if (read_text("/proc/net/netstat", text, sizeof(text)) < 0)
		return 0;
	values = strchr(text, '\n');
	while (values && strncmp(names, " TCPTimeouts ", 13) != 0) {
		names = strpbrk(names + 1, " \n");
		values = strpbrk(values + 1, " \n");
		if (!names || *names == '\n')
			return 0;
	}
	return values ? strtoll(values, NULL, 10) : 0;
}

/* The kilobytes behind NAME in the text of a status file. */
static int64_t status_bytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : -1;
}

int64_t bench_memory(pid_t pid)
{
	int64_t pages, tables;
	char text[4096];

	if (read_process(pid, "status", text, sizeof(text)) < 0)
		return -1;
	pages = status_bytes(text, "\nVmRSS:");
	tables = status_bytes(text, "\nVmPTE:");
	return pages < 0 || tables < 0 ? -1 : pages + tables;
}
