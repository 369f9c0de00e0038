/* SPDX-License-Identifier: MIT */
/* Places that threads and fibers want at the same time. */
#include "conv/places.h"

#include <errno.h>
#include <stdlib.h>

#include "base/time.h"
#include "conv/strand.h"
#include "os/os_time.h"
#include "strands.h"
#include "unit.h"

#define MOST   3
#define ROUNDS 2000

static struct nr_places places;
static _Atomic unsigned inside, most, taken;

static void take_in_turn(unsigned seed)
{
	struct nr_strand *self = nr_strand_self();

	for (unsigned i = 0; i < ROUNDS; i++) {
		int err = 0;
		unsigned now, seen;

		if (!nr_places_try(&places))
			err = nr_places_take(&places, self,
			                     i % 16 == seed % 16
			                             ? nr_now() + 20000
			                             : NR_NEVER);
		if (err < 0) {
			assert_int_equal(err, -ETIMEDOUT);
			continue;
		}
		now = atomic_fetch_add(&inside, 1) + 1;
		seen = atomic_load(&most);
		while (now > seen &&
		       !atomic_compare_exchange_weak(&most, &seen, now))
			;
		taken++;
		/* Lets others come while it has one. */
		if (i % 16 == seed % 7)
			(void)self->io->ops->sleep(self->io, nr_now() + 1000);
		atomic_fetch_sub(&inside, 1);
		nr_places_give(&places);
	}
}

static void test_many_strands_are_never_more_than_places(void **state)
{
	(void)state;
	inside = most = taken = 0;
	strands_contend(take_in_turn);
	assert_int_equal(most, MOST);
	/* All that had no time limit came to one. */
	assert_true(taken >= STRANDS * ROUNDS / 16 * 15);
	/* And none is left behind. */
	assert_int_equal(nr_places_taken(&places), 0);
}

static void take_all(void)
{
	for (unsigned i = 0; i < MOST; i++)
		assert_true(nr_places_try(&places));
	assert_false(nr_places_try(&places));
}

static void give_all(void)
{
	assert_int_equal(nr_places_taken(&places), MOST);
	for (unsigned i = 0; i < MOST; i++)
		nr_places_give(&places);
}

static bool try_place(void)
{
	return nr_places_try(&places);
}

static int take_place(struct nr_strand *self, int64_t until)
{
	return nr_places_take(&places, self, until);
}

static void give_place(void)
{
	nr_places_give(&places);
}

static const struct strands_contended contended = {try_place, take_place,
                                                   give_place};

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

static char order[8];
static unsigned order_len, stopped;

static void take_one(void *arg)
{
	struct nr_strand_fiber strand;

	(void)arg;
	nr_strand_fiber_init(&strand, &strands_helpers);
	assert_int_equal(nr_places_take(&places, &strand.strand, NR_NEVER), 0);
	order_len++;
	nr_places_give(&places);
	nr_strand_fiber_fini(&strand);
}

static void be_cancelled(void *arg)
{
	struct nr_strand_fiber strand;

	(void)arg;
	nr_strand_fiber_init(&strand, &strands_helpers);
	assert_int_equal(nr_places_take(&places, &strand.strand, NR_NEVER),
	                 -ECANCELED);
	stopped++;
	nr_strand_fiber_fini(&strand);
}

static void test_cancelled_wait_leaves_its_place_in_line(void **state)
{
	struct nr_scheduler *scheduler = strands_scheduler();
	struct nr_fiber *first;

	(void)state;
	order_len = stopped = 0;
	take_all();
	first = strands_start(scheduler, be_cancelled, NULL);
	strands_start(scheduler, take_one, NULL);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	nr_fiber_cancel(first);
	/* It is told in one turn, and runs in the next. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(stopped, 1);
	nr_places_give(&places);
	strands_run(scheduler);
	assert_int_equal(order_len, 1);
	assert_true(nr_places_try(&places));
	give_all();
}

static void be_stopped(void *arg)
{
	struct nr_strand_fiber strand;

	(void)arg;
	nr_strand_fiber_init(&strand, &strands_helpers);
	assert_int_equal(nr_places_take(&places, &strand.strand, NR_NEVER),
	                 NR_STOPPED);
	stopped++;
	/* Who comes later does not begin to wait. */
	assert_int_equal(nr_places_take(&places, &strand.strand, NR_NEVER),
	                 NR_STOPPED);
	nr_strand_fiber_fini(&strand);
}

static void *be_stopped_in_thread(void *arg)
{
	assert_int_equal(nr_places_take(&places, nr_strand_self(), NR_NEVER),
	                 NR_STOPPED);
	return arg;
}

static void test_closed_places_let_nobody_wait(void **state)
{
	struct nr_scheduler *scheduler = strands_scheduler();
	pthread_t thread;

	(void)state;
	stopped = 0;
	take_all();
	assert_int_equal(pthread_create(&thread, NULL, be_stopped_in_thread,
	                                NULL),
	                 0);
	for (int i = 0; i < 3; i++)
		strands_start(scheduler, be_stopped, NULL);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(stopped, 0);
	nr_places_close(&places);
	strands_run(scheduler);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(stopped, 3);
	/* One that is free can be had still. */
	nr_places_give(&places);
	assert_int_equal(nr_places_take(&places, nr_strand_self(), NR_NEVER),
	                 0);
	give_all();
}

static unsigned calls;

static void note_call(struct nr_place_wait *wait)
{
	calls++;
	order[order_len++] = wait->got ? 'g' : '-';
}

static void test_who_is_elsewhere_is_called_back(void **state)
{
	struct nr_place_wait wait[3] = {{.call = note_call},
	                                {.call = note_call},
	                                {.call = note_call}};

	(void)state;
	calls = order_len = 0;
	for (unsigned i = 0; i < MOST - 1; i++)
		assert_true(nr_places_try(&places));
	/* One that is free is had at once, without a call. */
	assert_true(nr_places_queue(&places, &wait[0]));
	assert_false(nr_places_queue(&places, &wait[0]));
	assert_false(nr_places_queue(&places, &wait[1]));
	assert_false(nr_places_queue(&places, &wait[2]));
	assert_int_equal(calls, 0);
	assert_true(nr_places_leave(&places, &wait[0]));
	nr_places_give(&places);
	assert_int_equal(calls, 1);
	assert_true(wait[1].got);
	assert_false(wait[0].got || wait[2].got);
	assert_false(nr_places_leave(&places, &wait[1]));
	nr_places_close(&places);
	assert_int_equal(calls, 2);
	assert_memory_equal(order, "g-", 2);
	assert_true(nr_places_leave(&places, &wait[2]));
	give_all();
}

static int set_up(void **state)
{
	(void)state;
	strands_set_up();
	nr_places_init(&places, MOST);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(nr_places_taken(&places), 0);
	nr_places_fini(&places);
	strands_tear_down();
	return 0;
}

#define CASE(function)                                                         \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(test_many_strands_are_never_more_than_places),
		CASE(test_first_come_is_first_served),
		CASE(test_who_gives_up_is_forgotten),
		CASE(test_cancelled_wait_leaves_its_place_in_line),
		CASE(test_closed_places_let_nobody_wait),
		CASE(test_who_is_elsewhere_is_called_back),
	};

	return RUN("places", cases);
}
