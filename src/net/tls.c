/* SPDX-License-Identifier: MIT */
/*
 * TLS as a link: see tls.h.
 *
 * Several strands may use a link at once: one that receives, one that sends
 * (conv/output.c lets in one at a time). OpenSSL's session is under a mutex
 * that is never held while anybody waits: a sender whose peer takes nothing
 * does not keep the receiver from receiving. What is made to be sent while
 * somebody else waits to send joins the end of what waits (tls_wire.h).
 *
 * OpenSSL's queue of errors is the thread's, and many fibers run on one: it is
 * emptied before each call and read right behind it.
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "naru/error.h"
#include "net/addr.h"
#include "net/stream.h"
#include "net/tls_state.h"
#include "net/tls_text.h"
#include "os/os_socket.h"
#include "os/os_time.h"

static struct nr_tls_state *state_of(const struct nr_link *link)
{
	nr_assert(link->ops == &nr_tls_link && link->state);
	return link->state;
}

static struct nr_handle handle_of(const struct nr_link *link)
{
	return (struct nr_handle){link->fd, link->serial, link->in_pieces};
}

/* Whether what is kept may wait for what is sent next. */
static bool is_held(const struct nr_tls_state *tls)
{
	return atomic_load_explicit(&tls->wire.held, memory_order_relaxed);
}

/* Why OpenSSL's call, which returned RESULT a moment ago, did not do what it
 * should: -EAGAIN where more must come first, 0 at the peer's end. */
static int failure(struct nr_tls_state *tls, int result, char *why, size_t size)
{
	unsigned long error = ERR_peek_error();

	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		break;
	}
	if (error == 0 && tls->wire.ended)
		return -NARU_ECUT;
	if (error == 0 && tls->wire.err)
		return tls->wire.err;
	nr_tls_text_error(error, why, size);
	return -NARU_ETLS;
}

/* Tells what broke the TLS of a conversation that has begun. */
static void report_broken(const struct nr_link *link, const char *why)
{
	nr_report(link->report, &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                                             .call = "TLS",
	                                             .id = link->id,
	                                             .text = why,
	                                             .result = -NARU_ETLS});
}

/* Receives at once what fits into SPAN. */
static ssize_t read_some(struct nr_tls_state *tls, struct nr_span *span,
                         char *why, size_t size)
{
	size_t got = 0, one;
	int result = 1, err;

	nr_tls_wire_begin(&tls->wire);
	while (got < span->len && result == 1) {
		ERR_clear_error();
		result = SSL_read_ex(tls->ssl, span->data + got,
		                     span->len - got, &one);
		if (result == 1)
			got += one;
	}
	span->more = !tls->wire.dry || SSL_has_pending(tls->ssl);
	if (result == 1)
		return (ssize_t)got;
	err = failure(tls, result, why, size);
	span->more = err != -EAGAIN || !tls->wire.dry;
	if (err != -EAGAIN && err != 0)
		tls->read_err = err;
	/* What came before the end or an error is received first. */
	return got > 0 ? (ssize_t)got : err;
}

/* The same, into a buffer that is lent where the caller has none. */
static ssize_t try_recv(struct nr_link *link, struct nr_io *io,
                        struct nr_span *into)
{
	struct nr_tls_state *tls = state_of(link);
	struct nr_span span = *into;
	char why[NR_TLS_WHY];
	ssize_t got;
	bool known;

	if (!into->data)
		span = (struct nr_span){.data = io->ops->lend(io),
		                        .len = NR_BUFFER_SIZE};
	if (!span.data)
		return -ENOMEM;
	why[0] = '\0';
	nr_mutex_lock(&tls->lock);
	known = tls->read_err != 0;
	got = known ? tls->read_err : read_some(tls, &span, why, sizeof(why));
	/* What that made us answer goes out now, or behind what waits. */
	if (!known && tls->wire.begin < tls->wire.end &&
	    !(is_held(tls) && got > 0))
		(void)nr_tls_wire_push(&tls->wire);
	tls->dry = got == -EAGAIN ? tls->wire.dry : got > 0 && !span.more;
	nr_mutex_unlock(&tls->lock);
	if (got > 0)
		*into = span;
	else if (!into->data)
		io->ops->give_back(io, span.data);
	if (why[0])
		report_broken(link, why);
	return got;
}

