/* SPDX-License-Identifier: MIT */
/*
 * PROXY headers received and sent: see opening_proxy.h.
 *
 * What follows a header is TLS's or the conversation's, which find it in the
 * socket. So what has come is looked at first, and taken as far as it is the
 * header's: as long as that is not whole, all of it is. Nobody waits for a
 * socket that still has bytes in it, which would be ready for ever.
 */
#include "conv/opening_proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "conv/conv.h"
#include "naru/error.h"
#include "naru/proxy.h"
#include "net/addr.h"
#include "net/proxy.h"
#include "os/os_socket.h"

/* Room for most headers; a longer one is received into the arena. */
#define ROOM 256
_Static_assert(ROOM >= NR_PROXY_V1_MAX, "a line has room");

#define TEXT (NARU_ADDR_TEXT + 64)

/* A header that is being received. */
struct receiving {
	struct naru_conv *conv;
	struct nr_io *io;
	int64_t until;
	struct nr_proxy header;
	bool ended; /* the peer has finished */
	size_t have, size;
	char *data;
	char room[ROOM];
};

static struct nr_handle handle_of(const struct nr_link *link)
{
	return (struct nr_handle){link->fd, link->serial, link->in_pieces};
}

/* Tells of a header, and returns RESULT. */
static int tell(struct naru_conv *conv, int result, const char *text)
{
	const struct nr_report *report = &conv->settings->report;

	if (report->fn)
		nr_report(report,
		          &(struct naru_event){.kind = NARU_EVENT_HANDSHAKE,
		                               .id = conv->id,
		                               .local = naru_local(conv),
		                               .peer = &conv->peer,
		                               .call = "PROXY",
		                               .text = text,
		                               .result = result});
	return result;
}

/* The same of one that is HEADER; WAY says which way it went. */
static void tell_header(struct naru_conv *conv, const char *way,
                        const struct nr_proxy *header)
{
	char text[TEXT], source[NARU_ADDR_TEXT] = "itself";

	if (!conv->settings->report.fn)
		return;
	if (header->announced)
		(void)nr_addr_text(&header->source, source);
	(void)snprintf(text, sizeof(text), "version %u %s, for %s",
	               header->version, way, source);
	(void)tell(conv, 0, text);
}

/* Tells why no header came, and returns ERR. */
static int tell_failure(const struct receiving *receiving, int err)
{
	const struct nr_proxy *header = &receiving->header;
	char text[TEXT];

	if (err == NR_STOPPED)
		return tell(receiving->conv, -ECANCELED, "the server stops");
	if (header->reason)
		(void)snprintf(text, sizeof(text), "at byte %zu: %s",
		               header->place, header->reason);
	else
		(void)snprintf(text, sizeof(text), "%s %zu bytes of a header",
		               receiving->ended    ? "the peer finished after"
		               : err == -ETIMEDOUT ? "in time there came but"
		                                   : "there came but",
		               receiving->have);
	return tell(receiving->conv, err, text);
}

/* Waits for bytes and looks at them: how many there are behind those that were
 * taken, 0 at the peer's end. */
static ssize_t look(struct receiving *receiving)
{
	struct nr_link *link = &receiving->conv->link;
	struct nr_io *io = receiving->io;
	ssize_t got;
	int err;

	nr_assert(receiving->have < receiving->size);
	for (;;) {
		got = nr_socket_peek(link->fd,
		                     receiving->data + receiving->have,
		                     receiving->size - receiving->have);
		if (got != -EAGAIN)
			return got;
		err = io->ops->wait(io, handle_of(link), NR_READABLE,
		                    receiving->until);
		if (err < 0)
			return err;
	}
}

/* Makes room for a header whose length is known now. */
static int make_room(struct receiving *receiving)
{
	size_t len = receiving->header.len;
	char *data;

	if (len <= receiving->size)
		return 0;
	nr_assert(len <= NR_PROXY_MAX);
	data = nr_arena_alloc(&receiving->conv->arena, len);
	if (!data)
		return -ENOMEM;
	memcpy(data, receiving->data, receiving->have);
	receiving->data = data;
	receiving->size = len;
	return 0;
}

/* Receives what there is of a header: 1 where it is whole, 0 where it is not
 * yet. */
static int receive_some(struct receiving *receiving)
{
	struct nr_proxy *header = &receiving->header;
	char *to = receiving->data + receiving->have;
	ssize_t got = look(receiving);
	enum nr_proxy_state state;

	if (got < 0)
		return (int)got;
	receiving->ended = got == 0;
	if (receiving->ended)
		return -NARU_EPROXY;
	state = nr_proxy_read(receiving->data, receiving->have + (size_t)got,
	                      header);
	if (state == NR_PROXY_WRONG)
		return -NARU_EPROXY;
	if (state == NR_PROXY_WHOLE)
		got = (ssize_t)(header->len - receiving->have);
	got = nr_socket_recv(receiving->conv->link.fd, to, (size_t)got);
	if (got < 0)
		return got == -EAGAIN ? 0 : (int)got;
	receiving->have += (size_t)got;
	if (state == NR_PROXY_WHOLE)
		return receiving->have == header->len;
	return make_room(receiving);
}

