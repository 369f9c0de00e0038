/* SPDX-License-Identifier: MIT */
#ifndef TESTS_TORN_H
#define TESTS_TORN_H

/*
 * Messages out of any bytes, however they are torn: the messages of a stream do
 * not depend on the pieces in which it comes. And whatever can be sent as one
 * message arrives as that message.
 */

#include "fuzz.h"
#include "naru.h"

/*
 * What naru_recv() has to say of a stream of which LEN bytes, one at least, are
 * left at DATA, by the words of its contract and nothing else. Where there is a
 * message, fills in RET_MSG, and how many bytes it takes in RET_SIZE.
 */
typedef int torn_expected(const struct naru_framing *framing, const char *data,
                          size_t len, struct naru_msg *ret_msg,
                          size_t *ret_size);

/* Receives the stream at DATA under FRAMING as a whole, byte by byte, and torn
 * at every point. */
void torn_check(const struct naru_framing *framing, const char *data,
                size_t len, torn_expected *expected);

/* Sends what is at DATA as one message where that is possible, and receives
 * it. Of a message its first HEAD bytes may change. */
void torn_send(const struct naru_framing *framing, const char *data, size_t len,
               size_t head);

#endif
