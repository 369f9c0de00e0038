/* SPDX-License-Identifier: MIT */
/*
 * The limit on io_uring: one thread and nothing but the operations that the
 * work needs. No timeouts, no limits, and no way to stop but a signal: a bound
 * to measure by, not a server that one could run.
 *
 *     bare_uring echo|lines
 *
 * One enter per turn submits what the last turn prepared and collects what is
 * done. A connection has one operation at a time: it receives, then sends, and
 * only then receives again. By then the next message has often come, and no
 * poll need be armed for it. Multishot receives into a ring of buffers gained
 * nothing over that, and would have to be kept from overtaking a send.
 * Connections are descriptors of the ring alone, from accept to close.
 */
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bench_setup.h"

#define SQ_SIZE 4096
#define CQ_SIZE 32768

enum op {
	ACCEPT,
	RECV,
	SEND,
	CLOSE
};

/* A buffer is needed as long as an operation runs; only pages that are used
 * are there. Cache lines, not pages, so that not all begin in the same set. */
struct conn {
	/* Of a line that is not complete, in front. */
	_Alignas(64) uint32_t rest_len;
	uint32_t send_len;
	char in[BENCH_LINE + BENCH_READ];
	char out[BENCH_LINE + BENCH_READ];
};

static struct io_uring ring;
static struct conn *conns; /* by descriptor */
static int listener;
static bool lines;

static _Noreturn void die(const char *what, int err)
{
	errno = -err;
	bench_die(what);
}

static struct io_uring_sqe *prepare(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring))) {
		int err = io_uring_submit(&ring);

		if (err < 0)
			die("io_uring_submit", err);
	}
	return sqe;
}

static void mark(struct io_uring_sqe *sqe, enum op op, unsigned slot)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)slot << 8 | op);
}

static void start_accept(void)
{
	struct io_uring_sqe *sqe = prepare();

	io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
	mark(sqe, ACCEPT, 0);
}

static void start_recv(unsigned slot)
{
	struct conn *conn = &conns[slot];
	struct io_uring_sqe *sqe = prepare();

	io_uring_prep_recv(sqe, (int)slot, conn->in + conn->rest_len,
	                   BENCH_READ, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	mark(sqe, RECV, slot);
}

/* With MSG_WAITALL, the kernel goes on until all is sent. */
static void start_send(unsigned slot, const char *data, size_t len)
{
	struct io_uring_sqe *sqe = prepare();

	conns[slot].send_len = (uint32_t)len;
	io_uring_prep_send(sqe, (int)slot, data, len,
	                   MSG_NOSIGNAL | MSG_WAITALL);
	sqe->flags |= IOSQE_FIXED_FILE;
	mark(sqe, SEND, slot);
}

static void start_close(unsigned slot)
{
	struct io_uring_sqe *sqe = prepare();

	io_uring_prep_close_direct(sqe, slot);
	mark(sqe, CLOSE, slot);
}

/* GOT bytes stand behind the rest of last time. */
static void answer_lines(unsigned slot, size_t got)
{
	struct conn *conn = &conns[slot];
	size_t len = conn->rest_len + got;
	size_t used = bench_answer(conn->out, conn->in, len);

	conn->rest_len = (uint32_t)(len - used);
	if (conn->rest_len >= BENCH_LINE) {
		start_close(slot);
		return;
	}
	memmove(conn->in, conn->in + used, conn->rest_len);
	if (used > 0)
		start_send(slot, conn->out, used);
	else
		start_recv(slot);
}

static void on_accept(const struct io_uring_cqe *cqe)
{
	if (cqe->res >= 0) {
		conns[cqe->res].rest_len = 0;
		start_recv((unsigned)cqe->res);
	} else if (cqe->res != -ECONNABORTED) {
		die("accept", cqe->res);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		start_accept();
}

static void on_done(const struct io_uring_cqe *cqe)
{
	unsigned slot = (unsigned)(cqe->user_data >> 8);

	switch ((enum op)(cqe->user_data & 0xff)) {
	case ACCEPT:
		on_accept(cqe);
		break;
	case RECV:
		if (cqe->res <= 0)
			start_close(slot);
		else if (lines)
			answer_lines(slot, (size_t)cqe->res);
		else
			start_send(slot, conns[slot].in, (size_t)cqe->res);
		break;
	case SEND:
		if (cqe->res == (int)conns[slot].send_len)
			start_recv(slot);
		else
			start_close(slot);
		break;
	case CLOSE:
		if (cqe->res < 0)
			die("close", cqe->res);
	}
}

static void open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
	                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_SIZE,
	};
	struct rlimit limit;
	int err = io_uring_queue_init_params(SQ_SIZE, &ring, &params);

	if (err < 0)
		die("io_uring_queue_init", err);
	err = io_uring_register_ring_fd(&ring);
	if (err < 0)
		die("io_uring_register_ring_fd", err);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		bench_die("getrlimit");
	err = io_uring_register_files_sparse(&ring, (unsigned)limit.rlim_cur);
	if (err < 0)
		die("io_uring_register_files_sparse", err);
	conns = mmap(NULL, limit.rlim_cur * sizeof(*conns),
	             PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (conns == MAP_FAILED)
		bench_die("mmap");
	/* A huge page would hold many connections' unused room. */
	(void)madvise(conns, limit.rlim_cur * sizeof(*conns), MADV_NOHUGEPAGE);
}

int main(int argc, char **argv)
{
	lines = bench_begin("bare_uring", argc == 2 ? argv[1] : NULL);
	open_ring();
	listener = bench_listen(0);
	start_accept();
	bench_ready(listener);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;
		int err = io_uring_submit_and_wait(&ring, 1);

		if (err < 0 && err != -EINTR)
			die("io_uring_submit_and_wait", err);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			on_done(cqe);
			count++;
		}
		io_uring_cq_advance(&ring, count);
	}
}
