/* SPDX-License-Identifier: MIT */
#ifndef NARU_CONV_H
#define NARU_CONV_H

/*
 * The conversation itself: who speaks, how long things may take, what lives
 * as long as it does, and how more than one strand takes part.
 *
 * How a conversation ends, when its talk returns or naru_close() is called:
 * its other strands are cancelled and waited for; what was written is sent;
 * the peer is told that no more will come; what the peer still sends is read
 * and thrown away until it has finished too, under NARU_TIMEOUT_END; then the
 * socket is closed. (Closing at once would make the kernel reset the
 * connection and drop what was sent but not yet delivered.) Deferred calls
 * run last, the newest first. An end that lost bytes is an error, as far as
 * that is known by then: where the peer had finished first, what the system has
 * still to deliver is left to it. After naru_abort() the socket is closed at
 * once.
 */

#include <sys/types.h>

#include "naru/addr.h"
#include "naru/base.h"

NARU_BEGIN_DECLS

/* Who. */

/* The address of the peer, the real one where somebody stands between
 * (naru/proxy.h). It belongs to the conversation. Never fails. */
const struct naru_addr *naru_peer(struct naru_conv *conv);

/* The address of this end: the listener's port, or the one that the system
 * chose at a dial. With naru_peer() it names the conversation. It belongs to
 * the conversation. Never fails; NARU_ADDR_NONE where the system does not
 * tell. */
const struct naru_addr *naru_local(struct naru_conv *conv);

/* A number that no other conversation of the same server has, from 1 on in
 * the order of acceptance; those of connections that never became one are
 * missing. 0 for a dialled one. */
uint64_t naru_id(struct naru_conv *conv);

/* The process that the peer of a unix socket runs as (SO_PEERCRED, unix(7)).
 */
