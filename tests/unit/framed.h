/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FRAMED_H
#define TESTS_FRAMED_H

/*
 * Streams under a framing: what comes of one does not depend on the pieces in
 * which it comes, and no byte that was taken is looked at again. The latter is
 * seen by overwriting each byte as soon as it was taken.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame/frame.h"
#include "naru/error.h"
#include "unit.h"

#define FRAMED_TEXT 4096

/* A stream, which may hold any byte, and what comes of it: each message in
 * angle brackets with @ for each NUL, and then "more" or the name of an error.
 */
struct framed {
	const char *stream;
	size_t len;
	const char *want;
};
#define STREAM(text) (text), sizeof(text) - 1

/* A stream as far as it has come. */
struct framed_run {
	struct nr_framing framing;
	struct nr_scan scan;
	const char *stream; /* as it is */
	char *shown;        /* as the framing is shown it */
	size_t len;
	size_t begin, seen, have;
	size_t spared; /* last bytes taken that are not overwritten */
	bool over;
	char text[FRAMED_TEXT];
};

static inline struct nr_framing framed_by(const struct naru_framing *given)
{
	struct nr_framing framing;

	assert_int_equal(nr_framing_take(&framing, given, 65536), 0);
	return framing;
}

/* Adds what was found to the text, between BEFORE and AFTER. */
static inline void framed_note(struct framed_run *run, const char *before,
                               const char *data, size_t len, const char *after)
{
	size_t used = strlen(run->text);

	assert_true(used + len + 3 < sizeof(run->text));
	used += (size_t)sprintf(run->text + used, "%s", before);
	for (size_t i = 0; i < len; i++)
		run->text[used++] = (char)(data[i] ? data[i] : '@');
	sprintf(run->text + used, "%s", after);
}

/* Looks for one message. */
static inline int framed_scan(struct framed_run *run, struct nr_frame *ret)
{
	struct nr_cursor bytes =
		nr_cursor(run->shown + run->begin, run->have - run->begin);
	int found;

	if (run->seen == 0)
		run->scan = (struct nr_scan){0};
	bytes.at += run->seen;
	found = run->framing.ops->scan(&run->framing, &bytes, &run->scan, ret);
	assert_true(bytes.at >= bytes.begin + run->seen);
	assert_true(bytes.at <= bytes.end);
	run->seen = (size_t)(bytes.at - bytes.begin);
	if (run->seen > run->spared)
		memset(run->shown + run->begin, '#', run->seen - run->spared);
	return found;
}

/* One more piece of the stream, up to HAVE, has come. */
static inline void framed_come(struct framed_run *run, size_t have)
{
	struct nr_frame frame;
	int found = 1;

	run->have = have;
	while (!run->over && run->begin < have && found == 1) {
		found = framed_scan(run, &frame);
		if (found == 1) {
			assert_in_range(frame.size, 1, have - run->begin);
			assert_true(frame.begin + frame.len <= frame.size);
			framed_note(run, "<",
			            run->stream + run->begin + frame.begin,
			            frame.len, ">");
			run->begin += frame.size;
			run->seen = 0;
		} else if (found == 0) {
			assert_in_range(run->scan.need, have - run->begin + 1,
			                run->framing.limit +
			                        NR_FRAME_AROUND_MAX);
			/* Where an end is looked for, all were looked at. */
			if (run->framing.kind == NARU_LINES ||
			    run->framing.kind == NARU_DELIMITED)
				assert_int_equal(run->seen, have - run->begin);
		} else {
			framed_note(run, naru_errname(found), "", 0, "");
			run->over = true;
		}
	}
}

/* Lines that may have a CR before their LF look back for it. */
static inline bool peeks_back(const struct nr_framing *framing)
{
	return framing->kind == NARU_LINES &&
	       framing->line_end != NARU_LINE_END_LF &&
	       framing->line_end != NARU_LINE_END_CRLF;
}

/* The stream in pieces: the first of FIRST bytes, the others of STEP. */
static inline void framed_check(const struct nr_framing *framing,
                                const struct framed *one, size_t first,
                                size_t step)
{
	static struct framed_run run;

	run = (struct framed_run){.framing = *framing,
	                          .spared = peeks_back(framing),
	                          .stream = one->stream,
	                          .len = one->len};
	/* Of its own size, so that a sanitizer sees a step past its end. */
	run.shown = malloc(one->len ? one->len : 1);
	assert_non_null(run.shown);
	memcpy(run.shown, one->stream, one->len);
	for (size_t have = first; have < one->len; have += step)
		framed_come(&run, have);
	framed_come(&run, one->len);
	if (!run.over && run.begin < run.len)
		framed_note(&run, "more", "", 0, "");
	free(run.shown);
	assert_string_equal(run.text, one->want);
}

/* The stream as a whole, torn at every point, and byte by byte. */
static inline void framed_all(const struct nr_framing *framing,
                              const struct framed *streams, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct framed *one = &streams[i];

		framed_check(framing, one, one->len, 1);
		framed_check(framing, one, 1, 1);
		for (size_t at = 1; at < one->len; at++)
			framed_check(framing, one, at, one->len);
	}
}

/* Puts into BUF what is sent for a message; returns how many bytes that are,
 * or an error. */
static inline int framed_wrap(const struct nr_framing *framing,
                              const char *data, size_t len, char *buf)
{
	const struct nr_cursor message = nr_cursor(data, len);
	struct nr_wrap wrap;
	size_t at = 0;
	int err = framing->ops->wrap(framing, &message, &wrap);

	if (err < 0)
		return err;
	assert_true(wrap.at + wrap.room <= len);
	assert_true(wrap.head_len <= sizeof(wrap.head));
	memcpy(buf, data, wrap.at);
	at += wrap.at;
	memcpy(buf + at, wrap.head, wrap.head_len);
	at += wrap.head_len;
	memcpy(buf + at, data + wrap.at + wrap.room, len - wrap.at - wrap.room);
	at += len - wrap.at - wrap.room;
	if (wrap.tail_len > 0)
		memcpy(buf + at, wrap.tail, wrap.tail_len);
	return (int)(at + wrap.tail_len);
}

/* What is sent for the message must be WANT, and come back as that message. */
static inline void framed_sent(const struct nr_framing *framing,
                               const char *message, const char *want,
                               size_t want_len)
{
	char buf[FRAMED_TEXT], back[FRAMED_TEXT];
	struct framed one = {buf, want_len, back};

	assert_int_equal(framed_wrap(framing, message, strlen(message), buf),
	                 want_len);
	assert_memory_equal(buf, want, want_len);
	snprintf(back, sizeof(back), "<%s>", message);
	framed_all(framing, &one, 1);
}

#endif
