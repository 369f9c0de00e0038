/* SPDX-License-Identifier: MIT */
/*
 * The blocking waiter: poll(2) on the socket together with what cancels, and
 * then a call that never blocks. Whether bytes are tried for first or waited
 * for first is the caller's guess; both cost one system call where the guess
 * is right.
 */
#include "io/block.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/time.h"
#include "os/os_pipe.h"
#include "os/os_poll.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* How many calls may succeed without waiting before one looks whether the
 * strand was cancelled meanwhile. */
#define UNSEEN_MAX 32

static struct nr_io_block *block_of(struct nr_io *io)
{
	nr_assert(io->ops == &nr_io_block_ops);
	return nr_list_entry(io, struct nr_io_block, io);
}

/* Waits for EVENTS on FD, or only for UNTIL where FD is -1. */
static int wait_for(struct nr_io_block *block, int fd, short events,
                    int64_t until)
{
	struct pollfd fds[NR_CANCEL_MAX + 2];
	const bool heeds = block->io.heeds_stop && fd >= 0;
	unsigned count = 0;
	int ready;

	for (int i = 0; i < NR_CANCEL_MAX; i++)
		if (block->cancel[i] >= 0)
			fds[count++] = (struct pollfd){.fd = block->cancel[i],
			                               .events = POLLIN};
	fds[count] = (struct pollfd){.fd = fd, .events = events};
	/* One of -1 is passed over. */
	if (heeds)
		fds[count + 1] =
			(struct pollfd){.fd = block->stop, .events = POLLIN};
	ready = nr_poll(fds, count + 1 + heeds, until);
	if (ready < 0)
		return ready;
	block->unseen = 0;
	for (unsigned i = 0; i < count; i++)
		if (fds[i].revents)
			return -ECANCELED;
	if (fds[count].revents)
		return 0;
	return heeds && fds[count + 1].revents ? NR_STOPPED : -ETIMEDOUT;
}

/* For a call that is about to go on without waiting: now and then, whether
 * the strand was cancelled. */
static int look(struct nr_io_block *block)
{
	int err;

	if (++block->unseen < UNSEEN_MAX)
		return 0;
	err = wait_for(block, -1, 0, 0);
	return err == -ETIMEDOUT ? 0 : err;
}

static char *block_lend(struct nr_io *io)
{
	(void)io;
	return malloc(NR_BUFFER_SIZE);
}

static void block_give_back(struct nr_io *io, char *buffer)
{
	(void)io;
	free(buffer);
}

/* Receives at once, into a buffer that is lent where the caller has none. */
static ssize_t try_recv(struct nr_io *io, int fd, struct nr_span *into)
{
	const bool own = into->data != NULL;
	struct nr_span span = *into;
	ssize_t got;

	if (!own)
		span = (struct nr_span){.data = block_lend(io),
		                        .len = NR_BUFFER_SIZE};
	if (!span.data)
		return -ENOMEM;
	got = nr_socket_recv(fd, span.data, span.len);
	span.more = got == (ssize_t)span.len;
	if (got > 0)
		*into = span;
	else if (!own)
		block_give_back(io, span.data);
	return got;
}

static ssize_t block_recv(struct nr_io *io, struct nr_handle handle,
                          struct nr_span *into, bool soon, int64_t until)
{
	struct nr_io_block *block = block_of(io);
	ssize_t got = -EAGAIN;
	int err;

	if (soon) {
		err = look(block);
		if (err < 0)
			return err;
		got = try_recv(io, handle.fd, into);
	}
	while (got == -EAGAIN) {
		err = wait_for(block, handle.fd, POLLIN, until);
		if (err < 0)
			return err;
		got = try_recv(io, handle.fd, into);
	}
	return got;
}

static ssize_t block_send(struct nr_io *io, struct nr_handle handle,
                          const struct iovec *iov, int count, int64_t until)
{
	struct nr_io_block *block = block_of(io);
	ssize_t sent;
	int err = look(block);

	if (err < 0)
		return err;
	while ((sent = nr_socket_send(handle.fd, iov, count)) == -EAGAIN) {
		err = wait_for(block, handle.fd, POLLOUT, until);
		if (err < 0)
			return err;
	}
	return sent;
}

/* How long one waits with a pipe in one's hand: opening one is a few calls. */
#define PIPE_HELD (100 * NR_NS_PER_MS)

