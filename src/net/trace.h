/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TRACE_H
#define NR_NET_TRACE_H

/*
 * Socket calls told as they happen (NARU_EVENT_CALL), with what the kernel
 * says of the socket afterwards: so that somebody who learns can follow. It
 * costs a comparison where nobody asked for it.
 */

#include "base/report.h"

struct naru_addr;

/* One call and what came of it. The addresses may be null. */
struct nr_traced {
	const char *call;
	int fd;     /* that it was made on, or -1 */
	int result; /* 0, a new descriptor, or -errno */
	const struct naru_addr *local, *peer;
	const char *text;  /* its arguments, "3, 127.0.0.1:1060" */
	const char *state; /* of the socket, where it cannot be asked for */
	uint64_t id;       /* of the conversation, or 0 */
};

void nr_trace(const struct nr_report *report, const struct nr_traced *traced);

/* The same for a call whose arguments are a descriptor and an address. */
void nr_trace_addr(const struct nr_report *report, const char *call, int fd,
                   const struct naru_addr *addr, int result);

/* Closes a socket, and tells the state that it was in: STATE where that is
 * not null. ID is the conversation's, or 0. */
void nr_trace_close(const struct nr_report *report, int fd, uint64_t id,
                    const char *state);

#endif
