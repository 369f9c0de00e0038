/* SPDX-License-Identifier: MIT */
/*
 * The engine on io_uring(7): one ring for each thread, one io_uring_enter(2)
 * for each turn. A fiber that has to wait leaves an operation in the ring, and
 * the operation's own completion decides what came of it: where the time has
 * come or the fiber is cancelled, the operation is cancelled, and what it did
 * nevertheless is returned.
 *
 * Whoever waits for bytes holds no memory for them: the kernel takes a buffer
 * from those that it was lent when bytes have come.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include "base/assert.h"
#include "base/time.h"
#include "io/engine.h"
#include "os/os_file.h"
#include "os/os_memory.h"
#include "os/os_poll.h"
#include "os/os_socket.h"
#include "os/os_time.h"

#define ENTRIES_DEFAULT 1024
/* Completions that the ring has room for, for each operation of one turn. */
#define CQ_FACTOR 4
/* Buffers that the kernel is lent: so many at first, and more where they did
 * not suffice. */
#define BUFFERS_FIRST   16
#define BUFFERS_DEFAULT 256
#define BUFFER_GROUP    0

struct uring_engine {
	struct nr_engine engine;
	struct io_uring ring;
	bool ring_open;
	int kick;
	struct nr_loop *loop;

	struct io_uring_buf_ring *lent_ring;
	size_t lent_size;      /* of its memory */
	unsigned lent_entries; /* a power of two */
	unsigned lent_wanted, lent_count;
	char **lent;            /* by buffer id */
	unsigned short *unlent; /* ids that are not lent now */
	unsigned unlent_count;
};

/* What completions belong to that are no fiber's. */
static char own_kick, own_loop, own_cancel;

static struct uring_engine *uring_of(struct nr_engine *engine)
{
	return nr_list_entry(engine, struct uring_engine, engine);
}

/* The next operation to be begun. Where there is no room, those that wait for
 * it are begun first. */
static struct io_uring_sqe *next_sqe(struct uring_engine *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	while (!sqe) {
		int err = io_uring_submit(&uring->ring);

		/* -EBUSY: completions are to be fetched first; that makes
		 * room for those that the kernel keeps. */
		if (err < 0 && err != -EINTR)
			(void)io_uring_get_events(&uring->ring);
		sqe = io_uring_get_sqe(&uring->ring);
	}
	return sqe;
}

/* Waits for the operation that SELF has just prepared. What it came to, or
 * why it was given up. */
static int operate(struct uring_engine *uring, struct nr_io_fiber *self,
                   struct io_uring_sqe *sqe, int64_t until)
{
	const struct nr_parking *parking = uring->engine.parking;
	int err;

	io_uring_sqe_set_data(sqe, self);
	self->done = false;
	do {
		err = nr_engine_park(self, until);
	} while (err == 0 && !self->done);
	if (!self->done) {
		sqe = next_sqe(uring);
		io_uring_prep_cancel(sqe, self, 0);
		io_uring_sqe_set_data(sqe, &own_cancel);
		while (!self->done)
			parking->stay(self);
	}
	if (self->result != -ECANCELED && self->result != -EINTR)
		return self->result;
	/* Where nobody gave it up, it is to be begun anew. */
	return err < 0 ? err : -EAGAIN;
}

/* Buffers that are lent to the kernel. */

/* Lends as many as are wanted, or as there is memory for. */
static void lend_wanted(struct uring_engine *uring)
{
	int mask = io_uring_buf_ring_mask(uring->lent_entries), count = 0;

	while (uring->lent_count < uring->lent_wanted) {
		char *data = nr_engine_take_buffer(&uring->engine);
		unsigned short id;

		if (!data)
			break;
		id = uring->unlent[--uring->unlent_count];
		uring->lent[id] = data;
		io_uring_buf_ring_add(uring->lent_ring, data, NR_BUFFER_SIZE,
		                      id, mask, count++);
		uring->lent_count++;
	}
	if (count > 0)
		io_uring_buf_ring_advance(uring->lent_ring, count);
}