static void block_give_back_pipe(struct nr_io *io, struct nr_pipe *pipe)
{
	(void)io;
	nr_pipe_close(pipe);
}

/* Waits until FD is readable, for long without PIPE. */
static int await_with_pipe(struct nr_io_block *block, int fd,
                           struct nr_pipe *pipe, int64_t until)
{
	int64_t soon = nr_time_add(nr_now(), PIPE_HELD);
	int err = wait_for(block, fd, POLLIN, nr_time_min(soon, until));

	if (err == -ETIMEDOUT && soon < until) {
		nr_pipe_close(pipe);
		err = wait_for(block, fd, POLLIN, until);
	}
	return err;
}

static ssize_t block_splice_in(struct nr_io *io, struct nr_handle handle,
                               struct nr_pipe *pipe, int64_t until)
{
	struct nr_io_block *block = block_of(io);
	ssize_t got = -EAGAIN;
	int err = look(block);

	for (int i = 0; i < 2 && err == 0; i++) {
		/* None is to be had now; bytes go without one as well. */
		if (pipe->to < 0 && nr_pipe_open(pipe) < 0)
			return 0;
		got = nr_pipe_fill(pipe, handle.fd);
		if (got != -EAGAIN)
			return got;
		if (i == 0)
			err = await_with_pipe(block, handle.fd, pipe, until);
	}
	/* Where one was told to, something is there that cannot be moved. */
	return err;
}

static ssize_t block_splice_out(struct nr_io *io, struct nr_handle handle,
                                struct nr_pipe *pipe, int64_t until)
{
	struct nr_io_block *block = block_of(io);
	ssize_t sent;
	int err = look(block);

	while (err == 0) {
		sent = nr_pipe_empty(pipe, handle.fd);
		if (sent != -EAGAIN)
			return sent;
		err = wait_for(block, handle.fd, POLLOUT, until);
	}
	return err;
}

static int block_sleep(struct nr_io *io, int64_t until)
{
	int err = wait_for(block_of(io), -1, 0, until);

	return err == -ETIMEDOUT ? 0 : err;
}

static int block_wait(struct nr_io *io, struct nr_handle handle,
                      enum nr_readiness what, int64_t until)
{
	return wait_for(block_of(io), handle.fd,
	                what == NR_READABLE ? POLLIN : POLLOUT, until);
}

static ssize_t block_attempt(struct nr_io *io, struct nr_handle handle,
                             struct nr_attempt *attempt, int64_t until)
{
	struct nr_io_block *block = block_of(io);
	const short events = attempt->what == NR_READABLE ? POLLIN : POLLOUT;
	ssize_t result = -EAGAIN;
	int err;

	if (attempt->soon) {
		err = look(block);
		if (err < 0)
			return err;
		result = attempt->call(handle.fd, attempt->arg);
	}
	while (result == -EAGAIN) {
		err = wait_for(block, handle.fd, events, until);
		if (err < 0)
			return err;
		result = attempt->call(handle.fd, attempt->arg);
		/* Ready, and nothing to be had: that may go on for ever. */
		if (result == -EAGAIN && nr_now() >= until)
			return -ETIMEDOUT;
	}
	return result;
}

static char *block_scratch(struct nr_io *io)
{
	struct nr_io_block *block = block_of(io);

	if (!block->scratch)
		block->scratch = malloc(NR_SCRATCH_SIZE);
	return block->scratch;
}

static int block_go_on(struct nr_io *io)
{
	return look(block_of(io));
}

void nr_io_block_init(struct nr_io_block *block, int server, int conversation)
{
	*block = (struct nr_io_block){.io.ops = &nr_io_block_ops,
	                              .cancel = {server, conversation},
	                              .stop = -1};
}

void nr_io_block_fini(struct nr_io_block *block)
{
	free(block->scratch);
	block->scratch = NULL;
}

const struct nr_io_ops nr_io_block_ops = {
	.name = "block",
	.recv = block_recv,
	.send = block_send,
	.splice_in = block_splice_in,
	.splice_out = block_splice_out,
	.give_back_pipe = block_give_back_pipe,
	.connect = nr_io_connect,
	.wait = block_wait,
	.attempt = block_attempt,
	.sleep = block_sleep,
	.go_on = block_go_on,
	.lend = block_lend,
	.give_back = block_give_back,
	.scratch = block_scratch,
};
