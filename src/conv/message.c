/* SPDX-License-Identifier: MIT */
/* Messages out of what is received, and into what is sent: naru/message.h. How
 * a message is found is the framing's matter (frame/frame.h). */
#include "naru/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "conv/conv.h"
#include "conv/datagram.h"
#include "frame/lines.h"
#include "naru/error.h"

int naru_set_framing(struct naru_conv *conv, const struct naru_framing *framing)
{
	int err;

	if (!nr_conv_is(conv) || !framing)
		return -EINVAL;
	err = nr_framing_take(&conv->framing, framing,
	                      nr_settings_default.framing.limit);
	if (err < 0)
		return err;
	nr_input_end_view(conv);
	conv->in.scanned = 0;
	return 0;
}

/* A message was found: RET_MSG shows it until the next call that receives. */
static inline void show(struct nr_input *in, const struct nr_frame *frame,
                        struct naru_msg *ret_msg)
{
	char *data = in->data + in->begin + frame->begin;

	if (frame->begin + frame->len < frame->size)
		data[frame->len] = '\0';
	in->viewed = frame->size;
	*ret_msg = (struct naru_msg){data, frame->len};
}

/* find() for lines that end with LF or CR LF. */
static inline int find_line(struct naru_conv *conv, struct naru_msg *ret_msg)
{
	struct nr_input *in = &conv->in;
	struct nr_frame frame;
	int found = nr_lines_scan(in->data + in->begin, nr_input_unread(in),
	                          conv->framing.limit, &in->scanned, &frame);

	if (found > 0)
		show(in, &frame, ret_msg);
	return found;
}

/* find() for whatever the framing is. */
static __attribute__((noinline)) int find_framed(struct naru_conv *conv,
                                                 struct naru_msg *ret_msg)
{
	struct nr_input *in = &conv->in;
	struct nr_cursor bytes =
		nr_cursor(in->data + in->begin, nr_input_unread(in));
	struct nr_frame frame;
	int found;

	if (in->scanned == 0)
		conv->scan = (struct nr_scan){0};
	nr_cursor_skip(&bytes, in->scanned);
	found = conv->framing.ops->scan(&conv->framing, &bytes, &conv->scan,
	                                &frame);
	in->scanned = found < 0 ? 0 : (size_t)(bytes.at - bytes.begin);
	if (found > 0) {
		nr_assert(frame.size > 0 && frame.size <= nr_input_unread(in) &&
		          frame.begin + frame.len <= frame.size);
		show(in, &frame, ret_msg);
	}
	return found;
}

/* Looks for a message in what is unread. Returns 1 and the message; 0 where
 * more must come first; or an error. Never looks at a byte twice. */
static inline int find(struct naru_conv *conv, struct naru_msg *ret_msg)
{
	if (nr_input_unread(&conv->in) == 0)
		return 0;
	return conv->framing.plain ? find_line(conv, ret_msg)
	                           : find_framed(conv, ret_msg);
}

/* Receives until there is a whole message. Apart from naru_recv(), which mostly
 * finds one there already, and shall not pay for this one's frame. */
static __attribute__((noinline)) int await_message(struct naru_conv *conv,
                                                   struct naru_msg *ret_msg)
{
	struct nr_input_wait first = {NARU_TIMEOUT_IDLE, -1};
	struct nr_input_wait rest = {NARU_TIMEOUT_MESSAGE, -1};
	size_t most = conv->framing.limit + NR_FRAME_AROUND_MAX;
	ssize_t got;
	int found;

	if (most < NR_BUFFER_SIZE)
		most = NR_BUFFER_SIZE;
	while ((found = find(conv, ret_msg)) == 0) {
		bool begun = nr_input_left(conv) > 0;

		if (begun && !conv->framing.plain)
			found = nr_input_reserve(conv, conv->scan.need);
		if (found < 0)
			return found;
		got = begun ? nr_input_more(conv, most, &rest)
		            : nr_input_first(conv, most, &first);
		if (got == 0)
			return begun ? -NARU_ECUT : 0;
		if (got < 0)
			return (int)got;
	}
	return found;
}

int naru_recv(struct naru_conv *conv, struct naru_msg *ret_msg)
{
	int found;

	if (!nr_conv_is(conv) || !ret_msg)
		return -EINVAL;
	if (conv->link.keeps_messages)
		return nr_datagram_receive(conv, ret_msg);
	nr_input_end_view(conv);
	found = find(conv, ret_msg);
	return found != 0 ? found : await_message(conv, ret_msg);
}

/* The LEN bytes at DATA with what the framing puts around them; CALL tells this
 * message from another when it is repeated. */
static int send_framed(struct naru_conv *conv, const char *data, size_t len,
                       const void *call)
{
	const struct nr_framing *framing = &conv->framing;
	const struct nr_cursor message = nr_cursor(data, len);
	char *bytes = (char *)(uintptr_t)data;
	struct iovec iov[NR_PIECES_MAX];
	struct nr_wrap wrap;
	int err = framing->ops->wrap(framing, &message, &wrap);

	if (err < 0)
		return err;
	nr_assert(wrap.at + wrap.room <= len);
	iov[0] = (struct iovec){bytes, wrap.at};
	iov[1] = (struct iovec){wrap.head, wrap.head_len};
	iov[2] = (struct iovec){bytes + wrap.at + wrap.room,
	                        len - wrap.at - wrap.room};
	iov[3] = (struct iovec){(char *)(uintptr_t)wrap.tail, wrap.tail_len};
	if (nr_output_append_pieces(conv, iov, NR_PIECES_MAX))
		return 0;
	return nr_output_write(conv, iov, NR_PIECES_MAX, call);
}

int naru_send(struct naru_conv *conv, const void *data, size_t len)
{
	if (!nr_conv_is(conv) || (!data && len > 0))
		return -EINVAL;
	if (conv->link.keeps_messages)
		return nr_datagram_write(conv, data, len, conv->framing.limit);
	if (len > conv->framing.limit)
		return -NARU_ETOOBIG;
	if (conv->framing.plain && len > 0 &&
	    nr_output_append_line(conv, data, len))
		return 0;
	return send_framed(conv, data ? data : "", len, data);
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
	err = conv->link.keeps_messages
	              ? nr_datagram_write(conv, text, (size_t)len,
	                                  conv->framing.limit)
	              : send_framed(conv, text, (size_t)len, format);
	if (text != small)
		free(text);
	return err;
}
