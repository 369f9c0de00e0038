/* SPDX-License-Identifier: MIT */
/*
 * The talks of talks.c as they are over UDP, where each message is a datagram:
 * what is taken in pieces from a stream is one answer to each question here.
 * Silence is how such a conversation ends.
 */

#include "talks.h"

#include <errno.h>

/* What a talk answers a datagram with; 0 to go on. */
typedef int answer(struct naru_conv *conv, const struct naru_msg *msg);

static int answer_all(struct naru_conv *conv, answer *fn)
{
	struct naru_msg msg;
	int err;

	err = naru_set_framing(conv, NARU_FRAMING(.limit = 65507));
	while (err == 0 && (err = naru_recv(conv, &msg)) > 0)
		err = fn(conv, &msg);
	return err == -ETIMEDOUT ? 0 : err;
}

static int send_back(struct naru_conv *conv, const struct naru_msg *msg)
{
	return naru_send(conv, msg->data, msg->len);
}

int nr_tool_datagram_echo(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return answer_all(conv, send_back);
}

static int throw_away(struct naru_conv *conv, const struct naru_msg *msg)
{
	(void)conv;
	(void)msg;
	return 0;
}

int nr_tool_datagram_discard(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return answer_all(conv, throw_away);
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
	(void)arg;
	return answer_all(conv, send_lines);
}
