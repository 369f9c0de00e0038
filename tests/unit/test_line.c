/* SPDX-License-Identifier: MIT */
/* Copying a line, and finding its end: base/line.h. */
#include <string.h>

#include "base/line.h"
#include "unit.h"

#define MOST 600

static char from[MOST + 16], to[MOST + 16];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)('a' + i % 26);
}

static void test_line_without_lf_is_copied_whole(void **state)
{
	(void)state;
	fill();
	for (size_t len = 0; len <= MOST; len++) {
		memset(to, '#', sizeof(to));
		assert_true(nr_line_copy(to, from + len % 9, len));
		assert_memory_equal(to, from + len % 9, len);
		assert_int_equal(to[len], '#');
	}
}

static void test_lf_is_found_wherever_it_is(void **state)
{
	(void)state;
	fill();
	for (size_t len = 1; len <= MOST; len += len < 40 ? 1 : 37) {
		for (size_t at = 0; at < len; at++) {
			char was = from[at];

			from[at] = '\n';
			assert_false(nr_line_copy(to, from, len));
			from[at] = was;
		}
	}
}

/* Octets that differ from an LF by a bit, or by what a carry does. */
static void test_what_looks_like_lf_is_none(void **state)
{
	static const char near[] = {0,    9,          11,         '\r',
	                            0x7f, (char)0x80, (char)0x8a, (char)0xff,
	                            0x0b, 0x1a};

	(void)state;
	for (size_t i = 0; i < sizeof(near); i++) {
		for (size_t len = 1; len < 40; len++) {
			memset(from, near[i], len);
			assert_true(nr_line_copy(to, from, len));
		}
	}
}

static void test_first_cr_or_lf_is_found_wherever_it_is(void **state)
{
	(void)state;
	fill();
	for (size_t len = 0; len <= 40; len++) {
		assert_int_equal(nr_line_find(from, len), len);
		for (size_t at = 0; at < len; at++) {
			char was = from[at], after = from[at + 3];

			from[at] = at % 2 ? '\r' : '\n';
			from[at + 3] = at % 3 ? '\r' : '\n';
			assert_int_equal(nr_line_find(from, len), at);
			from[at] = was;
			from[at + 3] = after;
		}
	}
}

static void test_what_looks_like_cr_or_lf_is_none(void **state)
{
	(void)state;
	for (int octet = 0; octet < 256; octet++) {
		memset(from, octet, 40);
		assert_int_equal(nr_line_find(from, 40),
		                 octet == '\r' || octet == '\n' ? 0 : 40);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_line_without_lf_is_copied_whole),
		cmocka_unit_test(test_lf_is_found_wherever_it_is),
		cmocka_unit_test(test_what_looks_like_lf_is_none),
		cmocka_unit_test(test_first_cr_or_lf_is_found_wherever_it_is),
		cmocka_unit_test(test_what_looks_like_cr_or_lf_is_none),
	};

	return RUN("line", cases);
}