/* A peer that sends a byte at a time has others wait no longer for it. */
static int receive(struct receiving *receiving)
{
	int got = 0, err = 0;

	while (got == 0 && err == 0) {
		got = receive_some(receiving);
		err = receiving->io->ops->go_on(receiving->io);
	}
	return got < 0 ? got : err;
}

/* Keeps who stands between, and what came with the header. */
static struct nr_via *keep(struct naru_conv *conv,
                           const struct receiving *receiving)
{
	struct nr_cursor values = receiving->header.values;
	size_t len = nr_cursor_left(&values);
	struct nr_via *via = nr_arena_alloc(&conv->arena, sizeof(*via));
	char *kept;

	if (!via)
		return NULL;
	if (receiving->data == receiving->room && len > 0) {
		kept = nr_arena_alloc(&conv->arena, len);
		if (!kept)
			return NULL;
		memcpy(kept, values.at, len);
		values = nr_cursor(kept, len);
	}
	*via = (struct nr_via){conv->peer, values};
	return via;
}

/* Whoever is announced is the peer from here on. */
static int take_over(struct naru_conv *conv, const struct receiving *receiving)
{
	const struct nr_proxy *header = &receiving->header;
	struct nr_via *via = NULL;

	if (header->announced) {
		via = keep(conv, receiving);
		if (!via)
			return tell_failure(receiving, -ENOMEM);
	}
	tell_header(conv, "came", header);
	if (!via)
		return 0;
	conv->via = via;
	conv->peer = header->source;
	conv->local = header->destination;
	conv->local_known = true;
	return 0;
}

/* Receives the header that has to come. */
static int expect(struct naru_conv *conv, int64_t until)
{
	struct receiving receiving = {
		.conv = conv,
		.io = nr_strand_self()->io,
		.until = until,
		.size = ROOM,
	};
	int err;

	receiving.data = receiving.room;
	err = receive(&receiving);
	return err < 0 ? tell_failure(&receiving, err)
	               : take_over(conv, &receiving);
}

int nr_opening_proxy(struct naru_conv *conv, int64_t until)
{
	const struct nr_proxies *proxies = conv->settings->proxies;
	int err;

	if (!proxies->listed || nr_networks_have(&proxies->from, &conv->peer))
		err = expect(conv, until);
	else if (proxies->required)
		err = tell(conv, -NARU_EPROXY,
		           "nobody is to be announced from there");
	else
		err = 0;
	/* Who is refused is to know that nobody has heard it. */
	if (err < 0)
		nr_conv_break(conv);
	return err;
}

/* Sends all of DATA as it is, whatever the link does to what comes later. */
static int send_plain(struct naru_conv *conv, const char *data, size_t len,
                      int64_t until)
{
	struct nr_io *io = nr_strand_self()->io;

	while (len > 0) {
		struct iovec iov = {(void *)(uintptr_t)data, len};
		ssize_t sent = io->ops->send(io, handle_of(&conv->link), &iov,
		                             1, until);

		if (sent < 0)
			return (int)sent;
		/* What the peer acknowledges counts it too. */
		conv->out.total += (size_t)sent;
		data += sent;
		len -= (size_t)sent;
	}
	return 0;
}

int nr_opening_announce(struct naru_conv *conv,
                        const struct naru_dial_options *options, int64_t until)
{
	struct nr_proxy header = {
		.version = options->announce == NARU_ANNOUNCE_V1 ? 1 : 2,
		.announced = options->announce_for != NULL,
	};
	char buf[NR_PROXY_WRITE_MAX];
	int err;

	if (options->announce == NARU_ANNOUNCE_NONE)
		return 0;
	if (header.announced) {
		header.source = *naru_peer(options->announce_for);
		header.destination = *naru_local(options->announce_for);
		header.announced =
			naru_addr_kind(&header.source) != NARU_ADDR_UNIX;
	}
	err = send_plain(conv, buf, nr_proxy_write(&header, buf), until);
	if (err < 0)
		return tell(conv, err, "the header could not be sent");
	tell_header(conv, "sent", &header);
	return 0;
}

const struct naru_addr *naru_via(struct naru_conv *conv)
{
	return nr_conv_is(conv) && conv->via ? &conv->via->addr : NULL;
}

ssize_t naru_via_value(struct naru_conv *conv, unsigned type,
                       const void **ret_value)
{
	struct nr_cursor value;

	if (!nr_conv_is(conv) || !ret_value)
		return -EINVAL;
	if (!conv->via || !nr_proxy_value(conv->via->values, type, &value))
		return -ENOENT;
	*ret_value = value.at;
	return (ssize_t)nr_cursor_left(&value);
}
