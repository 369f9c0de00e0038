/* SPDX-License-Identifier: MIT */
/* Standard input, line by line: see call_input.h. */

#include "call_input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "call_converse.h"
#include "log.h"

#define NAME NR_TOOL_CALL_NAME

/* The memory that a message begins with. */
#define SIZE_FIRST 4096

/* The line is wrong at COLUMN, or as a whole where that is 0. */
static void leave_out(struct nr_tool_input *in, size_t column, const char *why)
{
	char place[48] = "";

	if (column > 0)
		snprintf(place, sizeof(place), ", column %zu", column);
	nr_tool_say(NAME,
	            "standard input, line %" PRIu64 "%s: %s; the line is not "
	            "sent",
	            in->line + 1, place, why);
	in->faulty = true;
	in->skipped = true;
}

static int add(struct nr_tool_input *in, char byte)
{
	char why[64], *bigger;

	if (in->len == in->limit) {
		snprintf(why, sizeof(why),
		         "the message is over the limit of %zu bytes",
		         in->limit);
		leave_out(in, 0, why);
		return 0;
	}
	if (in->len == in->size) {
		size_t size = in->size > 0 ? 2 * in->size : SIZE_FIRST;

		bigger = realloc(in->message, size);
		if (!bigger)
			return -ENOMEM;
		in->message = bigger;
		in->size = size;
	}
	in->message[in->len++] = byte;
	return 0;
}

/* The line goes on with BYTE, or ends, which is a blank as well. */
static int add_hex(struct nr_tool_input *in, char byte)
{
	bool blank = byte == ' ' || byte == '\t' || byte == '\n';
	int digit = nr_tool_hex_digit(byte);
	char why[32];

	if (!blank && digit < 0) {
		snprintf(why, sizeof(why), "'%c' is no hex digit", byte);
		leave_out(in, in->column, why);
		return 0;
	}
	if (blank && in->half)
		leave_out(in, in->column - (byte != '\n'),
		          "a byte has two hex digits, this is one");
	if (blank)
		return 0;
	in->half = !in->half;
	if (!in->half)
		return add(in, (char)(in->digit << 4 | digit));
	in->digit = digit;
	return 0;
}

/* The line has ended: whether it is a message. */
static bool end_line(struct nr_tool_input *in)
{
	if (in->hex && !in->skipped)
		(void)add_hex(in, '\n');
	in->whole = true;
	return !in->skipped;
}

/* Another line begins. */
static void begin_line(struct nr_tool_input *in)
{
	in->line++;
	in->len = in->column = 0;
	in->whole = in->skipped = in->half = false;
}

int nr_tool_input_take(struct nr_tool_input *in, const char **data, size_t *len)
{
	int err = 0;

	while (err == 0 && *len > 0) {
		char byte = *(*data)++;

		--*len;
		if (in->whole)
			begin_line(in);
		if (byte == '\n') {
			if (end_line(in))
				return 1;
			continue;
		}
		in->column++;
		if (!in->skipped)
			err = in->hex ? add_hex(in, byte) : add(in, byte);
	}
	return err;
}

int nr_tool_input_end(struct nr_tool_input *in)
{
	if (in->whole || in->column == 0)
		return 0;
	return end_line(in);
}

void nr_tool_input_refused(struct nr_tool_input *in, int err)
{
	/* The framing's own word for it would be "invalid argument". */
	leave_out(in, 0,
	          err == -EINVAL ? "it would not arrive as this message under "
	                           "the framing"
	                         : naru_strerror(err));
}

void nr_tool_input_fini(struct nr_tool_input *in)
{
	free(in->message);
	in->message = NULL;
	in->size = 0;
}
