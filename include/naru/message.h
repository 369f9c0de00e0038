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

#include <sys/types.h>

#include "naru/base.h"

NARU_BEGIN_DECLS

/* How a message's end is found. */
enum naru_framing_kind {
	/* A line. Its end is no part of the message. A line that was received
	 * is followed by a NUL, so that it can be used as a C string where it
	 * contains none. */
	NARU_LINES,
	/* A message ends with the bytes of DELIMITER, which are no part of it;
	 * a NUL follows it as it does a line. */
	NARU_DELIMITED,
	/* A message's length stands before it. */
	NARU_LENGTH_PREFIXED,
	/* Every message has LIMIT bytes. */
	NARU_FIXED_SIZE,
	/* "5:hello,": decimal length, colon, message, comma. */
	NARU_NETSTRINGS,
	/* A function says where a message ends. */
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
	NARU_LENGTH_VARINT, /* LEB128: seven bits in a byte, lowest first */
};

/* The longest delimiter, and the most bytes before a length. */
#define NARU_DELIMITER_MAX     16
#define NARU_LENGTH_OFFSET_MAX 64

/*
 * Finds a message's end for NARU_CUSTOM, among the LEN bytes at DATA that have
 * come of it so far, one at least. SEEN is the function's own, and 0 when a
 * message begins: how many bytes it need not look at again.
 *
 * Returns how many bytes the message has, LEN at most; 0 for "more"; or a
 * negated error, which naru_recv() returns.
 */
typedef ssize_t naru_scan(const char *data, size_t len, size_t *seen,
                          void *arg);

/*
 * A framing. Write it as NARU_FRAMING(.kind = NARU_LINES, .limit = 1000);
 * zero means the default.
 */
struct naru_framing {
	size_t size; /* of this struct; NARU_FRAMING fills it in */
	enum naru_framing_kind kind;
	enum naru_line_end line_end; /* of NARU_LINES */
	size_t limit; /* bytes of the longest message; 65536 by default */
	const char *delimiter;    /* of NARU_DELIMITED; it is copied */
	size_t delimiter_len;     /* 1 to NARU_DELIMITER_MAX */
	enum naru_length length;  /* of NARU_LENGTH_PREFIXED, as are: */
	unsigned length_offset;   /* bytes before the length; 0 */
	int length_counts_header; /* nonzero where the length counts all
	                             that stands before the body as well */
	int keep_header; /* nonzero where messages are received and sent with
	                    what stands before the body; the length is filled
	                    in. Always with an offset */
	naru_scan *scan; /* of NARU_CUSTOM */
	void *scan_arg;
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
 * whole message, under TLS also where it did not say so (close_notify): nothing
 * is missing then; -NARU_ECUT when it finished inside one; -NARU_ETOOBIG when
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
