/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_STRAND_H
#define NR_CONV_STRAND_H

/*
 * A strand: whatever a talk runs on. It has a waiter, and can have others run
 * beside it. Which kind it is (a process' or a thread's only thread of
 * control, later a fiber) its operations know; the conversation does not.
 *
 * Each strand sends what it wrote before it waits ("output waits for the
 * wait"): it knows the conversation that it was started for, its own, and
 * those that it dialled. What other strands write is theirs to send.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "io/io.h"

struct naru_conv;
struct nr_strand;

struct nr_strand_ops {
	/* Starts FN(ARG) on a strand beside SELF. -EAGAIN, -ENOMEM, -EMFILE. */
	int (*spawn)(struct nr_strand *self, struct nr_strand **ret_strand,
	             void (*fn)(void *arg), void *arg);

	/* Whatever OTHER waits in returns -ECANCELED, from now on. */
	void (*cancel)(struct nr_strand *other);

	/* Waits until OTHER, which was spawned, has ended. */
	int (*wait)(struct nr_strand *self, struct nr_strand *other,
	            int64_t until);

	/* Waits for that without a bound, and frees OTHER. */
	void (*join)(struct nr_strand *other);
};

struct nr_strand {
	const struct nr_strand_ops *ops;
	struct nr_io *io;
	struct naru_conv *own;  /* what it was started for, or null */
	bool wrote;             /* to its own, since it last waited */
	struct nr_list dialled; /* conversations; see output.h */
	_Atomic unsigned dialled_count;
	unsigned round; /* of its waits; see output.c */
	bool homeless;  /* nothing can be at home with it */
};

void nr_strand_init(struct nr_strand *strand, const struct nr_strand_ops *ops,
                    struct nr_io *io);

/* Leaves behind no conversation that knows of the strand. */
void nr_strand_fini(struct nr_strand *strand);

/* The stack of a strand where nobody says how large. */
#define NR_STACK_SIZE_DEFAULT ((size_t)512 * 1024)

/* The strand that calls. A thread that Naru did not start has one with the
 * blocking waiter, for as long as it lasts. Never null. */
struct nr_strand *nr_strand_self(void);

/* Makes STRAND the one that this thread is from now on; null for none. */
void nr_strand_enter(struct nr_strand *strand);

#endif
