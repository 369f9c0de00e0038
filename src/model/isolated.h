/* SPDX-License-Identifier: MIT */
#ifndef NR_MODEL_ISOLATED_H
#define NR_MODEL_ISOLATED_H

/*
 * Between the accepting process and its workers, where fibers are isolated into
 * processes. To a worker goes a struct nr_accepted with its socket, for each
 * conversation; back comes a struct nr_isolated_word.
 */

struct nr_host;

/* What a worker says. */
#define NR_ISOLATED_SLOTS 30
struct nr_isolated_word {
	unsigned taken; /* sockets, since it last spoke */
	unsigned over;  /* conversations, and their slots */
	unsigned slots[NR_ISOLATED_SLOTS];
	unsigned cut; /* not 0: to be cancelled found a conversation running */
};

/* The life of a worker's process, until CHANNEL has ended and all its
 * conversations are over. ROOM is for what is handed over (hand_over.h).
 * Returns its exit status. */
int nr_isolated_live(struct nr_host *host, int channel, char *room);

#endif
