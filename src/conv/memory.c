/* SPDX-License-Identifier: MIT */
/* What lives as long as a conversation: naru_alloc(), naru_defer(). */
#include <errno.h>

#include "conv/conv.h"

struct nr_deferred {
	struct nr_deferred *older;
	void (*fn)(void *arg);
	void *arg;
};

void *naru_alloc(struct naru_conv *conv, size_t size)
{
	return nr_conv_is(conv) ? nr_arena_alloc(&conv->arena, size) : NULL;
}

int naru_defer(struct naru_conv *conv, void (*fn)(void *arg), void *arg)
{
	struct nr_deferred *deferred;

	if (!nr_conv_is(conv) || !fn)
		return -EINVAL;
	deferred = nr_arena_alloc(&conv->arena, sizeof(*deferred));
	if (!deferred)
		return -ENOMEM;
	*deferred = (struct nr_deferred){conv->deferred, fn, arg};
	conv->deferred = deferred;
	return 0;
}

void nr_deferred_run(struct naru_conv *conv)
{
	while (conv->deferred) {
		struct nr_deferred *newest = conv->deferred;

		conv->deferred = newest->older;
		newest->fn(newest->arg);
	}
}
