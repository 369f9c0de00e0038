/* SPDX-License-Identifier: MIT */
/* How a conversation begins and ends: see conv.h and naru/conv.h. */
#include "conv/conv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/packed.h"
#include "base/time.h"
#include "conv/datagram.h"
#include "conv/opening.h"
#include "naru/error.h"
#include "naru/proxy.h"
#include "net/addr.h"
#include "net/tls.h"
#include "os/os_socket.h"
#include "os/os_time.h"

const struct nr_settings nr_settings_default = {
	.timeouts =
		{
			[NARU_TIMEOUT_IDLE] = 600 * NR_NS_PER_S,
			[NARU_TIMEOUT_MESSAGE] = 60 * NR_NS_PER_S,
			[NARU_TIMEOUT_WRITE] = 60 * NR_NS_PER_S,
			[NARU_TIMEOUT_END] = 5 * NR_NS_PER_S,
		},
	.memory_limit = (size_t)16 * 1024 * 1024,
	.framing =
		{
			.limit = 65536,
			.plain = true,
			.kind = NARU_LINES,
			.ops = &nr_frame_lines,
		},
	.idle_datagram = 60 * NR_NS_PER_S,
	.handshake = 10 * NR_NS_PER_S,
};

#define LONG_NS NR_NS_PER_S

/* Silence is the only end that datagrams have: it has a timeout of its own.
 * What came before somebody conversed is the first input. */
static void begin_datagrams(struct naru_conv *conv,
                            const struct nr_connection *connection)
{
	conv->timeouts[NARU_TIMEOUT_IDLE] = conv->settings->idle_datagram;
	conv->link.peer = &conv->peer;
	conv->in.data = connection->first;
	conv->in.size = conv->in.end = connection->first_len;
	conv->in.total = 0;
	conv->in.soon = false;
	conv->dropped = connection->dropped;
	for (size_t at = 0; at < connection->first_len;) {
		size_t len = nr_packed_len(connection->first + at);

		conv->in.total += len;
		at += nr_packed_size(len);
	}
}

void nr_conv_begin(struct naru_conv *conv,
                   const struct nr_connection *connection,
                   const struct nr_settings *settings)
{
	*conv = (struct naru_conv){
		.magic = NR_CONV_MAGIC,
		.link = {.ops = connection->transport->link,
	                 .fd = connection->fd,
	                 .serial = nr_handle_serial(),
	                 .in_pieces = connection->transport->in_pieces,
	                 .dialled = connection->dialled,
	                 .late = connection->late,
	                 .unsaid = connection->late,
	                 .transport = connection->transport,
	                 .keeps_messages =
	                         connection->transport->datagram != NULL,
	                 .id = connection->id,
	                 .report = &settings->report},
		.settings = settings,
		.id = connection->id,
		.began = nr_now(),
		.peer = connection->peer,
		.local = connection->local,
		.local_known = connection->local.len > 0,
		.framing = settings->framing,
		.deadline = NR_NEVER,
		/* Who connects mostly has something to say, and by the time
	         * that somebody converses with them it has come. */
		.in.soon = !connection->dialled,
	};
	for (int i = 0; i < NR_TIMEOUTS; i++)
		conv->timeouts[i] = settings->timeouts[i];
	if (conv->link.keeps_messages)
		begin_datagrams(conv, connection);
	nr_arena_init(&conv->arena, settings->memory_limit);
	nr_list_init(&conv->companions);
	nr_mutex_init(&conv->lock);
	nr_output_init(conv);
}

int64_t nr_conv_until(struct naru_conv *conv, enum naru_timeout which)
{
	int64_t timeout = atomic_load_explicit(&conv->timeouts[which],
	                                       memory_order_relaxed);
	int64_t deadline =
		atomic_load_explicit(&conv->deadline, memory_order_relaxed);
	int64_t until = NR_NEVER;

	/* A long wait may last a little longer, and costs less so: nearly
	 * every message begins one. */
	if (timeout < LONG_NS)
		until = nr_time_add(nr_now(), timeout);
	else if (timeout != NR_NEVER)
		until = nr_time_add(nr_now_coarse() + NR_COARSE_NS, timeout);
	if (deadline >= until ||
	    atomic_load_explicit(&conv->ending, memory_order_relaxed))
		return until;
	return deadline;
}

/* Whether the peer has got what we sent, as far as anybody can tell; ERR is
 * why one has to ask. */
static int lost(struct naru_conv *conv, int err)
{
	struct nr_link *link = &conv->link;
	uint64_t sent = conv->out.total;

	return link->ops->acknowledged(link, sent) < sent ? err : 0;
}

/* Reads and throws away what the peer still sends, until it has finished. */
static int linger(struct naru_conv *conv)
{
	struct nr_input_wait wait = {NARU_TIMEOUT_END, -1};
	ssize_t got;

	do {
		nr_input_take(conv, nr_input_left(conv));
		got = nr_input_more(conv, NR_BUFFER_SIZE, &wait);
		/* A waiter looks at the time only where it has to wait. */
		if (got > 0 && nr_now() >= wait.until)
			got = -ETIMEDOUT;
	} while (got > 0);
	return got == 0 ? 0 : lost(conv, (int)got);
}

void nr_conv_break(struct naru_conv *conv)
{
	if (!atomic_exchange(&conv->broken, true))
		conv->link.ops->abort(&conv->link);
}

int naru_abort(struct naru_conv *conv)
{
	if (!nr_conv_is(conv))
		return -EINVAL;
	nr_conv_break(conv);
	return 0;
}

