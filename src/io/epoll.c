/* SPDX-License-Identifier: MIT */
/*
 * The engine on epoll(7), edge-triggered. A socket is added once, when somebody
 * first has to wait for it, and tells of each change from then on; the kernel
 * forgets it when it is closed. What a socket was last known to be ready for
 * is kept, so that no edge is lost and no call is wasted: after a call that
 * took less than it could have, the next edge is waited for at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "io/engine.h"
#include "os/os_file.h"
#include "os/os_poll.h"
#include "os/os_socket.h"
#include "os/os_time.h"

#define BATCH     256
#define TABLE_MIN 64

/* What is known of a descriptor. */
struct entry {
	unsigned serial; /* of the one that was added; 0 for none */
	bool may_read;   /* there may be something to read */
	bool over;       /* and after it there is the end */
	bool may_write;  /* there may be room */
	bool was_full;   /* the kernel took less than it was given */
	bool in_pieces;  /* a receive may stop before the last byte: at urgent
	                    data, and in a unix socket at descriptors */
	bool urgent;     /* there was such data */
	struct nr_io_fiber *reader, *writer; /* who waits */
};

struct epoll_engine {
	struct nr_engine engine;
	int watch, kick;
	struct entry *table; /* by descriptor */
	unsigned table_size;
	struct nr_loop *loop;
};

/* Descriptors of our own, told from others by their serial, 0. */
enum own {
	OWN_KICK,
	OWN_LOOP,
};

static struct epoll_engine *epoll_of(struct nr_engine *engine)
{
	return nr_list_entry(engine, struct epoll_engine, engine);
}

static int grow(struct epoll_engine *epoll, unsigned fd)
{
	unsigned size = epoll->table_size ? epoll->table_size : TABLE_MIN;
	struct entry *table;

	while (size <= fd)
		size *= 2;
	table = realloc(epoll->table, size * sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table + epoll->table_size, 0,
	       (size - epoll->table_size) * sizeof(*table));
	epoll->table = table;
	epoll->table_size = size;
	return 0;
}

/* Has the kernel tell of HANDLE from now on. */
static int add(struct epoll_engine *epoll, struct nr_handle handle)
{
	uint64_t data = (uint64_t)handle.serial << 32 | (unsigned)handle.fd;
	struct entry *entry;
	int err = 0;

	if ((unsigned)handle.fd >= epoll->table_size)
		err = grow(epoll, (unsigned)handle.fd);
	if (err < 0)
		return err;
	entry = &epoll->table[handle.fd];
	if (entry->serial == handle.serial)
		return 0;
	nr_assert(!entry->reader && !entry->writer);
	err = nr_watch_edges(epoll->watch, handle.fd, data);
	if (err == 0)
		*entry = (struct entry){.serial = handle.serial,
		                        .in_pieces = handle.in_pieces};
	return err;
}

static struct entry *entry_of(struct epoll_engine *epoll,
                              struct nr_handle handle)
{
	struct entry *entry;

	if ((unsigned)handle.fd >= epoll->table_size)
		return NULL;
	entry = &epoll->table[handle.fd];
	return entry->serial == handle.serial ? entry : NULL;
}

/* Waits until HANDLE, which has been added, may be ready. */
static int await(struct epoll_engine *epoll, struct nr_io_fiber *self,
                 struct nr_handle handle, enum nr_readiness what, int64_t until)
{
	struct entry *entry = &epoll->table[handle.fd];
	int err;

	/* The table may move while we wait. */
	while (what == NR_READABLE ? !entry->may_read : !entry->may_write) {
		if (what == NR_READABLE)
			entry->reader = self;
		else
			entry->writer = self;
		err = nr_engine_park(self, until);
		entry = &epoll->table[handle.fd];
		if (what == NR_READABLE)
			entry->reader = NULL;
		else
			entry->writer = NULL;
		if (err < 0)
			return err;
	}
	return 0;
}

/* What is done at once, or not at all: -EAGAIN where it would have to wait. */
struct trying {
	ssize_t (*once)(struct epoll_engine *epoll, struct nr_handle handle,
	                void *arg);
	void *arg;
	enum nr_readiness what; /* the descriptor has to be first */
	bool soon;              /* it probably is already */
	int64_t until;
};

/* Tries until it comes to something. Inlined, for that every byte comes through
 * here. */
