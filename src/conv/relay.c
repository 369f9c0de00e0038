/* SPDX-License-Identifier: MIT */
/* Carrying bytes between two conversations: naru_relay(). */
#include <errno.h>

#include "base/time.h"
#include "conv/companion.h"
#include "conv/conv.h"
#include "conv/datagram.h"
#include "naru/bytes.h"
#include "os/os_time.h"

/* Whether the other direction has carried something since SEEN: then FROM's
 * peer, who says nothing, is not idle; it listens. */
static bool is_listening(struct naru_conv *from, struct naru_conv *to,
                         uint64_t *seen)
{
	uint64_t before = *seen;

	*seen = atomic_load(&to->relayed);
	return *seen != before &&
	       nr_now() < atomic_load_explicit(&from->deadline,
	                                       memory_order_relaxed);
}

/* One direction: from FROM to TO, until FROM's peer has finished. */
static int carry(struct naru_conv *from, struct naru_conv *to)
{
	uint64_t seen = atomic_load(&to->relayed);
	struct nr_input_wait wait;
	ssize_t got;
	int err;

	if (from->link.keeps_messages || to->link.keeps_messages)
		return nr_datagram_carry(from, to);
	nr_input_end_view(from);
	for (;;) {
		size_t left = nr_input_left(from);

		if (left > 0) {
			err = naru_write(to, from->in.data + from->in.begin,
			                 left);
			/* Now and not with the wait for FROM, which would not
			 * tell us where it fails. */
			if (err == 0)
				err = nr_output_flush(to);
			if (err < 0)
				return err;
			nr_input_take(from, left);
			atomic_fetch_add(&from->relayed, left);
		}
		wait = (struct nr_input_wait){NARU_TIMEOUT_IDLE, -1};
		got = nr_input_more(from, NR_BUFFER_SIZE, &wait);
		if (got == -ETIMEDOUT && is_listening(from, to, &seen))
			continue;
		/* Breaking ends receiving as the peer's end would. */
		if (got == 0 && atomic_load(&from->broken))
			return -ECANCELED;
		if (got == 0)
			return naru_finish(to);
		if (got < 0)
			return (int)got;
	}
}

/*
 * A direction that breaks ends the other one, and both peers see a reset: an
 * orderly end would tell them that they have all there is.
 */
static int carry_or_break(struct naru_conv *from, struct naru_conv *to)
{
	int err = carry(from, to);

	/* What the other direction's breaking led to is not what broke. */
	if (err < 0 && (atomic_load(&from->broken) || atomic_load(&to->broken)))
		return -ECANCELED;
	if (err < 0) {
		nr_conv_break(from);
		nr_conv_break(to);
	}
	return err;
}

static int carry_from(struct naru_conv *from, void *to)
{
	return carry_or_break(from, to);
}

int naru_relay(struct naru_conv *a, struct naru_conv *b)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_companion *companion;
	int there, back, err;

	if (!nr_conv_is(a) || !nr_conv_is(b) || a == b)
		return -EINVAL;
	err = nr_output_settle(self, a, NR_NEVER);
	if (err == 0)
		err = nr_companion_start(a, carry_from, b, &companion);
	if (err != 0)
		return err;
	back = carry_or_break(b, a);
	if (back == 0)
		back = self->ops->wait(self, companion->strand, NR_NEVER);
	if (back < 0)
		nr_companion_cancel(companion);
	there = nr_companion_join(companion);
	return there < 0 && there != -ECANCELED ? there : back;
}
