/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_STRAND_H
#define NR_CONV_STRAND_H

/*
 * A strand: whatever a talk runs on. It has a waiter, and can have others run
 * beside it. Which kind it is (a process' or a thread's only thread of
 * control, or a fiber) its operations know; the conversation does not.
 *
 * Each strand sends what it wrote before it waits ("output waits for the
 * wait"): it knows the conversation that it was started for, its own, and
 * those that it dialled. What other strands write is theirs to send.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "fiber/helpers.h"
#include "fiber/scheduler.h"
#include "io/io.h"
#include "os/os_thread.h"

struct naru_conv;
struct nr_strand;

/* What may block, and is done beside a strand; embedded in what it is about,
 * which stays where it is until done() has been called and the strand has left
 * it. */
struct nr_aside {
	struct nr_job job;
	struct nr_thread thread; /* a thread's own: who does it */
};

struct nr_strand_ops {
	/* Starts FN(ARG) on a strand beside SELF. -EAGAIN, -ENOMEM, -EMFILE. */
	int (*spawn)(struct nr_strand *self, struct nr_strand **ret_strand,
	             void (*fn)(void *arg), void *arg);

	/* Whatever OTHER waits in returns -ECANCELED, from now on. */
	void (*cancel)(struct nr_strand *other);

	/* SELF, which may have been cancelled in this way, is not any more. */
	void (*renew)(struct nr_strand *self);

	/* Waits until OTHER, which was spawned, has ended. */
	int (*wait)(struct nr_strand *self, struct nr_strand *other,
	            int64_t until);

	/* Waits for that without a bound, and frees OTHER. */
	void (*join)(struct nr_strand *other);

	/* Waits until SELF, which calls, is woken, or UNTIL has come, or it is
	 * cancelled. It may return without a reason. */
	int (*park)(struct nr_strand *self, int64_t until);

	/* The same, until SELF is woken and nothing else. */
	void (*stay)(struct nr_strand *self);

	/* Ends OTHER's wait in these two, now or the next time. Any thread. */
	void (*wake)(struct nr_strand *other);

	/* Runs FN(ARG), which may block, and waits until it has returned, come
	 * what may. An error where that cannot be begun. */
	int (*offload)(struct nr_strand *self, void (*fn)(void *arg),
	               void *arg);

	/* Has ASIDE begun, whose job is filled in, and does not wait. An error
	 * where that is not possible: then nothing is called. */
	int (*begin)(struct nr_strand *self, struct nr_aside *aside);

	/* SELF, which began ASIDE, is done with it. OVER says that it knows
	 * from done() that the job is over. Else that is left to itself, or
	 * taken back: true, and neither run() nor done() will be called. */
	bool (*leave)(struct nr_strand *self, struct nr_aside *aside,
	              bool over);

	/* How deep SELF's stack was used, and of how much; 0 of 0 where that
	 * is not measured. */
	size_t (*stack_used)(struct nr_strand *self, size_t *ret_size);
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

/* The strand of the thread that calls. One that Naru did not start has one with
 * the blocking waiter, for as long as it lasts. Never null. */
struct nr_strand *nr_strand_of_thread(void);

/* The strand that calls: the fiber's, where one runs. */
static inline struct nr_strand *nr_strand_self(void)
{
	const struct nr_fiber *fiber = nr_fiber_self();

	return fiber ? fiber->user : nr_strand_of_thread();
}

/* SELF, which calls, holds CONV from now on; null for none. */
void nr_strand_own(struct nr_strand *self, struct naru_conv *conv);

/* The strand that calls is done with a talk: did it keep others waiting? */
static inline void nr_strand_look(void)
{
	struct nr_fiber *fiber = nr_fiber_self();

	if (fiber)
		nr_fiber_look(fiber);
}

/* Makes STRAND the one that this thread is from now on; null for none. */
void nr_strand_enter(struct nr_strand *strand);

#endif
