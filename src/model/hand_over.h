/* SPDX-License-Identifier: MIT */
#ifndef NR_MODEL_HAND_OVER_H
#define NR_MODEL_HAND_OVER_H

/*
 * An accepted socket on its way to another process: one message over a channel,
 * with the descriptor beside it (SCM_RIGHTS, unix(7)), and behind it what came
 * already where it is a socket of datagrams.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct nr_accepted;

/* Hands ACCEPTED over CHANNEL. Never waits: -EAGAIN. Then, and where it fails,
 * all of it is still the caller's; else the caller closes its descriptor, and
 * what came already is freed. */
int nr_hand_over(int channel, struct nr_accepted *accepted);

/* Room for what came already, which whoever takes lends. */
#define NR_HAND_OVER_ROOM ((size_t)128 * 1024)

/*
 * Receives one. More than 0; 0 when the other side has closed, -EAGAIN (only
 * with WAIT false) when there is none, -EBADMSG for what makes no sense. The
 * descriptor is -1 where there was no room for it; what came already is the
 * caller's, and is lost and counted where there is no memory.
 */
ssize_t nr_hand_over_take(int channel, bool wait, char *room,
                          struct nr_accepted *ret_accepted);

#endif
