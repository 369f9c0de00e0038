/* SPDX-License-Identifier: MIT */
/* TLS of a dial: see dial_tls.h. */
#include "client/dial_tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "conv/conv.h"
#include "conv/opening.h"
#include "naru/dial.h"
#include "naru/tls.h"
#include "net/endpoint.h"
#include "net/tls_context.h"
#include "os/os_time.h"

/* Keeps whom was called: a later handshake asks for it, too. */
static int keep_called(struct naru_conv *conv, struct nr_settings *settings,
                       const struct nr_endpoint *endpoint)
{
	size_t size = strlen(endpoint->host) + 1;
	char *host;

	if (endpoint->local.len > 0)
		return 0;
	host = nr_arena_alloc(&conv->arena, size);
	if (!host)
		return -ENOMEM;
	memcpy(host, endpoint->host, size);
	settings->host = host;
	settings->port = endpoint->port;
	return 0;
}

int nr_dial_tls_read(const struct naru_dial_options *options, bool secure,
                     const struct nr_report *report, struct nr_tls **ret_tls)
{
	struct nr_tls *tls = NULL;
	int err = 0;

	if (secure || options->tls)
		err = nr_tls_get_client(options->tls, report, &tls);
	if (err == 0 && tls)
		err = nr_opening_read_tls(tls, report);
	if (err < 0) {
		nr_tls_release(tls);
		return err;
	}
	*ret_tls = tls;
	return 0;
}

int nr_dial_tls(struct naru_conv *conv, struct nr_settings *settings,
                struct nr_tls *tls, const struct nr_endpoint *endpoint,
                int64_t until)
{
	int err = keep_called(conv, settings, endpoint);

	if (tls)
		settings->tls = nr_tls_hold(tls);
	if (err < 0 || !conv->link.transport->secure)
		return err;
	return nr_opening_tls(
		conv,
		nr_time_min(until, nr_time_add(nr_now(), settings->handshake)));
}

/* Where the caller of naru_tls_check() wants to be told. */
struct told {
	char *why;
	size_t size;
};

static void tell(const struct naru_event *event, void *arg)
{
	const struct told *told = arg;

	if (told->size > 0 && event->text)
		(void)snprintf(told->why, told->size, "%s", event->text);
}

int naru_tls_check(const struct naru_tls *tls, char *why, size_t size)
{
	const struct naru_dial_options options = {.tls = tls};
	struct told told = {why, why ? size : 0};
	const struct nr_report report = {.fn = tell, .arg = &told};
	struct nr_tls *read = NULL;
	int err;

	if (told.size > 0)
		why[0] = '\0';
	err = nr_dial_tls_read(&options, true, &report, &read);
	nr_tls_release(read);
	return err;
}

void nr_dial_tls_end(struct nr_settings *settings)
{
	nr_tls_release(settings->tls);
	settings->tls = NULL;
}