/* Takes buffer ID, which the kernel has done with. */
static char *take_lent(struct uring_engine *uring, unsigned id)
{
	char *data = uring->lent[id];

	nr_assert(data);
	uring->lent[id] = NULL;
	uring->unlent[uring->unlent_count++] = (unsigned short)id;
	uring->lent_count--;
	return data;
}

/* They did not suffice: more are lent from now on. */
static void want_more(struct uring_engine *uring)
{
	uring->lent_wanted *= 2;
	if (uring->lent_wanted > uring->lent_entries)
		uring->lent_wanted = uring->lent_entries;
}

static int open_lent(struct uring_engine *uring, unsigned most)
{
	struct io_uring_buf_reg reg = {.bgid = BUFFER_GROUP};
	void *memory;
	int err;

	for (uring->lent_entries = 1; uring->lent_entries < most;)
		uring->lent_entries *= 2;
	uring->lent_size = uring->lent_entries * sizeof(struct io_uring_buf);
	uring->lent = calloc(uring->lent_entries, sizeof(*uring->lent));
	uring->unlent = calloc(uring->lent_entries, sizeof(*uring->unlent));
	if (!uring->lent || !uring->unlent)
		return -ENOMEM;
	err = nr_memory_reserve(NULL, uring->lent_size, &memory);
	if (err < 0)
		return err;
	uring->lent_ring = memory;
	reg.ring_addr = (uintptr_t)memory;
	reg.ring_entries = uring->lent_entries;
	err = io_uring_register_buf_ring(&uring->ring, &reg, 0);
	if (err < 0)
		return err;
	io_uring_buf_ring_init(uring->lent_ring);
	for (unsigned i = 0; i < uring->lent_entries; i++)
		uring->unlent[uring->unlent_count++] = (unsigned short)i;
	uring->lent_wanted = most < BUFFERS_FIRST ? most : BUFFERS_FIRST;
	lend_wanted(uring);
	return 0;
}

static void close_lent(struct uring_engine *uring)
{
	for (unsigned i = 0; uring->lent && i < uring->lent_entries; i++)
		free(uring->lent[i]);
	free(uring->lent);
	free(uring->unlent);
	if (uring->lent_ring)
		nr_memory_release(uring->lent_ring, uring->lent_size);
}

/* Waiting. */

/* Waits until FD is ready, by an operation of the ring. */
static int poll_once(struct uring_engine *uring, struct nr_io_fiber *self,
                     int fd, enum nr_readiness what, int64_t until)
{
	const unsigned events = what == NR_READABLE ? POLLIN : POLLOUT;
	int ready;

	do {
		struct io_uring_sqe *sqe = next_sqe(uring);

		io_uring_prep_poll_add(sqe, fd, events);
		ready = operate(uring, self, sqe, until);
	} while (ready == -EAGAIN);
	return ready < 0 ? ready : 0;
}

