/* SPDX-License-Identifier: MIT */
/* Lengths before messages: each way to write one, each thing that it may count,
 * and what a hostile peer makes of it. */
#include "framed.h"

static struct nr_framing by_length(enum naru_length length, size_t limit)
{
	return framed_by(NARU_FRAMING(.kind = NARU_LENGTH_PREFIXED,
	                              .length = length, .limit = limit));
}

/* The same with lengths that count themselves. */
static struct nr_framing counting(enum naru_length length, size_t limit)
{
	return framed_by(NARU_FRAMING(.kind = NARU_LENGTH_PREFIXED,
	                              .length = length, .limit = limit,
	                              .length_counts_header = 1));
}

/* The same with headers that belong to the messages. */
static struct nr_framing keeping(enum naru_length length, unsigned offset,
                                 int counts, size_t limit)
{
	return framed_by(
		NARU_FRAMING(.kind = NARU_LENGTH_PREFIXED, .length = length,
	                     .limit = limit, .length_offset = offset,
	                     .length_counts_header = counts, .keep_header = 1));
}

static const struct {
	enum naru_length length;
	struct framed streams[4];
} plain[] = {
	{NARU_LENGTH_U8,
         {{STREAM("\3abc\0\1x"), "<abc><><x>"},
          {STREAM("\5abcde"), "<abcde>"},
          {STREAM("\6"), "NARU_ETOOBIG"},
          {STREAM("\xff"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_U16,
         {{STREAM("\0\3abc\0\0\0\1x"), "<abc><><x>"},
          {STREAM("\0\5abcd"), "more"},
          {STREAM("\0\6"), "NARU_ETOOBIG"},
          {STREAM("\1\0"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_U32,
         {{STREAM("\0\0\0\3abc\0\0\0\0"), "<abc><>"},
          {STREAM("\0\0\0"), "more"},
          {STREAM("\0\0\0\6abcdef"), "NARU_ETOOBIG"},
          {STREAM("\xff\xff\xff\xff"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_U64,
         {{STREAM("\0\0\0\0\0\0\0\3abc"), "<abc>"},
          {STREAM("\0\0\0\0\0\0\0\0\0"), "<>more"},
          {STREAM("\0\0\0\1\0\0\0\0"), "NARU_ETOOBIG"},
          {STREAM("\xff\xff\xff\xff\xff\xff\xff\xff"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_U16_LE,
         {{STREAM("\3\0abc\0\0\1\0x"), "<abc><><x>"},
          {STREAM("\5\0abcde"), "<abcde>"},
          {STREAM("\6\0"), "NARU_ETOOBIG"},
          {STREAM("\0\1"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_U32_LE,
         {{STREAM("\3\0\0\0abc\0\0\0\0"), "<abc><>"},
          {STREAM("\3"), "more"},
          {STREAM("\6\0\0\0"), "NARU_ETOOBIG"},
          {STREAM("\xff\xff\xff\xff"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_U64_LE,
         {{STREAM("\3\0\0\0\0\0\0\0abc"), "<abc>"},
          {STREAM("\3\0\0\0\0\0\0\0ab"), "more"},
          {STREAM("\0\0\0\0\0\0\0\1"), "NARU_ETOOBIG"},
          {STREAM("\xff\xff\xff\xff\xff\xff\xff\xff"), "NARU_ETOOBIG"}}},
	{NARU_LENGTH_VARINT,
         {{STREAM("\3abc\0\1x\x83\0abc"), "<abc><><x><abc>"},
          {STREAM("\x85\x80\x80"), "more"},
          {STREAM("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), "NARU_ETOOBIG"},
          {STREAM("\x80\x80\x80\x80\x80\x80\x80\x80\x80\2"), "NARU_EFRAME"}}},
};

static void test_each_length_is_read_in_any_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(plain); i++) {
		struct nr_framing framing = by_length(plain[i].length, 5);

		framed_all(&framing, plain[i].streams, COUNT(plain[i].streams));
	}
}

static const struct framed counted16[] = {
	{STREAM("\0\5abc\0\2\0\3x"), "<abc><><x>"},
	{STREAM("\0\7abcde"), "<abcde>"},
	{STREAM("\0\10"), "NARU_ETOOBIG"},
	{STREAM("\0\1"), "NARU_EFRAME"},
	{STREAM("\0\0"), "NARU_EFRAME"},
	{STREAM("\xff\xff"), "NARU_ETOOBIG"},
};
static const struct framed counted64[] = {
	{STREAM("\0\0\0\0\0\0\0\12ab"), "<ab>"},
	{STREAM("\0\0\0\0\0\0\0\7"), "NARU_EFRAME"},
	{STREAM("\0\0\0\0\0\0\0\0"), "NARU_EFRAME"},
	{STREAM("\xff\xff\xff\xff\xff\xff\xff\xff"), "NARU_ETOOBIG"},
};
static const struct framed counted_varint[] = {
	{STREAM("\4abc\1\2x"), "<abc><><x>"},
	/* Two bytes where one would do. */
	{STREAM("\x85\0abc\x82\0"), "<abc><>"},
	{STREAM("\x81\0"), "NARU_EFRAME"},
	{STREAM("\0"), "NARU_EFRAME"},
	{STREAM("\7"), "NARU_ETOOBIG"},
	{STREAM("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), "NARU_ETOOBIG"},
};

static void test_length_that_counts_itself_is_read(void **state)
{
	struct nr_framing framing = counting(NARU_LENGTH_U16, 5);

	(void)state;
	framed_all(&framing, counted16, COUNT(counted16));
	framing = counting(NARU_LENGTH_U64, 5);
	framed_all(&framing, counted64, COUNT(counted64));
	framing = counting(NARU_LENGTH_VARINT, 5);
	framed_all(&framing, counted_varint, COUNT(counted_varint));
}

/* Of two bytes before, and a limit that counts them. */
static const struct framed kept16[] = {
	{STREAM("Ty\0\1aTy\0\0"), "<Ty@\1a><Ty@@>"},
	{STREAM("Ty\0\4abcd"), "<Ty@\4abcd>"},
	{STREAM("Ty\0"), "more"},
	{STREAM("T"), "more"},
	{STREAM("Ty\0\5"), "NARU_ETOOBIG"},
	{STREAM("Ty\xff\xff"), "NARU_ETOOBIG"},
};
static const struct framed kept_counted[] = {
	{STREAM("Ty\7abcdT"), "<Ty\7abcd>more"},
	{STREAM("Ty\3Ty\3"), "<Ty\3><Ty\3>"},
	{STREAM("Ty\2"), "NARU_EFRAME"},
	{STREAM("Ty\11"), "NARU_ETOOBIG"},
};
static const struct framed kept_varint[] = {
	{STREAM("Ty\3abcT"), "<Ty\3abc>more"},
	{STREAM("Ty\x83"), "more"},
	{STREAM("Ty\6"), "NARU_ETOOBIG"},
	/* Headers that leave no room for what they announce. */
	{STREAM("Ty\x81\x80\x80\x80\1"), "NARU_ETOOBIG"},
	{STREAM("Ty\x80\x80\x80\x80\x80\x80\x80"), "more"},
	{STREAM("Ty\x80\x80\x80\x80\x80\x80\x80\x80\x80\2"), "NARU_EFRAME"},
};

static void test_header_is_kept_and_counts(void **state)
{
	struct nr_framing framing = keeping(NARU_LENGTH_U16, 2, 0, 8);

	(void)state;
	framed_all(&framing, kept16, COUNT(kept16));
	framing = keeping(NARU_LENGTH_U8, 2, 1, 8);
	framed_all(&framing, kept_counted, COUNT(kept_counted));
	framing = keeping(NARU_LENGTH_VARINT, 2, 0, 8);
	framed_all(&framing, kept_varint, COUNT(kept_varint));
}

static void test_each_length_is_written(void **state)
{
	struct nr_framing framing = by_length(NARU_LENGTH_U8, 300);
	char buf[512], text[301];

	(void)state;
	framed_sent(&framing, "abc", STREAM("\3abc"));
	framed_sent(&framing, "", STREAM("\0"));
	memset(text, 'x', 300);
	assert_int_equal(framed_wrap(&framing, text, 255, buf), 256);
	assert_int_equal(framed_wrap(&framing, text, 256, buf), -NARU_ETOOBIG);
	framing = by_length(NARU_LENGTH_U16, 300);
	framed_sent(&framing, "abc", STREAM("\0\3abc"));
	framing = by_length(NARU_LENGTH_U32, 300);
	framed_sent(&framing, "abc", STREAM("\0\0\0\3abc"));
	framing = by_length(NARU_LENGTH_U64, 300);
	framed_sent(&framing, "abc", STREAM("\0\0\0\0\0\0\0\3abc"));
	framing = by_length(NARU_LENGTH_U16_LE, 300);
	framed_sent(&framing, "abc", STREAM("\3\0abc"));
	framing = by_length(NARU_LENGTH_U32_LE, 300);
	framed_sent(&framing, "abc", STREAM("\3\0\0\0abc"));
	framing = by_length(NARU_LENGTH_U64_LE, 300);
	framed_sent(&framing, "abc", STREAM("\3\0\0\0\0\0\0\0abc"));
	framing = counting(NARU_LENGTH_U8, 300);
	framed_sent(&framing, "abc", STREAM("\4abc"));
	assert_int_equal(framed_wrap(&framing, text, 254, buf), 255);
	assert_int_equal(framed_wrap(&framing, text, 255, buf), -NARU_ETOOBIG);
}

/* What a varint counts grows by itself. */
static void test_varints_are_written_as_they_are_read(void **state)
{
	static const size_t sizes[] = {0,     1,     2,       125,
	                               126,   127,   128,     129,
	                               16380, 16381, 16382,   16383,
	                               16384, 16385, 2097149, 2097150};
	static char text[2097200], buf[2097300];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int counts = 0; counts < 2; counts++) {
		struct nr_framing framing =
			counts ? counting(NARU_LENGTH_VARINT, sizeof(text))
			       : by_length(NARU_LENGTH_VARINT, sizeof(text));

		for (size_t i = 0; i < COUNT(sizes); i++) {
			int len = framed_wrap(&framing, text, sizes[i], buf);
			struct nr_cursor bytes = nr_cursor(buf, (size_t)len);
			struct nr_scan scan = {0};
			struct nr_frame frame;

			assert_in_range(len, sizes[i] + 1, sizes[i] + 4);
			assert_int_equal(framing.ops->scan(&framing, &bytes,
			                                   &scan, &frame),
			                 1);
			assert_int_equal(frame.size, len);
			assert_int_equal(frame.len, sizes[i]);
		}
	}
}

static void test_kept_header_has_its_length_filled_in(void **state)
{
	struct nr_framing framing = keeping(NARU_LENGTH_U16, 2, 0, 20);
	char buf[64];

	(void)state;
	assert_int_equal(framed_wrap(&framing, "Ty??abc", 7, buf), 7);
	assert_memory_equal(buf, "Ty\0\3abc", 7);
	assert_int_equal(framed_wrap(&framing, "Ty?", 3, buf), -EINVAL);
	framing = keeping(NARU_LENGTH_U16_LE, 2, 1, 20);
	assert_int_equal(framed_wrap(&framing, "Ty??abc", 7, buf), 7);
	assert_memory_equal(buf, "Ty\7\0abc", 7);
	framing = keeping(NARU_LENGTH_U8, 0, 1, 20);
	assert_int_equal(framed_wrap(&framing, "?abc", 4, buf), 4);
	assert_memory_equal(buf, "\4abc", 4);
	assert_int_equal(framed_wrap(&framing, "", 0, buf), -EINVAL);
	/* A varint has as much room as the one that stands there. */
	framing = keeping(NARU_LENGTH_VARINT, 1, 0, 200);
	assert_int_equal(framed_wrap(&framing, "T\0abc", 5, buf), 5);
	assert_memory_equal(buf, "T\3abc", 5);
	assert_int_equal(framed_wrap(&framing, "T\x80\x80\0abc", 7, buf), 5);
	assert_memory_equal(buf, "T\3abc", 5);
	assert_int_equal(framed_wrap(&framing, "T\x80", 2, buf), -EINVAL);
	assert_int_equal(framed_wrap(&framing, "T", 1, buf), -EINVAL);
}

/* A varint of two bytes where there was one makes the message too long. */
static void test_kept_varint_may_grow_over_the_limit(void **state)
{
	struct nr_framing framing = keeping(NARU_LENGTH_VARINT, 0, 0, 130);
	char text[130] = "", buf[200];

	(void)state;
	assert_int_equal(framed_wrap(&framing, text, 129, buf), 130);
	assert_int_equal(framed_wrap(&framing, text, 130, buf), -NARU_ETOOBIG);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_each_length_is_read_in_any_pieces),
		cmocka_unit_test(test_length_that_counts_itself_is_read),
		cmocka_unit_test(test_header_is_kept_and_counts),
		cmocka_unit_test(test_each_length_is_written),
		cmocka_unit_test(test_varints_are_written_as_they_are_read),
		cmocka_unit_test(test_kept_header_has_its_length_filled_in),
		cmocka_unit_test(test_kept_varint_may_grow_over_the_limit),
	};

	return RUN("length", cases);
}
