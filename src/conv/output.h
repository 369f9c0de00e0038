/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_OUTPUT_H
#define NR_CONV_OUTPUT_H

/*
 * The sending half of a conversation: what was written and not yet sent.
 * Several strands may use it: each write is whole.
 *
 * Who sends: the strand that wrote, before it waits. A strand knows its own
 * conversation and those that it dialled, at home with it. What it writes to
 * any other is sent at once.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "conv/lock.h"

struct naru_conv;
struct nr_pipe;
struct nr_strand;

struct nr_output {
	char *data; /* a buffer that the waiter lent, or null */
	size_t begin, end;
	uint64_t total;      /* bytes that the kernel has taken */
	int err;             /* what sending has failed with for good, or 0 */
	bool finished;       /* the peer was told that no more will come */
	struct nr_lock lock; /* each of the calls below is whole */

	/* A write that timed out when a part of it was taken: how much, and
	 * what it was called with. */
	size_t torn_taken, torn_len;
	const void *torn;

	/* Of a dialled conversation: */
	_Atomic(struct nr_strand *) home; /* the strand that dialled it, or
	                                     null */
	struct nr_list at_home;           /* its node there */
	_Atomic bool home_wrote;          /* since home last waited */
	unsigned round; /* of home's waits, in which it was last sent for */
	unsigned holds; /* by home, while it sends without being asked */
	struct nr_strand *leaver; /* waits until there are none */
};

void nr_output_init(struct naru_conv *conv);
void nr_output_fini(struct naru_conv *conv);

/* Writes DATA where that is all there is to do: it fits into the buffer, and
 * the conversation is the calling strand's own. False where there is more to
 * do, which nr_output_write() does; then nothing was done. */
bool nr_output_append(struct naru_conv *conv, const void *data, size_t len);

/* The same with a line and its end; also false where DATA has an LF in it. */
bool nr_output_append_line(struct naru_conv *conv, const void *data,
                           size_t len);

/* The most pieces that one write has. */
#define NR_PIECES_MAX 4

/* The same with the pieces of IOV. */
bool nr_output_append_pieces(struct naru_conv *conv, const struct iovec *iov,
                             int count);

/* Writes the pieces of IOV, all or nothing but for -ETIMEDOUT; CALL is what
 * tells this write from another when it is repeated. Changes IOV. */
int nr_output_write(struct naru_conv *conv, struct iovec *iov, int count,
                    const void *call);

/* Takes the output's lock, waiting as long as for the peer. */
int nr_output_lock(struct naru_conv *conv);

/* Whether SELF sends what it wrote to CONV before it waits: notes that there
 * is something then. With the lock. */
bool nr_output_note_written(struct naru_conv *conv, struct nr_strand *self);

/* Sends DATA, or all that PIPE holds, behind what was written, without keeping
 * any of it: for who breaks the conversation off where this fails. Changes
 * both. */
int nr_output_pass(struct naru_conv *conv, struct iovec *data,
                   struct nr_pipe *pipe);

/* How many bytes were written and not yet sent. */
size_t nr_output_pending(const struct naru_conv *conv);

/* Sends what was written; or what of it goes out until LIMIT. */
int nr_output_flush(struct naru_conv *conv);
int nr_output_flush_until(struct naru_conv *conv, int64_t limit);

/* Sends what was written, and that no more will come. */
int nr_output_finish(struct naru_conv *conv);

/* settle.c */

/*
 * What a strand does before it waits: sends what it wrote, to whomever. What
 * goes wrong with CONV, which may be null, is returned; with another
 * conversation, it is kept for that one's next write, and that one is not
 * waited for longer than UNTIL: a peer that does not take its bytes is none of
 * the others' business.
 */
int nr_output_settle(struct nr_strand *self, struct naru_conv *conv,
                     int64_t until);

/* A dialled conversation is at home with SELF from now on. */
void nr_output_settle_in(struct naru_conv *conv, struct nr_strand *self);

/* It is at home no more, and nobody sends for it when this returns. */
void nr_output_move_out(struct naru_conv *conv);

/* STRAND ends: nothing is at home with it any more. */
void nr_output_forget_strand(struct nr_strand *strand);

#endif
