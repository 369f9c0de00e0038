/* SPDX-License-Identifier: MIT */
/*
 * Carrying bytes between two conversations: naru_relay(). Each direction is a
 * strand's.
 *
 * What comes in small pieces is received into a buffer and sent from it: two
 * calls, and a strand that waits holds nothing. What comes in bulk goes through
 * a pipe and is never copied to us, where both links can splice; the pipe is
 * held for as long as there is something in it. Where there is no pipe to be
 * had, or something that cannot be spliced, the buffer serves as well.
 */
#include <errno.h>

#include "base/time.h"
#include "conv/companion.h"
#include "conv/conv.h"
#include "naru/bytes.h"
#include "naru/error.h"
#include "os/os_pipe.h"
#include "os/os_time.h"

/* So many full buffers in a row are a bulk, and so many receives that would
 * not have filled one are its end. */
#define FULL_MANY 4
#define THIN_MANY 4

/* How long one waits for answers over datagrams that are under way when the
 * server stops. */
#define ANSWERS_NS NR_NS_PER_S

/* A wait for answers over datagrams looks so often whether anybody is left to
 * ask: a stream that finishes wakes nobody but its own direction. */
#define LOOK_NS (5 * NR_NS_PER_S)

/* One direction. */
struct flow {
	struct relay *relay;
	struct naru_conv *from, *to;
	struct flow *other;
	_Atomic uint64_t carried; /* bytes */
	_Atomic bool finished;    /* TO was told that no more comes */
	_Atomic int64_t ended;    /* when FROM ended in order, or 0 */
	bool stopping;            /* the server does, FROM was told */
	unsigned full;            /* buffers in a row */
};

struct relay {
	struct flow there, back;
	struct nr_mutex lock; /* for: */
	unsigned splicing;    /* directions that do */
};

static bool is_before_deadline(const struct flow *flow)
{
	return nr_now() < atomic_load_explicit(&flow->from->deadline,
	                                       memory_order_relaxed);
}

/* Whether the other direction has carried something since SEEN: then our peer,
 * who says nothing, is not idle; it listens. */
static bool is_listening(struct flow *flow, uint64_t *seen)
{
	uint64_t before = *seen;

	*seen = atomic_load(&flow->other->carried);
	return *seen != before && is_before_deadline(flow);
}

/* Receives into PIPE, or into the buffer where that is null. */
static ssize_t receive(struct flow *flow, struct nr_pipe *pipe)
{
	struct naru_conv *from = flow->from;
	uint64_t seen = atomic_load(&flow->other->carried);
	struct nr_input_wait wait;
	ssize_t got;

	do {
		wait = (struct nr_input_wait){NARU_TIMEOUT_IDLE, -1};
		if (pipe)
			got = nr_input_splice(from, pipe,
			                      nr_conv_until(from,
			                                    NARU_TIMEOUT_IDLE));
		else
			got = nr_input_more(from, NR_BUFFER_SIZE, &wait);
	} while (got == -ETIMEDOUT && is_listening(flow, &seen));
	return got;
}

/* Sends what is in the buffer. Now and not with the wait for FROM, which would
 * not tell us where it fails. */
static int pass_buffer(struct flow *flow)
{
	struct naru_conv *from = flow->from;
	size_t left = nr_input_left(from);
	struct iovec data = {from->in.data + from->in.begin, left};
	int err;

	if (left == 0)
		return 0;
	err = nr_output_pass(flow->to, &data, &NR_PIPE_NONE);
	if (err < 0)
		return err;
	nr_input_take(from, left);
	atomic_fetch_add(&flow->carried, left);
	flow->full = left == NR_BUFFER_SIZE ? flow->full + 1 : 0;
	return 0;
}

/* Has both sockets not block from when the first direction splices until none
 * does any more. */
static int begin_splicing(struct relay *relay)
{
	struct nr_link *a = &relay->there.from->link;
	struct nr_link *b = &relay->there.to->link;
	int err = 0;

	nr_mutex_lock(&relay->lock);
	if (relay->splicing == 0)
		err = a->ops->splicing(a, true);
	if (err == 0 && relay->splicing == 0) {
		err = b->ops->splicing(b, true);
		if (err < 0)
			(void)a->ops->splicing(a, false);
	}
	if (err == 0)
		relay->splicing++;
	nr_mutex_unlock(&relay->lock);
	return err;
}

static void end_splicing(struct relay *relay)
{
	struct nr_link *a = &relay->there.from->link;
	struct nr_link *b = &relay->there.to->link;

	nr_mutex_lock(&relay->lock);
	/* Where this fails, our own calls do not mind. */
	if (--relay->splicing == 0) {
		(void)a->ops->splicing(a, false);
		(void)b->ops->splicing(b, false);
	}
	nr_mutex_unlock(&relay->lock);
}