/* Receives into a buffer that the kernel takes when bytes have come. */
static ssize_t recv_lent(struct uring_engine *uring, struct nr_io_fiber *self,
                         int fd, struct nr_span *into, int64_t until)
{
	struct io_uring_sqe *sqe = next_sqe(uring);
	ssize_t got;

	io_uring_prep_recv(sqe, fd, NULL, NR_BUFFER_SIZE, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	self->buffer = NULL;
	got = operate(uring, self, sqe, until);
	if (got > 0)
		*into = (struct nr_span){self->buffer, NR_BUFFER_SIZE,
		                         self->more};
	else if (self->buffer)
		nr_engine_put_buffer(&uring->engine, self->buffer);
	/* Bytes are there, and no buffer was. */
	if (got == -ENOBUFS) {
		want_more(uring);
		got = nr_engine_try_recv(&uring->engine, fd, into);
	}
	return got;
}

static ssize_t recv_own(struct uring_engine *uring, struct nr_io_fiber *self,
                        int fd, struct nr_span *into, int64_t until)
{
	struct io_uring_sqe *sqe = next_sqe(uring);
	ssize_t got;

	io_uring_prep_recv(sqe, fd, into->data, into->len, 0);
	got = operate(uring, self, sqe, until);
	into->more = got > 0 && self->more;
	return got;
}

static ssize_t uring_recv(struct nr_io *io, struct nr_handle handle,
                          struct nr_span *into, bool soon, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct uring_engine *uring = uring_of(self->engine);
	ssize_t got = -EAGAIN;
	int err;

	if (self->cancelled)
		return -ECANCELED;
	if (soon || until <= uring->engine.now) {
		err = nr_engine_go_on(self);
		if (err < 0)
			return err;
		got = nr_engine_try_recv(&uring->engine, handle.fd, into);
	}
	if (got == -EAGAIN && until <= uring->engine.now)
		return -ETIMEDOUT;
	while (got == -EAGAIN) {
		got = into->data
		              ? recv_own(uring, self, handle.fd, into, until)
		              : recv_lent(uring, self, handle.fd, into, until);
		/* In a socket that does not block, an operation does not wait
		 * either. */
		err = got == -EAGAIN ? poll_once(uring, self, handle.fd,
		                                 NR_READABLE, until)
		                     : 0;
		if (err < 0)
			return err;
	}
	return got;
}

static int uring_wait(struct nr_io *io, struct nr_handle handle,
                      enum nr_readiness what, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct uring_engine *uring = uring_of(self->engine);
	struct pollfd now = {.fd = handle.fd,
	                     .events = what == NR_READABLE ? POLLIN : POLLOUT};
	int ready;

	if (self->cancelled)
		return -ECANCELED;
	if (until > uring->engine.now)
		return poll_once(uring, self, handle.fd, what, until);
	ready = nr_poll(&now, 1, 0);
	return ready < 0 ? ready : ready == 0 ? -ETIMEDOUT : 0;
}

static ssize_t uring_attempt(struct nr_io *io, struct nr_handle handle,
                             struct nr_attempt *attempt, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct uring_engine *uring = uring_of(self->engine);
	ssize_t result = -EAGAIN;
	int err;

	if (self->cancelled)
		return -ECANCELED;
	if (attempt->soon || until <= uring->engine.now) {
		err = nr_engine_go_on(self);
		if (err < 0)
			return err;
		result = attempt->call(handle.fd, attempt->arg);
	}
	while (result == -EAGAIN) {
		if (until <= uring->engine.now)
			return -ETIMEDOUT;
		err = poll_once(uring, self, handle.fd, attempt->what, until);
		if (err < 0 && !nr_engine_is_late(err))
			return err;
		result = attempt->call(handle.fd, attempt->arg);
		if (result == -EAGAIN && err < 0)
			return err;
	}
	return result;
}

static ssize_t uring_send(struct nr_io *io, struct nr_handle handle,
                          const struct iovec *iov, int count, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct uring_engine *uring = uring_of(self->engine);
	ssize_t sent;
	int err = nr_engine_go_on(self);

	if (err < 0)
		return err;
	while ((sent = nr_socket_send(handle.fd, iov, count)) == -EAGAIN) {
		if (until <= uring->engine.now)
			return -ETIMEDOUT;
		err = poll_once(uring, self, handle.fd, NR_WRITABLE, until);
		if (err < 0)
			return err;
	}
	return sent;
}

/* Not by an operation of the ring, which a thread of the kernel's own would
 * work on: that is slower than the call. */
static ssize_t uring_splice_in(struct nr_io *io, struct nr_handle handle,
                               struct nr_pipe *pipe, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct uring_engine *uring = uring_of(self->engine);
	int err = self->cancelled ? -ECANCELED : nr_engine_go_on(self);
	ssize_t got;

	if (err < 0)
		return err;
	got = nr_engine_try_splice_in(&uring->engine, handle.fd, pipe);
	if (got != -EAGAIN)
		return got;
	if (until <= uring->engine.now)
		return -ETIMEDOUT;
	err = poll_once(uring, self, handle.fd, NR_READABLE, until);
	if (err < 0)
		return err;
	got = nr_engine_try_splice_in(&uring->engine, handle.fd, pipe);
	/* Something is there that cannot be moved so. */
	return got == -EAGAIN ? 0 : got;
}

static ssize_t uring_splice_out(struct nr_io *io, struct nr_handle handle,
                                struct nr_pipe *pipe, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct uring_engine *uring = uring_of(self->engine);
	int err = nr_engine_go_on(self);
	ssize_t sent;

	while (err == 0) {
		sent = nr_pipe_empty(pipe, handle.fd);
		if (sent != -EAGAIN)
			return sent;
		if (until <= uring->engine.now)
			return -ETIMEDOUT;
		err = poll_once(uring, self, handle.fd, NR_WRITABLE, until);
	}
	return err;
}

/* Turns. */

static void await_kick(struct uring_engine *uring)
{
	struct io_uring_sqe *sqe = next_sqe(uring);

	io_uring_prep_poll_add(sqe, uring->kick, POLLIN);
	io_uring_sqe_set_data(sqe, &own_kick);
}

static void await_loop(struct uring_engine *uring)
{
	struct io_uring_sqe *sqe = next_sqe(uring);

	io_uring_prep_poll_add(sqe, uring->loop->watch, POLLIN);
	io_uring_sqe_set_data(sqe, &own_loop);
}

static void uring_kick(struct nr_engine *engine)
{
	nr_event_set(uring_of(engine)->kick);
}

static int uring_attend(struct nr_engine *engine, struct nr_loop *loop)
{
	struct uring_engine *uring = uring_of(engine);

	uring->loop = loop;
	await_loop(uring);
	return 0;
}

/* One completion. Says in RET_LOOP whether the loop has something. */
static void complete(struct uring_engine *uring, const struct io_uring_cqe *cqe,
                     bool *ret_loop)
{
	void *data = io_uring_cqe_get_data(cqe);
	struct nr_io_fiber *fiber = data;

	if (data == &own_kick) {
		nr_event_clear(uring->kick);
		await_kick(uring);
	} else if (data == &own_loop) {
		*ret_loop = true;
	} else if (data != &own_cancel) {
		fiber->result = cqe->res;
		fiber->more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
		if (cqe->flags & IORING_CQE_F_BUFFER)
			fiber->buffer = take_lent(
				uring, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		fiber->done = true;
		uring->engine.parking->wake(fiber);
	}
}

/* How far ahead of a completion what it is about is fetched to the caches. */
#define AHEAD 8

/* Fetches what the completion AHEAD of HEAD is about, if there is one. */
static inline void fetch_ahead(const struct uring_engine *uring, unsigned head)
{
	const struct io_uring_cq *cq = &uring->ring.cq;
	const struct io_uring_cqe *cqe;

	/* One that is not there yet is an old one: that does no harm. */
	cqe = &cq->cqes[(head + AHEAD) & *cq->kring_mask];
	__builtin_prefetch((const void *)(uintptr_t)cqe->user_data, 1);
	__builtin_prefetch((const char *)(uintptr_t)cqe->user_data + 64, 1);
}

static int enter(struct uring_engine *uring, int64_t until)
{
	struct __kernel_timespec left, *timeout = NULL;
	struct io_uring_cqe *cqe;
	int64_t ns;
	int err;

#if defined(__SANITIZE_THREAD__)
	/* It runs signal handlers after the calls that it knows. This is none:
	 * a signal that came just before would not be heard until it is over.
	 */
	until = nr_time_min(until, nr_time_add(nr_now(), 50 * NR_NS_PER_MS));
#endif
	if (until <= 0)
		return io_uring_submit_and_get_events(&uring->ring);
	if (until != NR_NEVER) {
		ns = until - nr_now();
		if (ns <= 0)
			return io_uring_submit_and_get_events(&uring->ring);
		left = (struct __kernel_timespec){ns / NR_NS_PER_S,
		                                  ns % NR_NS_PER_S};
		timeout = &left;
	}
	err = io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, timeout,
	                                       NULL);
	return err == -ETIME ? 0 : err;
}

static int uring_turn(struct nr_engine *engine, int64_t until)
{
	struct uring_engine *uring = uring_of(engine);
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	bool loop = false;
	int err = enter(uring, until);

	engine->now = nr_now();
	/* -EBUSY: completions that the kernel keeps for want of room come
	 * first; what could not be begun is begun in the next turn. */
	if (err < 0 && err != -EINTR && err != -EBUSY && err != -EAGAIN)
		return err;
	if (io_uring_cq_has_overflow(&uring->ring))
		(void)io_uring_get_events(&uring->ring);
	io_uring_for_each_cqe(&uring->ring, head, cqe)
	{
		fetch_ahead(uring, head);
		complete(uring, cqe, &loop);
		count++;
	}
	io_uring_cq_advance(&uring->ring, count);
	lend_wanted(uring);
	if (!loop)
		return 0;
	err = nr_loop_turn(uring->loop, 0);
	await_loop(uring);
	return err;
}

static void uring_close(struct nr_engine *engine)
{
	struct uring_engine *uring = uring_of(engine);

	if (uring->ring_open)
		io_uring_queue_exit(&uring->ring);
	close_lent(uring);
	nr_file_close(uring->kick);
	nr_engine_fini(engine);
	free(uring);
}

static int open_ring(struct uring_engine *uring, unsigned entries)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
	                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
	                 IORING_SETUP_SUBMIT_ALL,
		.cq_entries = entries * CQ_FACTOR,
	};
	int err = io_uring_queue_init_params(entries, &uring->ring, &params);

	/* What this kernel has never heard of. */
	if (err == -EINVAL)
		return -ENOSYS;
	if (err < 0)
		return err;
	uring->ring_open = true;
	if (!(params.features & IORING_FEAT_NODROP) ||
	    !(params.features & IORING_FEAT_EXT_ARG))
		return -ENOSYS;
	/* Where this is not to be had, a child that execs is no harm either. */
	(void)io_uring_ring_dontfork(&uring->ring);
	/* Where this is not, each turn looks the ring's descriptor up. */
	(void)io_uring_register_ring_fd(&uring->ring);
	return 0;
}

