/* SPDX-License-Identifier: MIT */
/* The user's own scan: what it is shown, and what it may answer. */
#include <limits.h>

#include "framed.h"

#define LIMIT 8

/* What the scan was shown that it had not seen. */
static size_t shown_anew, most_shown;

/* Messages end with a dot; an exclamation mark is an error. */
static ssize_t until_dot(const char *data, size_t len, size_t *seen, void *arg)
{
	size_t from = *seen;

	assert_ptr_equal(arg, &shown_anew);
	assert_true(len > 0);
	shown_anew += len - from;
	most_shown = len > most_shown ? len : most_shown;
	for (size_t i = from; i < len; i++) {
		*seen = i + 1;
		if (data[i] == '!')
			return -EBADMSG;
		if (data[i] == '.')
			return (ssize_t)(i + 1);
	}
	return 0;
}

static const struct framed streams[] = {
	{STREAM("a.bc.."), "<a.><bc.><.>"},
	{STREAM("a.b"), "<a.>more"},
	{STREAM("1234567."), "<1234567.>"},
	{STREAM("12345678."), "NARU_ETOOBIG"},
	{STREAM("12345678"), "NARU_ETOOBIG"},
	{STREAM("1234567"), "more"},
	{STREAM("123!5678"), "EBADMSG"},
	/* Beyond the limit it is not even shown. */
	{STREAM("12345678!"), "NARU_ETOOBIG"},
};

static void test_scan_decides_in_any_pieces(void **state)
{
	struct nr_framing framing = framed_by(
		NARU_FRAMING(.kind = NARU_CUSTOM, .limit = LIMIT,
	                     .scan = until_dot, .scan_arg = &shown_anew));

	(void)state;
	framed_all(&framing, streams, COUNT(streams));
	framed_sent(&framing, "abc.", STREAM("abc."));
	assert_true(most_shown <= LIMIT);
}

static void test_scan_is_shown_each_byte_once(void **state)
{
	static char stream[100001], want[8] = "more";
	const struct framed one = {stream, sizeof(stream) - 1, want};
	struct nr_framing framing = framed_by(
		NARU_FRAMING(.kind = NARU_CUSTOM, .limit = sizeof(stream),
	                     .scan = until_dot, .scan_arg = &shown_anew));

	(void)state;
	memset(stream, 'x', sizeof(stream) - 1);
	shown_anew = 0;
	framed_check(&framing, &one, 1, 1);
	assert_int_equal(shown_anew, sizeof(stream) - 1);
}

/* What a scan that makes mistakes answers; and how much it says to have
 * seen. */
static ssize_t answer;
static size_t answer_seen;

static ssize_t wrong(const char *data, size_t len, size_t *seen, void *arg)
{
	(void)data;
	(void)len;
	(void)arg;
	*seen = answer_seen;
	return answer;
}

static void check_answer(ssize_t result, size_t seen, const char *want)
{
	const struct framed one = {STREAM("abcd"), want};
	struct nr_framing framing =
		framed_by(NARU_FRAMING(.kind = NARU_CUSTOM, .limit = LIMIT,
	                               .scan = wrong));

	answer = result;
	answer_seen = seen;
	framed_check(&framing, &one, 4, 1);
}

static void test_impossible_answer_is_refused(void **state)
{
	(void)state;
	check_answer(4, 0, "<abcd>");
	check_answer(5, 0, "EINVAL");
	check_answer(SSIZE_MAX, 0, "EINVAL");
	check_answer(0, 4, "more");
	check_answer(0, 5, "EINVAL");
	check_answer(1, SIZE_MAX, "EINVAL");
	check_answer(-EPROTO, 0, "EPROTO");
	check_answer(-NARU_EFRAME, 9, "NARU_EFRAME");
	check_answer((ssize_t)INT_MIN - 1, 0, "EINVAL");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_scan_decides_in_any_pieces),
		cmocka_unit_test(test_scan_is_shown_each_byte_once),
		cmocka_unit_test(test_impossible_answer_is_refused),
	};

	return RUN("custom", cases);
}
