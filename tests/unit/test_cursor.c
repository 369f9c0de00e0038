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

static void test_skip_stops_at_the_end(void **state)
{
	struct nr_cursor cursor = cursor_of("abc");

	(void)state;
	nr_cursor_skip(&cursor, 2);
	assert_int_equal(nr_cursor_peek(&cursor), 'c');
	nr_cursor_skip(&cursor, SIZE_MAX);
	assert_int_equal(nr_cursor_left(&cursor), 0);
	nr_cursor_skip(&cursor, 1);
	assert_int_equal(nr_cursor_place(&cursor), 4);
}

static void test_unsigned_of_either_order_is_whole_or_nothing(void **state)
{
	const char *bytes = "\x01\x82\x03\xff\xff\xff\xff\xff\xff\xff\xff";
	struct nr_cursor cursor = nr_cursor(bytes, 11);
	uint64_t number = 7;

	(void)state;
	assert_true(nr_cursor_unsigned(&cursor, 2, true, &number));
	assert_true(number == 0x182);
	cursor.at = bytes;
	assert_true(nr_cursor_unsigned(&cursor, 2, false, &number));
	assert_true(number == 0x8201);
	assert_true(nr_cursor_unsigned(&cursor, 1, true, &number));
	assert_true(number == 3);
	assert_true(nr_cursor_unsigned(&cursor, 8, false, &number));
	assert_true(number == UINT64_MAX);
	cursor = nr_cursor(bytes, 3);
	assert_false(nr_cursor_unsigned(&cursor, 4, true, &number));
	assert_int_equal(nr_cursor_left(&cursor), 3);
	assert_true(number == UINT64_MAX);
}

static const struct varint_case {
	const char *bytes;
	size_t len;
	enum nr_varint_end end;
	uint64_t number;
	size_t left;
} varints[] = {
	{"", 0, NR_VARINT_MORE, 0, 0},
	{"\0x", 2, NR_VARINT_OK, 0, 1},
	{"\x7f", 1, NR_VARINT_OK, 127, 0},
	{"\x80", 1, NR_VARINT_MORE, 0, 0},
	{"\x80\x01", 2, NR_VARINT_OK, 128, 0},
	{"\x80\0", 2, NR_VARINT_OK, 0, 0},
	{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, NR_VARINT_OK,
         UINT64_MAX, 0},
	{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, NR_VARINT_OVER, 0, 0},
	{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 11, NR_VARINT_OVER, 0,
         1},
};

/* As a whole, and byte by byte. */
static void test_varint_is_taken_as_it_comes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(varints); i++) {
		const struct varint_case *one = &varints[i];
		struct nr_cursor cursor = nr_cursor(one->bytes, one->len);
		struct nr_varint whole = {0, 0}, pieces = {0, 0};
		enum nr_varint_end end = NR_VARINT_MORE;

		assert_int_equal(nr_cursor_varint(&cursor, &whole), one->end);
		assert_int_equal(nr_cursor_left(&cursor), one->left);
		if (one->end == NR_VARINT_OK)
			assert_true(whole.number == one->number);
		for (size_t at = 0; at < one->len - one->left; at++) {
			assert_int_equal(end, NR_VARINT_MORE);
			cursor = nr_cursor(one->bytes + at, 1);
			end = nr_cursor_varint(&cursor, &pieces);
		}
		assert_int_equal(end, one->end);
		assert_true(pieces.number == whole.number);
		assert_int_equal(pieces.count, whole.count);
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
		cmocka_unit_test(test_skip_stops_at_the_end),
		cmocka_unit_test(
			test_unsigned_of_either_order_is_whole_or_nothing),
		cmocka_unit_test(test_varint_is_taken_as_it_comes),
		cmocka_unit_test(test_bytes_and_numbers_are_whole_or_not_taken),
	};

	return RUN("cursor", cases);
}
