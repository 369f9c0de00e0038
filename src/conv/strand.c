/* SPDX-License-Identifier: MIT */
/* Which strand calls: see strand.h. */
#include "conv/strand.h"

#include "conv/output.h"
#include "conv/strand_thread.h"
#include "os/os_thread.h"

static _Thread_local struct nr_strand *current;

void nr_strand_init(struct nr_strand *strand, const struct nr_strand_ops *ops,
                    struct nr_io *io)
{
	*strand = (struct nr_strand){.ops = ops, .io = io};
	nr_list_init(&strand->dialled);
}

void nr_strand_fini(struct nr_strand *strand)
{
	nr_output_forget_strand(strand);
}

void nr_strand_own(struct nr_strand *self, struct naru_conv *conv)
{
	struct nr_fiber *fiber = nr_fiber_self();

	self->own = conv;
	if (fiber)
		fiber->hot = conv;
}

void nr_strand_enter(struct nr_strand *strand)
{
	current = strand;
}

/* At the end of a thread that is not ours. */
static void end_of_thread(void *arg)
{
	struct nr_strand_thread *foreign = arg;

	nr_strand_thread_fini(foreign);
	current = NULL;
}

struct nr_strand *nr_strand_of_thread(void)
{
	static struct nr_thread_key key = NR_THREAD_KEY(end_of_thread);
	static _Thread_local struct nr_strand_thread foreign;

	if (!current) {
		nr_strand_thread_init(&foreign, -1, NR_STACK_SIZE_DEFAULT);
		/* Nothing can be at home where nobody says goodbye. */
		foreign.strand.homeless = nr_thread_key_set(&key, &foreign) < 0;
		current = &foreign.strand;
	}
	return current;
}
