/* SPDX-License-Identifier: MIT */
/*
 * Reads the text of --framing: the kind, and words that say more of it, with
 * commas between them. Each fault is told with the byte at which it stands.
 */

#include "framing_options.h"

#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "log.h"

#define KINDS                                                                  \
	"lines, lf, crlf, crlf-tolerant, delimiter=TEXT, u8, u16, u32, u64, "  \
	"u16le, u32le, u64le, varint, fixed=N, netstring"

/* The longest word but a delimiter, and all that a number needs. */
#define WORD_MAX 64

/* What is read, and where. */
struct reader {
	const char *command;
	const char *text;
	const char *at;
	struct nr_tool_framing *to;
};

/* What stands at FROM is wrong. */
static bool wrong(const struct reader *r, const char *from, const char *why)
{
	nr_tool_say(r->command, "--framing: '%s': at byte %zu: %s", r->text,
	            (size_t)(from - r->text) + 1, why);
	return false;
}

/* Whether NAME stands here, all of a word; then it is passed. */
static bool pass(struct reader *r, const char *name)
{
	size_t len = strcspn(r->at, ",");

	if (strlen(name) != len || strncmp(r->at, name, len) != 0)
		return false;
	r->at += len;
	return true;
}

/* Whether "NAME=" stands here; then it is passed. */
static bool pass_name(struct reader *r, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(r->at, name, len) != 0 || r->at[len] != '=')
		return false;
	r->at += len + 1;
	return true;
}

/* Reads the rest of the word as a number, or as a size with a unit. */
static bool read_number(struct reader *r, int64_t max, bool is_size,
                        int64_t *ret_number)
{
	const char *from = r->at;
	char name[48], word[WORD_MAX];
	const struct nr_tool_option option = {r->command, name, 0,
	                                      is_size ? INT64_MAX : max};
	size_t len = strcspn(from, ",");

	if (len >= sizeof(word))
		return wrong(r, from, "the number is too large");
	memcpy(word, from, len);
	word[len] = '\0';
	snprintf(name, sizeof(name), "--framing: at byte %zu",
	         (size_t)(from - r->text) + 1);
	r->at += len;
	if (!is_size)
		return nr_tool_number(&option, word, ret_number);
	if (!nr_tool_size(&option, word, ret_number))
		return false;
	if (*ret_number < 1 || *ret_number > max)
		return wrong(r, from, "it must be from 1 to 1024M");
	return true;
}

/* Reads one byte of a delimiter, which a backslash may stand for. */
static bool read_byte(struct reader *r, char *ret_byte)
{
	static const char names[] = "nrt0\\,";
	static const char bytes[] = "\n\r\t\0\\,";
	const char *from = r->at++, *name;

	if (*from != '\\') {
		*ret_byte = *from;
		return true;
	}
	name = *r->at ? strchr(names, *r->at) : NULL;
	if (name) {
		r->at++;
		*ret_byte = bytes[name - names];
		return true;
	}
	if (*r->at != 'x')
		return wrong(r, from,
		             "a backslash stands before n, r, t, 0, a comma, a "
		             "backslash, or x and two hex digits");
	if (nr_tool_hex_digit(r->at[1]) < 0 || nr_tool_hex_digit(r->at[2]) < 0)
		return wrong(r, from, "two hex digits follow \\x");
	*ret_byte = (char)(nr_tool_hex_digit(r->at[1]) << 4 |
	                   nr_tool_hex_digit(r->at[2]));
	r->at += 3;
	return true;
}

static bool read_delimiter(struct reader *r)
{
	struct nr_tool_framing *to = r->to;
	const char *from = r->at;
	size_t len = 0;

	while (*r->at && *r->at != ',') {
		if (len == sizeof(to->delimiter))
			return wrong(r, r->at,
			             "a delimiter has at most 16 bytes");
		if (!read_byte(r, &to->delimiter[len]))
			return false;
		len++;
	}
	if (len == 0)
		return wrong(r, from,
		             "the delimiter is empty; a comma is written \\,");
	to->framing.kind = NARU_DELIMITED;
	to->framing.delimiter = to->delimiter;
	to->framing.delimiter_len = len;
	return true;
}

static bool read_fixed(struct reader *r)
{
	int64_t size;

	r->to->framing.kind = NARU_FIXED_SIZE;
	if (!read_number(r, NARU_MESSAGE_MAX, true, &size))
		return false;
	r->to->framing.limit = (size_t)size;
	return true;
}

