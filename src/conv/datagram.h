/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_DATAGRAM_H
#define NR_CONV_DATAGRAM_H

/*
 * A conversation over datagrams: each message is one, whatever the framing's
 * kind. What came and what is to be sent lies packed (base/packed.h) in the
 * same buffers that hold a stream's bytes. There is no end of the stream, and
 * an error is passing: it says what became of one datagram.
 *
 * The public calls come here from where they are documented.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "naru/bytes.h"
#include "naru/message.h"

struct naru_conv;

/* As naru_recv(), naru_read(), naru_read_exact(). */
int nr_datagram_receive(struct naru_conv *conv, struct naru_msg *ret_msg);
ssize_t nr_datagram_read(struct naru_conv *conv, void *buf, size_t len);
ssize_t nr_datagram_read_exact(struct naru_conv *conv, void *buf, size_t len);

/* As naru_send() and naru_write(): one datagram of at most LIMIT bytes. */
int nr_datagram_write(struct naru_conv *conv, const void *data, size_t len,
                      size_t limit);

/* Sends what was written, until UNTIL at the longest; the output's lock is
 * held. 0, or the first error: all datagrams have been tried then, but where it
 * is -ETIMEDOUT, -ECANCELED or -ENOMEM. */
int nr_datagram_flush_locked(struct naru_conv *conv, int64_t limit);

/* The end: sends what was written, and asks how many were dropped. */
int nr_datagram_end(struct naru_conv *conv);

#endif
