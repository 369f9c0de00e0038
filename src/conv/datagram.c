/* SPDX-License-Identifier: MIT */
/* A conversation over datagrams: see datagram.h. */
#include "conv/datagram.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/packed.h"
#include "base/time.h"
#include "conv/conv.h"
#include "naru/error.h"
#include "os/os_datagram.h"
#include "os/os_time.h"

/* Receiving. */

/* How long datagram NUMBER of those that lie in SLOT is. */
static size_t part_of(const struct nr_slot *slot, size_t at)
{
	size_t left = slot->len - at;

	return slot->segment > 0 && slot->segment < left ? slot->segment : left;
}

static size_t packed_size_of(const struct nr_received *received)
{
	size_t size = 0;

	for (unsigned i = 0; i < received->count; i++) {
		const struct nr_slot *slot = &received->slots[i];
		size_t parts = 1;

		if (slot->segment > 0 && slot->len > slot->segment)
			parts = (slot->len + slot->segment - 1) / slot->segment;
		size += slot->len + parts * NR_PACKED_EXTRA;
	}
	return size;
}

static char *pack_slot(char *to, const struct nr_slot *slot)
{
	size_t at = 0, part;

	do {
		part = part_of(slot, at);
		to = nr_packed_put(to, slot->data + at, part);
		at += part;
	} while (at < slot->len);
	return to;
}

/* Takes what was received to a buffer of the conversation's own. */
static int keep(struct naru_conv *conv, const struct nr_received *received)
{
	struct nr_input *in = &conv->in;
	struct nr_io *io = nr_strand_self()->io;
	size_t size = packed_size_of(received);
	char *to;

	in->lent = size <= NR_BUFFER_SIZE;
	in->data = in->lent ? io->ops->lend(io) : malloc(size);
	/* They are lost, as if they had never come. */
	if (!in->data)
		return -ENOMEM;
	in->size = size;
	in->begin = 0;
	in->end = size;
	to = in->data;
	for (unsigned i = 0; i < received->count; i++) {
		to = pack_slot(to, &received->slots[i]);
		in->total += received->slots[i].len;
	}
	nr_assert(to == in->data + size);
	return 0;
}

/* Receives datagrams that come until UNTIL, or until the server that accepted
 * the peer is asked to stop: there is no other end for it to wait for. */
static int receive_some(struct naru_conv *conv, int64_t until,
                        struct nr_received *ret_received)
{
	struct nr_link *link = &conv->link;
	struct nr_io *io = nr_strand_self()->io;
	int got;

	if (conv->in.until > 0)
		until = nr_time_min(until, conv->in.until);
	io->heeds_stop = !link->dialled || conv->in.for_accepted;
	got = link->transport->datagram->recv(link, io, conv->in.soon, until,
	                                      ret_received);
	io->heeds_stop = false;
	return got;
}

/* Waits for datagrams, after the strand's output has gone out. */
static int await_some(struct naru_conv *conv)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_received received;
	int err;

	if (conv->in.ended)
		return NR_STOPPED;
	err = nr_output_settle(self, conv,
	                       nr_conv_until(conv, NARU_TIMEOUT_IDLE));
	if (err < 0)
		return err;
	err = receive_some(conv, nr_conv_until(conv, NARU_TIMEOUT_IDLE),
	                   &received);
	conv->in.ended = err == NR_STOPPED;
	if (err < 0)
		return err;
	conv->in.soon = received.more;
	err = keep(conv, &received);
	if (err < 0)
		conv->dropped += received.count;
	return err;
}

/* What is left of the first datagram that is here: how far it was read stands
 * in SCANNED. */
static struct naru_msg first_of(const struct naru_conv *conv)
{
	const struct nr_input *in = &conv->in;
	const char *at = in->data + in->begin;

	return (struct naru_msg){at + NR_PACKED_HEAD + in->scanned,
	                         nr_packed_len(at) - in->scanned};
}

