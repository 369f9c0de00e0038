/* SPDX-License-Identifier: MIT */
/*
 * The client's side: naru/dial.h. Every address that a name has gets its
 * share of the time that is left, so that one that swallows packets does not
 * take the others' chance.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/time.h"
#include "conv/conv.h"
#include "naru/dial.h"
#include "naru/error.h"
#include "net/addr.h"
#include "net/endpoint.h"
#include "net/trace.h"
#include "os/os_socket.h"
#include "os/os_time.h"

#define TIMEOUT_DEFAULT (30 * NR_NS_PER_S)

/* A conversation and what it began with, which nobody else keeps for it. */
struct dialled {
	struct naru_conv conv;
	struct nr_settings settings;
};

/* A dial under way. */
struct dial {
	const char *endpoint_text;
	struct naru_dial_options options;
	struct nr_report report;
	struct nr_strand *self;
	struct nr_endpoint endpoint;
	struct naru_addr source;
	bool has_source;
	int64_t until;
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
	dial->has_source = true;
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

static int prepare(struct dial *dial, const struct naru_dial_options *given)
{
	int err = nr_options_take(&dial->options, sizeof(dial->options), given);
	int64_t timeout = TIMEOUT_DEFAULT;

	if (err < 0)
		return err;
	dial->report = (struct nr_report){dial->options.report,
	                                  dial->options.report_arg,
	                                  dial->options.report_calls != 0};
	if (dial->options.timeout_ms < 0 ||
	    dial->options.family > NARU_FAMILY_IPV6)
		return -EINVAL;
	if (dial->options.timeout_ms > 0)
		timeout = nr_ns_from_ms(dial->options.timeout_ms);
	dial->until =
		timeout == NR_NEVER ? NR_NEVER : nr_time_add(nr_now(), timeout);
	dial->self = nr_strand_self();
	err = parse(dial, "read", dial->endpoint_text, &dial->endpoint);
	if (err == 0 && dial->endpoint.transport != &nr_transport_unix &&
	    dial->endpoint.port == 0)
		err = report_wrong(dial, "read",
		                   "port 0 cannot be connected to",
		                   -NARU_EENDPOINT);
	return err < 0 ? err : parse_source(dial);
}

/* Which of two errors says more about why nobody was reached: an answer more
 * than silence, silence more than there being no way. */
static int rank(int err)
{
	switch (-err) {
	case ECANCELED:
		return 9;
	case ECONNREFUSED:
	case ECONNRESET:
		return 8;
	case NARU_ESELF:
		return 7;
	case ETIMEDOUT:
		return 6;
	case EHOSTUNREACH:
		return 5;
	case ENETUNREACH:
		return 4;
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
		return 1;
	default:
		return 3;
	}
}

/* What the kernel says of a route that drops or forbids, in the terms that
 * callers know. */
static int connect_error(int err)
{
	return err == -EINVAL ? -ENETUNREACH : err;
}

/* Whether FD is connected with itself: two sockets of this machine that call
 * each other at the same time are connected, and so is one that happens to
 * call the port that it was given. */
static bool calls_itself(int fd)
{
	struct naru_addr local, peer;

	return nr_socket_local(fd, &local) == 0 &&
	       nr_socket_peer(fd, &peer) == 0 &&
	       naru_addr_kind(&peer) != NARU_ADDR_UNIX &&
	       nr_addr_equal(&local, &peer);
}

/* Connects FD; what came of it is told. */
static int connect_told(struct dial *dial, int fd, const struct naru_addr *addr,
                        int64_t until)
{
	struct nr_io *io = dial->self->io;
	int err =
		connect_error(io->ops->connect(io, (struct nr_handle){.fd = fd},
	                                       addr, until));

	nr_trace_addr(&dial->report, "connect", fd, addr, err);
	return err == 0 && calls_itself(fd) ? -NARU_ESELF : err;
}

/* One address, until UNTIL. Returns a connected socket. */
static int try_addr(struct dial *dial, const struct naru_addr *addr,
                    int64_t until)
{
	const struct nr_transport *transport = dial->endpoint.transport;
	int fd, err;

	if (dial->has_source && naru_addr_kind(addr) != NARU_ADDR_UNIX &&
	    naru_addr_kind(addr) != naru_addr_kind(&dial->source))
		return -EAFNOSUPPORT;
	fd = transport->open(addr, dial->has_source ? &dial->source : NULL,
	                     &dial->report);
	if (fd < 0)
		return fd;
	err = connect_told(dial, fd, addr, until);
	if (err < 0)
		nr_trace_close(&dial->report, fd, 0, NULL);
	return err < 0 ? err : fd;
}

/* The share of the time that is left, where COUNT addresses are. */
static int64_t share(int64_t until, int count)
{
	int64_t now = nr_now();

	if (until == NR_NEVER || until <= now)
		return until;
	return now + (until - now) / count;
}

/* Tries ADDRS one after the other. Returns a connected socket, and to which
 * of them. */
static int try_all(struct dial *dial, const struct naru_addr *addrs, int count,
                   struct naru_addr *ret_peer)
{
	int best = -NARU_ENONAME;

