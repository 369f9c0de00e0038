/* SPDX-License-Identifier: MIT */
/*
 * Listeners: sockets that only ever welcome. One is the same socket for as
 * long as its server takes connections; those that are accepted share its
 * port.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "conv/opening.h"
#include "naru/error.h"
#include "net/addr.h"
#include "net/trace.h"
#include "net/transport.h"
#include "os/os_process.h"
#include "os/os_socket.h"
#include "server/server.h"

/* How often a port is asked for anew that is free for every address. */
#define PORT_TRIES 32

static void report_error(struct naru_server *server, const char *call,
                         const char *text, int err)
{
	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                               .call = call,
	                               .text = text,
	                               .result = err});
}

static void report_listening(const struct nr_listener *listener)
{
	const struct naru_server *server = listener->server;
	struct nr_tcp_info info = {0};
	unsigned backlog = nr_socket_backlog_max();

	if (!server->settings.report.fn)
		return;
	/* Datagrams wait in bytes. */
	if (listener->door)
		backlog = 0;
	else if (nr_socket_tcp_info(listener->source.fd, &info) == 0)
		backlog = info.backlog;
	else if (server->options.backlog && server->options.backlog < backlog)
		backlog = server->options.backlog;
	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = NARU_EVENT_LISTEN,
	                               .fd = listener->source.fd,
	                               .local = &listener->addr,
	                               .backlog = backlog});
}

/* Closes a listener, and removes its file where that is still its own. */
static void close_listener(struct nr_listener *listener)
{
	const char *path = nr_addr_path(&listener->addr);
	struct nr_file_id now;

	if (path && nr_file_identify(path, &now) == 0 &&
	    now.device == listener->file.device &&
	    now.inode == listener->file.inode)
		(void)nr_file_remove(path);
	/* After a refusal the descriptor names something else: it was
	 * listening until then. */
	nr_trace_close(&listener->server->settings.report, listener->source.fd,
	               0, listener->refused ? "LISTEN" : NULL);
	listener->source.fd = -1;
}

/* Nobody waits at its door any more: told while its socket can still be
 * asked. */
static void close_door(struct nr_listener *listener)
{
	if (listener->door)
		listener->transport->datagram->close(listener->door);
	listener->door = NULL;
}

static int open_door(struct nr_listener *listener)
{
	const struct nr_datagram_ops *ops = listener->transport->datagram;

	if (!ops)
		return 0;
	return ops->open(listener->source.fd, &listener->addr,
	                 &listener->server->settings.report, &listener->door);
}

/* Makes the next listener, on ADDR, whose port 0 is replaced. */
static int open_listener(struct naru_server *server,
                         const struct nr_transport *transport,
                         struct naru_addr *addr)
{
	struct nr_listener *listener;
	const struct nr_listen listen = {server->options.backlog,
	                                 &server->settings.report,
	                                 &server->tuning};
	int fd, err = 0;

	if (server->listener_count == NR_LISTENERS_MAX)
		return -ENOSPC;
	fd = transport->listen(addr, &listen);
	if (fd < 0)
		return fd;
	listener = &server->listeners[server->listener_count];
	*listener = (struct nr_listener){
		.source = {.fd = fd, .ready = nr_admission_ready},
		.server = server,
		.transport = transport,
		.addr = *addr,
		.burst = 1,
		.wildcard = nr_addr_is_wildcard(addr),
		.opens = nr_opening_precedes(&server->settings, transport),
	};
	if (nr_addr_path(addr))
		err = nr_file_identify(nr_addr_path(addr), &listener->file);
	else
		err = nr_socket_local(fd, &listener->addr);
	if (err == 0)
		err = open_door(listener);
	if (err == 0)
		err = nr_loop_add(&server->loop, &listener->source);
	if (err < 0) {
		close_door(listener);
		close_listener(listener);
		return err;
	}
	*addr = listener->addr;
	server->listener_count++;
	return 0;
}

static void close_from(struct naru_server *server, unsigned first)
{
	for (unsigned i = first; i < server->listener_count; i++) {
		struct nr_listener *listener = &server->listeners[i];

		if (listener->source.fd < 0)
			continue;
		nr_loop_remove(&server->loop, &listener->source);
		close_door(listener);
		close_listener(listener);
	}
}

