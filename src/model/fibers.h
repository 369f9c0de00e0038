/* SPDX-License-Identifier: MIT */
#ifndef NR_MODEL_FIBERS_H
#define NR_MODEL_FIBERS_H

/* What the models have in common that run conversations in fibers. */

#include "fiber/helpers.h"
#include "fiber/scheduler.h"
#include "model/model.h"

/* Threads, at the most, for what blocks. */
#define NR_FIBERS_HELPERS 16

/* Opens a scheduler on the calling thread, as HOST's options want it: where
 * nobody chose how to wait, on io_uring if that works here. */
int nr_fibers_open(struct nr_host *host, struct nr_scheduler **ret_scheduler);

/* Tells how fibers wait, once everybody could be started. */
void nr_fibers_report_waiter(const struct nr_host *host);

/* Takes a turn, until UNTIL at the longest. Where the kernel refuses to wait,
 * which it may do again, all fibers are cancelled. */
void nr_fibers_turn(struct nr_scheduler *scheduler, int64_t until);

/* The conversations of one scheduler. */
struct nr_fibers {
	struct nr_host *host;
	struct nr_scheduler *scheduler;
	struct nr_helpers *helpers;

	/* A conversation is over, or could not be begun. The scheduler's
	 * thread. */
	void (*over)(struct nr_fibers *fibers, struct nr_accepted *accepted);
};

/* Starts a fiber that converses on ACCEPTED. Where that fails, the socket is
 * still the caller's. The scheduler's thread. */
int nr_fibers_start(struct nr_fibers *fibers,
                    const struct nr_accepted *accepted,
                    struct nr_fiber **ret_fiber);

/* ACCEPTED, which had been taken, cannot be conversed on, ERR says why: tells
 * of it, closes the socket and has it over. */
void nr_fibers_refuse(struct nr_fibers *fibers, struct nr_accepted *accepted,
                      int err);

#endif
