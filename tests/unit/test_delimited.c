/* SPDX-License-Identifier: MIT */
/* Delimiters, above all those that begin anew inside of themselves. */
#include "framed.h"

static struct nr_framing delimited(const char *delimiter, size_t limit)
{
	return framed_by(NARU_FRAMING(.kind = NARU_DELIMITED,
	                              .delimiter = delimiter,
	                              .delimiter_len = strlen(delimiter),
	                              .limit = limit));
}

static const struct framed semicolons[] = {
	{STREAM("one;two;;"), "<one><two><>"},
	{STREAM("1234;1234"), "<1234>more"},
	{STREAM("12345"), "NARU_ETOOBIG"},
	{STREAM("12345;"), "NARU_ETOOBIG"},
};

static const struct framed dashes[] = {
	{STREAM("--END--x--END--"), "<><x>"},
	{STREAM("--EN--END--"), "<--EN>"},
	{STREAM("----END--x"), "<-->more"},
	{STREAM("--END-"), "more"},
	{STREAM("1234--END--"), "<1234>"},
	{STREAM("1234--END-"), "more"},
	{STREAM("12345--END--"), "NARU_ETOOBIG"},
	{STREAM("1234--END-x"), "NARU_ETOOBIG"},
};

static void test_delimiter_is_found_in_any_pieces(void **state)
{
	struct nr_framing framing = delimited(";", 4);

	(void)state;
	framed_all(&framing, semicolons, COUNT(semicolons));
	framing = delimited("--END--", 4);
	framed_all(&framing, dashes, COUNT(dashes));
}

/* The text of LEN letters that NUMBER stands for, of "a" and "b". */
static void make_text(char *text, unsigned number, size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = number >> i & 1 ? 'b' : 'a';
	text[len] = '\0';
}

/* What STREAM comes to, by the words of the contract and nothing else. */
static void expect(const char *stream, const char *delimiter, char *want)
{
	size_t at = 0, len;
	const char *end;

	while ((end = strstr(stream, delimiter))) {
		len = (size_t)(end - stream);
		want[at++] = '<';
		memcpy(want + at, stream, len);
		at += len;
		want[at++] = '>';
		stream = end + strlen(delimiter);
	}
	sprintf(want + at, "%s", *stream ? "more" : "");
}

/* Every delimiter of up to four letters, every stream of nine. */
static void test_every_small_delimiter_is_found(void **state)
{
	char delimiter[8], stream[16], want[64];
	struct framed one = {stream, 9, want};

	(void)state;
	for (unsigned len = 1; len <= 4; len++) {
		for (unsigned d = 0; d < 1u << len; d++) {
			struct nr_framing framing;

			make_text(delimiter, d, len);
			framing = delimited(delimiter, 100);
			for (unsigned s = 0; s < 1u << 9; s++) {
				make_text(stream, s, 9);
				expect(stream, delimiter, want);
				framed_check(&framing, &one, 9, 1);
				framed_check(&framing, &one, 1, 1);
			}
		}
	}
}

/* A message is sent exactly where it comes back as itself. */
static void test_message_that_would_end_early_is_refused(void **state)
{
	char delimiter[8], message[16], sent[32], buf[32], want[64], back[64];

	(void)state;
	for (unsigned d = 0; d < 1u << 4; d++) {
		struct nr_framing framing;

		make_text(delimiter, d, 4);
		framing = delimited(delimiter, 100);
		for (unsigned m = 0; m < 1u << 7; m++) {
			int len;

			make_text(message, m, m % 8);
			sprintf(sent, "%s%s", message, delimiter);
			expect(sent, delimiter, back);
			sprintf(want, "<%s>", message);
			len = framed_wrap(&framing, message, m % 8, buf);
			if (strcmp(back, want) == 0) {
				assert_int_equal(len, strlen(sent));
				assert_memory_equal(buf, sent, strlen(sent));
			} else {
				assert_int_equal(len, -EINVAL);
			}
		}
	}
}

static void test_delimiter_is_sent_behind(void **state)
{
	struct nr_framing framing = delimited("\r\n.\r\n", 10);

	(void)state;
	framed_sent(&framing, "one\r\n", STREAM("one\r\n\r\n.\r\n"));
	framed_sent(&framing, "", STREAM("\r\n.\r\n"));
	/* A NUL is a byte like any other. */
	framing = framed_by(NARU_FRAMING(.kind = NARU_DELIMITED,
	                                 .delimiter = "\0", .delimiter_len = 1,
	                                 .limit = 10));
	framed_sent(&framing, "one", STREAM("one\0"));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_delimiter_is_found_in_any_pieces),
		cmocka_unit_test(test_every_small_delimiter_is_found),
		cmocka_unit_test(test_message_that_would_end_early_is_refused),
		cmocka_unit_test(test_delimiter_is_sent_behind),
	};

	return RUN("delimited", cases);
}
