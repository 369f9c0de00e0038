/* SPDX-License-Identifier: MIT */
/*
 * What io_uring(7) is asked: liburing's own calls, and the operations that a
 * ring is about to be told of. One that has to fail is told to do nothing
 * instead, and what its completion says is put there when it comes. In a run
 * of few bytes at a time, a receive is told of fewer.
 */
#include <errno.h>
#include <string.h>

#include <liburing.h>

#include "calls.h"

/* Operations that were made to fail and have not come back: at most one of
 * each fiber. */
#define SPOILT_MAX 64

/* A ring belongs to a thread, and so do its operations. */
static _Thread_local struct {
	uint64_t data; /* what the operation is known by; 0 for none */
	int result;
} spoilt[SPOILT_MAX];

/* Has the operation at SQE do nothing, and notes what is to come of it. */
static void spoil(struct io_uring_sqe *sqe, int error)
{
	uint64_t data = sqe->user_data;

	for (int i = 0; i < SPOILT_MAX; i++) {
		if (spoilt[i].data != 0)
			continue;
		spoilt[i].data = data;
		spoilt[i].result = -error;
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_NOP;
		sqe->fd = -1;
		sqe->user_data = data;
		return;
	}
}

/* Looks at what RING is about to be told. */
static void prepare(struct io_uring *ring)
{
	for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; at++) {
		struct io_uring_sqe *sqe =
			&ring->sq.sqes[at & ring->sq.ring_mask];
		int error = 0;

		if (sqe->opcode == IORING_OP_POLL_ADD)
			error = faults_strike(CALL_uring_poll);
		else if (sqe->opcode == IORING_OP_RECV)
			error = faults_strike(CALL_uring_recv);
		if (error)
			spoil(sqe, error);
		else if (sqe->opcode == IORING_OP_RECV)
			sqe->len = (unsigned)faults_trickle(sqe->len);
	}
}

static void spoil_completion(struct io_uring_cqe *cqe)
{
	for (int i = 0; i < SPOILT_MAX; i++) {
		if (spoilt[i].data == 0 || spoilt[i].data != cqe->user_data)
			continue;
		/* Cancelled meanwhile, or not: it is over. */
		if (cqe->res == 0)
			cqe->res = spoilt[i].result;
		spoilt[i].data = 0;
		return;
	}
}

/* Looks at what RING has come back with. */
static void look_back(struct io_uring *ring)
{
	const unsigned end = io_uring_smp_load_acquire(ring->cq.ktail);

	for (unsigned at = *ring->cq.khead; at != end; at++)
		spoil_completion(&ring->cq.cqes[at & ring->cq.ring_mask]);
}

#define WRAP_RING(name, params, args)                                          \
	int __real_##name params;                                              \
	int __wrap_##name params;                                              \
	int __wrap_##name params                                               \
	{                                                                      \
		int error = faults_strike(CALL_##name), result;                \
                                                                               \
		if (error)                                                     \
			return -error;                                         \
		prepare(ring);                                                 \
		result = __real_##name args;                                   \
		look_back(ring);                                               \
		return result;                                                 \
	}

WRAP_RING(io_uring_get_events, (struct io_uring * ring), (ring))
WRAP_RING(io_uring_submit, (struct io_uring * ring), (ring))
WRAP_RING(io_uring_submit_and_get_events, (struct io_uring * ring), (ring))
WRAP_RING(io_uring_submit_and_wait_timeout,
          (struct io_uring * ring, struct io_uring_cqe **ret_cqe,
           unsigned least, struct __kernel_timespec *timeout, sigset_t *mask),
          (ring, ret_cqe, least, timeout, mask))

/* Those that make a ring. */
#define WRAP_MAKING(name, params, args)                                        \
	int __real_##name params;                                              \
	int __wrap_##name params;                                              \
	int __wrap_##name params                                               \
	{                                                                      \
		int error = faults_strike(CALL_##name);                        \
                                                                               \
		return error ? -error : __real_##name args;                    \
	}

WRAP_MAKING(io_uring_queue_init_params,
            (unsigned entries, struct io_uring *ring,
             struct io_uring_params *params),
            (entries, ring, params))
WRAP_MAKING(io_uring_register_buf_ring,
            (struct io_uring * ring, struct io_uring_buf_reg *reg,
             unsigned flags),
            (ring, reg, flags))
WRAP_MAKING(io_uring_ring_dontfork, (struct io_uring * ring), (ring))