struct naru_peer_process {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/*
 * Fills RET_PROCESS with the peer's process at the time when it connected.
 * Returns 0, or -EOPNOTSUPP where the conversation is not over a unix socket,
 * or its peer was announced by somebody else (naru/proxy.h).
 */
NARU_RESULT int naru_peer_process(struct naru_conv *conv,
                                  struct naru_peer_process *ret_process);

/* Time. */

enum naru_timeout {
	/* Waiting for the first byte of what is to be received; 10 minutes by
	 * default, over UDP 1 minute. */
	NARU_TIMEOUT_IDLE,
	/* From a message's first byte to its last, so that a peer that sends
	 * a byte a second holds nobody; 1 minute by default. It holds for
	 * naru_recv() and naru_read_exact(). */
	NARU_TIMEOUT_MESSAGE,
	/* Sending what one call has to send; 1 minute by default. */
	NARU_TIMEOUT_WRITE,
	/* From the last byte sent to the peer's own end, after the talk; 5
	 * seconds by default. */
	NARU_TIMEOUT_END,
};

/*
 * Sets a timeout from here on: MS milliseconds, 0 for not waiting at all,
 * NARU_FOREVER for no bound. A call that it ends returns -ETIMEDOUT and may
 * be called again; nothing is lost.
 *
 * Returns 0, or -EINVAL for an unknown WHICH or a negative MS.
 */
NARU_RESULT int naru_set_timeout(struct naru_conv *conv,
                                 enum naru_timeout which, int64_t ms);

/*
 * Sets the point in time, on naru_now()'s clock, at which every call that
 * waits on this conversation returns -ETIMEDOUT, whatever its timeout. It
 * holds for all that follows, until it is set again; NARU_FOREVER takes it
 * away. It does not shorten the end of a conversation that a server accepted;
 * naru_close() keeps it.
 *
 * Returns 0.
 */
NARU_RESULT int naru_set_deadline(struct naru_conv *conv, int64_t at_ms);

/* What lives as long as the conversation. */

/*
 * Memory of SIZE bytes, set to zero, aligned for any type; freed when the
 * conversation ends, however it ends. Only the strand that the talk began on
 * may call this.
 *
 * Returns null where there is no memory, or where the conversation would hold
 * more than the server's memory_limit (naru/server.h).
 */
NARU_RESULT void *naru_alloc(struct naru_conv *conv, size_t size);

/*
 * Calls FN(ARG) when the conversation ends, however it ends; the newest
 * first. Only the strand that the talk began on may call this. By then the
 * connection is closed; FN may use ARG and what naru_alloc() gave, and must not
 * use CONV.
 *
 * Returns 0; where it fails (-ENOMEM, -EINVAL) FN is not called.
 */
NARU_RESULT int naru_defer(struct naru_conv *conv, void (*fn)(void *arg),
                           void *arg);

/* More than one strand. */

/* How many strands one conversation may have besides its first. */
#define NARU_STRANDS_MAX 64

/*
 * Runs FN(CONV, ARG) on a strand of its own, beside the caller: a companion
 * that writes while the talk reads, or that does something at intervals. It
 * ends with the conversation: when the talk returns (or naru_close() is
 * called), what its strands wait in returns -ECANCELED, and the end waits
 * until they have returned. Does not wait.
 *
 * A strand is a thread where the model has processes or threads: what FN and
 * the talk share besides the conversation needs a lock.
 *
 * Returns 0, -EAGAIN where the system or NARU_STRANDS_MAX allows no more,
 * -ENOMEM, or -EINVAL where the caller runs on another thread than fibers of
 * CONV do, or is none where they are.
 */
NARU_RESULT int naru_spawn(struct naru_conv *conv, naru_talk *fn, void *arg);

/*
 * Waits until every strand that was spawned has returned, without cancelling
 * any. Only the strand that the talk began on may call this.
 *
 * Returns that of their negative results which came first, or 0; -ETIMEDOUT at
 * the conversation's deadline, -ECANCELED, with strands still running.
 */
NARU_RESULT int naru_join(struct naru_conv *conv);

/*
 * Cancels CONV, which a server accepted: whatever its strands wait in returns
 * -ECANCELED, now and ever after, so that its talk returns and it ends. What
 * was written and can be sent without waiting is sent. From any strand and any
 * thread of the same process, which has to know that CONV has not ended. Does
 * not wait.
 *
 * Returns 0, also when called again; -EINVAL for a conversation that was
 * dialled: naru_close() ends it.
 */
NARU_RESULT int naru_cancel(struct naru_conv *conv);

/*
 * Breaks CONV off, accepted or dialled, where an orderly end would tell the
 * peer that it has all there is: the peer of a TCP connection sees a reset.
 * (Unix sockets know none, and over UDP nobody is told.) What was written and
 * not yet sent is lost. From then on nothing comes and nothing goes: what had
 * been received already is still returned, and then 0 or an error; a small
 * write may be taken, but naru_flush() and naru_finish() tell. CONV is to be
 * ended as ever, by its talk's return or naru_close(), which does not wait for
 * the peer then. From any strand that knows that CONV has not ended. Does not
 * wait.
 *
 * Returns 0, also when called again, or -EINVAL for null.
 */
int naru_abort(struct naru_conv *conv);

/*
 * How much of its stack the calling strand has used so far, at the deepest, in
 * bytes, exact to a word; RET_SIZE, which may be null, is how much there is.
 * For a fiber of a server that has a report function; anything else does not
 * measure, and gives 0 for both. Never fails.
 */
size_t naru_stack_used(size_t *ret_size);

/* Programs. */

/*
 * Runs a program whose descriptors 0 and 1 are the connection, and waits
 * until it ends. ARGV ends with a null pointer; ARGV[0] is searched for in
 * PATH; no shell is involved. Descriptor 2 is the caller's; every other one
 * is closed. The program runs in a process group of its own.
 *
 * Under TLS the program gets a socket of its own, and two more strands carry
 * what is said; what it has not read of that at its end is lost.
 *
 * Its environment is the caller's, without what is unknown, plus what UCSPI
 * prescribes: PROTO=TCP, TCPLOCALIP, TCPLOCALPORT, TCPREMOTEIP,
 * TCPREMOTEPORT; or PROTO=UNIX, UNIXLOCALPATH, UNIXREMOTEPATH,
 * UNIXREMOTEPID, UNIXREMOTEEUID, UNIXREMOTEEGID.
 *
 * Timeouts do not apply to what the program reads and writes; the
 * conversation's deadline does. When that passes, or the conversation is
 * cancelled, the program's group gets SIGTERM; what is left of it gets SIGKILL
 * when the program has ended, and two seconds later at the longest.
 *
 * Returns 0 and in RET_STATUS the status as waitpid(2) gives it; -ENOENT,
 * -EACCES and the like, where the program cannot be started; -EBUSY where
 * bytes were received but not yet read, which the program would miss;
 * -EOPNOTSUPP over UDP, which is no stream;
 * -ETIMEDOUT or -ECANCELED, with RET_STATUS filled in, where it was ended.
 */
NARU_RESULT int naru_program(struct naru_conv *conv, char *const argv[],
                             int *ret_status);

NARU_END_DECLS

#endif
