/* SPDX-License-Identifier: MIT */
#ifndef NARU_MESSAGE_H
#define NARU_MESSAGE_H

/*
 * A conversation as messages. TCP keeps no message boundaries: a framing is
 * the rule that finds them in the stream of bytes. Bytes and messages may be
 * mixed: what one call does not take is left for the next.
 *
 * Over UDP each message is one datagram (RFC 768), whatever the framing's kind;
 * only its limit counts. Nothing tells of a peer's end there: naru_recv() gives
 * 0 only when the server that accepted the peer stops (naru_server_stop()), in
 * place of waiting for a datagram, and from then on. A datagram over the limit
 * is gone with -NARU_ETOOBIG. naru_send() returns -EMSGSIZE over 65507 bytes.
 * What ICMP says (-ECONNREFUSED, -EHOSTUNREACH) is returned once, by whichever
 * call comes next, and the conversation may go on.
 *
 * The errors of naru/bytes.h apply here as well.
 */

#include <sys/types.h>

#include "naru/base.h"

NARU_BEGIN_DECLS

/* How a message's end is found. */
enum naru_framing_kind {
	/* A line. Its end is no part of the message. */
	NARU_LINES,
	/* A message ends with the bytes of DELIMITER, which are no part of
	 * it. */
	NARU_DELIMITED,
	/* A message's length stands before it. */
	NARU_LENGTH_PREFIXED,
	/* Every message has LIMIT bytes. */
	NARU_FIXED_SIZE,
	/* "5:hello,": a length in decimal digits without leading zeros, a
	 * colon, the message, a comma. */
	NARU_NETSTRINGS,
	/* A function says where a message ends. Its framing is a part of it:
	 * it is sent as it is. */
	NARU_CUSTOM,
};

/* Where a line ends, and what ends one that is sent. */
enum naru_line_end {
	/* At LF or CR LF; sent with LF. */
	NARU_LINE_END_ANY = 0,
	/* At LF: a CR before it belongs to the line; sent with LF. */
	NARU_LINE_END_LF,
	/* At CR LF; a CR or an LF alone is an error; sent with CR LF. */
	NARU_LINE_END_CRLF,
	/* At LF or CR LF; sent with CR LF. */
	NARU_LINE_END_TOLERANT,
};

/* How a length is written. */
enum naru_length {
	NARU_LENGTH_U8 = 0,
	NARU_LENGTH_U16, /* the highest byte first, "network order" */
	NARU_LENGTH_U32,
	NARU_LENGTH_U64,
	NARU_LENGTH_U16_LE, /* the lowest byte first */
	NARU_LENGTH_U32_LE,
	NARU_LENGTH_U64_LE,
	NARU_LENGTH_VARINT, /* LEB128: seven bits in a byte, lowest first, the
	                       eighth set where another follows; at most ten
	                       bytes and 64 bits */
};

/* The longest delimiter, and the most bytes before a length. */
#define NARU_DELIMITER_MAX     16
#define NARU_LENGTH_OFFSET_MAX 64

/*
 * Finds a message's end for NARU_CUSTOM, among the LEN bytes at DATA that have
 * come of it so far and of what follows it: one at least, and never more than
 * the framing's limit. SEEN is the function's own, and 0 when a message
 * begins: how many bytes it need not look at again. DATA may be elsewhere with
 * each call. It must not wait, nor use the conversation.
 *
 * What it says of a message may not depend on how many bytes there are of what
 * follows.
 *
 * Returns how many bytes the message has, LEN at most; 0 for "more"; or a
 * negated error, which naru_recv() returns. After that SEEN is 0 again.
 */
typedef ssize_t naru_scan(const char *data, size_t len, size_t *seen,
                          void *arg);

/*
 * A framing. Write it as NARU_FRAMING(.kind = NARU_LINES, .limit = 1000);
 * zero means the default. A field that its kind has no use for must be zero.
 */