/* Carries through a pipe for as long as there is much. 0 where receiving into
 * the buffer is right again. */
static int splice_bulk(struct flow *flow)
{
	struct nr_io *io = nr_strand_self()->io;
	struct nr_pipe pipe = NR_PIPE_NONE;
	struct iovec none = {0};
	unsigned thin = 0;
	ssize_t got = 1;
	int err = 0;

	flow->full = 0;
	if (begin_splicing(flow->relay) < 0)
		return 0;
	while (err == 0 && got > 0 && thin < THIN_MANY) {
		got = receive(flow, &pipe);
		if (got <= 0)
			break;
		err = nr_output_pass(flow->to, &none, &pipe);
		if (err == 0)
			atomic_fetch_add(&flow->carried, (uint64_t)got);
		thin = got < (ssize_t)NR_BUFFER_SIZE ? thin + 1 : 0;
	}
	io->ops->give_back_pipe(io, &pipe);
	end_splicing(flow->relay);
	return err < 0 ? err : got < 0 ? (int)got : 0;
}

static bool can_splice(const struct flow *flow)
{
	return flow->from->link.ops->splicing && flow->to->link.ops->splicing;
}

/* What ends the direction where nothing more comes. */
static int end(struct flow *flow)
{
	struct nr_link *link = &flow->from->link;

	/* Breaking ends receiving as the peer's end would. */
	if (atomic_load(&flow->from->broken))
		return -ECANCELED;
	/* So does a reset of which the other direction is told as it sends. */
	if (!atomic_load(&flow->other->finished) && link->ops->broke &&
	    link->ops->broke(link))
		return -ECONNRESET;
	atomic_store(&flow->finished, true);
	atomic_store(&flow->ended, nr_now());
	return naru_finish(flow->to);
}

/* Whether FROM, which has no end of its own, was dialled for somebody who may
 * be gone one day. */
static bool is_for_accepted(const struct flow *flow)
{
	return flow->from->link.keeps_messages && flow->from->link.dialled &&
	       !flow->to->link.dialled;
}

/*
 * Until when a wait for answers from FROM, which began at SINCE and is bounded
 * by UNTIL, makes sense as things stand: where the peer that they are for asks
 * nothing any more, only as long as they may be under way.
 */
static int64_t until_answered(const struct flow *flow, int64_t since,
                              int64_t until)
{
	const _Atomic int64_t *timeouts = flow->from->timeouts;
	int64_t asked = atomic_load(&flow->other->ended);
	int64_t most = nr_time_min(atomic_load(&timeouts[NARU_TIMEOUT_IDLE]),
	                           atomic_load(&timeouts[NARU_TIMEOUT_END]));

	/* A peer of datagrams ends by silence, which says nothing, but for a
	 * stop. */
	if (!asked || (flow->to->link.keeps_messages && !flow->stopping))
		return until;
	if (flow->stopping)
		most = nr_time_min(most, ANSWERS_NS);
	return nr_time_add(asked > since ? asked : since, most);
}

/*
 * Receives from FROM, whose datagrams answer an accepted peer: neither that
 * this one has finished nor that the server stops ends the wait for them by
 * itself. -ETIMEDOUT is silence, or the deadline.
 */
static int receive_answer(struct flow *flow, struct naru_msg *ret_msg)
{
	struct nr_input *in = &flow->from->in;
	int64_t since = nr_now();
	int64_t until = nr_conv_until(flow->from, NARU_TIMEOUT_IDLE);
	int64_t every = flow->to->link.keeps_messages ? NR_NEVER : LOOK_NS;
	int64_t look, now = since;
	int err;

	do {
		look = nr_time_add(now, flow->stopping ? ANSWERS_NS : every);
		in->until =
			nr_time_min(look, until_answered(flow, since, until));
		in->for_accepted = !flow->stopping;
		err = naru_recv(flow->from, ret_msg);
		if (err == 0) {
			flow->stopping = true;
			in->ended = false;
		}
		now = nr_now();
	} while (err == 0 || (err == -ETIMEDOUT && is_before_deadline(flow) &&
	                      now < until_answered(flow, since, until)));
	in->for_accepted = false;
	in->until = 0;
	return err;
}

