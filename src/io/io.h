/* SPDX-License-Identifier: MIT */
#ifndef NR_IO_IO_H
#define NR_IO_IO_H

/*
 * The waiter: how a strand waits for the kernel. This is the contract that
 * each waiter keeps; a waiter is one file that ends in one const struct
 * nr_io_ops.
 *
 * - Every strand has a waiter of its own, embedded as struct nr_io. Only that
 *   strand calls it, but for waiters that say otherwise.
 * - A call waits until UNTIL (base/time.h) at the longest, and then returns
 *   -ETIMEDOUT. A point in time that has passed means: do not wait. What the
 *   kernel did in spite of that is returned, never dropped: bytes that came
 *   win over the time that passed.
 * - Once the strand is cancelled, each call that would wait returns
 *   -ECANCELED, now and ever after. Cancellation wins over readiness in a
 *   call that waits; calls that never need to wait see it after a while.
 * - A strand of a server that was asked to stop is left alone, unless its
 *   waiter heeds that: see struct nr_io.
 * - No call returns -EINTR or -EAGAIN, and no call raises a signal.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct naru_addr;
struct nr_io;
struct nr_pipe;

/* Where received bytes go: the caller's own memory, or, with DATA null, a
 * buffer that the waiter lends once bytes are there, so that nothing is held
 * while it waits. A lent buffer has LEN bytes of room, and goes back with
 * give_back(). MORE is filled in when bytes came: whether there are probably
 * more. */
struct nr_span {
	char *data;
	size_t len;
	bool more;
};

/* A descriptor as waiters know it. SERIAL tells it from those that had the same
 * number before it, so that a waiter may keep in mind what it once did for it;
 * 0 for one that is waited for once in a while. One that is read in pieces may
 * give less than it has, as a unix socket does where descriptors were sent. */
struct nr_handle {
	int fd;
	unsigned serial;
	bool in_pieces;
};

/* A serial number that no other descriptor of this process has had, up to some
 * four thousand million of them. Any thread. */
unsigned nr_handle_serial(void);

/* The size of a buffer that a waiter lends. */
#define NR_BUFFER_SIZE ((size_t)16 * 1024)

enum nr_readiness {
	NR_READABLE,
	NR_WRITABLE,
};

/* A call that does not wait: what it comes to, or -EAGAIN where it would have
 * to. */
struct nr_attempt {
	ssize_t (*call)(int fd, void *arg);
	void *arg;
	enum nr_readiness what; /* the descriptor has to be first */
	bool soon;              /* it probably is already */
	bool more; /* set by the call: there is probably more to be had */
};

/* The size of a waiter's scratch memory. */
#define NR_SCRATCH_SIZE ((size_t)1152 * 1024)

struct nr_io_ops {
	const char *name;

	/* Receives 1 to INTO->len bytes, or 0 at the peer's end; then a lent
	 * buffer is given back already and INTO is as it was. SOON says that
	 * bytes are probably there, so that trying first pays. */
	ssize_t (*recv)(struct nr_io *io, struct nr_handle handle,
	                struct nr_span *into, bool soon, int64_t until);

	/* Sends at least one byte of IOV, as many as the kernel takes. */
	ssize_t (*send)(struct nr_io *io, struct nr_handle handle,
	                const struct iovec *iov, int count, int64_t until);

	/* Moves bytes from a socket, which must not block, to PIPE, which holds
	 * none: how many. PIPE is opened where it is not open; while this
	 * waits for long it is not. 0 where recv() is to be asked: at the
	 * peer's end, where no pipe is to be had, and where there is what
	 * cannot be moved so. */
	ssize_t (*splice_in)(struct nr_io *io, struct nr_handle handle,
	                     struct nr_pipe *pipe, int64_t until);

	/* Moves at least one byte of PIPE to a socket that must not block, as
	 * many as the kernel takes. */
	ssize_t (*splice_out)(struct nr_io *io, struct nr_handle handle,
	                      struct nr_pipe *pipe, int64_t until);

	/* Takes back a pipe of splice_in(), which is not open then; with what
	 * it holds, if anything. */
	void (*give_back_pipe)(struct nr_io *io, struct nr_pipe *pipe);

	/* Connects a socket; 0 when the connection stands. */
	int (*connect)(struct nr_io *io, struct nr_handle handle,
	               const struct naru_addr *addr, int64_t until);

	/* Waits until a descriptor of any kind is ready. With a serial number,
	 * the caller has just found it not to be (-EAGAIN, or less than asked
	 * for), and finds out again afterwards; one strand may wait for each
	 * readiness of it at a time. */
	int (*wait)(struct nr_io *io, struct nr_handle handle,
	            enum nr_readiness what, int64_t until);

	/* Makes an attempt until it gives something else than -EAGAIN. */
	ssize_t (*attempt)(struct nr_io *io, struct nr_handle handle,
	                   struct nr_attempt *attempt, int64_t until);

	/* Waits until UNTIL, and returns 0 then. */
	int (*sleep)(struct nr_io *io, int64_t until);

	/* For a caller that goes on without having waited: now and then it
	 * lets the others have their turn. 0 or -ECANCELED. */
	int (*go_on)(struct nr_io *io);

	/* A buffer of NR_BUFFER_SIZE bytes to write into, or null. */
	char *(*lend)(struct nr_io *io);

	/* Takes back a buffer that lend() or recv() lent. Another strand, with
	 * another waiter, may be the one that gives it back: each is from
	 * malloc(3). */
	void (*give_back)(struct nr_io *io, char *buffer);

	/* NR_SCRATCH_SIZE bytes of the calling thread's, which take memory
	 * only where they are used. What is in them does not outlive the next
	 * wait. Null without memory. */
	char *(*scratch)(struct nr_io *io);
};

/* What a wait comes to that a stop has ended. */
#define NR_STOPPED (-ESHUTDOWN)

struct nr_io {
	const struct nr_io_ops *ops;

	/* Set by the strand for as long as it waits for what a server that
	 * stops does not wait for: each wait for a descriptor returns
	 * NR_STOPPED then, once the stop was asked for; an attempt only after
	 * it was made once more. Whoever sets it does not sleep meanwhile. */
	bool heeds_stop;
};

/* connect() of every waiter, made of its wait() and its sleep(). */
int nr_io_connect(struct nr_io *io, struct nr_handle handle,
                  const struct naru_addr *addr, int64_t until);

#endif