static inline __attribute__((always_inline)) ssize_t keep_trying(
	struct nr_io_fiber *self, struct nr_handle handle,
	const struct trying *trying)
{
	struct epoll_engine *epoll = epoll_of(self->engine);
	const int64_t until = trying->until;
	ssize_t result = -EAGAIN;
	int err;

	if (self->cancelled)
		return -ECANCELED;
	if (trying->soon || until <= epoll->engine.now) {
		err = nr_engine_go_on(self);
		if (err < 0)
			return err;
		result = trying->once(epoll, handle, trying->arg);
	}
	if (result == -EAGAIN && until <= epoll->engine.now)
		return -ETIMEDOUT;
	while (result == -EAGAIN) {
		err = add(epoll, handle);
		if (err == 0)
			err = await(epoll, self, handle, trying->what, until);
		if (err < 0 && !nr_engine_is_late(err))
			return err;
		/* What came wins over the time that passed: its event may be
		 * one of the next batch. */
		result = trying->once(epoll, handle, trying->arg);
		if (result == -EAGAIN && err < 0)
			return err;
		if (result == -EAGAIN)
			err = nr_engine_go_on(self);
		if (err == -ECANCELED)
			return err;
	}
	return result;
}

/* Receives, where it is known that there may be something or where one is to
 * find out. */
static ssize_t receive(struct epoll_engine *epoll, struct nr_handle handle,
                       void *arg)
{
	struct nr_span *into = arg;
	struct entry *entry = entry_of(epoll, handle);
	const size_t room = into->data ? into->len : NR_BUFFER_SIZE;
	ssize_t got = nr_engine_try_recv(&epoll->engine, handle.fd, into);
	bool drained;

	/* Less than could have come: the next edge tells of more. But that of
	 * the peer's end may have been the last. After an error everything is
	 * still there. */
	if (!entry)
		return got;
	drained = got == -EAGAIN ||
	          (got > 0 && (size_t)got < room && !entry->in_pieces);
	entry->may_read = entry->over || !drained;
	return got;
}

static ssize_t epoll_recv(struct nr_io *io, struct nr_handle handle,
                          struct nr_span *into, bool soon, int64_t until)
{
	const struct trying trying = {.once = receive,
	                              .arg = into,
	                              .what = NR_READABLE,
	                              .soon = soon,
	                              .until = until};

	return keep_trying(nr_io_fiber_of(io), handle, &trying);
}

static ssize_t epoll_send(struct nr_io *io, struct nr_handle handle,
                          const struct iovec *iov, int count, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct epoll_engine *epoll = epoll_of(self->engine);
	struct entry *entry;
	ssize_t sent = -EAGAIN;
	size_t len = 0;
	int err = nr_engine_go_on(self);

	if (err < 0)
		return err;
	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	for (;;) {
		entry = entry_of(epoll, handle);
		if (!entry || !entry->was_full || until <= epoll->engine.now) {
			/* Before the call, so that an edge after it counts. */
			if (entry)
				entry->may_write = false;
			sent = nr_socket_send(handle.fd, iov, count);
			if (entry)
				entry->was_full =
					sent == -EAGAIN ||
					(sent >= 0 && (size_t)sent < len);
			if (sent != -EAGAIN)
				return sent;
		}
		if (until <= epoll->engine.now)
			return -ETIMEDOUT;
		err = add(epoll, handle);
		if (err == 0)
			err = await(epoll, self, handle, NR_WRITABLE, until);
		if (err < 0)
			return err;
		epoll->table[handle.fd].was_full = false;
	}
}

/* Moves to PIPE what is there, and notes whether that was all. */
static ssize_t take_in(struct epoll_engine *epoll, struct nr_handle handle,
                       struct nr_pipe *pipe)
{
	ssize_t got = nr_engine_try_splice_in(&epoll->engine, handle.fd, pipe);
	struct entry *entry = entry_of(epoll, handle);

	/* A pipe may be full before the socket is drained. */
	if (entry)
		entry->may_read = entry->over || got != -EAGAIN;
	return got;
}

static ssize_t epoll_splice_in(struct nr_io *io, struct nr_handle handle,
                               struct nr_pipe *pipe, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct epoll_engine *epoll = epoll_of(self->engine);
	int err = self->cancelled ? -ECANCELED : nr_engine_go_on(self);
	struct entry *entry;
	ssize_t got;

	if (err < 0)
		return err;
	got = take_in(epoll, handle, pipe);
	if (got != -EAGAIN)
		return got;
	/* At urgent data nothing more can be moved so, whatever is behind it
	 * and was told of already. */
	entry = entry_of(epoll, handle);
	if (entry && entry->urgent)
		return 0;
	if (until <= epoll->engine.now)
		return -ETIMEDOUT;
	err = add(epoll, handle);
	if (err == 0)
		err = await(epoll, self, handle, NR_READABLE, until);
	if (err < 0 && err != -ETIMEDOUT)
		return err;
	got = take_in(epoll, handle, pipe);
	/* Something is there that cannot be moved so, or nothing at all. */
	return got == -EAGAIN ? err : got;
}

