/* SPDX-License-Identifier: MIT */
#ifndef NR_CLIENT_LOOK_UP_H
#define NR_CLIENT_LOOK_UP_H

/*
 * The addresses of a name, for which others have to be asked. It is they who
 * may take long: whoever wants to know waits for a descriptor, until when it
 * likes, and may leave before the answer.
 *
 * The system's resolver is asked for all addresses at once: it asks for both
 * families at the same time, and its answer has the order of RFC 6724, and what
 * /etc/hosts puts in a name's place. But it waits for both. So where it has not
 * answered after RFC 8305's resolution delay, each family is asked for alone as
 * well, and the first answer that comes is good enough to begin with.
 */

#include <stdbool.h>
#include <stdint.h>

#include "naru/server.h"

struct nr_endpoint;
struct nr_look_up;
struct nr_order;
struct nr_strand;

/* Begins to look ENDPOINT's name up; DELAY is the resolution delay, in
 * nanoseconds. SELF, which calls, is the one that makes the other calls. Does
 * not wait. -ENOMEM, -EAGAIN, -EMFILE. */
int nr_look_up_begin(struct nr_look_up **ret_up, struct nr_strand *self,
                     const struct nr_endpoint *endpoint,
                     enum naru_family family, int64_t delay);

/* A descriptor that is readable where an answer has come. */
int nr_look_up_fd(const struct nr_look_up *up);

/* Adds to ORDER what has been answered. Returns when it has to be called again,
 * whether or not there is an answer by then; NR_NEVER for never. */
int64_t nr_look_up_attend(struct nr_look_up *up, struct nr_order *order);

/* Whether there will be no more answers. */
bool nr_look_up_is_over(const struct nr_look_up *up);

/* Why there was no address, of one that is over. */
int nr_look_up_error(const struct nr_look_up *up);

/* Leaves, whether or not it is over. What still runs frees itself, and holds
 * no descriptor. UP may be null. */
void nr_look_up_end(struct nr_look_up *up);

#endif
