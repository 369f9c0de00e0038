/* SPDX-License-Identifier: MIT */
#ifndef NR_FRAME_FRAME_H
#define NR_FRAME_FRAME_H

/*
 * Framings: how messages are found in a stream of bytes, and what goes around
 * one that is sent. Functions of the bytes that they are given and of nothing
 * else: they neither wait nor ask for memory. This is the contract that each
 * keeps; a framing is one file that ends in one const struct nr_frame_ops.
 *
 * - A scan takes bytes from its cursor and is never shown again what it took;
 *   what it has to keep in mind is in struct nr_scan. So a peer that sends one
 *   byte at a time costs no more looking than one that sends all at once.
 * - What a scan says depends on the bytes alone, and not on the pieces in
 *   which they came.
 * - A length that the peer names is compared with the limit before anything
 *   else is done with it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "naru/message.h"

struct nr_frame_ops;

/* What stands around a message has fewer bytes than this. */
#define NR_FRAME_AROUND_MAX 32

/* A framing that can be used: naru_framing, checked and copied. */
struct nr_framing {
	/* What every message needs comes first. */
	size_t limit; /* bytes of the longest message */
	bool plain;   /* NARU_LINE_END_ANY: what is mostly meant, and done
	                 without the operations (frame/lines.h) */
	bool counts_header, keep_header;
	unsigned char delimiter_len;
	enum naru_framing_kind kind;
	const struct nr_frame_ops *ops;

	enum naru_line_end line_end;
	enum naru_length length;
	unsigned length_offset;
	char delimiter[NARU_DELIMITER_MAX];
	/* How much of the delimiter may have begun anew where its first bytes
	 * were there, this many and one, and then another one came. */
	unsigned char fallback[NARU_DELIMITER_MAX];
	naru_scan *scan;
	void *scan_arg;
};

/* What a scan keeps in mind of a message of which a part has come. All zero
 * while nothing of it has been taken. */
struct nr_scan {
	size_t need;             /* where more must come: as many bytes as the
	                            message has with its framing at least */
	size_t head;             /* bytes before the message, once known */
	struct nr_varint length; /* that it has, as far as it was taken */
	unsigned matched;        /* bytes of its end that have come */
};

/* A message that was found. Where its framing goes on behind it, a NUL may
 * take the place of the first byte there. */
struct nr_frame {
	size_t size;  /* bytes in all */
	size_t begin; /* where the message begins, */
	size_t len;   /* and how many bytes it has */
};

/* What goes around a message that is sent. */
struct nr_wrap {
	char head[NR_FRAME_AROUND_MAX];
	size_t head_len;
	size_t at, room;  /* the head stands at this place of the message,
	                     instead of so many bytes of it */
	const char *tail; /* it lives as long as the framing */
	size_t tail_len;
};

struct nr_frame_ops {
	enum naru_framing_kind kind;

	/* Checks what FRAMING says beyond its limit, and prepares it. Returns 0
	 * or -EINVAL. */
	int (*prepare)(struct nr_framing *framing);

	/*
	 * Looks for a whole message among BYTES, which begin where it begins
	 * and are one at least; the cursor stands behind those that were taken
	 * before. Returns 1 and where it is; 0 where more must come, and how
	 * many in SCAN->need; or an error. After an error it begins anew.
	 */
	int (*scan)(const struct nr_framing *framing, struct nr_cursor *bytes,
	            struct nr_scan *scan, struct nr_frame *ret_frame);

	/* What goes around MESSAGE, which is not over the limit. Returns 0;
	 * -EINVAL where it would not arrive as the one message that it is;
	 * -NARU_ETOOBIG where its length cannot be written. */
	int (*wrap)(const struct nr_framing *framing,
	            const struct nr_cursor *message, struct nr_wrap *ret_wrap);
};

extern const struct nr_frame_ops nr_frame_lines;
extern const struct nr_frame_ops nr_frame_delimited;
extern const struct nr_frame_ops nr_frame_length;
extern const struct nr_frame_ops nr_frame_fixed;
extern const struct nr_frame_ops nr_frame_netstrings;
extern const struct nr_frame_ops nr_frame_custom;

/*
 * Checks and copies GIVEN, whose limit is DEFAULT_LIMIT where it names none;
 * null stands for lines. Returns 0, -EINVAL, or -E2BIG where a newer header's
 * field is set that we do not know; then RET_FRAMING is untouched.
 */
int nr_framing_take(struct nr_framing *ret_framing,
                    const struct naru_framing *given, size_t default_limit);

/* The other way, for whoever asks: RET_GIVEN points into FRAMING. */
void nr_framing_give(const struct nr_framing *framing,
                     struct naru_framing *ret_given);

#endif
