/* SPDX-License-Identifier: MIT */
#ifndef NARU_BYTES_H
#define NARU_BYTES_H

/*
 * A conversation as two streams of bytes.
 *
 * Output waits for the wait: what a strand writes is collected and sent when
 * that strand next waits (for its peer, for time, for another strand), when
 * the buffer is full, at naru_flush() and at the end. Many small writes leave
 * in one packet without any care of the caller's.
 *
 * One strand may receive while others send: the conversation's own, and those
 * of other conversations (a chat), which then have to know that it has not
 * ended. Each write is whole. Only one strand may receive at a time.
 *
 * Over UDP a write is one datagram, and a read gives what is left of one; empty
 * ones are passed over. naru_read_exact() reads within one datagram, and
 * returns -NARU_ECUT, with nothing read, where it has fewer bytes. Both return
 * 0 only as naru_recv() does there (naru/message.h). naru_finish() has nobody
 * to tell. Nothing is torn, and no error is for good.
 *
 * Errors that any of these may return, besides their own:
 *   -ETIMEDOUT   a timeout or the deadline of the conversation passed
 *   -ECANCELED   the conversation was cancelled: its server stops, or it is
 *                a strand of naru_spawn() whose talk has returned
 *   -ECONNRESET  the peer broke the connection off
 *   -EPIPE       the peer does not receive any more
 *   -NARU_ECUT   under TLS: the stream ended, and the peer did not say that it
 *                had finished (close_notify); something may be missing
 *   -NARU_ETLS   under TLS: what came is none, or the peer refused
 *   -ENOMEM      there is no memory for a buffer; nothing is lost
 *   -EINVAL      a null or ended conversation, or a null buffer
 * and what recv(2), send(2) and shutdown(2) say of the network.
 */

#include <stdint.h>
#include <sys/types.h>

#include "naru/base.h"

NARU_BEGIN_DECLS

/*
 * Reads from 1 to LEN bytes into BUF: what is there, or else what comes
 * first. Waits, under NARU_TIMEOUT_IDLE.
 *
 * Returns how many, or 0 when the peer has finished (recv(2)).
 */
NARU_RESULT ssize_t naru_read(struct naru_conv *conv, void *buf, size_t len);

/*
 * Reads exactly LEN bytes into BUF. Waits for the first under
 * NARU_TIMEOUT_IDLE and for the rest under NARU_TIMEOUT_MESSAGE.
 *
 * Returns LEN, 0 when the peer finished before the first byte (under TLS also
 * where it did not say so), or -NARU_ECUT when it finished later. After any
 * error the bytes that came are still there: the next call starts with them.
 * For that they are kept, and where there is no memory to keep them, this and
 * each later call that receives returns -ENOMEM. LEN is at most
 * NARU_READ_EXACT_MAX; -NARU_ETOOBIG above it.
 */
#define NARU_READ_EXACT_MAX (1u << 30)
NARU_RESULT ssize_t naru_read_exact(struct naru_conv *conv, void *buf,
                                    size_t len);

/*
 * Writes all of DATA, or fails. Waits only when the buffer is full, under
 * NARU_TIMEOUT_WRITE. DATA may be reused when the call returns.
 *
 * After -ETIMEDOUT nothing or a part of DATA was taken; of NARU_WRITE_WHOLE
 * bytes or less, nothing. So with a timeout of 0 a small write is a try, that
 * may be given up. Nothing is lost: the
 * same call with the same DATA and LEN goes on from there. Until then, where a
 * part was taken, every other write and naru_finish() return -EBUSY, and an
 * end of the conversation is a reset: the peer must not take the part for the
 * whole. (Unix sockets know no reset; there it is an end like any other.) Any
 * other error ends the sending half: each later call that sends returns the
 * same error.
 *
 * Returns 0.
 */
#define NARU_WRITE_WHOLE 4096
NARU_RESULT int naru_write(struct naru_conv *conv, const void *data,
                           size_t len);

/*
 * Sends what was written, now. Waits until the kernel has taken all of it,
 * under NARU_TIMEOUT_WRITE. That the peer has received it is not implied.
 *
 * Returns 0; after -ETIMEDOUT a later call goes on.
 */
NARU_RESULT int naru_flush(struct naru_conv *conv);

/*
 * Half-closes: sends what was written, and then tells the peer that no more
 * will come. Receiving goes on. Later writes return -EPIPE.
 *
 * Returns 0, also when called again.
 */
NARU_RESULT int naru_finish(struct naru_conv *conv);

/*
 * Carries bytes between A and B in both directions until both have finished
 * or one breaks. The end of one direction is passed on as a half-close (RFC
 * 9293, 3.6), so that the other direction still runs to its end. Where either
 * is over UDP it carries messages, each under its own side's framing, and a
 * direction out of UDP ends by silence; one that was dialled for an accepted
 * stream ends also when that has finished and no answer came for
 * NARU_TIMEOUT_END. Waits; needs a second strand, which it spawns from A. A's
 * and B's timeouts hold; who listens to the other side is not idle. Both stay
 * the caller's.
 *
 * What comes in bulk over plain sockets is spliced (splice(2)) through a pipe
 * of 256 KiB at most; all else goes through a buffer of 16 KiB. More than that
 * is never held: a slow receiver stops its sender. Where one direction breaks,
 * so does the other, and both peers see a reset.
 *
 * Returns 0, or the first error of either; how much was carried is told as
 * NARU_EVENT_RELAY, and by naru_received() and naru_sent().
 */
NARU_RESULT int naru_relay(struct naru_conv *a, struct naru_conv *b);

/*
 * How many bytes have come from the peer, and how many the system has taken for
 * it, since the conversation began; by whichever call. To be asked by the
 * strand that receives, or sends, or when no other does so any more. Neither
 * waits nor fails.
 */
uint64_t naru_received(struct naru_conv *conv);
uint64_t naru_sent(struct naru_conv *conv);

NARU_END_DECLS

#endif
