/* SPDX-License-Identifier: MIT */
/*
 * Connections that are held: each had one exchange and then says nothing. What
 * comes out is the server's memory before the first and with all of them.
 *
 * They come in batches, because a server that cannot hold as many is a result,
 * too: then the last complete batch counts. Wrong bytes are still an error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "usage.h"

#define BATCH 500

static int open_batch(struct load *load)
{
	int most = load->clients_count + BATCH, err = 0;

	if (most > load->args->connections)
		most = load->args->connections;
	while (err == 0 && load->clients_count < most)
		err = load_open(load, 1);
	return err < 0 ? err : load_drain(load);
}

void load_idle(const struct load_args *args)
{
	struct load load = {0};
	int64_t before = bench_memory(args->pid), with = before;
	int held = 0, err = 0;

	load_pattern_init(&load.pattern, LOAD_MESSAGE);
	load_init(&load, args);
	while (err == 0 && held < args->connections) {
		int64_t now;

		err = open_batch(&load);
		if (err == -EBADMSG)
			load_die("answer", err);
		now = bench_memory(args->pid);
		if (err == 0 && now < 0)
			err = -ESRCH;
		if (err == 0) {
			held = load.clients_count;
			with = now;
		}
	}
	if (held == 0)
		load_die("no batch", err);
	printf("{\"asked\": %d, \"held\": %d, \"failed\": \"%s\", "
	       "\"before_bytes\": %lld, \"with_bytes\": %lld, "
	       "\"bytes_each\": %.1f}\n",
	       args->connections, held, err < 0 ? strerror(-err) : "",
	       (long long)before, (long long)with,
	       (double)(with - before) / held);
	load_fini(&load);
}
