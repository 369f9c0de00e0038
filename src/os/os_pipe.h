/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_PIPE_H
#define NR_OS_PIPE_H

/*
 * Pipes through which bytes go from one socket to another without being copied
 * to a program and back (splice(2)). Every call returns -errno where it fails.
 */

#include <stddef.h>
#include <sys/types.h>

/* The most bytes that a pipe is filled with. */
#define NR_PIPE_SIZE ((size_t)256 * 1024)

struct nr_pipe {
	int to, from; /* what is written to, and read from; -1: not open */
	size_t held;  /* bytes that are in it */
};
#define NR_PIPE_NONE                                                           \
	(struct nr_pipe)                                                       \
	{                                                                      \
		.to = -1, .from = -1                                           \
	}

/* A pipe that nobody waits for, born close-on-exec. Where the system gives it
 * less room than is right, it works with less. */
int nr_pipe_open(struct nr_pipe *ret_pipe);

/* Closes it, with what it holds; one that is not open is allowed. */
void nr_pipe_close(struct nr_pipe *pipe);

/* Moves what there is to read from the socket FD, which must not block, to
 * PIPE: how many bytes, or -EAGAIN. 0 at the peer's end, but also where
 * something is in the way, such as a byte out of band: recv(2) tells. */
ssize_t nr_pipe_fill(struct nr_pipe *pipe, int fd);

/* Moves what PIPE holds to FD, as much as is taken: how many bytes, at least
 * one, or -EAGAIN. Never raises SIGPIPE. */
ssize_t nr_pipe_empty(struct nr_pipe *pipe, int fd);

#endif