static ssize_t epoll_splice_out(struct nr_io *io, struct nr_handle handle,
                                struct nr_pipe *pipe, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct epoll_engine *epoll = epoll_of(self->engine);
	int err = nr_engine_go_on(self);
	struct entry *entry;
	ssize_t sent;

	while (err == 0) {
		entry = entry_of(epoll, handle);
		/* As in epoll_send(). */
		if (entry)
			entry->may_write = false;
		sent = nr_pipe_empty(pipe, handle.fd);
		if (entry)
			entry->was_full = sent == -EAGAIN;
		if (sent != -EAGAIN)
			return sent;
		if (until <= epoll->engine.now)
			return -ETIMEDOUT;
		err = add(epoll, handle);
		if (err == 0)
			err = await(epoll, self, handle, NR_WRITABLE, until);
		if (err == 0)
			epoll->table[handle.fd].was_full = false;
	}
	return err;
}

/* Waits for what is waited for but once in a while: it is added for as long. */
static int await_once(struct epoll_engine *epoll, struct nr_io_fiber *self,
                      int fd, enum nr_readiness what, int64_t until)
{
	struct nr_handle handle = {.fd = fd, .serial = nr_handle_serial()};
	int err = add(epoll, handle);

	if (err < 0)
		return err;
	err = await(epoll, self, handle, what, until);
	(void)nr_watch_remove(epoll->watch, fd);
	epoll->table[fd] = (struct entry){0};
	return err;
}

/* Waits for what was just found not to be ready, as often as that is: it stays
 * added. */
static int await_known(struct epoll_engine *epoll, struct nr_io_fiber *self,
                       struct nr_handle handle, enum nr_readiness what,
                       int64_t until)
{
	struct entry *entry;
	int err = add(epoll, handle);

	if (err < 0)
		return err;
	err = await(epoll, self, handle, what, until);
	/* Who finds nothing now waits for the next edge. */
	entry = &epoll->table[handle.fd];
	if (what == NR_READABLE)
		entry->may_read = entry->over;
	else
		entry->may_write = false;
	return err;
}

static int epoll_wait_for(struct nr_io *io, struct nr_handle handle,
                          enum nr_readiness what, int64_t until)
{
	struct nr_io_fiber *self = nr_io_fiber_of(io);
	struct epoll_engine *epoll = epoll_of(self->engine);
	struct pollfd now = {.fd = handle.fd,
	                     .events = what == NR_READABLE ? POLLIN : POLLOUT};
	int err;

	if (self->cancelled)
		return -ECANCELED;
	if (handle.serial != 0 && until > epoll->engine.now)
		return await_known(epoll, self, handle, what, until);
	err = nr_poll(&now, 1, 0);
	if (err != 0)
		return err < 0 ? err : 0;
	if (until <= epoll->engine.now)
		return -ETIMEDOUT;
	return await_once(epoll, self, handle.fd, what, until);
}

/* Makes an attempt, and keeps in mind what it says of the descriptor. An error
 * is no end here: a datagram socket has it once. */
static ssize_t try_attempt(struct epoll_engine *epoll, struct nr_handle handle,
                           void *arg)
{
	struct nr_attempt *attempt = arg;
	struct entry *entry = entry_of(epoll, handle);
	ssize_t result;

	attempt->more = false;
	result = attempt->call(handle.fd, attempt->arg);
	if (!entry)
		return result;
	entry->over = false;
	if (attempt->what == NR_READABLE)
		entry->may_read = attempt->more;
	else
		entry->may_write = result != -EAGAIN;
	return result;
}

static ssize_t epoll_attempt(struct nr_io *io, struct nr_handle handle,
                             struct nr_attempt *attempt, int64_t until)
{
	const struct trying trying = {.once = try_attempt,
	                              .arg = attempt,
	                              .what = attempt->what,
	                              .soon = attempt->soon,
	                              .until = until};

	return keep_trying(nr_io_fiber_of(io), handle, &trying);
}

static void epoll_kick(struct nr_engine *engine)
{
	nr_event_set(epoll_of(engine)->kick);
}

static int attend_own(struct epoll_engine *epoll, int fd, enum own own)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = own};

	return nr_watch_control(epoll->watch, EPOLL_CTL_ADD, fd, &event);
}

