/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_PROGRAM_TLS_H
#define NR_CONV_PROGRAM_TLS_H

/*
 * A program on a conversation whose socket carries no bytes that it could read:
 * it gets one end of a pair of sockets, and two strands carry what is said
 * between the other end and the conversation.
 */

#include <stdint.h>

struct naru_conv;
struct nr_companion;

struct nr_carriage {
	struct naru_conv *conv;
	int ours, theirs; /* the two ends; theirs is the program's, too */
	unsigned serial;
	struct nr_companion *to, *from; /* the program */
	int64_t write_timeout;          /* of the conversation, as it was */
};

/* The pair alone. */
int nr_carriage_open(struct nr_carriage *carriage, struct naru_conv *conv);
void nr_carriage_close(struct nr_carriage *carriage);

/* Begins to carry. */
int nr_carriage_begin(struct nr_carriage *carriage);

/* The program is gone: carries what it has left behind, and ends. ERR is why it
 * had to be ended, or 0. What could not be carried to the peer is returned. */
int nr_carriage_end(struct nr_carriage *carriage, int err);

#endif