/* The first datagram has been read. */
static void take_first(struct naru_conv *conv)
{
	struct nr_input *in = &conv->in;

	nr_input_take(conv,
	              nr_packed_size(nr_packed_len(in->data + in->begin)));
}

/* Waits until there is a datagram; NR_STOPPED where none will be waited
 * for. */
static int await_first(struct naru_conv *conv)
{
	int err = 0;

	nr_input_end_view(conv);
	while (err == 0 && nr_input_left(conv) == 0)
		err = await_some(conv);
	return err;
}

int nr_datagram_receive(struct naru_conv *conv, struct naru_msg *ret_msg)
{
	struct naru_msg msg;
	int err = await_first(conv);

	if (err < 0)
		return err == NR_STOPPED ? 0 : err;
	msg = first_of(conv);
	if (msg.len > conv->framing.limit) {
		take_first(conv);
		return -NARU_ETOOBIG;
	}
	conv->in.viewed = nr_packed_size(msg.len + conv->in.scanned);
	conv->in.scanned = 0;
	*ret_msg = msg;
	return 1;
}

/* Moves LEN bytes, which it has, from the first datagram to BUF. */
static void move_out(struct naru_conv *conv, void *buf, size_t len)
{
	struct naru_msg msg = first_of(conv);

	memcpy(buf, msg.data, len);
	if (len == msg.len)
		take_first(conv);
	else
		conv->in.scanned += len;
}

/* Waits until there is a datagram that is not empty: a read of nothing would
 * say that the peer has finished. Returns how much there is of it, or 0 where
 * no datagram will be waited for. */
static ssize_t await_bytes(struct naru_conv *conv)
{
	int err;

	while ((err = await_first(conv)) == 0) {
		struct naru_msg msg = first_of(conv);

		if (msg.len > 0)
			return (ssize_t)msg.len;
		take_first(conv);
	}
	return err == NR_STOPPED ? 0 : err;
}

ssize_t nr_datagram_read(struct naru_conv *conv, void *buf, size_t len)
{
	ssize_t there = await_bytes(conv);

	if (there <= 0)
		return there;
	if (len > (size_t)there)
		len = (size_t)there;
	move_out(conv, buf, len);
	return (ssize_t)len;
}

ssize_t nr_datagram_read_exact(struct naru_conv *conv, void *buf, size_t len)
{
	ssize_t there = await_bytes(conv);

	if (there <= 0)
		return there;
	if (len > (size_t)there)
		return -NARU_ECUT;
	move_out(conv, buf, len);
	return (ssize_t)len;
}

/* Sending. */

/* The datagrams at the beginning of what is to be sent: how many. */
static unsigned list_first(const struct nr_output *out, struct iovec *ret_iov,
                           unsigned most)
{
	unsigned count = 0;

	for (size_t at = out->begin; at < out->end && count < most; count++) {
		size_t len = nr_packed_len(out->data + at);

		ret_iov[count] =
			(struct iovec){out->data + at + NR_PACKED_HEAD, len};
		at += nr_packed_size(len);
	}
	return count;
}

/* The first COUNT datagrams are no longer to be sent. */
static void advance(struct naru_conv *conv, unsigned count)
{
	struct nr_output *out = &conv->out;
	struct nr_io *io = nr_strand_self()->io;

	for (; count > 0; count--)
		out->begin +=
			nr_packed_size(nr_packed_len(out->data + out->begin));
	if (out->begin == out->end) {
		io->ops->give_back(io, out->data);
		out->data = NULL;
		out->begin = out->end = 0;
	}
}

/* Whether sending may go on after ERR from where it stopped. */
static bool is_passing(int err)
{
	return err == -ETIMEDOUT || err == -ECANCELED || err == -ENOMEM;
}

/*
 * Sends some of COUNT datagrams. Where that fails it may be for what ICMP has
 * said of an earlier one: it is tried again, and what fails twice is given up.
 * Returns how many are done with; in RET_ERR, what went wrong.
 */
