/* SPDX-License-Identifier: MIT */
/* Times that cannot overflow. */
#include "base/time.h"

#include "os/os_time.h"
#include "unit.h"

static void test_milliseconds_become_nanoseconds_or_never(void **state)
{
	(void)state;
	assert_true(nr_ns_from_ms(0) == 0);
	assert_true(nr_ns_from_ms(1500) == 1500000000);
	assert_true(nr_ns_from_ms(NR_NEVER / NR_NS_PER_MS) < NR_NEVER);
	assert_true(nr_ns_from_ms(NR_NEVER / NR_NS_PER_MS + 1) == NR_NEVER);
	assert_true(nr_ns_from_ms(INT64_MAX) == NR_NEVER);
}

static void test_sum_stops_at_never(void **state)
{
	(void)state;
	assert_true(nr_time_add(1, 2) == 3);
	assert_true(nr_time_add(0, NR_NEVER) == NR_NEVER);
	assert_true(nr_time_add(1, NR_NEVER) == NR_NEVER);
	assert_true(nr_time_add(NR_NEVER, NR_NEVER) == NR_NEVER);
	assert_true(nr_time_add(NR_NEVER - 1, 1) == NR_NEVER);
	assert_true(nr_time_add(NR_NEVER - 2, 1) == NR_NEVER - 1);
}

static void test_clock_never_goes_back(void **state)
{
	int64_t before = nr_now();

	(void)state;
	assert_true(before > 0);
	for (int i = 0; i < 1000; i++) {
		int64_t now = nr_now();

		assert_true(now >= before);
		before = now;
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_milliseconds_become_nanoseconds_or_never),
		cmocka_unit_test(test_sum_stops_at_never),
		cmocka_unit_test(test_clock_never_goes_back),
	};

	return RUN("time", cases);
}
