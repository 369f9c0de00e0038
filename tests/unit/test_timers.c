/* SPDX-License-Identifier: MIT */
/* The timing wheel, next to a model that knows each timer's time and looks
 * through all of them. */
#include "fiber/timers.h"

#include <stdbool.h>

#include "base/time.h"
#include "unit.h"

#define TICK   (INT64_C(1) << NR_TIMER_TICK_BITS)
#define TIMERS 300
#define START  (1234567 * TICK + 4321)

static struct nr_timers wheel;
static struct nr_timer timers[TIMERS];

static int set_up(void **state)
{
	(void)state;
	nr_timers_init(&wheel, START);
	for (int i = 0; i < TIMERS; i++)
		nr_timer_init(&timers[i]);
	return 0;
}

static int64_t rounded_up(int64_t at)
{
	return (at + TICK - 1) / TICK * TICK;
}

/* Sleeps until the wheel wants to be turned, and so on until a timer expires.
 * Returns how often that was. */
static int wakes_until_expired(int64_t *now, struct nr_timer **ret_timer)
{
	for (int wakes = 1;; wakes++) {
		int64_t next = nr_timers_next(&wheel);

		assert_true(next > *now && next != NR_NEVER);
		*now = next;
		*ret_timer = nr_timers_expire(&wheel, next);
		if (*ret_timer)
			return wakes;
	}
}

static void test_empty_wheel_waits_for_ever(void **state)
{
	(void)state;
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
	assert_null(nr_timers_expire(&wheel, START));
	assert_null(nr_timers_expire(&wheel, START + 1000 * NR_NS_PER_S));
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
}

static void test_timer_never_expires_early(void **state)
{
	int64_t at = START + 5 * TICK + 1;

	(void)state;
	nr_timers_set(&wheel, &timers[0], at);
	assert_null(nr_timers_expire(&wheel, at - 1));
	assert_true(nr_timers_next(&wheel) == rounded_up(at));
	assert_null(nr_timers_expire(&wheel, rounded_up(at) - 1));
	assert_ptr_equal(nr_timers_expire(&wheel, rounded_up(at)), &timers[0]);
	assert_null(nr_timers_expire(&wheel, rounded_up(at)));
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
}

static void test_timer_on_a_tick_expires_with_it(void **state)
{
	int64_t at = rounded_up(START) + 7 * TICK;

	(void)state;
	nr_timers_set(&wheel, &timers[0], at);
	assert_null(nr_timers_expire(&wheel, at - 1));
	assert_ptr_equal(nr_timers_expire(&wheel, at), &timers[0]);
}

static void test_timers_of_one_tick_all_expire_in_it(void **state)
{
	int64_t at = rounded_up(START) + 9 * TICK;

	(void)state;
	for (int i = 0; i < 20; i++)
		nr_timers_set(&wheel, &timers[i], at + i);
	nr_timers_cancel(&wheel, &timers[7]);
	assert_ptr_equal(nr_timers_expire(&wheel, at), &timers[0]);
	assert_null(nr_timers_expire(&wheel, at + TICK - 1));
	for (int i = 1; i < 20; i++)
		if (i != 7)
			assert_ptr_equal(nr_timers_expire(&wheel, at + TICK),
			                 &timers[i]);
	assert_null(nr_timers_expire(&wheel, at + TICK));
}

static void test_past_time_comes_at_once(void **state)
{
	(void)state;
	nr_timers_set(&wheel, &timers[0], 0);
	nr_timers_set(&wheel, &timers[1], START - 5 * TICK);
	nr_timers_set(&wheel, &timers[2], START - 4321);
	assert_true(nr_timers_next(&wheel) <= START);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(nr_timers_expire(&wheel, START), &timers[i]);
	assert_null(nr_timers_expire(&wheel, START));
}

static void test_clock_that_stands_or_goes_back_expires_nothing(void **state)
{
	(void)state;
	assert_null(nr_timers_expire(&wheel, START + 100 * TICK));
	nr_timers_set(&wheel, &timers[0], START + 101 * TICK);
	assert_null(nr_timers_expire(&wheel, START + 100 * TICK));
	assert_null(nr_timers_expire(&wheel, 0));
	assert_ptr_equal(nr_timers_expire(&wheel, START + 102 * TICK),
	                 &timers[0]);
}