static int send_or_drop(struct naru_conv *conv, const struct iovec *datagrams,
                        unsigned count, int64_t until, int *ret_err)
{
	const struct nr_datagram_ops *ops = conv->link.transport->datagram;
	struct nr_io *io = nr_strand_self()->io;
	int sent = 0;

	for (int i = 0; i < 2; i++) {
		sent = ops->send(&conv->link, io, datagrams, count, until);
		if (sent > 0 || is_passing(sent))
			break;
		if (*ret_err == 0)
			*ret_err = sent;
	}
	if (is_passing(sent))
		return sent;
	for (int i = 0; i < sent; i++)
		conv->out.total += datagrams[i].iov_len;
	return sent > 0 ? sent : 1;
}

int nr_datagram_flush_locked(struct naru_conv *conv, int64_t limit)
{
	struct nr_output *out = &conv->out;
	struct iovec datagrams[NR_SEGMENTS_MAX];
	int64_t until = -1;
	int result = 0;

	while (out->end > out->begin) {
		unsigned count = list_first(out, datagrams, NR_SEGMENTS_MAX);
		int done;

		if (until < 0)
			until = nr_time_min(limit,
			                    nr_conv_until(conv,
			                                  NARU_TIMEOUT_WRITE));
		done = send_or_drop(conv, datagrams, count, until, &result);
		if (done < 0)
			return done;
		advance(conv, (unsigned)done);
	}
	return result;
}

/* Puts a datagram behind those that are to be sent, for which there is room. */
static int append(struct naru_conv *conv, const void *data, size_t len)
{
	struct nr_output *out = &conv->out;
	struct nr_io *io = nr_strand_self()->io;

	if (!out->data)
		out->data = io->ops->lend(io);
	if (!out->data)
		return -ENOMEM;
	(void)nr_packed_put(out->data + out->end, data, len);
	out->end += nr_packed_size(len);
	return 0;
}

/* Sends a datagram that is larger than the buffer, behind what is in it. */
static int send_large(struct naru_conv *conv, const void *data, size_t len)
{
	const struct iovec one = {(void *)(uintptr_t)data, len};
	int err = 0, done;

	done = send_or_drop(conv, &one, 1,
	                    nr_conv_until(conv, NARU_TIMEOUT_WRITE), &err);
	return done < 0 ? done : err;
}

/* With the output's lock. A datagram is taken as a whole or not at all. */
static int write_locked(struct naru_conv *conv, const void *data, size_t len)
{
	struct nr_output *out = &conv->out;
	struct nr_strand *self = nr_strand_self();
	const size_t size = nr_packed_size(len);
	int err = 0, failed;

	if (out->finished)
		return -EPIPE;
	if (size > NR_BUFFER_SIZE - out->end)
		err = nr_datagram_flush_locked(conv, NR_NEVER);
	if (is_passing(err))
		return err;
	/* What went wrong with others is told; this one goes nevertheless. */
	failed = size > NR_BUFFER_SIZE ? send_large(conv, data, len)
	                               : append(conv, data, len);
	if (!nr_output_note_written(conv, self) && failed == 0)
		failed = nr_datagram_flush_locked(conv, NR_NEVER);
	return err < 0 ? err : failed;
}

int nr_datagram_write(struct naru_conv *conv, const void *data, size_t len,
                      size_t limit)
{
	int err;

	if (len > limit)
		return -NARU_ETOOBIG;
	if (len > NR_DATAGRAM_MAX)
		return -EMSGSIZE;
	err = nr_output_lock(conv);
	if (err < 0)
		return err;
	err = write_locked(conv, data, len);
	nr_lock_release(&conv->out.lock);
	return err;
}

int nr_datagram_end(struct naru_conv *conv)
{
	int err;

	nr_input_end_view(conv);
	err = nr_output_flush(conv);
	/* Who is cancelled is told so now and then, also where it would not
	 * have to wait; asked again, it sends what can be sent. */
	if (err == -ECANCELED)
		err = nr_output_flush(conv);
	conv->dropped += conv->link.transport->datagram->dropped(&conv->link);
	return err;
}