struct naru_framing {
	size_t size; /* of this struct; NARU_FRAMING fills it in */
	enum naru_framing_kind kind;
	enum naru_line_end line_end; /* of NARU_LINES */
	size_t limit; /* bytes of the longest message, as naru_recv() shows it;
	                 65536 by default. NARU_FIXED_SIZE has none */
	const char *delimiter;    /* of NARU_DELIMITED; it is copied */
	size_t delimiter_len;     /* 1 to NARU_DELIMITER_MAX */
	enum naru_length length;  /* of NARU_LENGTH_PREFIXED, as are: */
	unsigned length_offset;   /* bytes before the length; 0 */
	int length_counts_header; /* nonzero where the length counts all
	                             that stands before the body as well */
	int keep_header; /* nonzero where messages are received and sent with
	                    what stands before the body, and the limit counts
	                    it; the length is filled in. Always with an
	                    offset */
	naru_scan *scan; /* of NARU_CUSTOM */
	void *scan_arg;  /* that it is called with */
};
#define NARU_FRAMING(...) NARU_STRUCT(naru_framing, __VA_ARGS__)

/* The most that a framing's limit may be: 1 GiB. */
#define NARU_MESSAGE_MAX (1u << 30)

/*
 * A view of a message: LEN bytes at DATA, in the conversation's own buffer.
 * It is valid until the next call that receives.
 *
 * Behind a line, a delimited message and a netstring stands a NUL, in the place
 * of their end, so that they can be used as C strings where they contain none.
 */
struct naru_msg {
	const char *data;
	size_t len;
};

/*
 * Sets the framing of what is received and sent from here on; bytes that are
 * here already and not yet received are read under the new one. FRAMING is
 * copied. A conversation begins with its server's or dial's, or else with
 * NARU_LINES. Does not wait. A send that timed out half-way is to be repeated
 * before.
 *
 * Returns 0, -EINVAL where FRAMING cannot be (an unknown kind, a limit over
 * NARU_MESSAGE_MAX, a delimiter of no bytes or too many, an offset over
 * NARU_LENGTH_OFFSET_MAX, a limit that is shorter than the header, no scan, a
 * field of another kind), or -E2BIG where it sets a field that this library is
 * too old to know; then all is as it was.
 */
NARU_RESULT int naru_set_framing(struct naru_conv *conv,
                                 const struct naru_framing *framing);

/*
 * Receives one message. Waits for its first byte under NARU_TIMEOUT_IDLE and
 * for the rest under NARU_TIMEOUT_MESSAGE.
 *
 * Returns 1 and the message in RET_MSG; 0 when the peer has finished after a
 * whole message, under TLS also where it did not say so (close_notify): nothing
 * is missing then; -NARU_ECUT when it finished inside one; -NARU_ETOOBIG when
 * the message is over the limit, as soon as that is known and before there is
 * memory for it; -NARU_EFRAME when what came is no message of the framing: a
 * CR or an LF alone, a length that is less than what it counts or has more than
 * 64 bits, a netstring without its digits, colon or comma; what a scan
 * returned, or -EINVAL where that cannot be. After any error the bytes that
 * came are still there: for naru_recv() again, under another framing maybe, or
 * for naru_read().
 */
NARU_RESULT int naru_recv(struct naru_conv *conv, struct naru_msg *ret_msg);

/*
 * Sends one message of LEN bytes at DATA; the framing is added. Waits only
 * when the buffer is full, like naru_write(), whose promises hold here too.
 *
 * A message with its header (keep_header) has room for the length where that
 * stands, and what is there does not matter. Only of NARU_LENGTH_VARINT it
 * must be a number itself, which is replaced by the right one and the bytes
 * that that one needs.
 *
 * Returns 0; -NARU_ETOOBIG, with nothing sent, when LEN is over the framing's
 * limit or over what its length can say; -EINVAL, with nothing sent, when the
 * message would not arrive as this one: a line with LF in it (or, with
 * NARU_LINE_END_CRLF, CR), a message with the delimiter in it or with a
 * beginning of it at its end that brings it about too early, one that is not
 * of the fixed size, one without its header. A CR at the end of a line goes
 * out, and a reader that takes CR LF for an end takes it for a part of that.
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
