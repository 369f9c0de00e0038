/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_FILE_H
#define NR_OS_FILE_H

/* Descriptors of every kind, and the two kinds that wake: events and timers.
 * All are born close-on-exec; every call returns -errno where it fails. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Closes FD; what close(2) says is of no use to anybody who has no more to
 * do with it, and FD is gone in any case. -1 is allowed. */
void nr_file_close(int fd);

/* Closes FD and makes its number another name of BY, in one step: whoever
 * still uses the number meets nothing foreign. Safe in a signal handler. */
void nr_file_replace(int fd, int by);

/* An event: readable from when it is set until it is cleared. It crosses
 * fork(), and setting it is safe in a signal handler. */
int nr_event_open(void);
void nr_event_set(int fd);
void nr_event_clear(int fd);

/* A timer: readable from a point in time on (base/time.h), for ever. It
 * crosses fork(); setting it, also anew, is safe in a signal handler. */
int nr_timer_open(void);
int nr_timer_set(int fd, int64_t at);

/* How long it still is, in nanoseconds; 0 where the time has come. */
int64_t nr_timer_left(int fd);

/* Whether an event or a timer is readable now. Safe in a signal handler. */
bool nr_file_is_readable(int fd);

/* Whether somebody has shut FD, a socket, down for receiving. */
bool nr_file_is_shut_down(int fd);

/* Reads the beginning of a file as a text with its terminator. */
ssize_t nr_file_read_text(const char *path, char *buf, size_t size);

/* Which file a path names now. */
struct nr_file_id {
	uint64_t device, inode;
	bool is_socket;
};
int nr_file_identify(const char *path, struct nr_file_id *ret_id);

/* Which content a path has now, links followed: the same where nobody has
 * written to it or put another in its place. All zero for null, and where there
 * is none. */
struct nr_file_stamp {
	uint64_t device, inode, size;
	int64_t changed; /* in nanoseconds */
};
void nr_file_stamp(const char *path, struct nr_file_stamp *ret_stamp);

int nr_file_remove(const char *path);

/* How many descriptors this process may have open. */
unsigned nr_file_limit(void);

#endif
