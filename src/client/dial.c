/* SPDX-License-Identifier: MIT */
/*
 * The client's side: naru/dial.h. Each of several endpoints gets its share of
 * the time that is left, so that one that swallows packets does not take the
 * others' chance; race.c calls one of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/options.h"
#include "base/time.h"
#include "client/backoff.h"
#include "client/dial_tls.h"
#include "client/race.h"
#include "conv/conv.h"
#include "conv/opening_proxy.h"
#include "naru/dial.h"
#include "naru/error.h"
#include "net/addr.h"
#include "net/endpoint.h"
#include "net/tls_context.h"
#include "net/trace.h"
#include "os/os_random.h"
#include "os/os_time.h"

#define TIMEOUT_DEFAULT          (30 * NR_NS_PER_S)
#define RETRY_DEFAULT            (100 * NR_NS_PER_MS)
#define RETRY_MAX_DEFAULT        (10 * NR_NS_PER_S)
#define RESOLUTION_DELAY_DEFAULT (50 * NR_NS_PER_MS)
#define ATTEMPT_DELAY_DEFAULT    (250 * NR_NS_PER_MS)

/* A conversation and what it began with, which nobody else keeps for it. */
struct dialled {
	struct naru_conv conv;
	struct nr_settings settings;
};

/* A dial under way. */
struct dial {
	const char *first; /* the endpoint; the others are the options' */
	unsigned count;    /* of endpoints */
	unsigned tries;
	struct naru_dial_options options;
	struct nr_report report;
	struct nr_caller caller;
	struct nr_backoff backoff;
	struct naru_addr source;
	int64_t until;
	struct nr_framing framing;
	bool secure;        /* an endpoint asks for TLS */
	struct nr_tls *tls; /* or null */
};

static int report_wrong(struct dial *dial, const char *call, const char *text,
                        int err)
{
	nr_report(&dial->report, &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                                              .call = call,
	                                              .text = text,
	                                              .result = err});
	return err;
}

static int parse(struct dial *dial, const char *call, const char *text,
                 struct nr_endpoint *ret_endpoint)
{
	struct nr_endpoint_error wrong;
	char why[NARU_ADDR_TEXT];
	int err = nr_endpoint_parse(text, ret_endpoint, &wrong);

	if (err < 0 && naru_endpoint_check(text, why, sizeof(why)) < 0)
		(void)report_wrong(dial, call, why, err);
	return err;
}

/* A source is an address, with a port or without. */
static int parse_source(struct dial *dial)
{
	const char *text = dial->options.source;
	struct nr_endpoint endpoint;
	struct naru_addr addrs[NR_RESOLVE_MAX];
	int err;

	if (!text)
		return 0;
	dial->caller.source = &dial->source;
	/* An IPv6 address may stand here without brackets: no port follows. */
	if (nr_addr_parse_ip(text, 0, &dial->source))
		return 0;
	err = parse(dial, "read source", text, &endpoint);
	if (err < 0)
		return err;
	if (endpoint.kind != NR_HOST_ADDRESS)
		return report_wrong(dial, "read source",
		                    "a source is a numeric address of this "
		                    "machine, not a name",
		                    -NARU_EENDPOINT);
	err = nr_endpoint_addrs(&endpoint, NARU_FAMILY_ANY, addrs);
	if (err < 0)
		return err;
	dial->source = addrs[0];
	return 0;
}

/* The endpoint with INDEX, counted from 0. */
static const char *text_of(const struct dial *dial, unsigned index)
{
	return index == 0 ? dial->first : dial->options.alternatives[index - 1];
}

static int parse_endpoint(struct dial *dial, unsigned index,
                          struct nr_endpoint *ret_endpoint)
{
	int err = parse(dial, "read", text_of(dial, index), ret_endpoint);

	if (err == 0 && ret_endpoint->transport != &nr_transport_unix &&
	    ret_endpoint->port == 0)
		err = report_wrong(dial, "read",
		                   "port 0 cannot be connected to",
		                   -NARU_EENDPOINT);
	if (err == 0 && dial->options.announce &&
	    ret_endpoint->transport->datagram)
		err = report_wrong(dial, "announce",
		                   "PROXY headers stand before a stream, "
		                   "which UDP is not",
		                   -EINVAL);
	return err;
}

/* Counts the endpoints, and sees that each can be read: nobody is called where
 * one is wrong. */