/* The kinds that are a name and nothing else. */
static const struct {
	const char *name;
	struct naru_framing framing;
} kinds[] = {
	{"lines", {.line_end = NARU_LINE_END_ANY}},
	{"lf", {.line_end = NARU_LINE_END_LF}},
	{"crlf", {.line_end = NARU_LINE_END_CRLF}},
	{"crlf-tolerant", {.line_end = NARU_LINE_END_TOLERANT}},
	{"u8", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U8}},
	{"u16", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U16}},
	{"u32", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U32}},
	{"u64", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U64}},
	{"u16le", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U16_LE}},
	{"u32le", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U32_LE}},
	{"u64le", {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_U64_LE}},
	{"varint",
         {.kind = NARU_LENGTH_PREFIXED, .length = NARU_LENGTH_VARINT}},
	{"netstring", {.kind = NARU_NETSTRINGS}},
};

static bool read_kind(struct reader *r)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!pass(r, kinds[i].name))
			continue;
		r->to->framing = kinds[i].framing;
		return true;
	}
	if (pass_name(r, "delimiter"))
		return read_delimiter(r);
	if (pass_name(r, "fixed"))
		return read_fixed(r);
	return wrong(r, r->at, "there is no such framing; there are " KINDS);
}

/* "limit=SIZE" of all but fixed; "offset=N", "counted" and "header" of those
 * with a length. */
static bool read_word(struct reader *r)
{
	struct naru_framing *f = &r->to->framing;
	bool has_length = f->kind == NARU_LENGTH_PREFIXED;
	const char *from = r->at;
	int64_t number;

	if (f->kind != NARU_FIXED_SIZE && pass_name(r, "limit")) {
		if (!read_number(r, NARU_MESSAGE_MAX, true, &number))
			return false;
		f->limit = (size_t)number;
		return true;
	}
	if (has_length && pass_name(r, "offset")) {
		if (!read_number(r, NARU_LENGTH_OFFSET_MAX, false, &number))
			return false;
		f->length_offset = (unsigned)number;
		return true;
	}
	if (has_length && pass(r, "counted")) {
		f->length_counts_header = 1;
		return true;
	}
	if (has_length && pass(r, "header")) {
		f->keep_header = 1;
		return true;
	}
	return wrong(r, from,
	             has_length ? "limit=SIZE, offset=N, counted or header may "
	                          "follow"
	             : f->kind == NARU_FIXED_SIZE
	                     ? "nothing may follow fixed=N"
	                     : "only limit=SIZE may follow");
}

/* How many bytes stand before a body at least. */
static size_t header_size(const struct naru_framing *f)
{
	static const unsigned char widths[] = {
		[NARU_LENGTH_U8] = 1,     [NARU_LENGTH_U16] = 2,
		[NARU_LENGTH_U32] = 4,    [NARU_LENGTH_U64] = 8,
		[NARU_LENGTH_U16_LE] = 2, [NARU_LENGTH_U32_LE] = 4,
		[NARU_LENGTH_U64_LE] = 8, [NARU_LENGTH_VARINT] = 1,
	};

	if (f->kind != NARU_LENGTH_PREFIXED ||
	    !(f->length_offset || f->keep_header))
		return 0;
	return f->length_offset + widths[f->length];
}

bool nr_tool_framing_set(struct nr_tool_framing *framing, const char *command,
                         const char *text)
{
	struct naru_framing *f = &framing->framing;
	struct reader r = {command, text, text, framing};

	*f = (struct naru_framing){0};
	if (!read_kind(&r))
		return false;
	while (*r.at == ',') {
		r.at++;
		if (!read_word(&r))
			return false;
	}
	if (f->limit > 0 && f->limit < header_size(f))
		return wrong(&r, text, "the limit is less than the header");
	f->size = sizeof(*f);
	framing->text = text;
	return true;
}

bool nr_tool_framing_crlf(struct nr_tool_framing *framing, const char *command)
{
	struct naru_framing *f = &framing->framing;

	if (!framing->crlf)
		return true;
	if (f->kind != NARU_LINES || f->line_end == NARU_LINE_END_LF) {
		nr_tool_say(command,
		            "--crlf: the framing '%s' has no line that could "
		            "end so",
		            framing->text);
		return false;
	}
	f->size = sizeof(*f);
	if (f->line_end == NARU_LINE_END_ANY)
		f->line_end = NARU_LINE_END_TOLERANT;
	return true;
}
