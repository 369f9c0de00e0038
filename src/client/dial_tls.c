/* SPDX-License-Identifier: MIT */
/* TLS of a dial: see dial_tls.h. */
#include "client/dial_tls.h"

#include <errno.h>
#include <string.h>

#include "base/time.h"
#include "conv/conv.h"
#include "conv/opening.h"
#include "naru/dial.h"
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

int nr_dial_tls(struct naru_conv *conv, struct nr_settings *settings,
                const struct naru_dial_options *options,
                const struct nr_endpoint *endpoint, int64_t until)
{
	const bool secure = conv->link.transport->secure;
	int64_t handshake;
	int err;

	if (options->handshake_ms < 0)
		return -EINVAL;
	if (options->handshake_ms > 0)
		settings->handshake = nr_ns_from_ms(options->handshake_ms);
	if (!secure && !options->tls)
		return keep_called(conv, settings, endpoint);
	err = nr_tls_get_client(options->tls, &settings->report,
	                        &settings->tls);
	if (err == 0)
		err = keep_called(conv, settings, endpoint);
	if (err < 0 || !secure)
		return err;
	handshake = nr_time_add(nr_now(), settings->handshake);
	return nr_opening_tls(conv, nr_time_min(until, handshake));
}

void nr_dial_tls_end(struct nr_settings *settings)
{
	nr_tls_release(settings->tls);
	settings->tls = NULL;
}
