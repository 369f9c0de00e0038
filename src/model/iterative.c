/* SPDX-License-Identifier: MIT */
/*
 * One after the other: the accepting strand itself converses. Whoever comes
 * meanwhile waits in the backlog.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/time.h"
#include "conv/strand_thread.h"
#include "model/model.h"

struct nr_model {
	struct nr_host *host;
	struct nr_strand_thread thread;
};

static int iterative_start(struct nr_host *host, struct nr_model **ret_model)
{
	struct nr_model *model = malloc(sizeof(*model));

	if (!model)
		return -ENOMEM;
	model->host = host;
	nr_strand_thread_open(&model->thread, host->cancel, host->stop,
	                      host->stack_size);
	*ret_model = model;
	return 0;
}

static bool iterative_has_room(struct nr_model *model)
{
	(void)model;
	return true;
}

static int iterative_take(struct nr_model *model,
                          const struct nr_accepted *accepted)
{
	struct nr_strand *caller = nr_strand_self();
	struct nr_accepted own = *accepted;

	nr_strand_enter(&model->thread.strand);
	model->host->converse(model->host, &own);
	nr_strand_enter(caller);
	return 0;
}

static unsigned iterative_running(struct nr_model *model)
{
	(void)model;
	return 0;
}

static int64_t iterative_tend(struct nr_model *model)
{
	(void)model;
	return NR_NEVER;
}

static void iterative_stop(struct nr_model *model)
{
	(void)model;
}

static void iterative_free(struct nr_model *model)
{
	struct nr_strand *caller = nr_strand_self();

	/* It sends what it left unsent as itself: it can be cancelled, which
	 * the caller cannot. */
	nr_strand_enter(&model->thread.strand);
	nr_strand_thread_fini(&model->thread);
	nr_strand_enter(caller);
	free(model);
}

const struct nr_model_ops nr_model_iterative = {
	.id = NARU_ITERATIVE,
	.info = {.name = "iterative", .summary = "one client after the other"},
	.in_place = true,
	.start = iterative_start,
	.has_room = iterative_has_room,
	.take = iterative_take,
	.running = iterative_running,
	.tend = iterative_tend,
	.stop = iterative_stop,
	.kill = iterative_stop,
	.free = iterative_free,
};
