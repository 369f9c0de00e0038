/* SPDX-License-Identifier: MIT */
/* Pipes between sockets: see os_pipe.h. */
#include "os/os_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "base/assert.h"
#include "os/os_file.h"

int nr_pipe_open(struct nr_pipe *ret_pipe)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*ret_pipe = (struct nr_pipe){.from = fds[0], .to = fds[1]};
	/* Who may have no more has what pipes begin with. */
	(void)fcntl(fds[1], F_SETPIPE_SZ, (int)NR_PIPE_SIZE);
	return 0;
}

void nr_pipe_close(struct nr_pipe *pipe)
{
	nr_file_close(pipe->from);
	nr_file_close(pipe->to);
	*pipe = NR_PIPE_NONE;
}

/* Whether this is no word about the socket: it can be received from. */
static bool is_refusal(int error)
{
	return error == EINVAL || error == ENOSYS || error == EPERM ||
	       error == ENOMEM;
}

ssize_t nr_pipe_fill(struct nr_pipe *pipe, int fd)
{
	ssize_t got;

	nr_assert(pipe->held == 0);
	do {
		got = splice(fd, NULL, pipe->to, NULL, NR_PIPE_SIZE,
		             SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return is_refusal(errno) ? 0 : -errno;
	pipe->held = (size_t)got;
	return got;
}

/* Has a SIGPIPE of the calling thread wait; whether one may come of what is
 * done now, and not of something before. */
static bool hold_sigpipe(sigset_t *ret_before)
{
	sigset_t one, waiting;

	sigemptyset(&one);
	sigaddset(&one, SIGPIPE);
	sigemptyset(ret_before);
	(void)pthread_sigmask(SIG_BLOCK, &one, ret_before);
	/* One can wait already only where it was held before. */
	if (!sigismember(ret_before, SIGPIPE))
		return true;
	return sigpending(&waiting) == 0 && !sigismember(&waiting, SIGPIPE);
}

/* Takes back what hold_sigpipe() did; with TAKE, a signal that came is gone. */
static void release_sigpipe(const sigset_t *before, bool take)
{
	const struct timespec now = {0};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGPIPE);
	while (take && sigtimedwait(&one, NULL, &now) < 0 && errno == EINTR)
		;
	if (!sigismember(before, SIGPIPE))
		(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Unlike send(2), splice(2) cannot be told that a signal is not wanted. */
ssize_t nr_pipe_empty(struct nr_pipe *pipe, int fd)
{
	sigset_t before;
	bool ours;
	ssize_t sent;

	nr_assert(pipe->held > 0);
	ours = hold_sigpipe(&before);
	do {
		sent = splice(pipe->from, NULL, fd, NULL, pipe->held,
		              SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		sent = -errno;
	release_sigpipe(&before, ours && sent == -EPIPE);
	if (sent > 0)
		pipe->held -= (size_t)sent;
	/* That a pipe with something in it has nothing, no kernel says. */
	return sent == 0 ? -EIO : sent;
}
