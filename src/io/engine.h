/* SPDX-License-Identifier: MIT */
#ifndef NR_IO_ENGINE_H
#define NR_IO_ENGINE_H

/*
 * Where the fibers of one thread wait together. A fiber has a waiter of its own
 * (struct nr_io_fiber) that belongs to its thread's engine; an engine is one
 * file that ends in one const struct nr_engine_ops.
 *
 * The scheduler calls down into the engine: turn() waits for the kernel. The
 * engine calls back what it was handed, struct nr_parking: a fiber that has to
 * wait parks, and turn() wakes it. So no arrow points up.
 *
 * Only the engine's own thread calls it, but for kick().
 */

#include <stdbool.h>
#include <stdint.h>

#include "io/io.h"
#include "io/loop.h"
#include "os/os_pipe.h"

struct nr_engine;

struct nr_io_fiber {
	struct nr_io io;
	struct nr_engine *engine;
	char *buffer;           /* that the operation has filled, or null */
	int result;             /* of the operation that it waits for */
	bool done;              /* which is over */
	bool more;              /* and left something behind */
	bool cancelled;         /* set by the scheduler, for ever */
	unsigned char unparked; /* calls since it last parked */
};

struct nr_parking {
	/* Has SELF, which calls, wait until it is woken (0), UNTIL has come
	 * (-ETIMEDOUT) or it is cancelled (-ECANCELED, also where it was
	 * before); or a stop is asked for, if it heeds that (NR_STOPPED). */
	int (*park)(struct nr_io_fiber *self, int64_t until);

	/* The same, until it is woken and nothing else: what the kernel works
	 * on must come back first. */
	void (*stay)(struct nr_io_fiber *self);

	/* Lets the others run. 0 or -ECANCELED. */
	int (*pass)(struct nr_io_fiber *self);

	/* OTHER goes on; harmless where it does already. */
	void (*wake)(struct nr_io_fiber *other);
};

/* How large an engine is made; 0 for what is right but in tests. */
struct nr_engine_size {
	unsigned entries; /* operations that can be begun at once */
	unsigned buffers; /* that are lent to the kernel at most */
};

struct nr_engine_ops {
	const char *name;
	const struct nr_io_ops *io;

	/* Made by the thread that will use it, after any fork(). -ENOSYS,
	 * -EPERM and the like where the system does not let us. */
	int (*open)(struct nr_engine **ret_engine,
	            const struct nr_parking *parking,
	            const struct nr_engine_size *size);

	/* Takes part in waiting for LOOP: what it watches is called back in
	 * turn(). Once, for as long as the engine is open. */
	int (*attend)(struct nr_engine *engine, struct nr_loop *loop);

	/* Tells the kernel what is wanted, waits until something is over or
	 * UNTIL has come, and wakes whom it concerns. 0 or -errno. */
	int (*turn)(struct nr_engine *engine, int64_t until);

	/* Ends the wait of turn(), now or the next time. Any thread. */
	void (*kick)(struct nr_engine *engine);

	/* Nobody waits any more. */
	void (*close)(struct nr_engine *engine);
};

struct nr_buffer;

/* Pipes that the fibers of a thread may fill at a time, and how many are kept
 * open for the next. */
#define NR_PIPES_MAX   128
#define NR_PIPES_SPARE 8

/* What engines have in common; each begins with it. */
struct nr_engine {
	const struct nr_engine_ops *ops;
	const struct nr_parking *parking;
	int64_t now;             /* when the last turn was over */
	bool stopped;            /* set by the scheduler, for ever */
	struct nr_buffer *spare; /* buffers, the last one used first */
	unsigned spare_count;
	char *scratch;                        /* or null */
	struct nr_pipe pipes[NR_PIPES_SPARE]; /* empty ones */
	unsigned pipes_spare, pipes_open;
};

extern const struct nr_engine_ops nr_engine_epoll;
extern const struct nr_engine_ops nr_engine_uring;

void nr_engine_init(struct nr_engine *engine, const struct nr_engine_ops *ops,
                    const struct nr_parking *parking);
void nr_engine_fini(struct nr_engine *engine);

/* The waiter of a fiber. */
void nr_io_fiber_init(struct nr_io_fiber *fiber, struct nr_engine *engine);

/* What is the same in each engine's nr_io_ops. */
static inline struct nr_io_fiber *nr_io_fiber_of(struct nr_io *io)
{
	return nr_list_entry(io, struct nr_io_fiber, io);
}
int nr_engine_sleep(struct nr_io *io, int64_t until);
int nr_engine_pass_on(struct nr_io *io);
char *nr_engine_lend(struct nr_io *io);
void nr_engine_give_back(struct nr_io *io, char *buffer);
char *nr_engine_scratch(struct nr_io *io);

/* A buffer that lend() would lend, or null; and back again. */
char *nr_engine_take_buffer(struct nr_engine *engine);
void nr_engine_put_buffer(struct nr_engine *engine, char *data);

/* Receives at once, into a buffer that is lent where the caller has none. */
ssize_t nr_engine_try_recv(struct nr_engine *engine, int fd,
                           struct nr_span *into);

/* Moves to PIPE, which is not open or holds nothing, what is there at once.
 * Where that is nothing, it is not open afterwards. */
ssize_t nr_engine_try_splice_in(struct nr_engine *engine, int fd,
                                struct nr_pipe *pipe);
void nr_engine_give_back_pipe(struct nr_io *io, struct nr_pipe *pipe);

/* Has SELF, which waits for a descriptor, park. */
static inline int nr_engine_park(struct nr_io_fiber *self, int64_t until)
{
	if (self->io.heeds_stop && self->engine->stopped)
		return NR_STOPPED;
	return self->engine->parking->park(self, until);
}

/* Whether a wait has ended with ERR in which what came nevertheless is not to
 * be lost. */
static inline bool nr_engine_is_late(int err)
{
	return err == -ETIMEDOUT || err == NR_STOPPED;
}

/* How many calls may go on without waiting before the others have their turn:
 * so many buffers of small messages are work for a good part of a
 * millisecond. */
#define NR_UNPARKED_MAX 8

/* For a call that goes on without waiting: now and then it lets the others
 * have their turn. 0 or -ECANCELED. */
static inline int nr_engine_go_on(struct nr_io_fiber *self)
{
	if (++self->unparked < NR_UNPARKED_MAX)
		return 0;
	self->unparked = 0;
	return self->engine->parking->pass(self);
}

#endif
