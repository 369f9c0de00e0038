/* SPDX-License-Identifier: MIT */
/* Steps that never lead past the end. */
#include "base/cursor.h"

#include <string.h>

#include "unit.h"

static struct nr_cursor cursor_of(const char *text)
{
	return nr_cursor(text, strlen(text));
}

static void test_take_whole_text_or_nothing(void **state)
{
	struct nr_cursor cursor = cursor_of("tcp://x");

	(void)state;
	assert_false(nr_cursor_take(&cursor, "tcp://xy"));
	assert_false(nr_cursor_take(&cursor, "udp"));
	assert_int_equal(nr_cursor_place(&cursor), 1);
	assert_true(nr_cursor_take(&cursor, "tcp://"));
	assert_int_equal(nr_cursor_place(&cursor), 7);
	assert_int_equal(nr_cursor_peek(&cursor), 'x');
	assert_true(nr_cursor_take(&cursor, "x"));
	assert_int_equal(nr_cursor_peek(&cursor), -1);
	assert_true(nr_cursor_take(&cursor, ""));
	assert_false(nr_cursor_take(&cursor, "x"));
}

static void test_until_stops_before_byte_or_end(void **state)
{
	struct nr_cursor cursor = cursor_of("ab:cd"), taken;

	(void)state;
	taken = nr_cursor_until(&cursor, ':');
	assert_int_equal(nr_cursor_left(&taken), 2);
	assert_int_equal(nr_cursor_peek(&cursor), ':');
	taken = nr_cursor_until(&cursor, 'x');
	assert_int_equal(nr_cursor_left(&taken), 3);
	assert_int_equal(nr_cursor_left(&cursor), 0);
	taken = nr_cursor_until(&cursor, 'x');
	assert_int_equal(nr_cursor_left(&taken), 0);
}

static void test_peek_high_byte_is_not_end(void **state)
{
	struct nr_cursor cursor = cursor_of("\xff");

	(void)state;
	assert_int_equal(nr_cursor_peek(&cursor), 0xff);
}

static const struct number_case {
	const char *text;
	uint64_t most;
	enum nr_number result;
	uint64_t number;
	size_t left;
} numbers[] = {
	{"0", 9, NR_NUMBER_OK, 0, 0},
	{"7x", 9, NR_NUMBER_OK, 7, 1},
	{"65535", 65535, NR_NUMBER_OK, 65535, 0},
	{"65536", 65535, NR_NUMBER_OVER, 0, 5},
	{"655350", 65535, NR_NUMBER_OVER, 0, 6},
	{"1", 0, NR_NUMBER_OVER, 0, 1},
	{"00", 9, NR_NUMBER_LEADING_ZERO, 0, 2},
	{"010", 99, NR_NUMBER_LEADING_ZERO, 0, 3},
	{"0x10", 99, NR_NUMBER_OK, 0, 3},
	{"", 9, NR_NUMBER_NONE, 0, 0},
	{"-1", 9, NR_NUMBER_NONE, 0, 2},
	{"+1", 9, NR_NUMBER_NONE, 0, 2},
	{" 1", 9, NR_NUMBER_NONE, 0, 2},
	{"18446744073709551615", UINT64_MAX, NR_NUMBER_OK, UINT64_MAX, 0},
	{"18446744073709551616", UINT64_MAX, NR_NUMBER_OVER, 0, 20},
	{"99999999999999999999999", UINT64_MAX, NR_NUMBER_OVER, 0, 23},
};

static void test_number_is_strict_and_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		const struct number_case *one = &numbers[i];
		struct nr_cursor cursor = cursor_of(one->text);
		uint64_t number = 0;

		assert_int_equal(nr_cursor_number(&cursor, one->most, &number),
		                 one->result);
		assert_true(number == one->number);
		assert_int_equal(nr_cursor_left(&cursor), one->left);
	}
}

static void test_bytes_and_numbers_are_whole_or_not_taken(void **state)
{
	struct nr_cursor cursor = nr_cursor("\x80\x81\xfe\x00\x00\xff\x01", 7);
	struct nr_cursor taken;
	uint8_t u8 = 0;
	uint16_t u16 = 0;
	uint32_t u32 = 0;

	(void)state;
	assert_true(nr_cursor_u8(&cursor, &u8));
	assert_int_equal(u8, 0x80);
	assert_true(nr_cursor_u16be(&cursor, &u16));
	assert_int_equal(u16, 0x81fe);
	assert_false(nr_cursor_bytes(&cursor, 5, &taken));
	assert_false(nr_cursor_bytes(&cursor, SIZE_MAX, &taken));
	assert_int_equal(nr_cursor_left(&cursor), 4);
	assert_true(nr_cursor_u32be(&cursor, &u32));
	assert_int_equal(u32, 0xff01);
	assert_false(nr_cursor_u8(&cursor, &u8));
	assert_true(nr_cursor_bytes(&cursor, 0, &taken));
	cursor = nr_cursor("abc", 3);
	assert_false(nr_cursor_u32be(&cursor, &u32));
	assert_true(nr_cursor_bytes(&cursor, 2, &taken));
	assert_memory_equal(taken.at, "ab", 2);
	assert_int_equal(nr_cursor_left(&taken), 2);
	assert_int_equal(nr_cursor_place(&taken), 1);
	assert_false(nr_cursor_u16be(&cursor, &u16));
	assert_int_equal(nr_cursor_left(&cursor), 1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_take_whole_text_or_nothing),
		cmocka_unit_test(test_until_stops_before_byte_or_end),
		cmocka_unit_test(test_peek_high_byte_is_not_end),
		cmocka_unit_test(test_number_is_strict_and_bounded),
		cmocka_unit_test(test_bytes_and_numbers_are_whole_or_not_taken),
	};

	return RUN("cursor", cases);
}
