/* SPDX-License-Identifier: MIT */
/*
 * The open loop: messages go out at a fixed rate, whether answers come or not,
 * and an answer's time counts from the moment at which its message was to be
 * sent. So a server that stops for a while is charged with everybody who had
 * to wait meanwhile; a closed loop would only send them less.
 *
 * Message number N is due N / RATE seconds after the beginning, on connection
 * N modulo their count; when it was due is therefore known when it comes back,
 * and nothing is kept. Where server and load cannot keep up with the rate, the
 * run ends once they are far behind it.
 */
#include <errno.h>
#include <stdio.h>

#include "load.h"

#define SETTLE_NS INT64_C(10000000)
#define BURST     16  /* sends in a row, before answers are looked for */
#define BEHIND    128 /* messages on each connection, on the average */

struct steady {
	int64_t began;
	int64_t from; /* what is due earlier is warm-up */
	uint64_t next;
	struct bench_histogram times;
	struct bench_histogram delays; /* of sends: our own */
};

static int64_t due(const struct load *load, uint64_t number)
{
	const struct steady *steady = load->mode;

	return steady->began + (int64_t)(number * UINT64_C(1000000000) /
	                                 (uint64_t)load->args->rate);
}

static void note(struct load *load, struct load_client *client, int count)
{
	uint64_t slot = (uint64_t)(client - load->clients);
	uint64_t stride = (uint64_t)load->clients_count;
	struct steady *steady = load->mode;
	int64_t now = load_now_ns();

	for (uint64_t i = client->answered - (uint64_t)count;
	     i < client->answered; i++) {
		int64_t at = due(load, i * stride + slot);

		if (at >= steady->from)
			bench_histogram_add(&steady->times, now - at);
	}
}

/* What is due by now, and before END. */
static int send_due(struct load *load, int64_t end)
{
	struct steady *steady = load->mode;
	int err = 0;

	for (int i = 0; i < BURST && err == 0; i++) {
		uint64_t slot = steady->next % (uint64_t)load->clients_count;
		struct load_client *client = &load->clients[slot];
		int64_t at = due(load, steady->next), now = load_now_ns();

		if (at > now || at >= end)
			return 0;
		steady->next++;
		load_allow(load, client, 1);
		err = load_send(load, client);
		if (at >= steady->from)
			bench_histogram_add(&steady->delays, now - at);
	}
	return err;
}

/* False if too much of what is due at NOW is not answered. */
static bool keeps_up(const struct load *load, int64_t now)
{
	uint64_t most = BEHIND * (uint64_t)load->clients_count;

	return due(load, load->answered + most) > now;
}

/* False if the rate could not be kept. */
static bool run_until(struct load *load, int64_t end)
{
	int64_t now = load_now_ns();
	int err = 0;

	for (; now < end && err == 0; now = load_now_ns()) {
		if (!keeps_up(load, now))
			return false;
		err = send_due(load, end);
		if (err == 0)
			err = load_poll(load, note, now);
	}
	if (err < 0)
		load_die("exchange", err);
	return true;
}

/*
 * What was due before END still goes out, or the figures would lack those that
 * waited longest; and all answers are waited for. False as above.
 */
static bool finish(struct load *load, int64_t end)
{
	const struct steady *steady = load->mode;
	int64_t now = load_now_ns();
	bool kept_up = true;
	int err = 0;

	while (kept_up && err == 0 && due(load, steady->next) < end) {
		kept_up = keeps_up(load, now);
		err = send_due(load, end);
		if (err == 0)
			err = load_poll(load, note, now);
		now = load_now_ns();
	}
	end = now + load->args->stall_ms * LOAD_NS_PER_MS;
	for (; now < end && load->owed > 0 && err == 0; now = load_now_ns())
		err = load_poll(load, note, now);
	if (err == 0 && load->owed > 0)
		err = -ETIMEDOUT;
	if (err < 0)
		load_die("last answers", err);
	return kept_up;
}

static void print(const struct steady *steady, bool kept_up, uint64_t count,
                  const struct load_interval *interval)
{
	printf("{\"kept_up\": %s, \"count\": %llu, ",
	       kept_up ? "true" : "false", (unsigned long long)count);
	load_print_times(&steady->times);
	printf(", \"late_p50_us\": %.2f, \"late_p99_us\": %.2f, ",
	       bench_histogram_ns(&steady->delays, 0.5) / 1e3,
	       bench_histogram_ns(&steady->delays, 0.99) / 1e3);
	load_print_interval(interval);
	printf("}\n");
}

void load_steady(const struct load_args *args)
{
	static struct steady steady;
	struct load load = {.mode = &steady};
	struct load_interval interval;
	uint64_t answered;
	bool kept_up;
	int64_t end;

	load_pattern_init(&load.pattern, args->size);
	load_init(&load, args);
	load_open_all(&load, 0);
	steady.began = load_now_ns();
	/* To read the clocks takes a while, in which nothing is sent. */
	steady.from =
		steady.began + args->warmup_ms * LOAD_NS_PER_MS + SETTLE_NS;
	end = steady.from + args->measure_ms * LOAD_NS_PER_MS;
	kept_up = run_until(&load, steady.from - SETTLE_NS);
	answered = load.answered;
	load_begin(&interval, args->pid);
	kept_up = kept_up && run_until(&load, end) && finish(&load, end);
	load_end(&interval, args->pid);
	answered = load.answered - answered;
	if (load_drain(&load) < 0)
		load_die("last answers", -ETIMEDOUT);
	load_close(&load);
	load_fini(&load);
	print(&steady, kept_up, answered, &interval);
}
