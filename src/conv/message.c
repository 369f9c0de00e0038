/* SPDX-License-Identifier: MIT */
/* Messages and their framing: naru/message.h. */
#include "naru/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/options.h"
#include "conv/conv.h"
#include "conv/datagram.h"
#include "naru/error.h"

/* CR and LF, which a line may have besides the limit. */
#define LINE_END_MAX 2

/* What we end a line with. */
static const char line_end[] = "\n";

int naru_set_framing(struct naru_conv *conv, const struct naru_framing *framing)
{
	struct naru_framing own;
	int err;

	if (!nr_conv_is(conv) || !framing)
		return -EINVAL;
	err = nr_options_take(&own, sizeof(own), framing);
	if (err < 0)
		return err;
	if (own.kind != NARU_LINES || own.limit > NARU_MESSAGE_MAX)
		return -EINVAL;
	if (own.limit == 0)
		own.limit = nr_settings_default.message_limit;
	nr_input_end_view(conv);
	conv->in.scanned = 0;
	conv->framing = own;
	return 0;
}

/*
 * Looks for a line in what is unread. Returns 1 and the line; 0 where more
 * must come first; -NARU_ETOOBIG. Never looks at a byte twice.
 */
static int scan_line(struct naru_conv *conv, struct naru_msg *ret_msg)
{
	struct nr_input *in = &conv->in;
	size_t left = nr_input_left(conv), len;
	char *begin = left ? in->data + in->begin : NULL, *lf = NULL;

	if (left > in->scanned)
		lf = memchr(begin + in->scanned, '\n', left - in->scanned);
	if (!lf) {
		in->scanned = left;
		/* One more byte may come, the CR that precedes the LF. */
		len = left && begin[left - 1] == '\r' ? left - 1 : left;
		return len > conv->framing.limit ? -NARU_ETOOBIG : 0;
	}
	len = (size_t)(lf - begin);
	in->scanned = len;
	if (len > 0 && lf[-1] == '\r')
		len--;
	if (len > conv->framing.limit)
		return -NARU_ETOOBIG;
	begin[len] = '\0';
	in->viewed = (size_t)(lf - begin) + 1;
	*ret_msg = (struct naru_msg){begin, len};
	return 1;
}

/* Receives until there is a whole message. Apart from naru_recv(), which mostly
 * finds one there already, and shall not pay for this one's frame. */
static __attribute__((noinline)) int await_message(struct naru_conv *conv,
                                                   struct naru_msg *ret_msg)
{
	struct nr_input_wait first = {NARU_TIMEOUT_IDLE, -1};
	struct nr_input_wait rest = {NARU_TIMEOUT_MESSAGE, -1};
	size_t most = conv->framing.limit + LINE_END_MAX;
	ssize_t got;
	int found;

	if (most < NR_BUFFER_SIZE)
		most = NR_BUFFER_SIZE;
	while ((found = scan_line(conv, ret_msg)) == 0) {
		bool begun = nr_input_left(conv) > 0;

		got = nr_input_more(conv, most, begun ? &rest : &first);
		if (got == 0)
			return begun ? -NARU_ECUT : 0;
		if (got < 0)
			return (int)got;
	}
	return found;
}

int naru_recv(struct naru_conv *conv, struct naru_msg *ret_msg)
{
	int found = 0;

	if (!nr_conv_is(conv) || !ret_msg)
		return -EINVAL;
	if (conv->link.keeps_messages)
		return nr_datagram_receive(conv, ret_msg);
	nr_input_end_view(conv);
	if (nr_input_unread(&conv->in) > 0)
		found = scan_line(conv, ret_msg);
	return found != 0 ? found : await_message(conv, ret_msg);
}

/* A line, and its end behind it. */
static int write_line(struct naru_conv *conv, const void *data, size_t len,
                      const void *call)
{
	struct iovec iov[] = {{(void *)(uintptr_t)data, len},
	                      {(void *)(uintptr_t)line_end, 1}};

	return nr_output_write(conv, iov, 2, call);
}

int naru_send(struct naru_conv *conv, const void *data, size_t len)
{
	if (!nr_conv_is(conv) || (!data && len > 0))
		return -EINVAL;
	if (conv->link.keeps_messages)
		return nr_datagram_write(conv, data, len, conv->framing.limit);
	nr_assert(conv->framing.kind == NARU_LINES);
	if (len > conv->framing.limit)
		return -NARU_ETOOBIG;
	if (len > 0 && nr_output_append_line(conv, data, len))
		return 0;
	if (len > 0 && memchr(data, '\n', len))
		return -EINVAL;
	return write_line(conv, data, len, data);
}

/* Sends TEXT as the message that FORMAT made, which tells it from another
 * when it is repeated. */
static int send_formatted(struct naru_conv *conv, char *text, size_t len,
                          const char *format)
{
	if (conv->link.keeps_messages)
		return nr_datagram_write(conv, text, len, conv->framing.limit);
	if (len > conv->framing.limit)
		return -NARU_ETOOBIG;
	if (memchr(text, '\n', len))
		return -EINVAL;
	return write_line(conv, text, len, format);
}

int naru_sendf(struct naru_conv *conv, const char *format, ...)
{
	char small[512], *text = small;
	va_list args;
	int len, err;

	if (!nr_conv_is(conv) || !format)
		return -EINVAL;
	va_start(args, format);
	len = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	if (len < 0)
		return -EINVAL;
	if ((size_t)len > conv->framing.limit)
		return -NARU_ETOOBIG;
	if ((size_t)len >= sizeof(small)) {
		text = malloc((size_t)len + 1);
		if (!text)
			return -ENOMEM;
		va_start(args, format);
		(void)vsnprintf(text, (size_t)len + 1, format, args);
		va_end(args);
	}
	err = send_formatted(conv, text, (size_t)len, format);
	if (text != small)
		free(text);
	return err;
}
