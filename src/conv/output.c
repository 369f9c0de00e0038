/* SPDX-License-Identifier: MIT */
/* The sending half: see output.h, and naru/bytes.h for the public calls. */
#include "conv/output.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/line.h"
#include "base/time.h"
#include "conv/conv.h"
#include "conv/datagram.h"
#include "naru/bytes.h"
#include "os/os_pipe.h"
#include "os/os_thread.h"

void nr_output_init(struct naru_conv *conv)
{
	nr_list_init(&conv->out.at_home);
}

/* Gives back the buffer, with what is in it. */
static void drop_buffer(struct naru_conv *conv)
{
	struct nr_output *out = &conv->out;
	struct nr_io *io = nr_strand_self()->io;

	if (out->data)
		io->ops->give_back(io, out->data);
	out->data = NULL;
	out->begin = out->end = 0;
}

void nr_output_fini(struct naru_conv *conv)
{
	nr_assert(!conv->out.home);
	drop_buffer(conv);
}

/* Waits for whoever else is sending as long as for the peer, but not beyond
 * LIMIT. */
static int lock_until(struct naru_conv *conv, int64_t limit)
{
	int64_t until;

	if (nr_lock_try(&conv->out.lock))
		return 0;
	until = nr_conv_until(conv, NARU_TIMEOUT_WRITE);
	return nr_lock_until(&conv->out.lock, nr_strand_self(),
	                     nr_time_min(limit, until));
}

size_t nr_output_pending(const struct naru_conv *conv)
{
	return conv->out.end - conv->out.begin;
}

/* COUNT bytes were sent, of the buffer first and then of IOV. */
static void advance(struct naru_conv *conv, struct iovec *iov, int count,
                    size_t sent)
{
	struct nr_output *out = &conv->out;
	size_t pending = nr_output_pending(conv);
	size_t part = sent < pending ? sent : pending;

	out->total += sent;
	out->begin += part;
	sent -= part;
	if (out->data && out->begin == out->end)
		drop_buffer(conv);
	for (int i = 0; i < count && sent > 0; i++) {
		part = sent < iov[i].iov_len ? sent : iov[i].iov_len;
		iov[i].iov_base = (char *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		sent -= part;
	}
	nr_assert(sent == 0);
}

/* What SENT, which failed, means for all that follows. */
static int failed(struct nr_output *out, ssize_t sent)
{
	if (sent != -ETIMEDOUT && sent != -ECANCELED && sent != -ENOMEM)
		out->err = (int)sent;
	return (int)sent;
}

/* Sends what is in the buffer as far as the kernel takes it until UNTIL. */
static int send_pending(struct naru_conv *conv, int64_t until)
{
	struct nr_io *io = nr_strand_self()->io;
	struct nr_output *out = &conv->out;
	const struct iovec all = {out->data + out->begin,
	                          out->end - out->begin};
	ssize_t sent = conv->link.ops->send(&conv->link, io, &all, 1, until);

	if (sent < 0)
		return failed(out, sent);
	out->total += (size_t)sent;
	out->begin += (size_t)sent;
	if (out->begin == out->end)
		drop_buffer(conv);
	return 0;
}

/* Sends once: the buffer, and what is left of IOV behind it. */
static int send_some(struct naru_conv *conv, struct iovec *iov, int count,
                     int64_t until)
{
	struct nr_output *out = &conv->out;
	struct nr_io *io = nr_strand_self()->io;
	struct iovec all[NR_PIECES_MAX + 1];
	ssize_t sent;
	int n = 0;

	nr_assert(count <= NR_PIECES_MAX);
	if (nr_output_pending(conv) > 0)
		all[n++] = (struct iovec){out->data + out->begin,
		                          nr_output_pending(conv)};
	for (int i = 0; i < count; i++)
		if (iov[i].iov_len > 0)
			all[n++] = iov[i];
	sent = conv->link.ops->send(&conv->link, io, all, n, until);
	if (sent < 0)
		return failed(out, sent);
	advance(conv, iov, count, (size_t)sent);
	return 0;
}

static size_t total_of(const struct iovec *iov, int count)
{
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	return total;
}

/* Puts what is left of IOV, which fits, into the buffer. */
static int collect(struct naru_conv *conv, const struct iovec *iov, int count)
{
	struct nr_output *out = &conv->out;
	struct nr_io *io = nr_strand_self()->io;

	if (!out->data) {
		out->data = io->ops->lend(io);
		if (!out->data)
			return -ENOMEM;
	}
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len == 0)
			continue;
		memcpy(out->data + out->end, iov[i].iov_base, iov[i].iov_len);
		out->end += iov[i].iov_len;
	}
	return 0;
}