static int epoll_attend(struct nr_engine *engine, struct nr_loop *loop)
{
	struct epoll_engine *epoll = epoll_of(engine);

	epoll->loop = loop;
	return attend_own(epoll, loop->watch, OWN_LOOP);
}

static int handle_own(struct epoll_engine *epoll, uint64_t own)
{
	if (own == OWN_LOOP)
		return nr_loop_turn(epoll->loop, 0);
	nr_event_clear(epoll->kick);
	return 0;
}

static void tell(struct epoll_engine *epoll, const struct epoll_event *event)
{
	const struct nr_parking *parking = epoll->engine.parking;
	const struct nr_handle handle = {
		.fd = (int)(event->data.u64 & UINT32_MAX),
		.serial = (unsigned)(event->data.u64 >> 32)};
	struct entry *entry = entry_of(epoll, handle);

	/* Of one that was closed, while another process still has it. */
	if (!entry)
		return;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		entry->over = true;
	if (event->events & EPOLLPRI)
		entry->in_pieces = entry->urgent = true;
	if (entry->over || event->events & EPOLLIN) {
		entry->may_read = true;
		if (entry->reader)
			parking->wake(entry->reader);
	}
	if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		entry->may_write = true;
		if (entry->writer)
			parking->wake(entry->writer);
	}
}

/* How far ahead of an event whom it is about is fetched to the caches. */
#define AHEAD 6

static inline void fetch_ahead(const struct epoll_engine *epoll,
                               const struct epoll_event *event)
{
	unsigned fd = (unsigned)event->data.u64;

	if (fd < epoll->table_size) {
		/* A number, for there may be no reader. */
		uintptr_t reader = (uintptr_t)epoll->table[fd].reader;

		__builtin_prefetch((const void *)reader, 1);
		__builtin_prefetch((const void *)(reader - 64), 1);
	}
}

static int epoll_turn(struct nr_engine *engine, int64_t until)
{
	struct epoll_engine *epoll = epoll_of(engine);
	struct epoll_event events[BATCH];
	int ready = nr_watch_events(epoll->watch, events, BATCH, until);
	int err = 0;

	engine->now = nr_now();
	for (int i = 0; i < ready && err == 0; i++) {
		if (i + AHEAD < ready)
			fetch_ahead(epoll, &events[i + AHEAD]);
		if (events[i].data.u64 >> 32)
			tell(epoll, &events[i]);
		else
			err = handle_own(epoll, events[i].data.u64);
	}
	return ready < 0 ? ready : err;
}

static void epoll_close(struct nr_engine *engine)
{
	struct epoll_engine *epoll = epoll_of(engine);

	nr_file_close(epoll->kick);
	nr_file_close(epoll->watch);
	nr_engine_fini(engine);
	free(epoll->table);
	free(epoll);
}

static int epoll_open(struct nr_engine **ret_engine,
                      const struct nr_parking *parking,
                      const struct nr_engine_size *size)
{
	struct epoll_engine *epoll = calloc(1, sizeof(*epoll));
	int err;

	(void)size;
	if (!epoll)
		return -ENOMEM;
	nr_engine_init(&epoll->engine, &nr_engine_epoll, parking);
	epoll->kick = -1;
	err = epoll->watch = nr_watch_open();
	if (err >= 0)
		err = epoll->kick = nr_event_open();
	if (err >= 0)
		err = attend_own(epoll, epoll->kick, OWN_KICK);
	if (err < 0) {
		epoll_close(&epoll->engine);
		return err;
	}
	*ret_engine = &epoll->engine;
	return 0;
}

static const struct nr_io_ops epoll_io = {
	.name = "epoll",
	.recv = epoll_recv,
	.send = epoll_send,
	.splice_in = epoll_splice_in,
	.splice_out = epoll_splice_out,
	.give_back_pipe = nr_engine_give_back_pipe,
	.connect = nr_io_connect,
	.wait = epoll_wait_for,
	.attempt = epoll_attempt,
	.sleep = nr_engine_sleep,
	.lend = nr_engine_lend,
	.go_on = nr_engine_pass_on,
	.give_back = nr_engine_give_back,
	.scratch = nr_engine_scratch,
};

const struct nr_engine_ops nr_engine_epoll = {
	.name = "epoll",
	.io = &epoll_io,
	.open = epoll_open,
	.attend = epoll_attend,
	.turn = epoll_turn,
	.kick = epoll_kick,
	.close = epoll_close,
};
