/* SPDX-License-Identifier: MIT */
/* What engines have in common: see engine.h. */
#include "io/engine.h"

#include <errno.h>
#include <stdlib.h>

#include "os/os_socket.h"
#include "os/os_time.h"

/* Buffers that are kept for the next who needs one. */
#define SPARE_MAX 256

struct nr_buffer {
	struct nr_buffer *next;
};

void nr_engine_init(struct nr_engine *engine, const struct nr_engine_ops *ops,
                    const struct nr_parking *parking)
{
	*engine = (struct nr_engine){.ops = ops,
	                             .parking = parking,
	                             .now = nr_now()};
}

void nr_engine_fini(struct nr_engine *engine)
{
	while (engine->spare) {
		struct nr_buffer *buffer = engine->spare;

		engine->spare = buffer->next;
		free(buffer);
	}
	free(engine->scratch);
	while (engine->pipes_spare > 0)
		nr_pipe_close(&engine->pipes[--engine->pipes_spare]);
}

void nr_io_fiber_init(struct nr_io_fiber *fiber, struct nr_engine *engine)
{
	*fiber = (struct nr_io_fiber){.io.ops = engine->ops->io,
	                              .engine = engine};
}

int nr_engine_sleep(struct nr_io *io, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	const struct nr_parking *parking = self->engine->parking;
	int err;

	if (until <= self->engine->now)
		return parking->pass(self);
	do {
		err = parking->park(self, until);
	} while (err == 0);
	return err == -ETIMEDOUT ? 0 : err;
}

int nr_engine_pass_on(struct nr_io *io)
{
	return nr_engine_go_on(nr_io_fiber_of(io));
}

char *nr_engine_take_buffer(struct nr_engine *engine)
{
	struct nr_buffer *buffer = engine->spare;

	if (!buffer)
		return malloc(NR_BUFFER_SIZE);
	engine->spare = buffer->next;
	engine->spare_count--;
	return (char *)buffer;
}

void nr_engine_put_buffer(struct nr_engine *engine, char *data)
{
	struct nr_buffer *buffer = (struct nr_buffer *)(void *)data;

	if (engine->spare_count == SPARE_MAX) {
		free(data);
		return;
	}
	buffer->next = engine->spare;
	engine->spare = buffer;
	engine->spare_count++;
}

char *nr_engine_lend(struct nr_io *io)
{
	return nr_engine_take_buffer(nr_io_fiber_of(io)->engine);
}

void nr_engine_give_back(struct nr_io *io, char *buffer)
{
	nr_engine_put_buffer(nr_io_fiber_of(io)->engine, buffer);
}

char *nr_engine_scratch(struct nr_io *io)
{
	struct nr_engine *engine = nr_io_fiber_of(io)->engine;

	if (!engine->scratch)
		engine->scratch = malloc(NR_SCRATCH_SIZE);
	return engine->scratch;
}

static int take_pipe(struct nr_engine *engine, struct nr_pipe *ret_pipe)
{
	int err;

	if (engine->pipes_spare > 0) {
		*ret_pipe = engine->pipes[--engine->pipes_spare];
		return 0;
	}
	if (engine->pipes_open == NR_PIPES_MAX)
		return -EMFILE;
	err = nr_pipe_open(ret_pipe);
	if (err == 0)
		engine->pipes_open++;
	return err;
}

static void put_pipe(struct nr_engine *engine, struct nr_pipe *pipe)
{
	if (pipe->to < 0)
		return;
	if (pipe->held == 0 && engine->pipes_spare < NR_PIPES_SPARE) {
		engine->pipes[engine->pipes_spare++] = *pipe;
		*pipe = NR_PIPE_NONE;
	} else {
		nr_pipe_close(pipe);
		engine->pipes_open--;
	}
}

void nr_engine_give_back_pipe(struct nr_io *io, struct nr_pipe *pipe)
{
	put_pipe(nr_io_fiber_of(io)->engine, pipe);
}

ssize_t nr_engine_try_splice_in(struct nr_engine *engine, int fd,
                                struct nr_pipe *pipe)
{
	ssize_t got;

	/* None is to be had now; bytes go without one as well. */
	if (pipe->to < 0 && take_pipe(engine, pipe) < 0)
		return 0;
	got = nr_pipe_fill(pipe, fd);
	if (got <= 0)
		put_pipe(engine, pipe);
	return got;
}

ssize_t nr_engine_try_recv(struct nr_engine *engine, int fd,
                           struct nr_span *into)
{
	struct nr_span span = *into;
	ssize_t got;

	if (!into->data)
		span = (struct nr_span){.data = nr_engine_take_buffer(engine),
		                        .len = NR_BUFFER_SIZE};
	if (!span.data)
		return -ENOMEM;
	got = nr_socket_recv(fd, span.data, span.len);
	span.more = got == (ssize_t)span.len;
	if (got > 0)
		*into = span;
	else if (!into->data)
		nr_engine_put_buffer(engine, span.data);
	return got;
}
