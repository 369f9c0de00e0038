/* SPDX-License-Identifier: MIT */
/*
 * The talks of talks.c as they are under --framing, and over UDP, where each
 * message is a datagram: what is taken in pieces from a stream is one answer to
 * each question here. Silence is how a conversation over UDP ends.
 */

#include "talks.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What a talk answers a datagram with; 0 to go on. */
typedef int answer(struct naru_conv *conv, const struct naru_msg *msg);

/* To the peer's end. */
static int answer_all(struct naru_conv *conv, answer *fn)
{
	struct naru_msg msg;
	int err;

	while ((err = naru_recv(conv, &msg)) > 0) {
		err = fn(conv, &msg);
		if (err < 0)
			break;
	}
	return err;
}

/* To its silence. */
static int answer_datagrams(struct naru_conv *conv, void *arg, answer *fn)
{
	const struct nr_tool_talk_arg *given = arg;
	int err = 0;

	if (!given->framing)
		err = naru_set_framing(conv, NARU_FRAMING(.limit = 65507));
	if (err == 0)
		err = answer_all(conv, fn);
	return err == -ETIMEDOUT ? 0 : err;
}

static int send_back(struct naru_conv *conv, const struct naru_msg *msg)
{
	return naru_send(conv, msg->data, msg->len);
}

int nr_tool_datagram_echo(struct naru_conv *conv, void *arg)
{
	return answer_datagrams(conv, arg, send_back);
}

int nr_tool_messages_echo(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return answer_all(conv, send_back);
}

/* Takes one and answers with the peer's address. */
int nr_tool_messages_ack(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err = naru_recv(conv, &msg);

	(void)arg;
	return err > 0 ? nr_tool_send_peer(conv) : err;
}

/* The date and the time, without the CR LF that they have otherwise. */
int nr_tool_messages_daytime(struct naru_conv *conv, void *arg)
{
	char text[NR_TOOL_DATE_TEXT];
	int err = nr_tool_date(text);

	(void)arg;
	return err < 0 ? err : naru_send(conv, text, strlen(text));
}

static int throw_away(struct naru_conv *conv, const struct naru_msg *msg)
{
	(void)conv;
	(void)msg;
	return 0;
}

int nr_tool_datagram_discard(struct naru_conv *conv, void *arg)
{
	return answer_datagrams(conv, arg, throw_away);
}

/* Counts what is thrown away, for the log. */
int nr_tool_messages_discard(struct naru_conv *conv, void *arg)
{
	const struct nr_tool_talk_arg *given = arg;
	uint64_t count = 0;
	struct naru_msg msg;
	int err;

	while ((err = naru_recv(conv, &msg)) > 0)
		count++;
	nr_tool_log(given->log, NR_TOOL_LOG_CONVERSATIONS,
	            "conversation %" PRIu64 ": %" PRIu64
	            " messages thrown away",
	            naru_id(conv), count);
	return err;
}

/* RFC 864: at most 512 characters, and no line is cut. */
#define LINES 6
#define RING  95
#define LINE  72

static int send_lines(struct naru_conv *conv, const struct naru_msg *msg)
{
	char text[LINES * (LINE + 2)], *out = text;

	(void)msg;
	for (int line = 0; line < LINES; line++) {
		for (int i = 0; i < LINE; i++)
			*out++ = (char)(' ' + (line + i) % RING);
		*out++ = '\r';
		*out++ = '\n';
	}
	return naru_send(conv, text, sizeof(text));
}

int nr_tool_datagram_chargen(struct naru_conv *conv, void *arg)
{
	return answer_datagrams(conv, arg, send_lines);
}