/* Everything up to the closing of the socket. */
static int end_gracefully(struct naru_conv *conv)
{
	int err;

	if (conv->link.keeps_messages)
		return nr_datagram_end(conv);
	nr_input_end_view(conv);
	if (atomic_load(&conv->broken))
		return nr_output_pending(conv) ? -ECONNABORTED : 0;
	/* A broken connection has nobody to be graceful to; one that was cut
	 * under TLS may have: many a peer leaves out that it has finished. */
	if (conv->out.err)
		return conv->out.err;
	if (conv->in.err && conv->in.err != -ENOMEM &&
	    conv->in.err != -NARU_ECUT)
		return nr_output_pending(conv) ? conv->in.err
		                               : lost(conv, conv->in.err);
	/* A message of which the peer would get a part only: an orderly end
	 * would tell it that this is the whole. */
	if (conv->out.torn_taken > 0 &&
	    conv->out.torn_taken < conv->out.torn_len) {
		nr_conv_break(conv);
		return -ETIMEDOUT;
	}
	err = nr_output_flush(conv);
	/* Who is cancelled is told so now and then, also where it would not
	 * have to wait; asked again, it sends what can be sent. */
	if (err == -ECANCELED)
		err = nr_output_flush(conv);
	if (err < 0) {
		nr_conv_break(conv);
		return err;
	}
	/* Where the peer has finished, closing does the rest; but under TLS
	 * the peer takes it for a cut where we do not say that we have. */
	if (conv->in.ended && !nr_tls_is(&conv->link))
		return 0;
	err = nr_output_finish(conv);
	/* Under TLS, whose end could not be said has a peer that takes it for a
	 * cut, whatever has arrived. */
	if (err < 0)
		return nr_tls_is(&conv->link) ? err : lost(conv, err);
	err = linger(conv);
	/* The peer's end says nothing of what it did not take any more. */
	return err == 0 && conv->link.gone ? lost(conv, -EPIPE) : err;
}

/* Gives back all that a conversation without other strands holds. */
static void give_back(struct naru_conv *conv)
{
	nr_output_fini(conv);
	nr_input_fini(conv);
	conv->link.ops->close(&conv->link);
	conv->magic = 0;
	nr_deferred_run(conv);
	nr_mutex_fini(&conv->lock);
	nr_arena_fini(&conv->arena);
}

void nr_conv_drop(struct naru_conv *conv)
{
	nr_assert_is(conv, NR_CONV_MAGIC);
	give_back(conv);
}

int nr_conv_end(struct naru_conv *conv)
{
	int err;

	nr_assert_is(conv, NR_CONV_MAGIC);
	/* Whoever dialled decides by the deadline how long the end may take; a
	 * talk's deadline was the talk's. */
	atomic_store(&conv->ending, !conv->link.dialled);
	nr_companions_end(conv);
	err = end_gracefully(conv);
	give_back(conv);
	return err;
}

static void report_begin(struct naru_conv *conv)
{
	const struct nr_report *report = &conv->settings->report;

	if (!report->fn)
		return;
	nr_report(report, &(struct naru_event){.kind = NARU_EVENT_BEGIN,
	                                       .id = conv->id,
	                                       .fd = conv->link.fd,
	                                       .local = naru_local(conv),
	                                       .peer = &conv->peer,
	                                       .via = naru_via(conv)});
}

/* The talk's result and what the end says, in one: what failed first. */
static void report_end(struct naru_conv *conv, int result)
{
	const struct nr_report *report = &conv->settings->report;
	struct nr_strand *self = nr_strand_self();
	int64_t duration = nr_now() - conv->began;
	size_t stack_used, stack_size;

	if (!report->fn)
		return;
	stack_used = self->ops->stack_used(self, &stack_size);
	nr_report(report,
	          &(struct naru_event){
			  .kind = NARU_EVENT_END,
			  .id = conv->id,
			  .result = result,
			  .local = &conv->local,
			  .peer = &conv->peer,
			  .received = conv->in.total + conv->program_received,
			  .sent = conv->out.total + conv->program_sent,
			  .duration_ms = duration / NR_NS_PER_MS,
			  .stack_used = stack_used,
			  .stack_size = stack_size,
			  .dropped = conv->dropped,
		  });
}

/* A conversation that could be opened: talks, ends, reports. */
static int hold(struct naru_conv *conv, naru_talk *talk, void *arg)
{
	int result, err;

	report_begin(conv);
	result = talk(conv, arg);
	nr_strand_look();
	err = nr_conv_end(conv);
	if (result >= 0)
		result = err;
	report_end(conv, result);
	return result;
}

int nr_conv_converse(const struct nr_connection *connection,
                     const struct nr_settings *settings, naru_talk *talk,
                     void *arg)
{
	struct nr_strand *self = nr_strand_self();
	struct naru_conv conv;
	int result;

	nr_assert(!self->own);
	nr_conv_begin(&conv, connection, settings);
	conv.first = self;
	nr_strand_own(self, &conv);
	result = nr_opening_accepted(&conv, connection);
	if (result == 0)
		result = hold(&conv, talk, arg);
	else
		nr_conv_drop(&conv);
	if (conv.cancelled)
		self->ops->renew(self);
	nr_strand_own(self, NULL);
	self->wrote = false;
	return result;
}

int naru_cancel(struct naru_conv *conv)
{
	if (!nr_conv_is(conv) || conv->link.dialled)
		return -EINVAL;
	nr_mutex_lock(&conv->lock);
	if (!conv->cancelled) {
		conv->cancelled = true;
		conv->first->ops->cancel(conv->first);
		nr_companions_cancel(conv);
	}
	nr_mutex_unlock(&conv->lock);
	return 0;
}
