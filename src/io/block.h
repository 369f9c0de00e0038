/* SPDX-License-Identifier: MIT */
#ifndef NR_IO_BLOCK_H
#define NR_IO_BLOCK_H

/* The waiter that blocks in the kernel, for strands that are processes or
 * threads. */

#include "io/io.h"

/* Descriptors that cancel by turning readable: one of the server's, one of
 * the conversation's. */
#define NR_CANCEL_MAX 2

struct nr_io_block {
	struct nr_io io;
	int cancel[NR_CANCEL_MAX]; /* -1 for none */
	int stop;                  /* turns readable when the server is asked
	                              to stop, or -1 */
	unsigned unseen;           /* calls since it last looked whether it is
	                              cancelled */
	char *scratch;             /* or null */
};

extern const struct nr_io_ops nr_io_block_ops;

/* Prepares a waiter that hears of no stop; SERVER and CONVERSATION are
 * descriptors as above, or -1, that it does not own. */
void nr_io_block_init(struct nr_io_block *block, int server, int conversation);
void nr_io_block_fini(struct nr_io_block *block);

#endif
