/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

/*
 * cmocka with what it needs before it, and the waits and checks of the test's
 * own side.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared.h"

/* Ends the test with a printf(3) text, and with what a talk found wrong. */
#define fail_with(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void check_fail(const char *file, int line, const char *format, ...)
	NARU_PRINTF(3, 4);

/* Ends the test where CONDITION does not come true in time. */
#define wait_until(condition)                                                  \
	do {                                                                   \
		int64_t wait_limit_ = clock_ms() + WAIT_MS;                    \
                                                                               \
		while (!(condition)) {                                         \
			if (clock_ms() > wait_limit_)                          \
				fail_with("never came: %s", #condition);       \
			rest();                                                \
		}                                                              \
	} while (0)

#define wait_step(number)  wait_until(atomic_load(&shared->step) >= (number))
#define wait_seen(kind, n) wait_until(atomic_load(&shared->seen[kind]) >= (n))

/* GOT must be WANT; both appear as errors where they are negative. */
#define assert_result(got, want)                                               \
	check_result(__FILE__, __LINE__, #got, (long long)(got),               \
	             (long long)(want))
void check_result(const char *file, int line, const char *what, long long got,
                  long long want);

#endif
