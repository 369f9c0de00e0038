/* SPDX-License-Identifier: MIT */
/* Netstrings, and what only looks like one. */
#include "framed.h"

static const struct framed streams[] = {
	{STREAM("5:hello,0:,1:,,"), "<hello><><,>"},
	{STREAM("10:0123456789,"), "<0123456789>"},
	{STREAM("10:0123456789"), "more"},
	{STREAM("1"), "more"},
	{STREAM("5:hello;"), "NARU_EFRAME"},
	{STREAM("0:x"), "NARU_EFRAME"},
	{STREAM(":,"), "NARU_EFRAME"},
	{STREAM("x"), "NARU_EFRAME"},
	{STREAM("-1:,"), "NARU_EFRAME"},
	{STREAM("+1:x,"), "NARU_EFRAME"},
	{STREAM(" 1:x,"), "NARU_EFRAME"},
	{STREAM("1 :x,"), "NARU_EFRAME"},
	{STREAM("00:,"), "NARU_EFRAME"},
	{STREAM("01:x,"), "NARU_EFRAME"},
	{STREAM("1:x,2:ab,3:abc"), "<x><ab>more"},
	/* Over the limit is known from the digits, whatever follows. */
	{STREAM("11:01234567890,"), "NARU_ETOOBIG"},
	{STREAM("100"), "NARU_ETOOBIG"},
	{STREAM("18446744073709551615:"), "NARU_ETOOBIG"},
	{STREAM("18446744073709551616:"), "NARU_ETOOBIG"},
	{STREAM("99999999999999999999999999999999999999"), "NARU_ETOOBIG"},
};

static struct nr_framing netstrings(size_t limit)
{
	return framed_by(NARU_FRAMING(.kind = NARU_NETSTRINGS, .limit = limit));
}

static void test_netstring_is_read_in_any_pieces(void **state)
{
	struct nr_framing framing = netstrings(10);

	(void)state;
	framed_all(&framing, streams, COUNT(streams));
}

static void test_netstring_is_written(void **state)
{
	struct nr_framing framing = netstrings(NARU_MESSAGE_MAX);

	(void)state;
	framed_sent(&framing, "hello", STREAM("5:hello,"));
	framed_sent(&framing, "", STREAM("0:,"));
	framed_sent(&framing, "0123456789", STREAM("10:0123456789,"));
	framed_sent(&framing, "9:,", STREAM("3:9:,,"));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_netstring_is_read_in_any_pieces),
		cmocka_unit_test(test_netstring_is_written),
	};

	return RUN("netstrings", cases);
}