/* Whether all of IOV fits into the buffer now; moves what is in it to its
 * beginning where that makes it fit. */
static bool fits(struct nr_output *out, size_t len)
{
	size_t pending = out->end - out->begin;

	if (len > NR_BUFFER_SIZE - pending)
		return false;
	if (len > NR_BUFFER_SIZE - out->end) {
		memmove(out->data, out->data + out->begin, pending);
		out->begin = 0;
		out->end = pending;
	}
	return true;
}

/* Takes all of IOV, of which TAKEN bytes were taken before. A small write is
 * taken as a whole or not at all: room is made for it first. A large one goes
 * out behind what is in the buffer, without being copied. */
static int write_all(struct naru_conv *conv, struct iovec *iov, int count,
                     size_t *taken)
{
	struct nr_output *out = &conv->out;
	size_t left = total_of(iov, count);
	int64_t until = -1;
	int err;

	while (left > 0) {
		if (fits(out, left)) {
			err = collect(conv, iov, count);
			if (err < 0)
				return err;
			*taken += left;
			return 0;
		}
		if (until < 0)
			until = nr_conv_until(conv, NARU_TIMEOUT_WRITE);
		err = left <= NARU_WRITE_WHOLE
		              ? send_pending(conv, until)
		              : send_some(conv, iov, count, until);
		*taken += left - total_of(iov, count);
		left = total_of(iov, count);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Leaves out of IOV what an earlier call with the same arguments had taken.
 * -EBUSY where another call has to be repeated first. */
static int resume_torn(struct nr_output *out, struct iovec *iov, int count,
                       const void *call, size_t *ret_taken)
{
	size_t skip = out->torn_taken;

	*ret_taken = 0;
	if (!out->torn_taken)
		return 0;
	if (out->torn != call || out->torn_len != total_of(iov, count))
		return -EBUSY;
	*ret_taken = skip;
	for (int i = 0; i < count && skip > 0; i++) {
		size_t part = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		iov[i].iov_base = (char *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		skip -= part;
	}
	return 0;
}

int nr_output_lock(struct naru_conv *conv)
{
	return lock_until(conv, NR_NEVER);
}

bool nr_output_note_written(struct naru_conv *conv, struct nr_strand *self)
{
	if (self->own == conv) {
		self->wrote = true;
		return true;
	}
	if (conv->out.home == self) {
		atomic_store_explicit(&conv->out.home_wrote, true,
		                      memory_order_relaxed);
		return true;
	}
	return false;
}

/* What keeps a conversation from sending, or 0. */
static int state(const struct nr_output *out)
{
	if (out->err)
		return out->err;
	return out->finished ? -EPIPE : 0;
}

/* Sends what is in the buffer, until LIMIT at the longest. Mostly the kernel
 * takes it at once, and nobody has to know how long one would wait. */
static int flush_locked(struct naru_conv *conv, int64_t limit)
{
	struct nr_output *out = &conv->out;
	int64_t until = 0;
	int err = out->err;

	if (conv->link.keeps_messages)
		return nr_datagram_flush_locked(conv, limit);
	while (err == 0 && out->end > out->begin) {
		err = send_pending(conv, until);
		if (err == -ETIMEDOUT && until == 0) {
			until = nr_conv_until(conv, NARU_TIMEOUT_WRITE);
			until = nr_time_min(limit, until);
			err = 0;
		}
	}
	return err;
}

/* Room for LEN bytes in the buffer, locked, where putting them there is all
 * there is to do; else null, and nothing is locked. */
static inline char *begin_append(struct naru_conv *conv, struct nr_strand *self,
                                 size_t len)
{
	struct nr_output *out = &conv->out;

	if (self->own != conv || len > NR_BUFFER_SIZE ||
	    !nr_lock_try(&out->lock))
		return NULL;
	if (!(out->torn_taken || out->err || out->finished)) {
		if (!out->data)
			out->data = self->io->ops->lend(self->io);
		if (out->data && len <= NR_BUFFER_SIZE - out->end)
			return out->data + out->end;
	}
	nr_lock_release(&out->lock);
	return NULL;
}

static inline void end_append(struct naru_conv *conv, struct nr_strand *self,
                              size_t len)
{
	conv->out.end += len;
	self->wrote = true;
	nr_lock_release(&conv->out.lock);
}

bool nr_output_append(struct naru_conv *conv, const void *data, size_t len)
{
	struct nr_strand *self = nr_strand_self();
	char *to = begin_append(conv, self, len);

	if (!to)
		return false;
	memcpy(to, data, len);
	end_append(conv, self, len);
	return true;
}

bool nr_output_append_line(struct naru_conv *conv, const void *data, size_t len)
{
	struct nr_strand *self = nr_strand_self();
	char *to = begin_append(conv, self, len + 1);

	if (!to)
		return false;
	if (!nr_line_copy(to, data, len)) {
		nr_lock_release(&conv->out.lock);
		return false;
	}
	to[len] = '\n';
	end_append(conv, self, len + 1);
	return true;
}

bool nr_output_append_pieces(struct naru_conv *conv, const struct iovec *iov,
                             int count)
{
	struct nr_strand *self = nr_strand_self();
	size_t len = total_of(iov, count);
	char *to = begin_append(conv, self, len);

	if (!to)
		return false;
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len == 0)
			continue;
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	end_append(conv, self, len);
	return true;
}

int nr_output_write(struct naru_conv *conv, struct iovec *iov, int count,
                    const void *call)
{
	struct nr_output *out = &conv->out;
	struct nr_strand *self = nr_strand_self();
	size_t taken, len = total_of(iov, count);
	int err;

	err = lock_until(conv, NR_NEVER);
	if (err < 0)
		return err;
	err = state(out);
	if (err == 0)
		err = resume_torn(out, iov, count, call, &taken);
	if (err == 0) {
		err = write_all(conv, iov, count, &taken);
		out->torn = call;
		out->torn_len = len;
		out->torn_taken = err < 0 ? taken : 0;
		if (!nr_output_note_written(conv, self) && err == 0) {
			err = flush_locked(conv, NR_NEVER);
			/* All of it was taken, and it will be called again. */
			if (err == -ETIMEDOUT || err == -ENOMEM)
				out->torn_taken = len;
		}
	}
	nr_lock_release(&out->lock);
	return err;
}

int nr_output_flush_until(struct naru_conv *conv, int64_t limit)
{
	int err = lock_until(conv, limit);

	if (err < 0)
		return err;
	err = flush_locked(conv, limit);
	nr_lock_release(&conv->out.lock);
	return err;
}

int nr_output_flush(struct naru_conv *conv)
{
	return nr_output_flush_until(conv, NR_NEVER);
}

/* Sends once what PIPE holds, as much as the kernel takes. */
static int splice_some(struct naru_conv *conv, struct nr_pipe *pipe,
                       int64_t until)
{
	struct nr_link *link = &conv->link;
	ssize_t sent =
		link->ops->splice_out(link, nr_strand_self()->io, pipe, until);

	if (sent < 0)
		return failed(&conv->out, sent);
	conv->out.total += (size_t)sent;
	return 0;
}

int nr_output_pass(struct naru_conv *conv, struct iovec *data,
                   struct nr_pipe *pipe)
{
	struct nr_output *out = &conv->out;
	int64_t until = 0;
	int err = lock_until(conv, NR_NEVER);

	if (err < 0)
		return err;
	err = out->torn_taken ? -EBUSY : state(out);
	if (err == 0 && pipe->held > 0)
		err = flush_locked(conv, NR_NEVER);
	while (err == 0 && data->iov_len + pipe->held > 0) {
		err = pipe->held > 0 ? splice_some(conv, pipe, until)
		                     : send_some(conv, data, 1, until);
		/* As in flush_locked(), and anew with each progress. */
		if (err == 0) {
			until = 0;
		} else if (err == -ETIMEDOUT && until == 0) {
			until = nr_conv_until(conv, NARU_TIMEOUT_WRITE);
			err = 0;
		}
	}
	nr_lock_release(&out->lock);
	return err;
}

int nr_output_finish(struct naru_conv *conv)
{
	struct nr_output *out = &conv->out;
	struct nr_link *link = &conv->link;
	int err = lock_until(conv, NR_NEVER);

	if (err < 0)
		return err;
	if (atomic_load(&conv->broken)) {
		err = -EPIPE;
	} else if (!out->finished) {
		err = out->torn_taken ? -EBUSY : flush_locked(conv, NR_NEVER);
		if (err == 0) {
			err = link->ops->finish(
				link, nr_strand_self()->io,
				nr_conv_until(conv, NARU_TIMEOUT_WRITE));
			out->finished = err == 0;
		}
	}
	nr_lock_release(&out->lock);
	return err;
}

int naru_write(struct naru_conv *conv, const void *data, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};

	if (!nr_conv_is(conv) || (!data && len > 0) || len > SSIZE_MAX)
		return -EINVAL;
	if (conv->link.keeps_messages)
		return nr_datagram_write(conv, data, len, SIZE_MAX);
	if (len > 0 && nr_output_append(conv, data, len))
		return 0;
	return nr_output_write(conv, &iov, 1, data);
}

int naru_flush(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? nr_output_flush(conv) : -EINVAL;
}

int naru_finish(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? nr_output_finish(conv) : -EINVAL;
}
