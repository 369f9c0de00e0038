/* SPDX-License-Identifier: MIT */
/* What precedes a conversation: see opening.h. */
#include "conv/opening.h"

#include "base/time.h"
#include "conv/conv.h"
#include "conv/opening_proxy.h"
#include "os/os_time.h"

int nr_opening_accepted(struct naru_conv *conv)
{
	const struct nr_settings *settings = conv->settings;
	int64_t until;
	int err = 0;

	if (conv->link.keeps_messages)
		return 0;
	if (!settings->proxies && !conv->link.transport->secure)
		return 0;
	until = nr_time_add(nr_now(), settings->handshake);
	if (settings->proxies)
		err = nr_opening_proxy(conv, until);
	if (err == 0 && conv->link.transport->secure)
		err = nr_opening_tls(conv, until);
	return err;
}
