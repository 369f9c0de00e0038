/* SPDX-License-Identifier: MIT */
/* The receiving half: see input.h, and naru/bytes.h for the public calls. */
#include "conv/input.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/conv.h"
#include "conv/datagram.h"
#include "naru/bytes.h"
#include "naru/error.h"

/* From this size on, a read goes to the caller's memory directly; and a smaller
 * one, from the second size on, where what comes is small. */
#define DIRECT_SIZE       ((size_t)4096)
#define DIRECT_SIZE_SMALL ((size_t)512)

/* Frees the buffer alone. */
static void drop_buffer(struct naru_conv *conv)
{
	struct nr_input *in = &conv->in;
	struct nr_io *io = nr_strand_self()->io;

	if (in->lent)
		io->ops->give_back(io, in->data);
	else
		free(in->data);
	in->data = NULL;
	in->size = in->begin = in->end = 0;
	in->lent = false;
}

void nr_input_fini(struct naru_conv *conv)
{
	drop_buffer(conv);
}

size_t nr_input_left(const struct naru_conv *conv)
{
	return nr_input_unread(&conv->in);
}

void nr_input_take(struct naru_conv *conv, size_t count)
{
	struct nr_input *in = &conv->in;

	nr_assert(count <= nr_input_left(conv));
	in->begin += count;
	in->scanned = 0;
	if (in->data && in->begin == in->end)
		drop_buffer(conv);
}

/* Moves what is unread to a buffer of SIZE bytes. */
static int move_over(struct nr_input *in, struct nr_io *io, size_t size)
{
	size_t left = in->end - in->begin;
	char *data = malloc(size);

	if (!data)
		return -ENOMEM;
	memcpy(data, in->data + in->begin, left);
	if (in->lent)
		io->ops->give_back(io, in->data);
	else
		free(in->data);
	in->data = data;
	in->lent = false;
	in->size = size;
	in->begin = 0;
	in->end = left;
	return 0;
}

/* Makes the buffer hold MOST bytes or twice as many as now. */
static int grow(struct nr_input *in, struct nr_io *io, size_t most)
{
	size_t size = in->size * 2;

	if (size < NR_BUFFER_SIZE)
		size = NR_BUFFER_SIZE;
	if (size > most && most >= in->size)
		size = most;
	return move_over(in, io, size);
}

int nr_input_reserve(struct naru_conv *conv, size_t need)
{
	struct nr_input *in = &conv->in;

	nr_assert(in->viewed == 0);
	/* A little more is left to grow(): where nobody knows how much will
	 * come, every byte would move all of them. */
	if (!in->data || in->size >= need / 2)
		return 0;
	return move_over(in, nr_strand_self()->io, need);
}

/* Makes room behind what is unread, without a buffer where nothing is. */
static int make_room(struct naru_conv *conv, struct nr_io *io, size_t most)
{
	struct nr_input *in = &conv->in;
	size_t left = nr_input_left(conv);

	if (left >= most)
		return -NARU_ETOOBIG;
	if (!in->data || in->end < in->size)
		return 0;
	if (in->begin == 0)
		return grow(in, io, most);
	memmove(in->data, in->data + in->begin, left);
	in->begin = 0;
	in->end = left;
	return 0;
}

/* Whether receiving may go on after ERR. */
static bool is_passing(ssize_t err)
{
	return err == -ETIMEDOUT || err == -ECANCELED || err == -ENOMEM;
}

/* Receives into SPAN what comes until UNTIL. */
static ssize_t receive_until(struct naru_conv *conv, struct nr_span *span,
                             int64_t until)
{
	struct nr_input *in = &conv->in;
	struct nr_io *io = nr_strand_self()->io;
	ssize_t got;

	got = conv->link.ops->recv(&conv->link, io, span, in->soon, until);
	if (got > 0) {
		in->total += (uint64_t)got;
		in->soon = span->more;
	} else if (got == 0) {
		in->ended = true;
	} else if (!is_passing(got)) {
		in->err = (int)got;
	}
	return got;
}

/* Receives into SPAN, after the strand's output has gone out. */
static ssize_t receive(struct naru_conv *conv, struct nr_span *span,
                       struct nr_input_wait *wait)
{
	struct nr_input *in = &conv->in;
	ssize_t got;
	int err;

	if (in->err)
		return in->err;
	if (in->ended)
		return 0;
	err = nr_output_settle(nr_strand_self(), conv,
	                       wait->until < 0
	                               ? nr_conv_until(conv, wait->timeout)
	                               : wait->until);
	if (is_passing(err))
		return err;
	if (err < 0) {
		/* The peer takes no more; what it said before it went, which
		 * may be why, is worth more than that it went. */
		got = receive_until(conv, span, 0);
		return got > 0 ? got : err;
	}
	/* The time begins when the peer has what it is to answer. */
	if (wait->until < 0)
		wait->until = nr_conv_until(conv, wait->timeout);
	return receive_until(conv, span, wait->until);
}

