/* SPDX-License-Identifier: MIT */
/*
 * Who sends what was written: a strand for its own conversation, and for those
 * that it dialled, which are at home with it. See output.h.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/conv.h"
#include "os/os_thread.h"

/*
 * Guards which conversations are at home where, and how many strands hold
 * them. It is never held while anybody waits for the network.
 */
static struct nr_mutex homes_lock = NR_MUTEX;

/* One conversation at home with SELF to which it wrote and for which it has not
 * sent in this round, held; or null. */
static struct naru_conv *hold_written(struct nr_strand *self)
{
	struct nr_list *node, *after;
	struct naru_conv *found = NULL;

	nr_mutex_lock(&homes_lock);
	nr_list_for_each (node, after, &self->dialled) {
		struct naru_conv *conv =
			nr_list_entry(node, struct naru_conv, out.at_home);

		if (conv->out.round != self->round &&
		    atomic_exchange_explicit(&conv->out.home_wrote, false,
		                             memory_order_relaxed)) {
			conv->out.round = self->round;
			conv->out.holds++;
			found = conv;
			break;
		}
	}
	nr_mutex_unlock(&homes_lock);
	return found;
}

/* Lets go of CONV; where it has not been sent for, the next round does. */
static void release(struct naru_conv *conv, bool sent)
{
	nr_mutex_lock(&homes_lock);
	if (!sent)
		atomic_store_explicit(&conv->out.home_wrote, true,
		                      memory_order_relaxed);
	nr_assert(conv->out.holds > 0);
	if (--conv->out.holds == 0 && conv->out.leaver)
		conv->out.leaver->ops->wake(conv->out.leaver);
	nr_mutex_unlock(&homes_lock);
}

/* Whether a flush that came to ERR is to be tried again. */
static bool is_unfinished(int err)
{
	return err == -ETIMEDOUT || err == -ENOMEM;
}

int nr_output_settle(struct nr_strand *self, struct naru_conv *conv,
                     int64_t until)
{
	struct naru_conv *other;
	int result = 0, err;

	if (self->wrote) {
		self->wrote = false;
		err = nr_output_flush_until(self->own, self->own == conv
		                                               ? NR_NEVER
		                                               : until);
		self->wrote = is_unfinished(err);
		if (self->own == conv)
			result = err;
	}
	if (atomic_load_explicit(&self->dialled_count, memory_order_relaxed) ==
	    0)
		return result;
	self->round++;
	while ((other = hold_written(self)) != NULL) {
		err = nr_output_flush_until(other,
		                            other == conv ? NR_NEVER : until);
		if (other == conv)
			result = err;
		release(other, !is_unfinished(err));
	}
	return result;
}

void nr_output_settle_in(struct naru_conv *conv, struct nr_strand *self)
{
	if (self->homeless)
		return;
	conv->out.home = self;
	nr_mutex_lock(&homes_lock);
	nr_list_append(&self->dialled, &conv->out.at_home);
	atomic_fetch_add_explicit(&self->dialled_count, 1,
	                          memory_order_relaxed);
	nr_mutex_unlock(&homes_lock);
}

void nr_output_move_out(struct naru_conv *conv)
{
	struct nr_strand *self = nr_strand_self();

	nr_mutex_lock(&homes_lock);
	if (conv->out.home) {
		nr_list_remove(&conv->out.at_home);
		atomic_fetch_sub_explicit(&conv->out.home->dialled_count, 1,
		                          memory_order_relaxed);
		conv->out.home = NULL;
	}
	conv->out.leaver = self;
	while (conv->out.holds > 0) {
		nr_mutex_unlock(&homes_lock);
		self->ops->stay(self);
		nr_mutex_lock(&homes_lock);
	}
	nr_mutex_unlock(&homes_lock);
}

void nr_output_forget_strand(struct nr_strand *strand)
{
	struct nr_list *node, *after;

	/* What it wrote last goes out with it. Where that fails, the error is
	 * kept for the conversation's next write. */
	(void)nr_output_settle(strand, NULL, NR_NEVER);
	nr_mutex_lock(&homes_lock);
	nr_list_for_each (node, after, &strand->dialled) {
		struct naru_conv *conv =
			nr_list_entry(node, struct naru_conv, out.at_home);

		nr_list_remove(node);
		conv->out.home = NULL;
	}
	atomic_store_explicit(&strand->dialled_count, 0, memory_order_relaxed);
	nr_mutex_unlock(&homes_lock);
}