/* Whether an address family is not there, rather than the address wrong. */
static bool is_missing_family(const struct nr_endpoint *endpoint, int err)
{
	return (endpoint->kind == NR_HOST_LOCALHOST ||
	        endpoint->kind == NR_HOST_ALL) &&
	       (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL);
}

/* One listener for each of ADDRS, all with the same port. */
static int open_all(struct naru_server *server,
                    const struct nr_endpoint *endpoint,
                    const struct naru_addr *addrs, int count)
{
	unsigned first = server->listener_count, port = endpoint->port;
	char text[NARU_ADDR_TEXT];
	int err = 0, missing = 0;

	for (int i = 0; i < count; i++) {
		struct naru_addr addr = addrs[i];

		nr_addr_set_port(&addr, port);
		err = open_listener(server, endpoint->transport, &addr);
		if (is_missing_family(endpoint, err) && missing < count - 1) {
			missing++;
			continue;
		}
		if (err < 0) {
			close_from(server, first);
			server->listener_count = first;
			/* A port that we were given may be taken elsewhere. */
			if (endpoint->port == 0 && port != 0 &&
			    err == -EADDRINUSE)
				return -EAGAIN;
			report_error(server, "listen",
			             nr_addr_text(&addr, text), err);
			return err;
		}
		port = naru_addr_port(&addr);
	}
	return 0;
}

/* Whether the options have what TRANSPORT takes. */
static int check_transport(struct naru_server *server,
                           const struct nr_transport *transport)
{
	/* Who relies on the header must not be told another peer's name. */
	if (transport->datagram && nr_server_expects_headers_over_ip(server)) {
		report_error(server, "listen",
		             "PROXY headers stand before a stream, which UDP "
		             "is not",
		             -EOPNOTSUPP);
		return -EOPNOTSUPP;
	}
	if (transport->secure && !server->settings.tls) {
		report_error(server, "listen", "TLS needs a certificate",
		             -EOPNOTSUPP);
		return -EOPNOTSUPP;
	}
	return 0;
}

int nr_listeners_add(struct naru_server *server, const char *endpoint,
                     naru_talk *talk, void *arg)
{
	unsigned first = server->listener_count;
	struct naru_addr addrs[NR_RESOLVE_MAX];
	struct nr_endpoint_error wrong;
	struct nr_endpoint parsed;
	char why[NARU_ADDR_TEXT];
	int count, err;

	if (nr_endpoint_parse(endpoint, &parsed, &wrong) < 0) {
		err = naru_endpoint_check(endpoint, why, sizeof(why));
		report_error(server, "read", why, err);
		return err;
	}
	err = check_transport(server, parsed.transport);
	if (err < 0)
		return err;
	count = nr_endpoint_addrs(&parsed, server->options.family, addrs);
	if (count < 0) {
		report_error(server, "resolve", parsed.host, count);
		return count;
	}
	err = -EAGAIN;
	for (int i = 0; i < PORT_TRIES && err == -EAGAIN; i++)
		err = open_all(server, &parsed, addrs, count);
	if (err < 0)
		return err == -EAGAIN ? -EADDRINUSE : err;
	for (unsigned i = first; i < server->listener_count; i++) {
		server->listeners[i].talk = talk;
		server->listeners[i].arg = arg;
		report_listening(&server->listeners[i]);
	}
	return 0;
}

void nr_listeners_close(struct naru_server *server)
{
	nr_assert(server->owner == nr_process_id());
	/* Whoever is refusing in another thread is done in a moment. */
	server->refusing = true;
	while (atomic_load(&server->refusers) > 0)
		;
	/* They are still counted: a conversation that begins just now looks
	 * its talk up. */
	close_from(server, 0);
}

void nr_listeners_refuse(struct naru_server *server)
{
	atomic_fetch_add(&server->refusers, 1);
	if (!atomic_exchange(&server->refusing, true) &&
	    server->owner == nr_process_id())
		for (unsigned i = 0; i < server->listener_count; i++) {
			server->listeners[i].refused = true;
			nr_file_replace(server->listeners[i].source.fd,
			                server->stop.fd);
		}
	atomic_fetch_sub(&server->refusers, 1);
}
