/* SPDX-License-Identifier: MIT */
/* What precedes a conversation: see opening.h. */
#include "conv/opening.h"

#include "base/time.h"
#include "conv/conv.h"
#include "os/os_time.h"

int nr_opening_accepted(struct naru_conv *conv)
{
	const struct nr_settings *settings = conv->settings;
	int64_t until;

	if (conv->link.keeps_messages)
		return 0;
	if (!settings->proxies && !conv->link.transport->secure)
		return 0;
	until = nr_time_add(nr_now(), settings->handshake);
	(void)until;
	return 0;
}