/* Whoever forbids io_uring_enter(2) alone is found out now and not when there
 * are conversations; what else it may refuse, it refuses for the moment. */
static int begin(struct uring_engine *uring)
{
	int err;

	await_kick(uring);
	err = io_uring_submit(&uring->ring);
	return err == -EPERM || err == -EACCES || err == -ENOSYS ? err : 0;
}

static int uring_open(struct nr_engine **ret_engine,
                      const struct nr_parking *parking,
                      const struct nr_engine_size *size)
{
	struct uring_engine *uring = calloc(1, sizeof(*uring));
	int err;

	if (!uring)
		return -ENOMEM;
	nr_engine_init(&uring->engine, &nr_engine_uring, parking);
	err = uring->kick = nr_event_open();
	if (err >= 0)
		err = open_ring(uring, size->entries ? size->entries
		                                     : ENTRIES_DEFAULT);
	if (err >= 0)
		err = open_lent(uring, size->buffers ? size->buffers
		                                     : BUFFERS_DEFAULT);
	if (err >= 0)
		err = begin(uring);
	if (err < 0) {
		uring_close(&uring->engine);
		return err;
	}
	*ret_engine = &uring->engine;
	return 0;
}

static const struct nr_io_ops uring_io = {
	.name = "uring",
	.recv = uring_recv,
	.send = uring_send,
	.splice_in = uring_splice_in,
	.splice_out = uring_splice_out,
	.give_back_pipe = nr_engine_give_back_pipe,
	.connect = nr_io_connect,
	.wait = uring_wait,
	.attempt = uring_attempt,
	.sleep = nr_engine_sleep,
	.lend = nr_engine_lend,
	.go_on = nr_engine_pass_on,
	.give_back = nr_engine_give_back,
	.scratch = nr_engine_scratch,
};

const struct nr_engine_ops nr_engine_uring = {
	.name = "uring",
	.io = &uring_io,
	.open = uring_open,
	.attend = uring_attend,
	.turn = uring_turn,
	.kick = uring_kick,
	.close = uring_close,
};
