/* SPDX-License-Identifier: MIT */
/* Locks that threads and fibers want at the same time. */
#include "conv/lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/time.h"
#include "conv/strand.h"
#include "conv/strand_fiber.h"
#include "os/os_time.h"
#include "unit.h"

#define WORKERS 2 /* threads with a scheduler each */
#define FIBERS  8 /* on each of them */
#define PLAIN   2 /* threads without */
#define ROUNDS  2000

static struct nr_lock lock;
static struct nr_helpers helpers;
/* Under the lock, and not atomic: the thread sanitizer tells of any mistake. */
static unsigned long held, inside, timed_out;
static _Atomic unsigned long taken;

/* With the lock held: lets others come while it is, where that is asked. */
static void use_lock(struct nr_strand *self, bool wait)
{
	assert_int_equal(inside, 0);
	inside = 1;
	if (wait)
		(void)self->io->ops->sleep(self->io, nr_now() + 1000);
	held++;
	inside = 0;
}

static void take_in_turn(unsigned seed)
{
	struct nr_strand *self = nr_strand_self();

	for (unsigned i = 0; i < ROUNDS; i++) {
		int err = 0;

		if (!nr_lock_try(&lock))
			err = nr_lock_until(&lock, self,
			                    i % 16 == seed % 16
			                            ? nr_now() + 20000
			                            : NR_NEVER);
		if (err == 0) {
			use_lock(self, i % 64 == seed % 64);
			taken++;
			nr_lock_release(&lock);
		} else {
			assert_int_equal(err, -ETIMEDOUT);
		}
	}
}

static void fiber_main(void *arg)
{
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, &helpers);
	take_in_turn((unsigned)(uintptr_t)arg);
	nr_strand_fiber_fini(&strand);
}

static struct nr_scheduler *open_scheduler(void)
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

static void start(struct nr_scheduler *scheduler, void (*fn)(void *arg),
                  void *arg)
{
	const struct nr_fiber_start how = {.fn = fn, .arg = arg};
	struct nr_fiber *fiber;

	assert_int_equal(nr_fiber_start(scheduler, &how, &fiber), 0);
}

static void run_all(struct nr_scheduler *scheduler)
{
	/* In a turn the last one may end, and nobody ends the wait after it. */
	while (nr_scheduler_count(scheduler) > 0)
		assert_int_equal(nr_scheduler_turn(scheduler,
		                                   nr_now() + 2 * NR_NS_PER_MS),
		                 0);
	nr_scheduler_close(scheduler);
}

static void *worker_main(void *arg)
{
	struct nr_scheduler *scheduler = open_scheduler();

	for (uintptr_t i = 0; i < FIBERS; i++)
		start(scheduler, fiber_main, (void *)(i * 7 + 1));
	run_all(scheduler);
	return arg;
}

static void *plain_main(void *arg)
{
	take_in_turn(5);
	return arg;
}

static void test_threads_and_fibers_exclude_each_other(void **state)
{
	pthread_t threads[WORKERS + PLAIN];

	(void)state;
	taken = 0;
	held = 0;
	for (int i = 0; i < WORKERS + PLAIN; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		                                i < WORKERS ? worker_main
		                                            : plain_main,
		                                NULL),
		                 0);
	for (int i = 0; i < WORKERS + PLAIN; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(held, taken);
	/* All that had no time limit came to it. */
	assert_true(taken >= (WORKERS * FIBERS + PLAIN) * ROUNDS / 16 * 15);
	/* And it is free. */
	assert_true(nr_lock_try(&lock));
	nr_lock_release(&lock);
}

/* Who waited first has it first. */
static char order[8];
static unsigned order_len;

static void take_and_note(void *arg)
{
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, &helpers);
	assert_int_equal(nr_lock_until(&lock, &strand.strand, NR_NEVER), 0);
	order[order_len++] = *(const char *)arg;
	/* Whoever asks now is behind those that wait. */
	assert_false(nr_lock_try(&lock));
	nr_lock_release(&lock);
	nr_strand_fiber_fini(&strand);
}

static void test_first_come_is_first_served(void **state)
{
	static char letters[] = "abcd";
	struct nr_scheduler *scheduler = open_scheduler();

	(void)state;
	order_len = 0;
	assert_true(nr_lock_try(&lock));
	for (int i = 0; i < 4; i++)
		start(scheduler, take_and_note, &letters[i]);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(order_len, 0);
	nr_lock_release(&lock);
	/* It was handed on: nobody overtakes who was promised it. */
	assert_false(nr_lock_try(&lock));
	run_all(scheduler);
	assert_memory_equal(order, "abcd", 4);
	assert_true(nr_lock_try(&lock));
	nr_lock_release(&lock);
}

static void give_up(void *arg)
{
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, &helpers);
	assert_int_equal(nr_lock_until(&lock, &strand.strand,
	                               nr_now() + NR_NS_PER_MS),
	                 -ETIMEDOUT);
	timed_out++;
	/* A time that is past is no wait. */
	assert_int_equal(nr_lock_until(&lock, &strand.strand, 1), -ETIMEDOUT);
	nr_fiber_cancel(strand.fiber);
	assert_int_equal(nr_lock_until(&lock, &strand.strand, NR_NEVER),
	                 -ECANCELED);
	nr_strand_fiber_fini(&strand);
	(void)arg;
}

static void test_who_gives_up_is_forgotten(void **state)
{
	struct nr_scheduler *scheduler = open_scheduler();

	(void)state;
	timed_out = 0;
	assert_true(nr_lock_try(&lock));
	for (int i = 0; i < 3; i++)
		start(scheduler, give_up, NULL);
	run_all(scheduler);
	assert_int_equal(timed_out, 3);
	nr_lock_release(&lock);
	assert_true(nr_lock_try(&lock));
	nr_lock_release(&lock);
}

static int set_up(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 1, NR_STACK_SIZE_DEFAULT);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nr_helpers_fini(&helpers);
	return 0;
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(
			test_threads_and_fibers_exclude_each_other, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(test_first_come_is_first_served,
	                                        set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_gives_up_is_forgotten,
	                                        set_up, tear_down),
	};

	return RUN("lock", cases);
}
