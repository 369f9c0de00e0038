/* SPDX-License-Identifier: MIT */
/* TLS that begins in the middle of a conversation, and what was agreed on:
 * naru/tls.h. */
#include <errno.h>

#include "base/time.h"
#include "conv/conv.h"
#include "conv/opening.h"
#include "naru/tls.h"
#include "net/stream.h"
#include "net/tls.h"
#include "os/os_file.h"
#include "os/os_time.h"

/*
 * Whether bytes have come that whoever stands between may have put there before
 * the handshake. A server that has not answered yet, and a client, which speaks
 * first under TLS, have nothing to hear from the peer now: what waits in the
 * system came without TLS, too.
 */
static bool has_unread(struct naru_conv *conv)
{
	if (nr_input_left(conv) > 0)
		return true;
	return (conv->link.dialled || nr_output_pending(conv) > 0) &&
	       nr_file_is_readable(conv->link.fd);
}

/* With the output's lock held: nobody else sends meanwhile. */
static int start(struct naru_conv *conv, int64_t until)
{
	struct nr_output *out = &conv->out;
	int err = nr_opening_tls(conv, until);

	if (err < 0) {
		out->err = err;
		conv->in.err = err;
	}
	conv->in.soon = false;
	return err;
}

int naru_start_tls(struct naru_conv *conv)
{
	struct nr_strand *self = nr_strand_self();
	int64_t until;
	int err;

	if (!nr_conv_is(conv))
		return -EINVAL;
	if (nr_tls_is(&conv->link))
		return -EALREADY;
	if (conv->link.ops != &nr_stream_link ||
	    (!conv->link.dialled && !conv->settings->tls))
		return -EOPNOTSUPP;
	nr_input_end_view(conv);
	if (has_unread(conv))
		return -EBUSY;
	if (conv->out.finished)
		return -EPIPE;
	err = nr_output_flush(conv);
	if (err < 0)
		return err;
	until = nr_time_add(nr_now(), conv->settings->handshake);
	until = nr_time_min(until, nr_conv_until(conv, NARU_TIMEOUT_WRITE));
	err = nr_lock_until(&conv->out.lock, self, until);
	if (err < 0)
		return err;
	err = start(conv, until);
	nr_lock_release(&conv->out.lock);
	return err;
}

const struct naru_tls_info *naru_tls_info(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? nr_tls_info(&conv->link) : NULL;
}