	for (int i = 0; i < count; i++) {
		int fd = try_addr(dial, &addrs[i],
		                  share(dial->until, count - i));

		if (fd >= 0) {
			/* Who calls 0.0.0.0 reaches somebody else. */
			if (nr_socket_peer(fd, ret_peer) < 0)
				*ret_peer = addrs[i];
			return fd;
		}
		if (i == 0 || rank(fd) > rank(best))
			best = fd;
		if (best == -ECANCELED)
			break;
	}
	return best;
}

/* What is looked up by somebody who may block. */
struct look_up {
	struct nr_endpoint endpoint;
	enum naru_family family;
	struct naru_addr addrs[NR_RESOLVE_MAX];
	int count;
};

static void look_up(void *arg)
{
	struct look_up *up = arg;

	up->count = nr_endpoint_addrs(&up->endpoint, up->family, up->addrs);
}

/* The addresses of a name, for which others have to be asked. */
static int resolve(struct dial *dial, struct naru_addr *ret_addrs)
{
	struct look_up *up = malloc(sizeof(*up));
	int err;

	if (!up)
		return -ENOMEM;
	*up = (struct look_up){.endpoint = dial->endpoint,
	                       .family = dial->options.family};
	err = dial->self->ops->attempt(dial->self, look_up, up, dial->until);
	if (err < 0)
		return err;
	err = up->count;
	if (err > 0)
		memcpy(ret_addrs, up->addrs, (size_t)err * sizeof(*ret_addrs));
	free(up);
	return err;
}

/* Addresses to call: where "all addresses" are meant, this machine's own. */
static int find_addrs(struct dial *dial, struct naru_addr *ret_addrs)
{
	struct nr_endpoint *endpoint = &dial->endpoint;
	int count;

	if (endpoint->kind == NR_HOST_ALL)
		endpoint->kind = NR_HOST_LOCALHOST;
	if (endpoint->kind == NR_HOST_NAME)
		count = resolve(dial, ret_addrs);
	else
		count = nr_endpoint_addrs(endpoint, dial->options.family,
		                          ret_addrs);
	if (count < 0 && count != -ECANCELED)
		(void)report_wrong(dial, "resolve", endpoint->host, count);
	return count;
}

int naru_dial(struct naru_conv **ret_conv, const char *endpoint,
              const struct naru_dial_options *options)
{
	struct dial dial = {.endpoint_text = endpoint};
	struct naru_addr addrs[NR_RESOLVE_MAX];
	struct nr_connection connection = {.dialled = true};
	struct dialled *dialled;
	int err;

	if (!ret_conv)
		return -EINVAL;
	err = prepare(&dial, options);
	if (err < 0)
		return err;
	/* What cannot be sent is told to whoever writes there next. */
	(void)nr_output_settle(dial.self, NULL, dial.until);
	err = find_addrs(&dial, addrs);
	if (err < 0)
		return err;
	dialled = malloc(sizeof(*dialled));
	if (!dialled)
		return -ENOMEM;
	connection.fd = try_all(&dial, addrs, err, &connection.peer);
	if (connection.fd < 0) {
		free(dialled);
		return connection.fd;
	}
	connection.transport = dial.endpoint.transport;
	dialled->settings = nr_settings_default;
	dialled->settings.report = dial.report;
	nr_conv_begin(&dialled->conv, &connection, &dialled->settings);
	nr_output_settle_in(&dialled->conv, dial.self);
	*ret_conv = &dialled->conv;
	return 0;
}

int naru_close(struct naru_conv *conv)
{
	int err;

	if (!conv)
		return 0;
	if (!nr_conv_is(conv) || !conv->link.dialled)
		return -EINVAL;
	nr_output_move_out(conv);
	err = nr_conv_end(conv);
	free(nr_list_entry(conv, struct dialled, conv));
	return err;
}
