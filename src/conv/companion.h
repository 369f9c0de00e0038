/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_COMPANION_H
#define NR_CONV_COMPANION_H

/* Strands that take part in a conversation beside its first. */

#include <stdbool.h>

#include "base/list.h"
#include "naru/base.h"

struct nr_strand;

struct nr_companion {
	struct nr_list node; /* of the conversation's companions */
	struct naru_conv *conv;
	struct nr_strand *strand;
	naru_talk *fn;
	void *arg;
	int result;
	bool counted; /* its result is naru_join()'s to return */
};

/* Starts a companion; the calling strand joins it with
 * nr_companion_join(). */
int nr_companion_start(struct naru_conv *conv, naru_talk *fn, void *arg,
                       struct nr_companion **ret_companion);

/* What COMPANION waits in returns -ECANCELED. */
void nr_companion_cancel(struct nr_companion *companion);

/* Waits until it has returned, and frees it. Returns its result. */
int nr_companion_join(struct nr_companion *companion);

#endif
