/* SPDX-License-Identifier: MIT */
/* TLS's handshake on a conversation's connection: see opening.h. */
#include <errno.h>

#include "conv/conv.h"
#include "conv/opening.h"
#include "net/tls.h"

static void report_handshake(struct naru_conv *conv, const char *text,
                             int result)
{
	const struct nr_report *report = &conv->settings->report;

	if (!report->fn)
		return;
	nr_report(report, &(struct naru_event){.kind = NARU_EVENT_HANDSHAKE,
	                                       .id = conv->id,
	                                       .local = naru_local(conv),
	                                       .peer = naru_peer(conv),
	                                       .call = "TLS",
	                                       .text = text,
	                                       .result = result});
}

/* Files that are to be read, by somebody who may block. */
struct reading {
	struct nr_tls *tls;
	const struct nr_report *report;
	int result;
};

static void read_files(void *arg)
{
	struct reading *reading = arg;

	reading->result = nr_tls_refresh(reading->tls, reading->report);
}

int nr_opening_read_tls(struct nr_tls *tls, const struct nr_report *report)
{
	struct nr_strand *self = nr_strand_self();
	struct reading reading = {.tls = tls, .report = report};
	int err;

	if (!nr_tls_is_stale(tls))
		return 0;
	err = self->ops->offload(self, read_files, &reading);
	if (err == 0)
		return reading.result;
	/* A server does it the next time. */
	return tls->server ? 0 : err;
}

static int shake_hands(struct naru_conv *conv, struct nr_tls *tls,
                       int64_t until)
{
	const struct nr_tls_called called = {conv->settings->host,
	                                     conv->settings->port};
	struct nr_tls_outcome outcome = {""};
	int err = nr_opening_read_tls(tls, &conv->settings->report);

	if (err == 0)
		err = nr_tls_begin(&conv->link, nr_strand_self()->io, tls,
		                   &called, until, &outcome);
	if (err == NR_STOPPED) {
		err = -ECANCELED;
		report_handshake(conv, "the server stops", err);
		return err;
	}
	report_handshake(conv, outcome.text, err);
	return err;
}

int nr_opening_tls(struct naru_conv *conv, int64_t until)
{
	struct nr_tls *tls = conv->settings->tls, *defaults;
	int err;

	if (tls)
		return shake_hands(conv, tls, until);
	if (!conv->link.dialled)
		return -EOPNOTSUPP;
	err = nr_tls_get_client(NULL, &conv->settings->report, &defaults);
	if (err < 0)
		return err;
	err = shake_hands(conv, defaults, until);
	nr_tls_release(defaults);
	return err;
}
