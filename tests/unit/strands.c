/* SPDX-License-Identifier: MIT */
/* Strands of both kinds: see strands.h. */
#include "strands.h"

#include <errno.h>
#include <pthread.h>

#include "base/time.h"
#include "os/os_time.h"
#include "unit.h"

struct nr_helpers strands_helpers;

static void (*contend)(unsigned seed);

void strands_set_up(void)
{
	nr_helpers_init(&strands_helpers, 1, NR_STACK_SIZE_DEFAULT);
}

void strands_tear_down(void)
{
	nr_helpers_fini(&strands_helpers);
}

struct nr_scheduler *strands_scheduler(void)
{
	const struct nr_scheduler_options options = {
		.engine = &nr_engine_epoll,
		.stack_size = (size_t)128 * 1024,
		.max = 64,
		.stall = NR_NEVER,
	};
	struct nr_scheduler *scheduler = NULL;

	assert_int_equal(nr_scheduler_open(&scheduler, &options), 0);
	return scheduler;
}

struct nr_fiber *strands_start(struct nr_scheduler *scheduler,
                               void (*fn)(void *arg), void *arg)
{
	const struct nr_fiber_start how = {.fn = fn, .arg = arg};
	struct nr_fiber *fiber;

	assert_int_equal(nr_fiber_start(scheduler, &how, &fiber), 0);
	return fiber;
}

void strands_run(struct nr_scheduler *scheduler)
{
	/* In a turn the last one may end, and nobody ends the wait after it. */
	while (nr_scheduler_count(scheduler) > 0)
		assert_int_equal(nr_scheduler_turn(scheduler,
		                                   nr_now() + 2 * NR_NS_PER_MS),
		                 0);
	nr_scheduler_close(scheduler);
}

static void fiber_main(void *arg)
{
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, &strands_helpers);
	contend((unsigned)(uintptr_t)arg);
	nr_strand_fiber_fini(&strand);
}

static void *worker_main(void *arg)
{
	struct nr_scheduler *scheduler = strands_scheduler();

	for (uintptr_t i = 0; i < STRANDS_FIBERS; i++)
		strands_start(scheduler, fiber_main, (void *)(i * 7 + 1));
	strands_run(scheduler);
	return arg;
}

static void *plain_main(void *arg)
{
	contend(5);
	return arg;
}

void strands_contend(void (*fn)(unsigned seed))
{
	pthread_t threads[STRANDS_WORKERS + STRANDS_PLAIN];

	contend = fn;
	for (int i = 0; i < STRANDS_WORKERS + STRANDS_PLAIN; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		                                i < STRANDS_WORKERS
		                                        ? worker_main
		                                        : plain_main,
		                                NULL),
		                 0);
	for (int i = 0; i < STRANDS_WORKERS + STRANDS_PLAIN; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Takes all of it; returns how much there was. */
static unsigned take_all(const struct strands_contended *what)
{
	unsigned count = 0;

	while (what->try())
		count++;
	return count;
}

static void give_all(const struct strands_contended *what, unsigned count)
{
	while (count-- > 0)
		what->give();
}

static const struct strands_contended *wanted;
static char order[8];
static unsigned order_len;

static void take_and_note(void *arg)
{
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, &strands_helpers);
	assert_int_equal(wanted->take(&strand.strand, NR_NEVER), 0);
	order[order_len++] = *(const char *)arg;
	/* Whoever asks now is behind those that wait. */
	assert_false(wanted->try());
	wanted->give();
	nr_strand_fiber_fini(&strand);
}

void strands_come_in_turn(const struct strands_contended *what)
{
	static char letters[] = "abcd";
	struct nr_scheduler *scheduler = strands_scheduler();
	unsigned all = take_all(what);

	wanted = what;
	order_len = 0;
	for (int i = 0; i < 4; i++)
		strands_start(scheduler, take_and_note, &letters[i]);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(order_len, 0);
	what->give();
	/* It was handed on: nobody overtakes who was promised it. */
	assert_false(what->try());
	strands_run(scheduler);
	assert_memory_equal(order, "abcd", 4);
	assert_true(what->try());
	give_all(what, all);
}

static unsigned timed_out;

static void give_up(void *arg)
{
	struct nr_strand_fiber strand;

	(void)arg;
	nr_strand_fiber_init(&strand, &strands_helpers);
	assert_int_equal(wanted->take(&strand.strand, nr_now() + NR_NS_PER_MS),
	                 -ETIMEDOUT);
	timed_out++;
	/* A time that is past is no wait. */
	assert_int_equal(wanted->take(&strand.strand, 1), -ETIMEDOUT);
	nr_fiber_cancel(strand.fiber);
	assert_int_equal(wanted->take(&strand.strand, NR_NEVER), -ECANCELED);
	nr_strand_fiber_fini(&strand);
}

void strands_give_up(const struct strands_contended *what)
{
	struct nr_scheduler *scheduler = strands_scheduler();
	unsigned all = take_all(what);

	wanted = what;
	timed_out = 0;
	for (int i = 0; i < 3; i++)
		strands_start(scheduler, give_up, NULL);
	strands_run(scheduler);
	assert_int_equal(timed_out, 3);
	/* Nobody is left whom it would be handed to. */
	what->give();
	assert_true(what->try());
	give_all(what, all);
}
