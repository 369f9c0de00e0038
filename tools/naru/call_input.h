/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_CALL_INPUT_H
#define NR_TOOL_CALL_INPUT_H

/* Standard input of naru call, cut into lines: each is a message, as it stands
 * or as the bytes that its hex digits say. A line that cannot be one is told of
 * and left out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero but the first two fields at first. */
struct nr_tool_input {
	bool hex;
	size_t limit;  /* bytes of the longest message; more than 0 */
	bool faulty;   /* a line was left out */
	char *message; /* what the last line says, */
	size_t len;    /* and how many bytes that is */
	size_t size;   /* of the memory for it */
	uint64_t line; /* lines that were read before this one */
	size_t column; /* bytes of this line */
	bool whole;    /* the line has ended */
	bool skipped;  /* the rest of it is not looked at */
	bool half;     /* one digit of a byte has come: */
	int digit;
};

/*
 * Takes bytes of the LEN at DATA, up to the end of a line, and moves both on.
 * Returns 1 when a message is whole: it is there until the next call; 0 when
 * all bytes are taken; or -ENOMEM.
 */
int nr_tool_input_take(struct nr_tool_input *in, const char **data,
                       size_t *len);

/* Standard input has ended: as nr_tool_input_take() for a last line that has
 * no end. */
int nr_tool_input_end(struct nr_tool_input *in);

/* Tells why the last message was not sent: ERR says it. */
void nr_tool_input_refused(struct nr_tool_input *in, int err);

/* Frees what IN holds, not IN itself. */
void nr_tool_input_fini(struct nr_tool_input *in);

#endif