/* One direction in whole messages, where an end of it keeps them apart. */
static int carry_messages(struct flow *flow)
{
	uint64_t seen = atomic_load(&flow->other->carried);
	bool answers = is_for_accepted(flow);
	struct naru_msg msg;
	int err;

	for (;;) {
		err = answers ? receive_answer(flow, &msg)
		              : naru_recv(flow->from, &msg);
		if (err == -ETIMEDOUT &&
		    !(answers && atomic_load(&flow->other->ended)) &&
		    is_listening(flow, &seen))
			continue;
		/* Silence is the only end that datagrams have; a deadline is
		 * none. */
		if (err == 0 ||
		    (err == -ETIMEDOUT && flow->from->link.keeps_messages &&
		     is_before_deadline(flow)))
			return end(flow);
		if (err < 0)
			return err;
		err = naru_send(flow->to, msg.data, msg.len);
		/* Now and not with the wait for FROM, which would not tell us
		 * where it fails. */
		if (err == 0)
			err = nr_output_flush(flow->to);
		if (err < 0)
			return err;
		atomic_fetch_add(&flow->carried, msg.len);
	}
}

/* Whether GOT is the end of a peer that was told ours first, and leaves out the
 * word for its own under TLS: RFC 5246, section 7.2.1, lets one close without
 * waiting for that, and servers do. */
static bool is_answered_end(struct flow *flow, ssize_t got)
{
	return got == -NARU_ECUT && atomic_load(&flow->other->finished);
}

/* One direction, until FROM's peer has finished. */
static int carry(struct flow *flow)
{
	ssize_t got;
	int err;

	if (flow->from->link.keeps_messages || flow->to->link.keeps_messages)
		return carry_messages(flow);
	nr_input_end_view(flow->from);
	for (;;) {
		err = pass_buffer(flow);
		if (err == 0 && flow->full >= FULL_MANY && can_splice(flow))
			err = splice_bulk(flow);
		if (err < 0)
			return err;
		got = receive(flow, NULL);
		if (got == 0 || is_answered_end(flow, got))
			return end(flow);
		if (got < 0)
			return (int)got;
	}
}

/*
 * A direction that breaks ends the other one, and both peers see a reset: an
 * orderly end would tell them that they have all there is.
 */
static int carry_or_break(struct flow *flow)
{
	struct naru_conv *from = flow->from, *to = flow->to;
	int err = carry(flow);

	/* What the other direction's breaking led to is not what broke. */
	if (err < 0 && (atomic_load(&from->broken) || atomic_load(&to->broken)))
		return -ECANCELED;
	if (err < 0) {
		nr_conv_break(from);
		nr_conv_break(to);
	}
	return err;
}

static int carry_there(struct naru_conv *from, void *flow)
{
	(void)from;
	return carry_or_break(flow);
}

/* Both directions, to their ends. */
static int carry_both(struct relay *relay)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_companion *companion;
	int there, back, err;

	err = nr_companion_start(relay->there.from, carry_there, &relay->there,
	                         &companion);
	if (err != 0)
		return err;
	back = carry_or_break(&relay->back);
	if (back == 0)
		back = self->ops->wait(self, companion->strand, NR_NEVER);
	if (back < 0)
		nr_companion_cancel(companion);
	there = nr_companion_join(companion);
	return there < 0 && there != -ECANCELED ? there : back;
}

/* To whom A was carried, how much and how it ended. */
static void report(const struct relay *relay, int64_t began, int result)
{
	const struct naru_conv *a = relay->there.from, *b = relay->there.to;
	const struct nr_report *to = &a->settings->report;

	nr_report(to, &(struct naru_event){
			      .kind = NARU_EVENT_RELAY,
			      .id = a->id,
			      .result = result,
			      .peer = &b->peer,
			      .received = atomic_load(&relay->there.carried),
			      .sent = atomic_load(&relay->back.carried),
			      .duration_ms = (nr_now() - began) / NR_NS_PER_MS,
		      });
}

int naru_relay(struct naru_conv *a, struct naru_conv *b)
{
	struct relay relay = {0};
	int64_t began = nr_now();
	int result;

	if (!nr_conv_is(a) || !nr_conv_is(b) || a == b)
		return -EINVAL;
	result = nr_output_settle(nr_strand_self(), a, NR_NEVER);
	if (result != 0)
		return result;
	relay.there = (struct flow){.relay = &relay,
	                            .from = a,
	                            .to = b,
	                            .other = &relay.back,
	                            .finished = b->out.finished};
	relay.back = (struct flow){.relay = &relay,
	                           .from = b,
	                           .to = a,
	                           .other = &relay.there,
	                           .finished = a->out.finished};
	nr_mutex_init(&relay.lock);
	result = carry_both(&relay);
	nr_mutex_fini(&relay.lock);
	report(&relay, began, result);
	return result;
}
