/* SPDX-License-Identifier: MIT */
/*
 * What it takes to go from one fiber to the next, and nothing else: no
 * connection, no call into the kernel. Looks inside of Naru, because a program
 * that uses it cannot switch without waiting for something.
 *
 *     switch
 *
 * Prints one line of JSON: nanoseconds for a switch between two fibers that
 * are hot, and around rings of many, whose stacks the caches do not hold. Each
 * ring is gone around twice: once by bare switches, and once by way of the
 * scheduler, where each fiber wakes another one and parks.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "fiber/context.h"
#include "fiber/scheduler.h"
#include "fiber/stack.h"
#include "naru/error.h"

#define STACK        65536
#define SWITCHES     4000000
#define HOT_SWITCHES 40000000

struct member {
	struct nr_context context;
	struct nr_stack stack;
	struct member *next;
};

struct ring {
	struct nr_context outside;
	struct nr_stacks stacks;
	struct member *members;
	unsigned count;
	uint64_t left; /* switches, until it goes back outside */
	bool ending;
};

static struct ring ring;

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "switch: %s: %s\n", what, naru_strerror(err));
	exit(1);
}

/* Of our own time: what others run meanwhile does not count. */
static double now_ns(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* Hands on for ever; a member that is entered at the end ends. */
static void hand_on(void *arg)
{
	struct member *self = arg;

	while (!ring.ending) {
		if (--ring.left == 0)
			nr_context_switch(&self->context, &ring.outside);
		else
			nr_context_switch(&self->context, &self->next->context);
	}
	nr_context_exit_to(&self->context, &ring.outside);
}

static void make_ring(unsigned count)
{
	int err = nr_stacks_init(&ring.stacks, STACK, count);

	ring.count = count;
	ring.ending = false;
	ring.members = calloc(count, sizeof(*ring.members));
	if (err < 0 || !ring.members)
		die("memory", err < 0 ? err : -ENOMEM);
	nr_context_init_thread(&ring.outside);
	for (unsigned i = 0; i < count; i++) {
		struct member *member = &ring.members[i];

		member->next = &ring.members[(i + 1) % count];
		err = nr_stacks_take(&ring.stacks, &member->stack);
		if (err < 0)
			die("stack", err);
		nr_context_init(&member->context, member->stack.bottom,
		                member->stack.size, hand_on, member);
	}
}

static void end_ring(void)
{
	ring.ending = true;
	for (unsigned i = 0; i < ring.count; i++) {
		struct member *member = &ring.members[i];

		nr_context_switch(&ring.outside, &member->context);
		nr_context_fini(&member->context);
		nr_stacks_give_back(&ring.stacks, member->stack);
	}
	nr_context_fini(&ring.outside);
	nr_stacks_fini(&ring.stacks);
	free(ring.members);
}

/* Goes around, whole times, and returns where it began. */
static void go_around(uint64_t switches)
{
	ring.left = (switches / ring.count + 1) * ring.count;
	nr_context_switch(&ring.outside, &ring.members[0].context);
}

static double switch_ns(unsigned count, uint64_t switches)
{
	double began;

	make_ring(count);
	go_around(2 * (uint64_t)count);
	began = now_ns();
	go_around(switches);
	began = now_ns() - began;
	switches = (switches / count + 1) * count;
	end_ring();
	return began / (double)switches;
}

/* The same through the scheduler. */
static uint64_t handed_over;
static bool over;

/* ARG: where the other one will be known once all are there. */
static void wake_and_park(void *arg)
{
	struct nr_fiber **other = arg, *self = nr_fiber_self();

	while (!over) {
		handed_over++;
		nr_fiber_wake(*other);
		(void)nr_fiber_park(self, NR_NEVER);
	}
}

/* Each fiber and the one half a ring away wake each other in turns. */
static void start_fibers(struct nr_scheduler *scheduler,
                         struct nr_fiber **others, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned half = (i + count / 2) % count;
		struct nr_fiber_start start = {.fn = wake_and_park,
		                               .arg = &others[i]};
		int err = nr_fiber_start(scheduler, &start, &others[half]);

		if (err < 0)
			die("fiber", err);
	}
}

static void turn(struct nr_scheduler *scheduler, uint64_t until)
{
	while (handed_over < until) {
		int err = nr_scheduler_turn(scheduler, NR_NEVER);

		if (err < 0)
			die("turn", err);
	}
}

static double park_ns(unsigned count)
{
	struct nr_scheduler_options options = {.engine = &nr_engine_epoll,
	                                       .stack_size = STACK,
	                                       .max = count,
	                                       .stall = NR_NEVER};
	struct nr_fiber **others = calloc(count, sizeof(struct nr_fiber *));
	struct nr_scheduler *scheduler;
	int err = nr_scheduler_open(&scheduler, &options);
	double began;

	if (err < 0 || !others)
		die("scheduler", err < 0 ? err : -ENOMEM);
	handed_over = 0;
	over = false;
	start_fibers(scheduler, others, count);
	turn(scheduler, 4 * (uint64_t)count);
	began = now_ns();
	handed_over = 0;
	turn(scheduler, SWITCHES);
	began = (now_ns() - began) / (double)handed_over;
	over = true;
	nr_scheduler_cancel(scheduler);
	while (nr_scheduler_count(scheduler) > 0)
		if (nr_scheduler_turn(scheduler, NR_NEVER) < 0)
			die("turn", -ENOMEM);
	nr_scheduler_close(scheduler);
	free(others);
	return began;
}

int main(void)
{
	static const unsigned counts[] = {1000, 10000, 100000};

	printf("{\"hot_ns\": %.3f, \"fibers\": [", switch_ns(2, HOT_SWITCHES));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		printf("%s{\"count\": %u, \"ns\": %.2f, \"park_ns\": %.2f}",
		       i ? ", " : "", counts[i], switch_ns(counts[i], SWITCHES),
		       park_ns(counts[i]));
	printf("]}\n");
	return 0;
}