static int check_endpoints(struct dial *dial)
{
	const char *const *more = dial->options.alternatives;
	struct nr_endpoint endpoint;
	int err = 0;

	dial->count = 1;
	while (more && more[dial->count - 1])
		if (++dial->count > NARU_DIAL_ENDPOINTS_MAX)
			return -EINVAL;
	for (unsigned i = 0; i < dial->count && err == 0; i++) {
		err = parse_endpoint(dial, i, &endpoint);
		dial->secure = dial->secure ||
		               (err == 0 && endpoint.transport->secure);
	}
	return err;
}

/* A duration of the options in nanoseconds, STANDARD where that is 0. */
static int64_t duration(int64_t ms, int64_t standard)
{
	return ms > 0 ? nr_ns_from_ms(ms) : standard;
}

static bool in_range(const struct naru_dial_options *options)
{
	return options->timeout_ms >= 0 &&
	       options->family <= NARU_FAMILY_IPV6 &&
	       options->announce <= NARU_ANNOUNCE_V2 &&
	       options->tries <= NARU_DIAL_TRIES_MAX &&
	       options->retry_ms >= 0 && options->retry_max_ms >= 0 &&
	       options->resolution_delay_ms >= 0 &&
	       options->attempt_delay_ms >= 0 && options->handshake_ms >= 0 &&
	       (!options->announce_for || nr_conv_is(options->announce_for));
}

/* What the options come to. */
static int take_options(struct dial *dial,
                        const struct naru_dial_options *given)
{
	struct naru_dial_options *options = &dial->options;
	int err = nr_options_take(options, sizeof(*options), given);

	if (err < 0)
		return err;
	dial->report = (struct nr_report){options->report, options->report_arg,
	                                  options->report_calls != 0};
	dial->caller = (struct nr_caller){
		.self = nr_strand_self(),
		.report = &dial->report,
		.family = options->family,
		.resolution_delay = duration(options->resolution_delay_ms,
	                                     RESOLUTION_DELAY_DEFAULT),
		.attempt_delay = duration(options->attempt_delay_ms,
	                                  ATTEMPT_DELAY_DEFAULT),
	};
	if (!in_range(options) ||
	    !nr_tuning_read(&dial->caller.tuning, options->keepalive_ms,
	                    options->user_timeout_ms, options->fast_open != 0))
		return -EINVAL;
	dial->tries = options->tries ? options->tries : 1;
	dial->backoff =
		(struct nr_backoff){duration(options->retry_ms, RETRY_DEFAULT),
	                            duration(options->retry_max_ms,
	                                     RETRY_MAX_DEFAULT)};
	dial->until = nr_time_add(nr_now(), duration(options->timeout_ms,
	                                             TIMEOUT_DEFAULT));
	return 0;
}

static int prepare(struct dial *dial, const struct naru_dial_options *given)
{
	int err = take_options(dial, given);

	if (err == 0)
		err = nr_framing_take(&dial->framing, dial->options.framing,
		                      nr_settings_default.framing.limit);
	if (err == 0)
		err = check_endpoints(dial);
	/* A connection that is only begun later is never the one that failed:
	 * nothing else would be called in its place. */
	if (dial->count > 1 || dial->tries > 1)
		dial->caller.tuning.fast_open = 0;
	if (err == 0)
		err = parse_source(dial);
	return err < 0 ? err
	               : nr_dial_tls_read(&dial->options, dial->secure,
	                                  &dial->report, &dial->tls);
}

/* Makes a conversation of the connection with ENDPOINT, which it takes in any
 * case, and does what comes before anything else is said. UNTIL bounds that as
 * well. */
static int open_up(struct dial *dial, const struct nr_connection *connection,
                   const struct nr_endpoint *endpoint, int64_t until,
                   struct naru_conv **ret_conv)
{
	struct dialled *dialled = malloc(sizeof(*dialled));
	int err;

	if (!dialled) {
		nr_trace_close(&dial->report, connection->fd, 0, NULL);
		return -ENOMEM;
	}
	dialled->settings = nr_settings_default;
	dialled->settings.report = dial->report;
	dialled->settings.framing = dial->framing;
	if (dial->options.handshake_ms > 0)
		dialled->settings.handshake =
			nr_ns_from_ms(dial->options.handshake_ms);
	nr_conv_begin(&dialled->conv, connection, &dialled->settings);
	err = nr_opening_announce(&dialled->conv, &dial->options, until);
	if (err == 0)
		err = nr_dial_tls(&dialled->conv, &dialled->settings, dial->tls,
		                  endpoint, until);
	if (err < 0) {
		nr_conv_drop(&dialled->conv);
		nr_dial_tls_end(&dialled->settings);
		free(dialled);
		return err;
	}
	nr_output_settle_in(&dialled->conv, dial->caller.self);
	*ret_conv = &dialled->conv;
	return 0;
}