/* Waits for bytes; where some are there already, only for the others' turn. */
static int await_more(struct nr_link *link, struct nr_io *io, int64_t until)
{
	struct nr_tls_state *tls = state_of(link);

	if (is_held(tls)) {
		nr_mutex_lock(&tls->lock);
		(void)nr_tls_wire_push(&tls->wire);
		nr_mutex_unlock(&tls->lock);
	}
	if (tls->dry)
		return io->ops->wait(io, handle_of(link), NR_READABLE, until);
	return nr_now() < until ? io->ops->go_on(io) : -ETIMEDOUT;
}

static ssize_t tls_recv(struct nr_link *link, struct nr_io *io,
                        struct nr_span *into, bool soon, int64_t until)
{
	struct nr_tls_state *tls = state_of(link);
	ssize_t got = -EAGAIN;
	int err;

	/* Where it is not known that the socket has no more, waiting for more
	 * might be in vain. */
	if (soon || !tls->dry) {
		err = io->ops->go_on(io);
		if (err < 0)
			return err;
		got = try_recv(link, io, into);
	}
	while (got == -EAGAIN) {
		err = await_more(link, io, until);
		if (err < 0 && err != -ETIMEDOUT)
			return err;
		/* Bytes that came win over the time that passed. */
		got = try_recv(link, io, into);
		if (got == -EAGAIN && err < 0)
			return err;
		/* A part of a record came, and may come again and again. */
		if (got == -EAGAIN)
			err = io->ops->go_on(io);
		if (err == -ECANCELED)
			return err;
	}
	return got;
}

/* Sends what is kept, and waits for that. */
static int flush(struct nr_link *link, struct nr_io *io, int64_t until)
{
	struct nr_tls_state *tls = state_of(link);
	int err = 0, waited = 0;

	do {
		nr_mutex_lock(&tls->lock);
		err = nr_tls_wire_push(&tls->wire);
		nr_mutex_unlock(&tls->lock);
		if (err == -EAGAIN && waited < 0)
			return waited;
		if (err == -EAGAIN)
			waited = io->ops->wait(io, handle_of(link), NR_WRITABLE,
			                       until);
		if (waited < 0 && waited != -ETIMEDOUT)
			return waited;
	} while (err == -EAGAIN);
	return err;
}

/* Makes a record of LEN bytes at most. -EAGAIN where that has to wait for the
 * rest of what the peer is saying about its keys. */
static ssize_t seal(struct nr_tls_state *tls, const void *data, size_t len)
{
	char why[NR_TLS_WHY];
	size_t taken = 0;
	int result, err;

	if (len > SSL3_RT_MAX_PLAIN_LENGTH)
		len = SSL3_RT_MAX_PLAIN_LENGTH;
	nr_mutex_lock(&tls->lock);
	err = tls->wire.err ? tls->wire.err : nr_tls_wire_reserve(&tls->wire);
	if (err == 0) {
		ERR_clear_error();
		result = SSL_write_ex(tls->ssl, data, len, &taken);
		tls->data_end = tls->base + tls->wire.sent;
		if (result != 1)
			err = failure(tls, result, why, sizeof(why));
		if (result != 1 && err == 0)
			err = -EPIPE;
		/* Nothing is kept, or it goes with this. */
		if (tls->wire.begin == tls->wire.end || is_held(tls))
			(void)nr_tls_wire_push(&tls->wire);
	}
	nr_mutex_unlock(&tls->lock);
	return err < 0 ? err : (ssize_t)taken;
}

/* As many bytes of IOV as fit into BUF. */
static size_t join(const struct iovec *iov, int count, char *buf)
{
	size_t len = 0;

	for (int i = 0; i < count && len < NR_BUFFER_SIZE; i++) {
		size_t part = iov[i].iov_len;

		if (part > NR_BUFFER_SIZE - len)
			part = NR_BUFFER_SIZE - len;
		memcpy(buf + len, iov[i].iov_base, part);
		len += part;
	}
	return len;
}

/* A peer may say in several records that it changes its keys, between which we
 * cannot send: whoever receives takes them. Nobody does that, so nobody has to
 * be woken for it. */
#define KEYS_NS NR_NS_PER_MS

/* Makes one record of the first bytes of IOV, a full one where there are so
 * many. */
static ssize_t seal_first(struct nr_tls_state *tls, struct nr_io *io,
                          const struct iovec *iov, int count, int64_t until)
{
	const void *data = iov[0].iov_base;
	size_t len = iov[0].iov_len;
	char *joined = NULL;
	ssize_t sealed;
	int err = 0;

	if (count > 1 && len < NR_BUFFER_SIZE)
		joined = io->ops->lend(io);
	if (joined) {
		len = join(iov, count, joined);
		data = joined;
	}
	while ((sealed = seal(tls, data, len)) == -EAGAIN && err == 0) {
		int64_t now = nr_now();

		err = now >= until
		              ? -ETIMEDOUT
		              : io->ops->sleep(io, nr_time_min(until,
		                                               now + KEYS_NS));
	}
	if (joined)
		io->ops->give_back(io, joined);
	return sealed == -EAGAIN ? err : sealed;
}

