/* SPDX-License-Identifier: MIT */
/* Which framings there can be: frame/frames.c. */
#include "framed.h"

static ssize_t scan(const char *data, size_t len, size_t *seen, void *arg)
{
	(void)data;
	(void)seen;
	(void)arg;
	return (ssize_t)len;
}

static const struct naru_framing good[] = {
	{.kind = NARU_LINES},
	{.line_end = NARU_LINE_END_TOLERANT, .limit = 1},
	{.limit = NARU_MESSAGE_MAX},
	{.kind = NARU_DELIMITED, .delimiter = "\0", .delimiter_len = 1},
	{.kind = NARU_DELIMITED,
         .delimiter = "0123456789abcdef",
         .delimiter_len = NARU_DELIMITER_MAX},
	{.kind = NARU_LENGTH_PREFIXED, .limit = 1},
	{.kind = NARU_LENGTH_PREFIXED,
         .length = NARU_LENGTH_U64_LE,
         .limit = 1},
	{.kind = NARU_LENGTH_PREFIXED, .keep_header = 1, .limit = 1},
	{.kind = NARU_LENGTH_PREFIXED,
         .length = NARU_LENGTH_VARINT,
         .length_offset = NARU_LENGTH_OFFSET_MAX,
         .limit = NARU_LENGTH_OFFSET_MAX + 1},
	{.kind = NARU_FIXED_SIZE, .limit = 1},
	{.kind = NARU_FIXED_SIZE, .limit = NARU_MESSAGE_MAX},
	{.kind = NARU_NETSTRINGS},
	{.kind = NARU_CUSTOM, .scan = scan},
};

static const struct naru_framing bad[] = {
	{.kind = (enum naru_framing_kind)99},
	{.kind = (enum naru_framing_kind) - 1},
	{.limit = (size_t)NARU_MESSAGE_MAX + 1},
	{.limit = SIZE_MAX},
	{.line_end = (enum naru_line_end)4},
	{.line_end = (enum naru_line_end) - 1},
	{.kind = NARU_DELIMITED},
	{.kind = NARU_DELIMITED, .delimiter = ";"},
	{.kind = NARU_DELIMITED, .delimiter_len = 1},
	{.kind = NARU_DELIMITED,
         .delimiter = "0123456789abcdefg",
         .delimiter_len = NARU_DELIMITER_MAX + 1},
	{.kind = NARU_LENGTH_PREFIXED, .length = (enum naru_length)8},
	{.kind = NARU_LENGTH_PREFIXED, .length = (enum naru_length) - 1},
	{.kind = NARU_LENGTH_PREFIXED,
         .length_offset = NARU_LENGTH_OFFSET_MAX + 1},
	{.kind = NARU_LENGTH_PREFIXED,
         .length = NARU_LENGTH_U32,
         .keep_header = 1,
         .limit = 3},
	{.kind = NARU_LENGTH_PREFIXED, .length_offset = 8, .limit = 8},
	{.kind = NARU_FIXED_SIZE},
	{.kind = NARU_CUSTOM},
	/* What another kind was meant to have. */
	{.delimiter = ";", .delimiter_len = 1},
	{.length = NARU_LENGTH_U16},
	{.kind = NARU_NETSTRINGS, .keep_header = 1},
	{.kind = NARU_FIXED_SIZE, .limit = 1, .length_offset = 1},
	{.kind = NARU_DELIMITED,
         .delimiter = ";",
         .delimiter_len = 1,
         .line_end = NARU_LINE_END_CRLF},
	{.scan = scan},
	{.kind = NARU_CUSTOM, .scan = scan, .length_counts_header = 1},
};

static int take(struct nr_framing *ret, const struct naru_framing *given)
{
	struct naru_framing own = *given;

	own.size = sizeof(own);
	return nr_framing_take(ret, &own, 777);
}

static void test_sound_framings_are_taken_and_given_back(void **state)
{
	struct nr_framing framing, again;
	struct naru_framing back;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(take(&framing, &good[i]), 0);
		assert_int_equal(framing.limit,
		                 good[i].limit ? good[i].limit : 777);
		assert_ptr_not_equal(framing.ops, NULL);
		nr_framing_give(&framing, &back);
		assert_int_equal(back.size, sizeof(back));
		assert_int_equal(back.kind, good[i].kind);
		assert_int_equal(take(&again, &back), 0);
		assert_int_equal(again.limit, framing.limit);
		assert_memory_equal(again.delimiter, framing.delimiter,
		                    sizeof(again.delimiter));
		assert_memory_equal(again.fallback, framing.fallback,
		                    sizeof(again.fallback));
	}
}

static void test_unsound_framings_change_nothing(void **state)
{
	struct nr_framing framing, before;

	(void)state;
	memset(&framing, 0x55, sizeof(framing));
	before = framing;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(take(&framing, &bad[i]), -EINVAL);
		assert_memory_equal(&framing, &before, sizeof(before));
	}
}

static void test_no_framing_is_lines(void **state)
{
	struct nr_framing framing;

	(void)state;
	assert_int_equal(nr_framing_take(&framing, NULL, 42), 0);
	assert_int_equal(framing.kind, NARU_LINES);
	assert_int_equal(framing.limit, 42);
	assert_true(framing.plain);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_sound_framings_are_taken_and_given_back),
		cmocka_unit_test(test_unsound_framings_change_nothing),
		cmocka_unit_test(test_no_framing_is_lines),
	};

	return RUN("frames", cases);
}
