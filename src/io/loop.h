/* SPDX-License-Identifier: MIT */
#ifndef NR_IO_LOOP_H
#define NR_IO_LOOP_H

/*
 * The accepting strand's loop: it waits for many descriptors at once and
 * calls back whoever put them there. It is handed its callbacks from above,
 * and knows of nothing that stands there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* What is watched: embedded in what READY is for. */
struct nr_source {
	int fd;
	bool listening; /* whether input is waited for */
	void (*ready)(struct nr_source *source);
};

#define NR_LOOP_BATCH 64

struct nr_loop {
	int watch;
	unsigned at, ready; /* the batch that is being called back */
	void *batch[NR_LOOP_BATCH];
};

int nr_loop_init(struct nr_loop *loop);

/* Closes the loop; its sources are their owners' to close. */
void nr_loop_fini(struct nr_loop *loop);

/* Watches SOURCE->fd; READY is called whenever it has input, or has ended.
 * The source stays where it is until it is removed. */
int nr_loop_add(struct nr_loop *loop, struct nr_source *source);

/* Whether input of the source is of interest now. */
int nr_loop_listen(struct nr_loop *loop, struct nr_source *source, bool on);

/* Watches SOURCE no more; READY is not called again, even where its input is
 * there already. Harmless for a source with fd -1. */
void nr_loop_remove(struct nr_loop *loop, struct nr_source *source);

/* Waits until something is ready or UNTIL has come, and calls back. Returns
 * 0 or -errno. */
int nr_loop_turn(struct nr_loop *loop, int64_t until);

#endif
