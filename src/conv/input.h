/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_INPUT_H
#define NR_CONV_INPUT_H

/*
 * The receiving half of a conversation: bytes that came and were not yet
 * received by the talk. One strand at a time uses it.
 *
 * It holds a buffer only while there is something in it: what waits for its
 * peer holds none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "naru/conv.h"

struct naru_conv;
struct nr_pipe;

struct nr_input {
	char *data; /* the buffer, or null */
	size_t size;
	size_t begin, end; /* what is unread of it */
	size_t viewed;     /* from begin on, what the last message's view
	                      covers: read when the next receive begins */
	size_t scanned;    /* from begin on, where no message ends */
	uint64_t total;    /* bytes received */
	int err;           /* what receiving has failed with for good, or 0 */
	bool lent;         /* data, by the waiter; else from malloc() */
	bool ended;        /* the peer has finished */
	bool for_accepted; /* of datagrams: waited for only until the server
	                      stops, though dialled */
	bool soon;         /* more is probably there already */
	int64_t until;     /* of datagrams: no wait goes on for longer; 0 for
	                      no such bound */
};

/* Gives back the buffer, with what is in it. */
void nr_input_fini(struct naru_conv *conv);

/* How many bytes are unread. */
static inline size_t nr_input_unread(const struct nr_input *in)
{
	return in->end - in->begin;
}
size_t nr_input_left(const struct naru_conv *conv);

/* A wait for bytes: what for, and until when, which is -1 until it begins. */
struct nr_input_wait {
	enum naru_timeout timeout;
	int64_t until;
};

/*
 * Receives more behind what is unread, into a buffer that holds at most MOST
 * bytes unread. The strand's output goes out first, and then WAIT begins where
 * it has not begun yet. Returns how many bytes
 * came, 0 at the peer's end, or an error; -NARU_ETOOBIG where MOST are unread
 * already.
 */
ssize_t nr_input_more(struct naru_conv *conv, size_t most,
                      struct nr_input_wait *wait);

/*
 * Makes the buffer hold NEED bytes unread, where there is one and it holds far
 * fewer, so that what is known to come is not copied again and again. 0 or
 * -ENOMEM, and then nothing is lost.
 */
int nr_input_reserve(struct naru_conv *conv, size_t need);

/* The same where a message would begin: there a stream that was cut has just
 * ended, for nothing is missing. */
ssize_t nr_input_first(struct naru_conv *conv, size_t most,
                       struct nr_input_wait *wait);

/* Receives more into PIPE, which holds none: as splice_in() of io/io.h. Nothing
 * is unread, and the strand has no output left. */
ssize_t nr_input_splice(struct naru_conv *conv, struct nr_pipe *pipe,
                        int64_t until);

/* COUNT bytes have been read. */
void nr_input_take(struct naru_conv *conv, size_t count);

#endif