ssize_t nr_input_more(struct naru_conv *conv, size_t most,
                      struct nr_input_wait *wait)
{
	struct nr_input *in = &conv->in;
	struct nr_io *io = nr_strand_self()->io;
	struct nr_span span;
	ssize_t got;
	int err;

	nr_assert(in->viewed == 0);
	err = make_room(conv, io, most);
	if (err < 0)
		return err;
	span = (struct nr_span){.len = NR_BUFFER_SIZE};
	if (in->data)
		span = (struct nr_span){.data = in->data + in->end,
		                        .len = in->size - in->end};
	got = receive(conv, &span, wait);
	if (got > 0 && !in->data) {
		in->data = span.data;
		in->size = span.len;
		in->lent = true;
	}
	if (got > 0)
		in->end += (size_t)got;
	return got;
}

ssize_t nr_input_first(struct naru_conv *conv, size_t most,
                       struct nr_input_wait *wait)
{
	struct nr_input *in = &conv->in;
	ssize_t got = nr_input_more(conv, most, wait);

	if (got != -NARU_ECUT)
		return got;
	in->err = 0;
	in->ended = true;
	return 0;
}

ssize_t nr_input_splice(struct naru_conv *conv, struct nr_pipe *pipe,
                        int64_t until)
{
	struct nr_input *in = &conv->in;
	struct nr_link *link = &conv->link;
	ssize_t got;

	nr_assert(nr_input_left(conv) == 0);
	if (in->err)
		return in->err;
	got = link->ops->splice_in(link, nr_strand_self()->io, pipe, until);
	if (got > 0)
		in->total += (uint64_t)got;
	else if (got < 0 && !is_passing(got))
		in->err = (int)got;
	/* There is something to receive, or the end: it is tried for. */
	in->soon = got == 0;
	return got;
}

/* Moves what is unread to BUF, LEN bytes at most. */
static size_t move_out(struct naru_conv *conv, char *buf, size_t len)
{
	size_t count = nr_input_left(conv);

	if (count > len)
		count = len;
	if (count > 0) {
		nr_assert(conv->in.data);
		memcpy(buf, conv->in.data + conv->in.begin, count);
		nr_input_take(conv, count);
	}
	return count;
}

ssize_t naru_read(struct naru_conv *conv, void *buf, size_t len)
{
	struct nr_input_wait wait = {NARU_TIMEOUT_IDLE, -1};
	struct nr_span span = {.data = buf, .len = len};
	ssize_t got;

	if (!nr_conv_is(conv) || !buf || len == 0 || len > SSIZE_MAX)
		return -EINVAL;
	if (conv->link.keeps_messages)
		return nr_datagram_read(conv, buf, len);
	nr_input_end_view(conv);
	if (nr_input_left(conv) == 0) {
		if (len >= DIRECT_SIZE ||
		    (len >= DIRECT_SIZE_SMALL && !conv->in.soon))
			return receive(conv, &span, &wait);
		got = nr_input_more(conv, NR_BUFFER_SIZE, &wait);
		if (got <= 0)
			return got;
	}
	return (ssize_t)move_out(conv, buf, len);
}

/* Puts COUNT bytes that were received into BUF back where the next receive
 * finds them. There are no other unread ones. */
static int put_back(struct naru_conv *conv, const char *buf, size_t count)
{
	struct nr_input *in = &conv->in;

	nr_assert(nr_input_left(conv) == 0 && !in->data);
	if (count == 0)
		return 0;
	in->data = malloc(count);
	if (!in->data) {
		in->err = -ENOMEM;
		return -ENOMEM;
	}
	memcpy(in->data, buf, count);
	in->size = in->end = count;
	return 0;
}

/* Waits for a first byte, so that the time for the rest begins with it. */
static ssize_t await_first(struct naru_conv *conv)
{
	struct nr_input_wait wait = {NARU_TIMEOUT_IDLE, -1};

	if (nr_input_left(conv) > 0)
		return 1;
	return nr_input_first(conv, NR_BUFFER_SIZE, &wait);
}

ssize_t naru_read_exact(struct naru_conv *conv, void *buf, size_t len)
{
	struct nr_input_wait wait = {NARU_TIMEOUT_MESSAGE, -1};
	struct nr_span span;
	size_t have;
	ssize_t got;

	if (!nr_conv_is(conv) || !buf || len == 0)
		return -EINVAL;
	if (len > NARU_READ_EXACT_MAX)
		return -NARU_ETOOBIG;
	if (conv->link.keeps_messages)
		return nr_datagram_read_exact(conv, buf, len);
	nr_input_end_view(conv);
	got = await_first(conv);
	if (got <= 0)
		return got;
	have = move_out(conv, buf, len);
	while (have < len) {
		span = (struct nr_span){.data = (char *)buf + have,
		                        .len = len - have};
		got = receive(conv, &span, &wait);
		if (got <= 0) {
			int err = put_back(conv, buf, have);

			return err < 0 ? err : got < 0 ? got : -NARU_ECUT;
		}
		have += (size_t)got;
	}
	return (ssize_t)len;
}
