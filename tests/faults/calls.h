/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

/*
 * Every call that the library makes of the kernel and of the allocator, each
 * wrapped by the linker: it counts, and fails where the run says so. Counts
 * lie in a page that the server shares with the workers that it forks.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message arrives without the descriptor that it brought: what the kernel
 * does where the receiver may open no more (unix(7), MSG_CTRUNC). */
#define FAULT_STRIPPED 20001

/*
 * The calls, and what each may fail with. "ppoll" and the like keep the names
 * that the compiler gives them where files may be large. "uring_poll" and the
 * like are no calls but operations that a ring is told of; "crypto" is memory
 * that OpenSSL asks for.
 */
#define FAULT_CALLS(X)                                                         \
	X(accept4, ECONNABORTED, EMFILE, ENOMEM, EINTR, EAGAIN)                \
	X(bind, EADDRINUSE, EACCES)                                            \
	X(calloc, ENOMEM)                                                      \
	X(crypto, ENOMEM)                                                      \
	X(connect, ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, EINTR)               \
	X(dup3, EBUSY, EINTR)                                                  \
	X(epoll_create1, EMFILE, ENOMEM)                                       \
	X(epoll_ctl, ENOMEM, ENOSPC)                                           \
	X(epoll_wait, EINTR)                                                   \
	X(eventfd, EMFILE, ENOMEM)                                             \
	X(fcntl64, EINVAL)                                                     \
	X(fork, EAGAIN, ENOMEM)                                                \
	X(getaddrinfo, EAI_AGAIN, EAI_NONAME, EAI_MEMORY)                      \
	X(getrandom, ENOSYS, EAGAIN)                                           \
	X(getrlimit64, EPERM)                                                  \
	X(getsockname, ENOBUFS)                                                \
	X(getsockopt, ENOBUFS)                                                 \
	X(io_uring_get_events, EINTR)                                          \
	X(io_uring_queue_init_params, EPERM, ENOSYS, ENOMEM, EMFILE)           \
	X(io_uring_register_buf_ring, ENOMEM, EINVAL)                          \
	X(io_uring_ring_dontfork, ENOMEM)                                      \
	X(io_uring_submit, EAGAIN, EBUSY, EINTR)                               \
	X(io_uring_submit_and_get_events, EAGAIN, EBUSY, EINTR)                \
	X(io_uring_submit_and_wait_timeout, EAGAIN, EBUSY, EINTR)              \
	X(listen, EADDRINUSE)                                                  \
	X(lstat64, ENOMEM, EACCES)                                             \
	X(madvise, EINVAL, ENOMEM)                                             \
	X(malloc, ENOMEM)                                                      \
	X(mincore, EAGAIN, ENOMEM)                                             \
	X(mmap64, ENOMEM)                                                      \
	X(mprotect, ENOMEM)                                                    \
	X(open64, EMFILE, EACCES)                                              \
	X(pipe2, EMFILE, ENOMEM)                                               \
	X(poll, EINTR, ENOMEM)                                                 \
	X(posix_spawnp, EAGAIN, ENOENT)                                        \
	X(ppoll, EINTR, ENOMEM)                                                \
	X(pthread_create, EAGAIN)                                              \
	X(read, EINTR, EIO)                                                    \
	X(realloc, ENOMEM)                                                     \
	X(recv, EINTR, EAGAIN, ECONNRESET, ENOMEM)                             \
	X(recvmmsg, EINTR, EAGAIN, ECONNREFUSED, ENOMEM)                       \
	X(recvmsg, EINTR, ENOMEM, FAULT_STRIPPED)                              \
	X(send, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS)                     \
	X(sendmmsg, EINTR, EAGAIN, ECONNREFUSED, ENOBUFS)                      \
	X(sendmsg, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS)                  \
	X(setsockopt, ENOMEM)                                                  \
	X(shutdown, ENOTCONN)                                                  \
	X(socket, EMFILE, ENOBUFS, EAFNOSUPPORT)                               \
	X(socketpair, EMFILE, ENOMEM)                                          \
	X(splice, EINTR, EINVAL, ENOMEM, ECONNRESET, EPIPE)                    \
	X(syscall, EMFILE, ENOSYS)                                             \
	X(timerfd_create, EMFILE)                                              \
	X(timerfd_gettime, EINVAL)                                             \
	X(timerfd_settime, EINVAL)                                             \
	X(unlink, EACCES)                                                      \
	X(uring_poll, ENOMEM)                                                  \
	X(uring_recv, ENOBUFS, EAGAIN, ENOMEM, ECONNRESET)                     \
	X(waitpid, EINTR)                                                      \
	X(write, EINTR)

#define FAULT_ENUM(name, ...) CALL_##name,
enum fault_call {
	FAULT_CALLS(FAULT_ENUM) CALL_COUNT
};

/* The most that a call may fail with. */
#define FAULT_ERRORS_MAX 5

struct fault_kind {
	const char *name;
	int errors[FAULT_ERRORS_MAX + 1]; /* ends with 0 */
};
extern const struct fault_kind fault_kinds[CALL_COUNT];

enum fault_mode {
	FAULT_NONE,
	/* Call number AT of all fails, with its error number VARIANT; or
	 * OpenSSL's allocation number AT, where CALL is that. */
	FAULT_ONCE,
	/* From when it is armed on, calls of CALL fail: many of them, or for
	 * a while, whichever is over first. */
	FAULT_WINDOW,
	/* A receive and a send carry a few bytes at most. */
	FAULT_TRICKLE,
};

struct fault_plan {
	enum fault_mode mode;
	int at;
	int variant;
	enum fault_call call;
};

struct faults {
	struct fault_plan plan;
	atomic_bool armed;
	atomic_int calls;      /* of all but OpenSSL's */
	atomic_int crypto;     /* OpenSSL's */
	atomic_int fired;      /* how often a call was made to fail */
	atomic_int fired_call; /* the first of them */
	atomic_int fired_error;
	atomic_llong fired_ns; /* when */
	atomic_int in_window;
	atomic_int leaks;       /* what workers had not freed at their end */
	atomic_int descriptors; /* nor closed */
};

extern struct faults *faults;

/* Whether this process is the server or one that it forked: only there calls
 * count and fail. */
extern bool faults_inside;

/* Pieces of memory that are allocated or mapped and not given back, in this
 * process. */
extern atomic_long faults_live;

/* The same of OpenSSL's. */
extern atomic_long faults_crypto_live;

/* Has OpenSSL's memory count and fail. No process may have used it. */
void faults_take_crypto(void);

/* Counts one call of CALL. 0, or what it has to fail with. */
int faults_strike(enum fault_call call);

/* Waits a while for faults_live to be LIVE: a look-up that was left behind
 * frees itself when it is over. */
void faults_settle(long live);

/* A name that has the addresses of this machine's loopback, of which one family
 * is known at once, and all of them later. */
#define FAULT_NAME "relay.test"

/* How much of LEN bytes a receive or a send may carry. */
size_t faults_trickle(size_t len);

/* Whether the window of failing calls is over. */
bool faults_over(void);

int count_descriptors(void);
int64_t clock_ns(void);

#endif