/*
 * Bytes that were made a record cannot be taken back. Where all that there is
 * has become one and the socket does not take it, they are called sent when it
 * has: until then the caller comes again with the same bytes first. Where there
 * is more than a record, more calls follow anyhow, and the first bytes are
 * called sent at once; the next record waits for them.
 */
static ssize_t tls_send(struct nr_link *link, struct nr_io *io,
                        const struct iovec *iov, int count, int64_t until)
{
	struct nr_tls_state *tls = state_of(link);
	size_t total = 0;
	ssize_t sealed;
	int err = io->ops->go_on(io);

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	if (err == 0 && !is_held(tls))
		err = flush(link, io, until);
	if (err < 0)
		return err;
	sealed = (ssize_t)tls->sealed;
	tls->sealed = 0;
	if (sealed == 0)
		sealed = seal_first(tls, io, iov, count, until);
	if (sealed < 0 || total > NR_BUFFER_SIZE)
		return sealed;
	err = flush(link, io, until);
	if (err == -ETIMEDOUT || err == -ECANCELED)
		tls->sealed = (size_t)sealed;
	return err < 0 ? err : sealed;
}

static int tls_finish(struct nr_link *link, struct nr_io *io, int64_t until)
{
	struct nr_tls_state *tls = state_of(link);
	int result, err, said = 0;
	char why[NR_TLS_WHY];

	nr_mutex_lock(&tls->lock);
	if (!tls->finished && (!tls->read_err || tls->read_err == -NARU_ECUT)) {
		ERR_clear_error();
		/* It says that we are done, and does not wait for the peer to
		 * say so too: what it has to say is received until then. */
		result = SSL_shutdown(tls->ssl);
		if (result < 0 && tls->wire.err == 0)
			said = failure(tls, result, why, sizeof(why));
		ERR_clear_error();
		tls->finished = true;
	}
	nr_mutex_unlock(&tls->lock);
	err = flush(link, io, until);
	if (err == 0)
		err = nr_stream_link.finish(link, io, until);
	if (err == -EPIPE || err == -ECONNRESET) {
		link->gone = true;
		err = 0;
	}
	/* Where it could not be said, the peer takes this for a cut. */
	return said < 0 && said != -EAGAIN ? -NARU_ETLS : err;
}

static void tls_abort(struct nr_link *link)
{
	nr_stream_link.abort(link);
}

static uint64_t tls_acknowledged(struct nr_link *link, uint64_t sent)
{
	struct nr_tls_state *tls = state_of(link);
	uint64_t end;

	nr_mutex_lock(&tls->lock);
	end = tls->data_end;
	nr_mutex_unlock(&tls->lock);
	if (nr_stream_link.acknowledged(link, end) >= end)
		return sent;
	/* Which of them are in the records that it has not acknowledged, TCP
	 * cannot know: one at least. */
	return sent > 0 ? sent - 1 : 0;
}

static void tls_close(struct nr_link *link)
{
	struct nr_tls_state *tls = state_of(link);

	nr_tls_state_free(tls);
	link->state = NULL;
	nr_stream_link.close(link);
}

static void say(struct nr_tls_state *tls, const char *text)
{
	(void)snprintf(tls->outcome->text, sizeof(tls->outcome->text), "%s",
	               text);
}

/* One step of the handshake, as far as it goes without waiting: 1 when it is
 * over, 0 where more must come, or why it failed. */
static int step(struct nr_tls_state *tls)
{
	char why[NR_TLS_WHY];
	bool silent;
	int result, err;

	nr_tls_wire_begin(&tls->wire);
	tls->wire.corked = true;
	ERR_clear_error();
	result = SSL_do_handshake(tls->ssl);
	tls->wire.corked = false;
	if (result == 1)
		return 1;
	silent = ERR_GET_REASON(ERR_peek_error()) ==
	         SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
	err = failure(tls, result, why, sizeof(why));
	if (err == -EAGAIN)
		return 0;
	if (tls->mistrusted)
		return -NARU_ECERT;
	if (err == 0 || err == -NARU_ECUT) {
		err = -NARU_ETLS;
		say(tls, "the peer ended the connection during the handshake");
	} else if (err == -NARU_ETLS) {
		say(tls, why);
	} else {
		say(tls, "the connection broke during the handshake");
	}
	return silent ? -NARU_ECERT : err;
}

