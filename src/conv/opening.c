/* SPDX-License-Identifier: MIT */
/* What precedes a conversation: see opening.h. */
#include "conv/opening.h"

#include "base/time.h"
#include "conv/conv.h"
#include "conv/opening_proxy.h"
#include "os/os_time.h"

static int open_until(struct naru_conv *conv, int64_t until)
{
	int err = 0;

	if (conv->settings->proxies)
		err = nr_opening_proxy(conv, until);
	if (err == 0 && conv->link.transport->secure)
		err = nr_opening_tls(conv, until);
	return err;
}

int nr_opening_accepted(struct naru_conv *conv)
{
	const struct nr_settings *settings = conv->settings;
	struct nr_io *io = nr_strand_self()->io;
	int err;

	if (conv->link.keeps_messages)
		return 0;
	if (!settings->proxies && !conv->link.transport->secure)
		return 0;
	/* What has not begun holds up no server that stops. */
	io->heeds_stop = true;
	err = open_until(conv, nr_time_add(nr_now(), settings->handshake));
	io->heeds_stop = false;
	return err;
}
