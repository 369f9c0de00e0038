/* SPDX-License-Identifier: MIT */
/* More than one strand in a conversation: naru_spawn(), naru_join(). */
#include "conv/companion.h"

#include <errno.h>
#include <stdlib.h>

#include "conv/conv.h"
#include "conv/strand_fiber.h"

static void companion_main(void *arg)
{
	struct nr_companion *companion = arg;
	struct naru_conv *conv = companion->conv;
	int result = companion->fn(conv, companion->arg);

	companion->result = result;
	if (result >= 0 || !companion->counted)
		return;
	nr_mutex_lock(&conv->lock);
	if (conv->companion_err == 0)
		conv->companion_err = result;
	nr_mutex_unlock(&conv->lock);
}

/* Counts one more companion; false where there are enough. */
static bool count_in(struct naru_conv *conv)
{
	bool room;

	nr_mutex_lock(&conv->lock);
	room = conv->companion_count < NARU_STRANDS_MAX;
	if (room)
		conv->companion_count++;
	nr_mutex_unlock(&conv->lock);
	return room;
}

static void count_out(struct naru_conv *conv)
{
	nr_mutex_lock(&conv->lock);
	conv->companion_count--;
	nr_mutex_unlock(&conv->lock);
}

/* Whether what SELF starts can be joined by the strand that CONV began on: they
 * are of one kind and, where they are fibers, of one thread. */
static bool is_akin(const struct naru_conv *conv, struct nr_strand *self)
{
	struct nr_fiber *first, *fiber;

	if (!conv->first)
		return true;
	if (self->ops != conv->first->ops)
		return false;
	first = nr_strand_fiber_of(conv->first);
	fiber = nr_strand_fiber_of(self);
	return !first || first->scheduler == fiber->scheduler;
}

static int start(struct naru_conv *conv, naru_talk *fn, void *arg, bool counted,
                 struct nr_companion **ret_companion)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_companion *companion;
	int err;

	if (!is_akin(conv, self))
		return -EINVAL;
	if (!count_in(conv))
		return -EAGAIN;
	companion = malloc(sizeof(*companion));
	if (!companion) {
		count_out(conv);
		return -ENOMEM;
	}
	*companion = (struct nr_companion){.conv = conv,
	                                   .fn = fn,
	                                   .arg = arg,
	                                   .counted = counted};
	nr_list_init(&companion->node);
	err = self->ops->spawn(self, &companion->strand, companion_main,
	                       companion);
	if (err < 0) {
		free(companion);
		count_out(conv);
		return err;
	}
	*ret_companion = companion;
	return 0;
}

int nr_companion_start(struct naru_conv *conv, naru_talk *fn, void *arg,
                       struct nr_companion **ret_companion)
{
	return start(conv, fn, arg, false, ret_companion);
}

void nr_companion_cancel(struct nr_companion *companion)
{
	companion->strand->ops->cancel(companion->strand);
}

int nr_companion_join(struct nr_companion *companion)
{
	struct naru_conv *conv = companion->conv;
	int result;

	companion->strand->ops->join(companion->strand);
	result = companion->result;
	free(companion);
	count_out(conv);
	return result;
}

int naru_spawn(struct naru_conv *conv, naru_talk *fn, void *arg)
{
	struct nr_companion *companion;
	int err;

	if (!nr_conv_is(conv) || !fn)
		return -EINVAL;
	err = start(conv, fn, arg, true, &companion);
	if (err < 0)
		return err;
	nr_mutex_lock(&conv->lock);
	nr_list_append(&conv->companions, &companion->node);
	/* Whoever cancelled the others meanwhile did not see this one. */
	if (conv->cancelled)
		nr_companion_cancel(companion);
	nr_mutex_unlock(&conv->lock);
	return 0;
}

/* The oldest companion, or null. It stays in the list: only the first strand
 * takes it out. */
static struct nr_companion *oldest(struct naru_conv *conv)
{
	struct nr_companion *found = NULL;

	nr_mutex_lock(&conv->lock);
	if (!nr_list_empty(&conv->companions))
		found = nr_list_entry(conv->companions.next,
		                      struct nr_companion, node);
	nr_mutex_unlock(&conv->lock);
	return found;
}

static void take_out(struct naru_conv *conv, struct nr_companion *companion)
{
	nr_mutex_lock(&conv->lock);
	nr_list_remove(&companion->node);
	nr_mutex_unlock(&conv->lock);
	(void)nr_companion_join(companion);
}

void nr_companions_cancel(struct naru_conv *conv)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &conv->companions) {
		nr_companion_cancel(
			nr_list_entry(node, struct nr_companion, node));
	}
}

int naru_join(struct naru_conv *conv)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_companion *companion;
	int result, err;

	if (!nr_conv_is(conv))
		return -EINVAL;
	/* What cannot be sent is told to whoever writes there next. */
	(void)nr_output_settle(self, conv,
	                       atomic_load_explicit(&conv->deadline,
	                                            memory_order_relaxed));
	while ((companion = oldest(conv)) != NULL) {
		err = self->ops->wait(
			self, companion->strand,
			atomic_load_explicit(&conv->deadline,
		                             memory_order_relaxed));
		if (err < 0)
			return err;
		take_out(conv, companion);
	}
	/* All of them have ended: nobody else looks at it. */
	result = conv->companion_err;
	conv->companion_err = 0;
	return result;
}

void nr_companions_end(struct naru_conv *conv)
{
	struct nr_companion *companion;

	/* One that is cancelled may still spawn another. */
	while ((companion = oldest(conv)) != NULL) {
		nr_mutex_lock(&conv->lock);
		nr_companions_cancel(conv);
		nr_mutex_unlock(&conv->lock);
		take_out(conv, companion);
	}
}
