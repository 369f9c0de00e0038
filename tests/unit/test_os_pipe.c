/* SPDX-License-Identifier: MIT */
/* Pipes between sockets, and the signal that nobody asked for. */
#include "os/os_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os_file.h"
#include "os/os_socket.h"
#include "unit.h"

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

/* Two connected sockets; the first does not block. */
static void open_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	                            fds),
	                 0);
	assert_int_equal(nr_socket_set_blocking(fds[0], false), 0);
}

static void close_pair(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static void test_pipe_is_born_closed_on_exec(void **state)
{
	struct nr_pipe pipe;

	(void)state;
	assert_int_equal(nr_pipe_open(&pipe), 0);
	assert_true(fcntl(pipe.to, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(pipe.from, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(pipe.to, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(pipe.from, F_GETFL) & O_NONBLOCK);
	assert_int_equal(pipe.held, 0);
	nr_pipe_close(&pipe);
	assert_int_equal(pipe.to, -1);
	nr_pipe_close(&pipe);
}

static void test_bytes_go_through_in_their_order(void **state)
{
	char out[40000], in[sizeof(out)];
	struct nr_pipe pipe;
	size_t got = 0;
	int a[2], b[2];

	(void)state;
	open_pair(a);
	open_pair(b);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 256);
	assert_int_equal(nr_pipe_open(&pipe), 0);
	assert_int_equal(write(a[1], out, sizeof(out)), sizeof(out));
	while (got < sizeof(out)) {
		ssize_t count = nr_pipe_fill(&pipe, a[0]);

		assert_true(count > 0);
		assert_int_equal(pipe.held, count);
		while (pipe.held > 0) {
			assert_true(nr_pipe_empty(&pipe, b[0]) > 0);
			count = read(b[1], in + got, sizeof(in) - got);
			assert_true(count > 0);
			got += (size_t)count;
		}
	}
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(nr_pipe_fill(&pipe, a[0]), -EAGAIN);
	close(a[1]);
	assert_int_equal(nr_pipe_fill(&pipe, a[0]), 0);
	close(a[0]);
	close_pair(b);
	nr_pipe_close(&pipe);
}

static void test_full_socket_takes_nothing(void **state)
{
	static char bytes[100000];
	struct nr_pipe pipe;
	ssize_t sent;
	int a[2], b[2];

	(void)state;
	open_pair(a);
	open_pair(b);
	assert_int_equal(nr_pipe_open(&pipe), 0);
	do {
		if (pipe.held == 0) {
			assert_true(write(a[1], bytes, sizeof(bytes)) > 0);
			assert_true(nr_pipe_fill(&pipe, a[0]) > 0);
		}
		sent = nr_pipe_empty(&pipe, b[0]);
	} while (sent > 0);
	assert_int_equal(sent, -EAGAIN);
	assert_true(pipe.held > 0);
	close_pair(a);
	close_pair(b);
	nr_pipe_close(&pipe);
}

/* The caller then receives, which tells what is the matter. */
static void test_what_cannot_be_spliced_is_no_error(void **state)
{
	struct nr_pipe pipe;
	int fd = nr_event_open();

	(void)state;
	assert_int_equal(nr_pipe_open(&pipe), 0);
	assert_int_equal(nr_pipe_fill(&pipe, fd), 0);
	assert_int_equal(pipe.held, 0);
	nr_file_close(fd);
	nr_pipe_close(&pipe);
}

/* Fills PIPE and has the peer of where it goes leave. */
static void break_off(struct nr_pipe *pipe, int a[2], int b[2])
{
	open_pair(a);
	open_pair(b);
	assert_int_equal(nr_pipe_open(pipe), 0);
	assert_int_equal(write(a[1], "lost", 4), 4);
	assert_int_equal(nr_pipe_fill(pipe, a[0]), 4);
	close(b[1]);
}

static void test_broken_peer_raises_no_signal(void **state)
{
	struct sigaction counting = {.sa_handler = count_signal}, before;
	struct nr_pipe pipe;
	int a[2], b[2];
	sigset_t mask;

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, &counting, &before), 0);
	break_off(&pipe, a, b);
	assert_int_equal(nr_pipe_empty(&pipe, b[0]), -EPIPE);
	assert_int_equal(signals, 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	assert_false(sigismember(&mask, SIGPIPE));
	close_pair(a);
	close(b[0]);
	nr_pipe_close(&pipe);
	assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

/* One that the program holds back is its own and stays; ours goes. */
static void test_signal_that_waited_before_stays(void **state)
{
	sigset_t one, before, waiting;
	struct nr_pipe pipe;
	int a[2], b[2];

	(void)state;
	sigemptyset(&one);
	sigaddset(&one, SIGPIPE);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, &before), 0);
	for (int waited = 0; waited < 2; waited++) {
		if (waited)
			assert_int_equal(raise(SIGPIPE), 0);
		break_off(&pipe, a, b);
		assert_int_equal(nr_pipe_empty(&pipe, b[0]), -EPIPE);
		assert_int_equal(sigpending(&waiting), 0);
		assert_int_equal(sigismember(&waiting, SIGPIPE), waited);
		close_pair(a);
		close(b[0]);
		nr_pipe_close(&pipe);
	}
	assert_int_equal(sigtimedwait(&one, NULL, &(const struct timespec){0}),
	                 SIGPIPE);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_pipe_is_born_closed_on_exec),
		cmocka_unit_test(test_bytes_go_through_in_their_order),
		cmocka_unit_test(test_full_socket_takes_nothing),
		cmocka_unit_test(test_what_cannot_be_spliced_is_no_error),
		cmocka_unit_test(test_broken_peer_raises_no_signal),
		cmocka_unit_test(test_signal_that_waited_before_stays),
	};

	return RUN("os_pipe", cases);
}