/* Calls the endpoint with INDEX until UNTIL. */
static int call(struct dial *dial, unsigned index, int64_t until,
                struct naru_conv **ret_conv)
{
	struct nr_connection connection = {.dialled = true};
	struct nr_endpoint endpoint;
	struct nr_called called;
	int err = parse_endpoint(dial, index, &endpoint);

	if (err < 0)
		return err;
	connection.fd = nr_race(&dial->caller, &endpoint, until, &called);
	if (connection.fd == -NARU_ENONAME || connection.fd == -NARU_ERESOLVE)
		(void)report_wrong(dial, "resolve", endpoint.host,
		                   connection.fd);
	if (connection.fd < 0)
		return connection.fd;
	connection.transport = endpoint.transport;
	connection.peer = called.peer;
	connection.late = called.late;
	return open_up(dial, &connection, &endpoint, until, ret_conv);
}

/* The share of the time that is left, where COUNT calls are. */
static int64_t share(int64_t until, uint64_t count)
{
	int64_t now = nr_now();

	if (until == NR_NEVER || until <= now)
		return until;
	return now + (until - now) / (int64_t)count;
}

/* Whether another try may end otherwise. */
static bool may_get_better(int err)
{
	return err != -NARU_EENDPOINT && err != -EINVAL && err != -ECANCELED &&
	       err != -NARU_ECERT;
}

/* Calls each endpoint once, with LEFT rounds to go after this one. RET_AGAIN
 * says whether another may end otherwise. */
static int call_each(struct dial *dial, unsigned left, bool *ret_again,
                     struct naru_conv **ret_conv)
{
	int best = 0;

	*ret_again = false;
	for (unsigned i = 0; i < dial->count; i++) {
		uint64_t calls = (uint64_t)left * dial->count + dial->count - i;
		int err = call(dial, i, share(dial->until, calls), ret_conv);

		if (err == 0 || err == -ECANCELED)
			return err;
		*ret_again = *ret_again || may_get_better(err);
		best = nr_race_telling(best, err);
	}
	return best;
}

/* Waits before the next round; an error where there is no time for one. */
static int pause_after(struct dial *dial, unsigned failures)
{
	struct nr_io *io = dial->caller.self->io;
	int64_t pause = nr_backoff_pause(&dial->backoff, failures, nr_random());
	int64_t end = nr_time_add(nr_now(), pause);

	return end >= dial->until ? -ETIMEDOUT : io->ops->sleep(io, end);
}

static int call_until_answered(struct dial *dial, struct naru_conv **ret_conv)
{
	int best = 0;

	for (unsigned round = 1; round <= dial->tries; round++) {
		bool again;
		int err =
			call_each(dial, dial->tries - round, &again, ret_conv);

		if (err == 0)
			return 0;
		best = nr_race_telling(best, err);
		if (!again || round == dial->tries)
			break;
		err = pause_after(dial, round);
		if (err == -ECANCELED)
			return err;
		if (err < 0)
			break;
	}
	nr_assert(best < 0);
	return best;
}

int naru_dial(struct naru_conv **ret_conv, const char *endpoint,
              const struct naru_dial_options *options)
{
	struct dial dial = {.first = endpoint};
	int err;

	if (!ret_conv)
		return -EINVAL;
	err = prepare(&dial, options);
	if (err < 0)
		return err;
	/* What cannot be sent is told to whoever writes there next. */
	(void)nr_output_settle(dial.caller.self, NULL, dial.until);
	err = call_until_answered(&dial, ret_conv);
	nr_tls_release(dial.tls);
	return err;
}

int naru_close(struct naru_conv *conv)
{
	struct dialled *dialled;
	int err;

	if (!conv)
		return 0;
	if (!nr_conv_is(conv) || !conv->link.dialled)
		return -EINVAL;
	nr_output_move_out(conv);
	err = nr_conv_end(conv);
	dialled = nr_list_entry(conv, struct dialled, conv);
	nr_dial_tls_end(&dialled->settings);
	free(dialled);
	return err;
}