/* Whether the peer waits for what is kept when the handshake is over. A server
 * has no more to give then than tickets (RFC 8446, section 4.6.1), which may go
 * with its first answer; before version 1.3 it has to end the handshake. */
static bool is_awaited(const struct nr_tls_state *tls)
{
	return !SSL_is_server(tls->ssl) ||
	       SSL_version(tls->ssl) < TLS1_3_VERSION;
}

static int shake_hands(struct nr_link *link, struct nr_io *io, int64_t until)
{
	struct nr_tls_state *tls = state_of(link);
	int done, err;

	for (;;) {
		done = step(tls);
		if (done < 0) {
			(void)nr_tls_wire_push(&tls->wire);
			return done;
		}
		/* What the peer waits for, before we wait for it. */
		atomic_store(&tls->wire.held, done == 1 && !is_awaited(tls));
		err = is_held(tls) ? 0 : flush(link, io, until);
		tls->dry = tls->wire.dry;
		if (err == 0 && done == 0)
			err = await_more(link, io, until);
		if (err < 0 || done == 1)
			break;
		err = io->ops->go_on(io);
		if (err < 0)
			break;
	}
	if (err < 0)
		say(tls, err == -ETIMEDOUT ? "the handshake took too long"
		                           : "the handshake was broken off");
	return err;
}

/* How long, and how much, of what a peer still says is listened to that was
 * refused. */
#define REFUSAL_NS  NR_NS_PER_S
#define REFUSAL_MAX ((size_t)256 * 1024)

/* Closing with bytes unread would reset the connection, and the peer might
 * never read why it was refused. */
static void refuse(struct nr_link *link, struct nr_io *io, int64_t until)
{
	char waste[2048];
	size_t total = 0;
	ssize_t got;

	until = nr_time_min(until, nr_time_add(nr_now(), REFUSAL_NS));
	if (nr_socket_finish(link->fd) < 0)
		return;
	while (total < REFUSAL_MAX) {
		got = nr_socket_recv(link->fd, waste, sizeof(waste));
		if (got == -EAGAIN &&
		    io->ops->wait(io, handle_of(link), NR_READABLE, until) == 0)
			continue;
		if (got <= 0)
			return;
		total += (size_t)got;
	}
}

int nr_tls_begin(struct nr_link *link, struct nr_io *io, struct nr_tls *tls,
                 const struct nr_tls_called *called, int64_t until,
                 struct nr_tls_outcome *ret_outcome)
{
	struct nr_tls_state *state;
	int err;

	ret_outcome->text[0] = '\0';
	err = nr_tls_state_new(link, tls, called, ret_outcome, &state);
	if (err < 0)
		return err;
	link->state = state;
	link->ops = &nr_tls_link;
	err = shake_hands(link, io, until);
	if (err == 0)
		err = nr_tls_state_settle(state);
	else if (!link->dialled && !state->wire.err && !state->wire.ended &&
	         (err == -NARU_ECERT || err == -NARU_ETLS))
		refuse(link, io, until);
	state->outcome = NULL;
	state->dry = state->wire.dry && !SSL_has_pending(state->ssl);
	if (err < 0)
		state->read_err = err;
	return err;
}

const struct naru_tls_info *nr_tls_info(const struct nr_link *link)
{
	return nr_tls_is(link) && state_of(link)->texts ? &state_of(link)->info
	                                                : NULL;
}

bool nr_tls_is(const struct nr_link *link)
{
	return link->ops == &nr_tls_link;
}

const struct nr_link_ops nr_tls_link = {
	.recv = tls_recv,
	.send = tls_send,
	.finish = tls_finish,
	.abort = tls_abort,
	.acknowledged = tls_acknowledged,
	.close = tls_close,
};

/* Until its handshake, a connection is like any of TCP. */
static int tls_listen(const struct naru_addr *addr,
                      const struct nr_listen *options)
{
	return nr_transport_tcp.listen(addr, options);
}

static int tls_open(const struct naru_addr *addr,
                    const struct naru_addr *source,
                    const struct nr_report *report)
{
	return nr_transport_tcp.open(addr, source, report);
}

const struct nr_transport nr_transport_tls = {
	.name = "tls",
	.link = &nr_stream_link,
	.secure = true,
	.listen = tls_listen,
	.open = tls_open,
};
