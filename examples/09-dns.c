/* SPDX-License-Identifier: MIT */
/*
 * 09: a small server of names over UDP (RFC 1035). It answers questions for A
 * and TXT records from the table below:
 *
 *     09-dns [ENDPOINT]            dig -p 1053 @localhost naru.example
 *
 * Over udp:// each message is a datagram, and the conversation is all that one
 * peer's socket sends: this talk answers as many questions as come, and ends
 * when none has come for a minute, naru_recv() gives -ETIMEDOUT then.
 *
 * A question is read with a cursor that never goes past its end, and what
 * cannot be read gets no answer, or one that says so: a datagram may come from
 * anybody.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <naru.h>

#define TYPE_A     1
#define TYPE_TXT   16
#define CLASS_IN   1
#define NO_ERROR   0
#define BAD_FORMAT 1
#define NO_NAME    3
#define NOT_HERE   4

#define HEADER     12
#define TEXT_MAX   255 /* of a name: RFC 1035, section 2.3.4 */
#define QUERY_MAX  512

static const struct record {
	const char *name;
	const char *data; /* as it stands in the answer */
	unsigned type, len;
} records[] = {
	{"naru.example", "\xc0\x00\x02\x01", TYPE_A, 4},
	{"naru.example", "\xc0\x00\x02\x02", TYPE_A, 4},
	{"naru.example", "\017a ferry landing", TYPE_TXT, 16},
	{"text.example", "\005first\006second", TYPE_TXT, 13},
};

/* What is read, and how far. */
struct cursor {
	const unsigned char *at, *end;
};

static bool take(struct cursor *from, size_t count)
{
	bool there = (size_t)(from->end - from->at) >= count;

	from->at += there ? count : 0;
	return there;
}

static bool take_u16(struct cursor *from, unsigned *ret)
{
	bool there = take(from, 2);

	*ret = there ? (unsigned)from->at[-2] << 8 | from->at[-1] : 0;
	return there;
}

/* A name as text, "naru.example": labels with their lengths before them. A
 * question has no reason to refer to an earlier name, and none is followed. */
static bool take_name(struct cursor *from, char text[TEXT_MAX + 1])
{
	size_t used = 0;

	while (take(from, 1) && from->at[-1] > 0) {
		size_t len = from->at[-1];

		if (len > 63 || used + len + 1 > TEXT_MAX || !take(from, len))
			return false;
		if (memchr(from->at - len, '.', len) ||
		    memchr(from->at - len, '\0', len))
			return false;
		if (used > 0)
			text[used++] = '.';
		memcpy(text + used, from->at - len, len);
		used += len;
	}
	text[used] = '\0';
	return from->at[-1] == 0;
}

/* The answer as it grows. */
struct answer {
	unsigned char bytes[QUERY_MAX];
	size_t len;
	unsigned count;
};

static void put_u16(struct answer *to, unsigned value)
{
	to->bytes[to->len++] = (unsigned char)(value >> 8);
	to->bytes[to->len++] = (unsigned char)value;
}

/* The record's name is the question's, which stands behind the header, and it
 * may be kept for a minute. The table has no more than fits. */
static void put_record(struct answer *to, const struct record *record)
{
	const unsigned head[] = {0xc000 | HEADER, record->type, CLASS_IN, 0, 60,
	                         record->len};

	if (to->len + 12 + record->len > sizeof(to->bytes))
		return;
	for (int i = 0; i < 6; i++)
		put_u16(to, head[i]);
	memcpy(to->bytes + to->len, record->data, record->len);
	to->len += record->len;
	to->count++;
}

/* Answers what is known of NAME; what the header's code is to be. */
static unsigned look_up(struct answer *to, const char *name, unsigned type)
{
	unsigned code = NO_NAME;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		if (strcasecmp(records[i].name, name) != 0)
			continue;
		code = NO_ERROR;
		if (type == records[i].type)
			put_record(to, &records[i]);
	}
	return code;
}

/* The header: the number of the question, that this is an answer, by whoever
 * knows, and how many records there are. */
static void put_header(struct answer *to, const unsigned char *query,
                       unsigned code, unsigned questions)
{
	size_t len = to->len;

	to->len = 0;
	put_u16(to, (unsigned)query[0] << 8 | query[1]);
	put_u16(to, 0x8400 | (query[2] & 0x79u) << 8 | code);
	put_u16(to, questions);
	put_u16(to, to->count);
	to->len = len; /* the other two counts are zero */
}

/* Makes the answer to MSG; false for what none is due to. */
static bool answer(const struct naru_msg *msg, struct answer *to)
{
	const unsigned char *query = (const unsigned char *)msg->data;
	struct cursor from = {query, query + msg->len};
	unsigned flags, questions, type, class, code = BAD_FORMAT;
	char name[TEXT_MAX + 1];
	bool good;

	*to = (struct answer){.len = HEADER};
	if (!take(&from, 2) || !take_u16(&from, &flags) ||
	    !take_u16(&from, &questions) || !take(&from, 6) || flags & 0x8000)
		return false;
	good = questions == 1 && take_name(&from, name) &&
	       take_u16(&from, &type) && take_u16(&from, &class);
	if (good) {
		to->len = (size_t)(from.at - query);
		memcpy(to->bytes + HEADER, query + HEADER, to->len - HEADER);
		if (flags & 0x7800 || class != CLASS_IN)
			code = NOT_HERE;
		else
			code = look_up(to, name, type);
	}
	put_header(to, query, code, good);
	return true;
}

static int dns(struct naru_conv *conv, void *arg)
{
	struct answer to;
	struct naru_msg msg;
	int err;

	err = naru_set_framing(conv, NARU_FRAMING(.limit = QUERY_MAX));
	while (err >= 0 && (err = naru_recv(conv, &msg)) > 0)
		if (answer(&msg, &to))
			err = naru_send(conv, to.bytes, to.len);
	return err == -ETIMEDOUT ? 0 : err;
}

static void tell(const struct naru_event *event, void *arg)
{
	char text[NARU_ADDR_TEXT];

	if (event->kind == NARU_EVENT_LISTEN &&
	    naru_addr_format(event->local, text, sizeof(text)) >= 0)
		fprintf(stderr, "listening on %s\n", text);
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "udp://localhost:1053";
	int err = naru_serve(endpoint, dns, NULL, NARU_OPTIONS(.report = tell));

	fprintf(stderr, "09-dns: %s: %s\n", endpoint, naru_strerror(err));
	return 1;
}
