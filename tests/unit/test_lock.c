/* SPDX-License-Identifier: MIT */
/* Locks that threads and fibers want at the same time. */
#include "conv/lock.h"

#include <errno.h>
#include <stdlib.h>

#include "base/time.h"
#include "conv/strand.h"
#include "os/os_time.h"
#include "strands.h"
#include "unit.h"

#define ROUNDS 2000

static struct nr_lock lock;
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

static void test_threads_and_fibers_exclude_each_other(void **state)
{
	(void)state;
	taken = 0;
	held = 0;
	strands_contend(take_in_turn);
	assert_int_equal(held, taken);
	/* All that had no time limit came to it. */
	assert_true(taken >= STRANDS * ROUNDS / 16 * 15);
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

	nr_strand_fiber_init(&strand, &strands_helpers);
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
	struct nr_scheduler *scheduler = strands_scheduler();

	(void)state;
	order_len = 0;
	assert_true(nr_lock_try(&lock));
	for (int i = 0; i < 4; i++)
		strands_start(scheduler, take_and_note, &letters[i]);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(order_len, 0);
	nr_lock_release(&lock);
	/* It was handed on: nobody overtakes who was promised it. */
	assert_false(nr_lock_try(&lock));
	strands_run(scheduler);
	assert_memory_equal(order, "abcd", 4);
	assert_true(nr_lock_try(&lock));
	nr_lock_release(&lock);
}

static void give_up(void *arg)
{
	struct nr_strand_fiber strand;

	nr_strand_fiber_init(&strand, &strands_helpers);
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
	struct nr_scheduler *scheduler = strands_scheduler();

	(void)state;
	timed_out = 0;
	assert_true(nr_lock_try(&lock));
	for (int i = 0; i < 3; i++)
		strands_start(scheduler, give_up, NULL);
	strands_run(scheduler);
	assert_int_equal(timed_out, 3);
	nr_lock_release(&lock);
	assert_true(nr_lock_try(&lock));
	nr_lock_release(&lock);
}

static int set_up(void **state)
{
	(void)state;
	strands_set_up();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	strands_tear_down();
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
