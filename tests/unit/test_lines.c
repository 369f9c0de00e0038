/* SPDX-License-Identifier: MIT */
/* Lines, by each of the ways in which one ends. */
#include "framed.h"

#define LIMIT 6

static struct nr_framing lines(enum naru_line_end end)
{
	return framed_by(NARU_FRAMING(.kind = NARU_LINES, .line_end = end,
	                              .limit = LIMIT));
}

static const struct framed either[] = {
	{STREAM(""), ""},
	{STREAM("\n"), "<>"},
	{STREAM("\r\n"), "<>"},
	{STREAM("one\ntwo\r\n\n"), "<one><two><>"},
	{STREAM("a\rb\nc\r\r\n"), "<a\rb><c\r>"},
	{STREAM("half"), "more"},
	{STREAM("cr\r"), "more"},
	{STREAM("123456\n123456\r\nx"), "<123456><123456>more"},
	{STREAM("123456\r"), "more"},
	{STREAM("1234567"), "NARU_ETOOBIG"},
	{STREAM("1234567\n"), "NARU_ETOOBIG"},
	{STREAM("x\n123456\rx"), "<x>NARU_ETOOBIG"},
	{STREAM("123456\r\r\n"), "NARU_ETOOBIG"},
};

static const struct framed lf[] = {
	{STREAM("one\r\ntwo\n\n"), "<one\r><two><>"},
	{STREAM("123456\n12345\r\n"), "<123456><12345\r>"},
	{STREAM("123456"), "more"},
	{STREAM("123456\r"), "NARU_ETOOBIG"},
	{STREAM("123456\r\n"), "NARU_ETOOBIG"},
	{STREAM("1234567\n"), "NARU_ETOOBIG"},
};

static const struct framed crlf[] = {
	{STREAM("one\r\ntwo\r\n\r\n"), "<one><two><>"},
	{STREAM("123456\r\n12345"), "<123456>more"},
	{STREAM("123456\r"), "more"},
	{STREAM("\r"), "more"},
	{STREAM("one\n"), "NARU_EFRAME"},
	{STREAM("\n"), "NARU_EFRAME"},
	{STREAM("one\rtwo\r\n"), "NARU_EFRAME"},
	{STREAM("one\r\r\n"), "NARU_EFRAME"},
	{STREAM("x\r\n\rx"), "<x>NARU_EFRAME"},
	{STREAM("123456\n"), "NARU_EFRAME"},
	{STREAM("1234567"), "NARU_ETOOBIG"},
	{STREAM("1234567\n"), "NARU_ETOOBIG"},
	{STREAM("1234567\r\n"), "NARU_ETOOBIG"},
	{STREAM("123456789 and more\n"), "NARU_ETOOBIG"},
};

static void test_line_end_is_found_in_any_pieces(void **state)
{
	struct nr_framing framing = lines(NARU_LINE_END_ANY);

	(void)state;
	assert_true(framing.plain);
	framed_all(&framing, either, COUNT(either));
	framing = lines(NARU_LINE_END_TOLERANT);
	assert_false(framing.plain);
	framed_all(&framing, either, COUNT(either));
	framing = lines(NARU_LINE_END_LF);
	framed_all(&framing, lf, COUNT(lf));
	framing = lines(NARU_LINE_END_CRLF);
	framed_all(&framing, crlf, COUNT(crlf));
}

static void test_line_is_sent_with_its_end(void **state)
{
	struct nr_framing framing = lines(NARU_LINE_END_ANY);

	(void)state;
	framed_sent(&framing, "one", STREAM("one\n"));
	framed_sent(&framing, "", STREAM("\n"));
	framing = lines(NARU_LINE_END_LF);
	framed_sent(&framing, "one\r", STREAM("one\r\n"));
	framing = lines(NARU_LINE_END_TOLERANT);
	framed_sent(&framing, "o\rne", STREAM("o\rne\r\n"));
	framing = lines(NARU_LINE_END_CRLF);
	framed_sent(&framing, "123456", STREAM("123456\r\n"));
	framed_sent(&framing, "", STREAM("\r\n"));
}

static void test_line_with_an_end_in_it_is_refused(void **state)
{
	struct nr_framing framing = lines(NARU_LINE_END_CRLF);
	char buf[16];

	(void)state;
	assert_int_equal(framed_wrap(&framing, "a\rb", 3, buf), -EINVAL);
	assert_int_equal(framed_wrap(&framing, "a\nb", 3, buf), -EINVAL);
	for (int end = NARU_LINE_END_ANY; end <= NARU_LINE_END_TOLERANT;
	     end++) {
		framing = lines((enum naru_line_end)end);
		assert_int_equal(framed_wrap(&framing, "\n", 1, buf), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_line_end_is_found_in_any_pieces),
		cmocka_unit_test(test_line_is_sent_with_its_end),
		cmocka_unit_test(test_line_with_an_end_in_it_is_refused),
	};

	return RUN("lines", cases);
}
