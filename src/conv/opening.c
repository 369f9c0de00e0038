/* SPDX-License-Identifier: MIT */
/* What precedes a conversation: see opening.h. */
#include "conv/opening.h"

#include <errno.h>

#include "base/time.h"
#include "conv/conv.h"
#include "conv/opening_proxy.h"
#include "naru/proxy.h"
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

/* Tells that there was no place for CONV, which has been opened, and returns
 * why. */
static int tell_no_place(struct naru_conv *conv, int err)
{
	const struct nr_report *report = &conv->settings->report;
	const bool secure = conv->link.transport->secure;
	const struct naru_addr *via = naru_via(conv);
	const char *text = "a place could not be asked for";

	if (err == NR_STOPPED)
		err = -ECANCELED;
	if (err == -ETIMEDOUT)
		text = "no conversation ended in time";
	else if (err == -ECANCELED)
		text = "the server stops";
	if (report->fn)
		nr_report(report,
		          &(struct naru_event){
				  .kind = NARU_EVENT_HANDSHAKE,
				  .id = conv->id,
				  .local = naru_local(conv),
				  .peer = via && !secure ? via
		                                         : naru_peer(conv),
				  .call = secure ? "TLS" : "PROXY",
				  .text = text,
				  .result = err});
	return err;
}

static int admit(struct naru_conv *conv, const struct nr_connection *connection,
                 int64_t until)
{
	int err = connection->admit(connection->admit_arg, until);

	if (err == 0) {
		/* What came before is none of its time. */
		conv->began = nr_now();
		return 0;
	}
	/* Who is refused is to know that nobody has heard it. */
	nr_conv_break(conv);
	return tell_no_place(conv, err);
}

bool nr_opening_precedes(const struct nr_settings *settings,
                         const struct nr_transport *transport)
{
	return !transport->datagram && (settings->proxies || transport->secure);
}

int nr_opening_accepted(struct naru_conv *conv,
                        const struct nr_connection *connection)
{
	const struct nr_settings *settings = conv->settings;
	struct nr_io *io = nr_strand_self()->io;
	int64_t until;
	int err;

	if (!nr_opening_precedes(settings, conv->link.transport))
		return 0;
	until = nr_time_add(nr_now(), settings->handshake);
	/* What has not begun holds up no server that stops. */
	io->heeds_stop = true;
	err = open_until(conv, until);
	if (err == 0 && connection->admit)
		err = admit(conv, connection, until);
	io->heeds_stop = false;
	return err;
}
