/* SPDX-License-Identifier: MIT */
#ifndef NARU_MESSAGE_H
#define NARU_MESSAGE_H

/*
 * A conversation as messages. TCP keeps no message boundaries: a framing is
 * the rule that finds them in the stream of bytes. Bytes and messages may be
 * mixed: what one call does not take is left for the next.
 *
 * The errors of naru/bytes.h apply here as well.
 */

#include "naru/base.h"

NARU_BEGIN_DECLS

/* How a message's end is found. */
enum naru_framing_kind {
	/*
	 * A message ends with LF, or with CR LF; neither is part of it.
	 * Sending adds LF. A line that was received is followed by a NUL, so
	 * that it can be used as a C string where it contains none.
	 */
	NARU_LINES,
};

/*
 * A framing. Write it as NARU_FRAMING(.kind = NARU_LINES, .limit = 1000);
 * zero means the default.
 */
struct naru_framing {
	size_t size; /* of this struct; NARU_FRAMING fills it in */
	enum naru_framing_kind kind;
	size_t limit; /* bytes of the longest message; 65536 by default */
};
#define NARU_FRAMING(...) NARU_STRUCT(naru_framing, __VA_ARGS__)

/* The most that a framing's limit may be: 1 GiB. */
#define NARU_MESSAGE_MAX (1u << 30)

/* A view of a message: LEN bytes at DATA, in the conversation's own buffer.
 * It is valid until the next call that receives. */
struct naru_msg {
	const char *data;
	size_t len;
};

/*
 * Sets the framing of what is received and sent from here on; bytes that are
 * here already and not yet received are read under the new one. The default
 * is NARU_LINES. Does not wait.
 *
 * Returns 0, or -EINVAL for an unknown kind or a limit over
 * NARU_MESSAGE_MAX.
 */
NARU_RESULT int naru_set_framing(struct naru_conv *conv,
                                 const struct naru_framing *framing);

/*
 * Receives one message. Waits for its first byte under NARU_TIMEOUT_IDLE and
 * for the rest under NARU_TIMEOUT_MESSAGE.
 *
 * Returns 1 and the message in RET_MSG; 0 when the peer has finished after a
 * whole message; -NARU_ECUT when it finished inside one; -NARU_ETOOBIG when
 * the message is over the limit. After any error the bytes that came are
 * still there: for naru_recv() again, or for naru_read().
 */
NARU_RESULT int naru_recv(struct naru_conv *conv, struct naru_msg *ret_msg);

/*
 * Sends one message of LEN bytes at DATA; the framing is added. Waits only
 * when the buffer is full, like naru_write(), whose promises hold here too.
 *
 * Returns 0; -NARU_ETOOBIG, with nothing sent, when LEN is over the framing's
 * limit; -EINVAL, with nothing sent, when the message cannot be told apart
 * from two: a line with LF in it.
 */
NARU_RESULT int naru_send(struct naru_conv *conv, const void *data, size_t len);

/*
 * Sends one message that printf(3) would make of FORMAT. Otherwise like
 * naru_send().
 */
NARU_RESULT int naru_sendf(struct naru_conv *conv, const char *format, ...)
	NARU_PRINTF(2, 3);

NARU_END_DECLS

#endif
