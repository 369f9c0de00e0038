/* SPDX-License-Identifier: MIT */
/* Foreign bytes made safe to log. */
#include "base/escape.h"

#include <errno.h>
#include <string.h>

#include "unit.h"

static void test_escape_printable_is_kept(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(nr_escape("a b~", 4, buf, sizeof(buf)), 4);
	assert_string_equal(buf, "a b~");
}

static void test_escape_others_are_written_as_hex(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(nr_escape("\0\n\x1b\x7f\xff\\", 6, buf, sizeof(buf)),
	                 22);
	assert_string_equal(buf, "\\x00\\x0a\\x1b\\x7f\\xff\\\\");
}

static void test_escape_every_byte_is_printable_afterwards(void **state)
{
	char buf[8];

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char c = (char)byte;
		int n = nr_escape(&c, 1, buf, sizeof(buf));

		assert_in_range(n, 1, 4);
		assert_int_equal(strlen(buf), n);
		for (int i = 0; i < n; i++)
			assert_in_range(buf[i], ' ', '~');
	}
}

static void test_escape_small_buffer_is_left_empty(void **state)
{
	char buf[5] = "xxxx";

	(void)state;
	assert_int_equal(nr_escape("\n", 1, buf, 4), -ENOSPC);
	assert_string_equal(buf, "");
	assert_int_equal(nr_escape("\n", 1, buf, 5), 4);
	assert_int_equal(nr_escape("abcde", 5, buf, 5), -ENOSPC);
	assert_int_equal(nr_escape("abcd", 4, buf, 5), 4);
	assert_int_equal(nr_escape("", 0, buf, 1), 0);
	assert_int_equal(nr_escape("", 0, buf, 0), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_escape_printable_is_kept),
		cmocka_unit_test(test_escape_others_are_written_as_hex),
		cmocka_unit_test(
			test_escape_every_byte_is_printable_afterwards),
		cmocka_unit_test(test_escape_small_buffer_is_left_empty),
	};

	return RUN("escape", cases);
}
