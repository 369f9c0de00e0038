/* SPDX-License-Identifier: MIT */
/* Pauses between tries: they grow, have a bound, and are never all the same. */
#include "client/backoff.h"

#include "base/time.h"
#include "unit.h"

static const struct nr_backoff backoff = {100 * NR_NS_PER_MS, 2 * NR_NS_PER_S};

/* A generator of known numbers: xorshift64. */
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void test_longest_pauses_double_up_to_the_bound(void **state)
{
	static const int64_t longest[] = {100, 200, 400, 800, 1600, 2000, 2000};

	(void)state;
	for (unsigned i = 0; i < COUNT(longest); i++)
		assert_int_equal(nr_backoff_pause(&backoff, i + 1, 0),
		                 longest[i] * NR_NS_PER_MS);
	assert_int_equal(nr_backoff_pause(&backoff, 1000000, 0),
	                 2000 * NR_NS_PER_MS);
}

static void test_pause_is_shortened_by_up_to_a_half(void **state)
{
	uint64_t seed = 20261120;
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t pause = nr_backoff_pause(&backoff, 3, next(&seed));

		assert_in_range(pause, 200 * NR_NS_PER_MS, 400 * NR_NS_PER_MS);
		least = pause < least ? pause : least;
		most = pause > most ? pause : most;
	}
	/* All of the range is used. */
	assert_true(least < 201 * NR_NS_PER_MS);
	assert_true(most > 399 * NR_NS_PER_MS);
}

static void test_pauses_of_two_differ(void **state)
{
	uint64_t seed = 7, other = 8;
	int same = 0;

	(void)state;
	for (unsigned i = 1; i < 100; i++)
		same += nr_backoff_pause(&backoff, i, next(&seed)) ==
		        nr_backoff_pause(&backoff, i, next(&other));
	assert_int_equal(same, 0);
}

static void test_largest_numbers_do_not_overflow(void **state)
{
	const struct nr_backoff ever = {INT64_MAX, INT64_MAX};
	const struct nr_backoff grows = {1, INT64_MAX};
	const struct nr_backoff least = {1, 1};

	(void)state;
	assert_int_equal(nr_backoff_pause(&ever, 1, 0), INT64_MAX);
	assert_int_equal(nr_backoff_pause(&grows, 1000, 0), INT64_MAX);
	assert_true(nr_backoff_pause(&ever, 9, UINT64_MAX) > 0);
	assert_in_range(nr_backoff_pause(&least, 5, UINT64_MAX), 1, 1);
}

static void test_first_pause_above_the_bound_is_the_bound(void **state)
{
	const struct nr_backoff narrow = {500, 200};

	(void)state;
	assert_int_equal(nr_backoff_pause(&narrow, 1, 0), 200);
	assert_int_equal(nr_backoff_pause(&narrow, 4, 0), 200);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_longest_pauses_double_up_to_the_bound),
		cmocka_unit_test(test_pause_is_shortened_by_up_to_a_half),
		cmocka_unit_test(test_pauses_of_two_differ),
		cmocka_unit_test(test_largest_numbers_do_not_overflow),
		cmocka_unit_test(test_first_pause_above_the_bound_is_the_bound),
	};

	return RUN("backoff", cases);
}