static void test_set_anew_counts_from_then(void **state)
{
	(void)state;
	nr_timers_set(&wheel, &timers[0], START + TICK);
	nr_timers_set(&wheel, &timers[0], START + 1000 * TICK);
	assert_null(nr_timers_expire(&wheel, START + 999 * TICK));
	nr_timers_set(&wheel, &timers[0], START + 5000 * TICK);
	nr_timers_set(&wheel, &timers[0], NR_NEVER);
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
	assert_null(nr_timers_expire(&wheel, START + 10000 * TICK));
}

static void test_cancel_of_unset_timer_is_no_harm(void **state)
{
	(void)state;
	nr_timers_cancel(&wheel, &timers[0]);
	nr_timers_set(&wheel, &timers[0], NR_NEVER);
	nr_timers_set(&wheel, &timers[1], START);
	assert_ptr_equal(nr_timers_expire(&wheel, START + TICK), &timers[1]);
	nr_timers_cancel(&wheel, &timers[1]);
	nr_timers_cancel(&wheel, &timers[1]);
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
}

/* One that has come, but was not taken out yet, can be taken back. */
static void test_timer_due_may_be_cancelled_or_set_anew(void **state)
{
	int64_t now = START + 3 * TICK;

	(void)state;
	for (int i = 0; i < 4; i++)
		nr_timers_set(&wheel, &timers[i], START + TICK);
	assert_ptr_equal(nr_timers_expire(&wheel, now), &timers[0]);
	nr_timers_cancel(&wheel, &timers[1]);
	nr_timers_set(&wheel, &timers[2], now + 5 * TICK);
	assert_ptr_equal(nr_timers_expire(&wheel, now), &timers[3]);
	assert_null(nr_timers_expire(&wheel, now));
	nr_timers_set(&wheel, &timers[3], now);
	assert_ptr_equal(nr_timers_expire(&wheel, now + TICK), &timers[3]);
	assert_ptr_equal(nr_timers_expire(&wheel, now + 6 * TICK), &timers[2]);
}

/* A timer that is set again whenever it expires comes once in each round,
 * also where the wheel is turned over many rounds at once. */
static void test_set_again_while_expiring_comes_once_a_round(void **state)
{
	int64_t now = START;

	(void)state;
	nr_timers_set(&wheel, &timers[0], now + 10 * TICK);
	for (int round = 0; round < 200; round++) {
		now += 100 * TICK;
		assert_ptr_equal(nr_timers_expire(&wheel, now), &timers[0]);
		nr_timers_set(&wheel, &timers[0], now + 64 * TICK);
		assert_null(nr_timers_expire(&wheel, now));
	}
}

/* On both sides of every level's borders, and from a place in the wheel that
 * is just before, on and just after one. */
static void test_borders_of_levels_are_kept(void **state)
{
	(void)state;
	for (int64_t off = -1; off <= 1; off++)
		for (int level = 1; level <= NR_TIMER_LEVELS; level++)
			for (int64_t more = -2; more <= 2; more++) {
				int64_t span = TICK
				               << (level * NR_TIMER_LEVEL_BITS);
				int64_t now = 3 * span + off * TICK;
				int64_t at = now + span + more * TICK;
				struct nr_timer *timer;

				nr_timers_init(&wheel, now);
				nr_timers_set(&wheel, &timers[0], at);
				wakes_until_expired(&now, &timer);
				assert_ptr_equal(timer, &timers[0]);
				assert_true(now == at);
			}
}

static void test_far_future_waits_its_time(void **state)
{
	const int64_t year = 365 * 86400 * NR_NS_PER_S;
	int64_t now = START;
	struct nr_timer *timer;

	(void)state;
	nr_timers_set(&wheel, &timers[0], now + 100 * year);
	nr_timers_set(&wheel, &timers[1], now + 7 * year);
	nr_timers_set(&wheel, &timers[2], NR_NEVER - 1);
	/* Every two years or so they are looked at again. */
	assert_in_range(wakes_until_expired(&now, &timer), 1, 12);
	assert_ptr_equal(timer, &timers[1]);
	assert_true(now == rounded_up(START + 7 * year));
	wakes_until_expired(&now, &timer);
	assert_ptr_equal(timer, &timers[0]);
	assert_true(now == rounded_up(START + 100 * year));
	assert_true(nr_timers_next(&wheel) > now);
	nr_timers_cancel(&wheel, &timers[2]);
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
}

