/* SPDX-License-Identifier: MIT */
/*
 * The load generator: the same for every server, and as little work itself as
 * can be. It spins instead of sleeping, so that no wake-up of its own is in
 * what it measures. Every byte that comes back is compared.
 *
 *     load echo    connections= depth= size=   a closed loop of messages
 *     load lines   connections= depth=         the same with lines
 *     load bulk    connections= backend= checked=  one way, through a relay
 *     load steady  connections= size= rate=    an open loop: latency
 *     load churn   connections=                connect, exchange 64 B, close
 *     load idle    connections=                one exchange each, then hold
 *     load ready   server_core= -- COMMAND ... from exec to ready
 *
 * With backend=, a listener's descriptor that the load was started with, echo
 * and lines are themselves what a relay at port= connects to.
 * All but the last: port= of the server at 127.0.0.1, and pid= for its CPU
 * time and memory. All: core=, ours, or any. What measures an interval:
 * warmup_ms=, measure_ms=. One line of JSON comes out; an answer that is wrong,
 * or does not come for stall_ms=, ends the run with an error.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "load.h"

static const struct {
	const char *name;
	void (*run)(const struct load_args *args);
} modes[] = {
	{"bulk", load_bulk},     {"churn", load_churn}, {"echo", load_echo},
	{"idle", load_idle},     {"lines", load_lines}, {"ready", load_ready},
	{"steady", load_steady},
};

static const struct {
	const char *name;
	size_t at;
	long least, most;
} numbers[] = {
	{"port", offsetof(struct load_args, port), 1, 65535},
	{"pid", offsetof(struct load_args, pid), 1, INT32_MAX},
	{"core", offsetof(struct load_args, core), 0, 1023},
	{"server_core", offsetof(struct load_args, server_core), 0, 1023},
	{"backend", offsetof(struct load_args, backend), 3, 1023},
	{"checked", offsetof(struct load_args, checked), 0, 1},
	{"connections", offsetof(struct load_args, connections), 1, 100000},
	{"depth", offsetof(struct load_args, depth), 1, 1024},
	{"size", offsetof(struct load_args, size), 1, 1 << 26},
	{"rate", offsetof(struct load_args, rate), 1, 100000000},
	{"warmup_ms", offsetof(struct load_args, warmup_ms), 0, 60000},
	{"measure_ms", offsetof(struct load_args, measure_ms), 1, 60000},
	{"stall_ms", offsetof(struct load_args, stall_ms), 1, 60000},
};

/* One NAME=NUMBER; -EINVAL if it is none. */
static int take(struct load_args *args, const char *text)
{
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char *end;
		long value;

		if (strlen(numbers[i].name) != len || !text[len] ||
		    strncmp(text, numbers[i].name, len) != 0)
			continue;
		value = strtol(text + len + 1, &end, 10);
		if (*end || end == text + len + 1 || value < numbers[i].least ||
		    value > numbers[i].most)
			return -EINVAL;
		*(int *)(void *)((char *)args + numbers[i].at) = (int)value;
		return 0;
	}
	return -EINVAL;
}

/* As many descriptors as this process may have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		load_die("getrlimit", -errno);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		load_die("setrlimit", -errno);
}

int main(int argc, char **argv)
{
	struct load_args args = {.core = -1,
	                         .server_core = -1,
	                         .backend = -1,
	                         .connections = 1,
	                         .depth = 1,
	                         .size = LOAD_MESSAGE,
	                         .rate = 10000,
	                         .warmup_ms = 200,
	                         .measure_ms = 1000,
	                         .stall_ms = 3000};

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			args.command = argv + i + 1;
			break;
		}
		if (take(&args, argv[i]) < 0)
			load_die(argv[i], -EINVAL);
	}
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]);
	     i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		if (modes[i].run == load_ready ? !args.command || !*args.command
		                               : !args.port || !args.pid)
			break;
		if (modes[i].run == load_bulk && args.backend < 0)
			break;
		raise_limit();
		load_pin(args.core);
		modes[i].run(&args);
		return 0;
	}
	fprintf(stderr,
	        "usage: load bulk|churn|echo|idle|lines|steady port= pid= "
	        "[NAME=NUMBER ...]\n"
	        "       load ready [NAME=NUMBER ...] -- COMMAND ...\n");
	return 2;
}
