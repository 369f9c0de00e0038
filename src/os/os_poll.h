/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_POLL_H
#define NR_OS_POLL_H

/* Waiting for descriptors: a few once (poll), or many again and again (a
 * watch, on epoll). */

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * Waits until one of FDS is ready or UNTIL (base/time.h) has come. Returns
 * how many are ready, 0 when the time has come, or -errno; never -EINTR.
 */
int nr_poll(struct pollfd *fds, unsigned count, int64_t until);

/* A descriptor that watches others. */
int nr_watch_open(void);

/* Watches FD for input and for its end; DATA comes back with its events. */
int nr_watch_add(int watch, int fd, void *data);
int nr_watch_remove(int watch, int fd);

/*
 * Waits until descriptors are ready or UNTIL has come, and fills RET_DATA
 * with the DATA of each, MOST at most. Returns how many, or -errno. An
 * interruption returns 0, so that the caller sees what its signal handler
 * did.
 */
int nr_watch_wait(int watch, void **ret_data, unsigned most, int64_t until);

/* The same in epoll's own terms, for whoever keeps track of many: FD tells once
 * of each change, with DATA. */
int nr_watch_edges(int watch, int fd, uint64_t data);
int nr_watch_control(int watch, int what, int fd, struct epoll_event *event);

/* As nr_watch_wait(), with what each is ready for. */
int nr_watch_events(int watch, struct epoll_event *ret_events, int most,
                    int64_t until);

#endif
