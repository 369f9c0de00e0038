/* SPDX-License-Identifier: MIT */
/* Option structs of programs that were built with another header. */
#include "base/options.h"

#include <errno.h>
#include <string.h>

#include "naru.h"
#include "unit.h"

struct own {
	size_t size;
	int first, second;
};

/* What a later header may have made of it. */
struct newer {
	size_t size;
	int first, second, third;
	char tail[64];
};

static void test_null_means_all_defaults(void **state)
{
	struct own own = {1, 2, 3};

	(void)state;
	assert_int_equal(nr_options_take(&own, sizeof(own), NULL), 0);
	assert_int_equal(own.size, 0);
	assert_int_equal(own.second, 0);
}

static void test_older_struct_leaves_new_fields_zero(void **state)
{
	struct own own = {0}, given = {offsetof(struct own, second), 7, 0x5a5a};

	(void)state;
	assert_int_equal(nr_options_take(&own, sizeof(own), &given), 0);
	assert_int_equal(own.first, 7);
	assert_int_equal(own.second, 0);
}

static void test_newer_struct_with_zero_tail_is_taken(void **state)
{
	struct newer given;
	struct own own;

	(void)state;
	/* Its padding too. */
	memset(&given, 0, sizeof(given));
	given.size = sizeof(given);
	given.first = 1;
	given.second = 2;
	assert_int_equal(nr_options_take(&own, sizeof(own), &given), 0);
	assert_int_equal(own.first, 1);
	assert_int_equal(own.second, 2);
}

static void test_newer_struct_with_a_set_field_is_refused(void **state)
{
	struct newer given = {sizeof(given), 1, 2, 3, {0}};
	struct own own;

	(void)state;
	assert_int_equal(nr_options_take(&own, sizeof(own), &given), -E2BIG);
	given.third = 0;
	given.tail[63] = 1;
	assert_int_equal(nr_options_take(&own, sizeof(own), &given), -E2BIG);
}

static void test_impossible_size_is_refused(void **state)
{
	static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 4097,
	                               SIZE_MAX};
	struct own own, given = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		given.size = sizes[i];
		assert_int_equal(nr_options_take(&own, sizeof(own), &given),
		                 -EINVAL);
	}
}

/* The public structs take the same way. */
static void test_server_takes_older_and_newer_options(void **state)
{
	union {
		struct naru_options options;
		char space[sizeof(struct naru_options) + 32];
	} given = {.options = {.size = sizeof(given), .workers = 3}};
	struct naru_server *server;

	(void)state;
	assert_int_equal(naru_server_new(&server, &given.options), 0);
	naru_server_free(server);
	given.space[sizeof(given.space) - 1] = 1;
	assert_int_equal(naru_server_new(&server, &given.options), -E2BIG);
	given.options.size = offsetof(struct naru_options, workers);
	given.options.workers = 1000000;
	assert_int_equal(naru_server_new(&server, &given.options), 0);
	naru_server_free(server);
	given.options.size = 0;
	assert_int_equal(naru_server_new(&server, &given.options), -EINVAL);
}

static void test_dial_takes_older_and_newer_options(void **state)
{
	union {
		struct naru_dial_options options;
		char space[sizeof(struct naru_dial_options) + 32];
	} given = {.options = {.size = sizeof(given)}};
	struct naru_conv *conv;

	(void)state;
	assert_int_equal(naru_dial(&conv, "tcp://1.2.3", &given.options),
	                 -NARU_EENDPOINT);
	given.space[sizeof(given.space) - 1] = 1;
	assert_int_equal(naru_dial(&conv, "tcp://1.2.3", &given.options),
	                 -E2BIG);
	given.options.size = sizeof(size_t);
	given.options.timeout_ms = -1;
	assert_int_equal(naru_dial(&conv, "tcp://1.2.3", &given.options),
	                 -NARU_EENDPOINT);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_null_means_all_defaults),
		cmocka_unit_test(test_older_struct_leaves_new_fields_zero),
		cmocka_unit_test(test_newer_struct_with_zero_tail_is_taken),
		cmocka_unit_test(test_newer_struct_with_a_set_field_is_refused),
		cmocka_unit_test(test_impossible_size_is_refused),
		cmocka_unit_test(test_server_takes_older_and_newer_options),
		cmocka_unit_test(test_dial_takes_older_and_newer_options),
	};

	return RUN("options", cases);
}
