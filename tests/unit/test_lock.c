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
static unsigned long held, inside;
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

static bool try_lock(void)
{
	return nr_lock_try(&lock);
}

static int take_lock(struct nr_strand *self, int64_t until)
{
	return nr_lock_until(&lock, self, until);
}

static void release_lock(void)
{
	nr_lock_release(&lock);
}

static const struct strands_contended contended = {try_lock, take_lock,
                                                   release_lock};

static void test_first_come_is_first_served(void **state)
{
	(void)state;
	strands_come_in_turn(&contended);
}

static void test_who_gives_up_is_forgotten(void **state)
{
	(void)state;
	strands_give_up(&contended);
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