static void test_clock_that_jumps_brings_all_in_order(void **state)
{
	int64_t at = 0;

	(void)state;
	for (int i = 0; i < 50; i++)
		nr_timers_set(&wheel, &timers[i],
		              START + (TICK << (i * 41 % 43)));
	for (int i = 0; i < 50; i++) {
		struct nr_timer *timer =
			nr_timers_expire(&wheel, NR_NEVER - TICK);

		assert_non_null(timer);
		assert_true(timer->at >= at);
		at = timer->at;
	}
	assert_true(nr_timers_next(&wheel) == NR_NEVER);
}

/* The model: the time of each timer of the wheel, NR_NEVER where not set, and
 * the tick that it comes with: no past one. */
static int64_t model[TIMERS];
static int64_t comes[TIMERS];
static uint64_t seed;

static uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A span of any order of magnitude, up to 2^BITS ns. */
static int64_t any_span(unsigned bits)
{
	return (int64_t)(any() >> 1 >> (63 - any() % (bits + 1)));
}

static int64_t earliest(void)
{
	int64_t first = NR_NEVER;

	for (int i = 0; i < TIMERS; i++)
		first = nr_time_min(first, model[i]);
	return first;
}

static void change_any(int64_t now)
{
	size_t i = any() % TIMERS;

	switch (any() % 8) {
	case 0:
	case 1:
		model[i] = NR_NEVER;
		nr_timers_cancel(&wheel, &timers[i]);
		return;
	case 2:
		model[i] = now - nr_time_min(now, any_span(40));
		break;
	default:
		model[i] = now + any_span(58);
	}
	comes[i] = rounded_up(model[i]);
	if (comes[i] < now / TICK * TICK)
		comes[i] = now / TICK * TICK;
	nr_timers_set(&wheel, &timers[i], model[i]);
}

/* What expires is set and its time has come, and nothing stays behind that is
 * late by a tick. An earlier tick comes first, unless timers were changed
 * meanwhile, as they are here and there. */
static int expire_like_model(int64_t now)
{
	struct nr_timer *timer;
	bool changed = false;
	int64_t before = 0;
	int count = 0;

	while ((timer = nr_timers_expire(&wheel, now))) {
		size_t i = (size_t)(timer - timers);

		assert_true(i < TIMERS);
		assert_true(timer->at == model[i] && model[i] <= now);
		assert_true(comes[i] >= before || changed);
		before = comes[i];
		model[i] = NR_NEVER;
		count++;
		if (any() % 16 == 0) {
			change_any(now);
			changed = true;
		}
	}
	assert_true(earliest() > now / TICK * TICK);
	return count;
}

static void run_like_model(int steps)
{
	int64_t now = START;
	int extra = 0;

	for (int i = 0; i < TIMERS; i++)
		model[i] = NR_NEVER;
	for (int step = 0; step < steps; step++) {
		int64_t first, next;
		bool changed = any() % 4 == 0;

		if (changed)
			for (uint64_t i = any() % 20; i > 0; i--)
				change_any(now);
		first = earliest();
		next = nr_timers_next(&wheel);
		assert_true((next == NR_NEVER) == (first == NR_NEVER));
		if (next > now && next != NR_NEVER)
			assert_true(next <= rounded_up(first));
		if (any() % 8 == 0 || next == NR_NEVER) {
			now += any_span(50);
			changed = true;
		} else if (next > now) {
			now = next;
		}
		/* To be woken for nothing is for once in each level. */
		extra = expire_like_model(now) > 0 || changed ? 0 : extra + 1;
		assert_in_range(extra, 0, NR_TIMER_LEVELS - 1);
	}
}

static void test_wheel_is_like_model(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 20; i++) {
		seed = i * UINT64_C(0x9e3779b97f4a7c15);
		set_up(NULL);
		run_like_model(3000);
	}
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup(test, set_up)
	const struct CMUnitTest cases[] = {
		CASE(test_empty_wheel_waits_for_ever),
		CASE(test_timer_never_expires_early),
		CASE(test_timer_on_a_tick_expires_with_it),
		CASE(test_timers_of_one_tick_all_expire_in_it),
		CASE(test_past_time_comes_at_once),
		CASE(test_clock_that_stands_or_goes_back_expires_nothing),
		CASE(test_set_anew_counts_from_then),
		CASE(test_cancel_of_unset_timer_is_no_harm),
		CASE(test_timer_due_may_be_cancelled_or_set_anew),
		CASE(test_set_again_while_expiring_comes_once_a_round),
		CASE(test_borders_of_levels_are_kept),
		CASE(test_far_future_waits_its_time),
		CASE(test_clock_that_jumps_brings_all_in_order),
		CASE(test_wheel_is_like_model),
	};

	return RUN("timers", cases);
}
