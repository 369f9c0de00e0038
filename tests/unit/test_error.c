/* SPDX-License-Identifier: MIT */
/* What error numbers mean. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "naru.h"
#include "unit.h"

static void test_own_errors_have_name_and_text(void **state)
{
	(void)state;
	for (int err = NARU_ECUT; err <= NARU_ECERT; err++) {
		assert_string_not_equal(naru_strerror(err), "unknown error");
		assert_string_not_equal(naru_errname(err), "EUNKNOWN");
	}
	assert_string_equal(naru_errname(NARU_ECUT), "NARU_ECUT");
	assert_string_equal(naru_errname(NARU_ETOOBIG), "NARU_ETOOBIG");
	assert_string_equal(naru_errname(NARU_EENDPOINT), "NARU_EENDPOINT");
	assert_string_equal(naru_errname(NARU_ENONAME), "NARU_ENONAME");
	assert_string_equal(naru_errname(NARU_ERESOLVE), "NARU_ERESOLVE");
	assert_string_equal(naru_errname(NARU_ESELF), "NARU_ESELF");
}

static void test_sign_does_not_matter(void **state)
{
	(void)state;
	assert_string_equal(naru_errname(-ECONNRESET), "ECONNRESET");
	assert_string_equal(naru_errname(ECONNRESET), "ECONNRESET");
	assert_ptr_equal(naru_strerror(-NARU_ECUT), naru_strerror(NARU_ECUT));
	assert_ptr_equal(naru_strerror(-EPIPE), naru_strerror(EPIPE));
}

static void test_unknown_numbers_are_said_to_be(void **state)
{
	static const int unknown[] = {9999,    NARU_ECUT - 1, NARU_ECERT + 1,
	                              INT_MAX, -INT_MAX,      INT_MIN};

	(void)state;
	for (size_t i = 0; i < COUNT(unknown); i++) {
		assert_string_equal(naru_strerror(unknown[i]), "unknown error");
		assert_string_equal(naru_errname(unknown[i]), "EUNKNOWN");
	}
}

static void test_version_is_the_headers(void **state)
{
	char *end;

	(void)state;
	assert_int_equal(strtol(naru_version(), &end, 10), NARU_VERSION_MAJOR);
	assert_int_equal(strtol(end + 1, &end, 10), NARU_VERSION_MINOR);
	assert_int_equal(strtol(end + 1, &end, 10), NARU_VERSION_PATCH);
	assert_int_equal(*end, '\0');
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_own_errors_have_name_and_text),
		cmocka_unit_test(test_sign_does_not_matter),
		cmocka_unit_test(test_unknown_numbers_are_said_to_be),
		cmocka_unit_test(test_version_is_the_headers),
	};

	return RUN("error", cases);
}
