/* SPDX-License-Identifier: MIT */
/*
 * Closed loops: each connection has a number of messages in flight, and the
 * next goes out when one comes back. What comes out is how many messages the
 * server and the load manage together.
 */
#include <errno.h>
#include <stdio.h>

#include "load.h"

static void again(struct load *load, struct load_client *client, int count)
{
	load_allow(load, client, (size_t)count);
}

static void run_for(struct load *load, int ms)
{
	int64_t now = load_now_ns(), end = now + ms * LOAD_NS_PER_MS;
	int err = 0;

	for (; now < end && err == 0; now = load_now_ns())
		err = load_poll(load, again, now);
	if (err < 0)
		load_die("exchange", err);
}

/* A server may not have forgotten anyone, or anything. */
static void finish(struct load *load)
{
	int err = load_drain(load);

	if (err < 0)
		load_die("last answers", err);
	for (int i = 0; i < load->clients_count; i++)
		if (load->clients[i].answered == 0)
			load_die("a connection without an answer", -ETIMEDOUT);
	load_close(load);
}

static void run(const struct load_args *args, int size)
{
	struct load load = {0};
	struct load_backend backend;
	struct load_interval interval;
	uint64_t answered;

	load_pattern_init(&load.pattern, size);
	load_init(&load, args);
	if (args->backend >= 0) {
		load_backend_init(&backend, args, &load.pattern);
		load.backend = &backend;
	}
	load_open_all(&load, args->depth);
	run_for(&load, args->warmup_ms);
	answered = load.answered;
	load_begin(&interval, args->pid);
	run_for(&load, args->measure_ms);
	load_end(&interval, args->pid);
	answered = load.answered - answered;
	finish(&load);
	load_fini(&load);
	if (answered == 0)
		load_die("no answer", -ETIMEDOUT);
	printf("{\"count\": %llu, ", (unsigned long long)answered);
	load_print_interval(&interval);
	printf("}\n");
}

void load_echo(const struct load_args *args)
{
	run(args, args->size);
}

void load_lines(const struct load_args *args)
{
	run(args, 0);
}
