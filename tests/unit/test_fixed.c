/* SPDX-License-Identifier: MIT */
/* Messages of one size. */
#include "framed.h"

static const struct framed streams[] = {
	{STREAM("abcdef"), "<abc><def>"},
	{STREAM("abcd"), "<abc>more"},
	{STREAM("\n\r,"), "<\n\r,>"},
};

static void test_messages_of_one_size_are_cut_out(void **state)
{
	struct nr_framing framing =
		framed_by(NARU_FRAMING(.kind = NARU_FIXED_SIZE, .limit = 3));
	char buf[16];

	(void)state;
	framed_all(&framing, streams, COUNT(streams));
	framed_sent(&framing, "abc", STREAM("abc"));
	assert_int_equal(framed_wrap(&framing, "ab", 2, buf), -EINVAL);
	assert_int_equal(framed_wrap(&framing, "", 0, buf), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_messages_of_one_size_are_cut_out),
	};

	return RUN("fixed", cases);
}
