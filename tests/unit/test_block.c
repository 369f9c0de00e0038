/* SPDX-License-Identifier: MIT */
/* The blocking waiter: times, cancellation, and a storm of signals. */
#include "io/block.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/time.h"
#include "os/os_file.h"
#include "os/os_time.h"
#include "unit.h"

#define MS NR_NS_PER_MS

static struct nr_io_block block;
static struct nr_io *const io = &block.io;
static int ends[2], cancel[2];

static int set_up(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	cancel[0] = nr_event_open();
	cancel[1] = nr_event_open();
	nr_io_block_init(&block, cancel[0], cancel[1]);
	return cancel[0] < 0 || cancel[1] < 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	nr_file_close(cancel[0]);
	nr_file_close(cancel[1]);
	return 0;
}

static struct nr_handle handle(void)
{
	return (struct nr_handle){.fd = ends[0], .serial = 1};
}

static ssize_t receive(char *buf, size_t len, bool soon, int64_t until)
{
	struct nr_span span = {.data = buf, .len = len};

	return io->ops->recv(io, handle(), &span, soon, until);
}

static ssize_t transmit(const char *buf, size_t len, int64_t until)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};

	return io->ops->send(io, handle(), &iov, 1, until);
}

/* Fills the socket until it takes no more. */
static void fill(void)
{
	static const char zeros[4096];

	while (send(ends[0], zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
		;
}

static void test_waits_end_at_their_time_and_not_before(void **state)
{
	char buf[8];
	int64_t from = nr_now();

	(void)state;
	assert_int_equal(receive(buf, 8, false, from + 20 * MS), -ETIMEDOUT);
	assert_true(nr_now() >= from + 20 * MS);
	from = nr_now();
	assert_int_equal(io->ops->sleep(io, from + 20 * MS), 0);
	assert_true(nr_now() >= from + 20 * MS);
	from = nr_now();
	assert_int_equal(io->ops->wait(io, handle(), NR_READABLE,
	                               from + 20 * MS),
	                 -ETIMEDOUT);
	assert_true(nr_now() >= from + 20 * MS);
	fill();
	from = nr_now();
	assert_int_equal(transmit("x", 1, from + 20 * MS), -ETIMEDOUT);
	assert_true(nr_now() >= from + 20 * MS);
}

static void test_past_time_means_not_to_wait(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(receive(buf, 8, true, 0), -ETIMEDOUT);
	assert_int_equal(receive(buf, 8, false, 0), -ETIMEDOUT);
	assert_int_equal(io->ops->sleep(io, 0), 0);
	/* What is there already wins over the time. */
	assert_int_equal(write(ends[1], "ab", 2), 2);
	assert_int_equal(receive(buf, 1, false, 0), 1);
	assert_int_equal(receive(buf, 8, true, 0), 1);
	assert_int_equal(transmit("x", 1, 0), 1);
	assert_int_equal(io->ops->wait(io, handle(), NR_WRITABLE, 0), 0);
}

static void test_buffer_is_lent_only_with_bytes_in_it(void **state)
{
	struct nr_span span = {NULL, NR_BUFFER_SIZE};

	(void)state;
	assert_int_equal(io->ops->recv(io, handle(), &span, true, 0),
	                 -ETIMEDOUT);
	assert_null(span.data);
	assert_int_equal(write(ends[1], "ab", 2), 2);
	assert_int_equal(io->ops->recv(io, handle(), &span, true, NR_NEVER), 2);
	assert_non_null(span.data);
	assert_int_equal(span.len, NR_BUFFER_SIZE);
	io->ops->give_back(io, span.data);
	span = (struct nr_span){NULL, NR_BUFFER_SIZE};
	shutdown(ends[1], SHUT_WR);
	assert_int_equal(io->ops->recv(io, handle(), &span, false, NR_NEVER),
	                 0);
	assert_null(span.data);
}

/* Every wait is cancelled, by either descriptor, now and ever after. */
static void check_cancelled(void)
{
	char buf[8];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(receive(buf, 8, false, NR_NEVER), -ECANCELED);
		assert_int_equal(io->ops->sleep(io, NR_NEVER), -ECANCELED);
		assert_int_equal(io->ops->wait(io, handle(), NR_READABLE,
		                               NR_NEVER),
		                 -ECANCELED);
	}
	/* It wins over readiness in a call that waits. */
	assert_int_equal(write(ends[1], "a", 1), 1);
	assert_int_equal(receive(buf, 8, false, NR_NEVER), -ECANCELED);
	assert_int_equal(io->ops->wait(io, handle(), NR_WRITABLE, 0),
	                 -ECANCELED);
}

static void test_server_cancels_every_wait(void **state)
{
	(void)state;
	nr_event_set(cancel[0]);
	check_cancelled();
}

static void test_conversation_cancels_every_wait(void **state)
{
	(void)state;
	nr_event_set(cancel[1]);
	check_cancelled();
}

static void test_calls_that_never_wait_see_it_after_a_while(void **state)
{
	char buf[1];
	int sent = 0;

	(void)state;
	nr_event_set(cancel[0]);
	while (transmit("x", 1, NR_NEVER) == 1 && sent < 1000) {
		assert_int_equal(read(ends[1], buf, 1), 1);
		sent++;
	}
	assert_in_range(sent, 0, 100);
}

static void test_stop_ends_waits_that_heed_it(void **state)
{
	int64_t from = nr_now();
	char buf[8];

	(void)state;
	block.stop = nr_event_open();
	assert_true(block.stop >= 0);
	nr_event_set(block.stop);
	assert_int_equal(receive(buf, 8, false, from + MS), -ETIMEDOUT);
	io->heeds_stop = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(receive(buf, 8, i == 1, NR_NEVER), NR_STOPPED);
		assert_int_equal(io->ops->wait(io, handle(), NR_READABLE,
		                               NR_NEVER),
		                 NR_STOPPED);
	}
	/* What is ready wins over it, and what never waits does not see it. */
	assert_int_equal(write(ends[1], "ab", 2), 2);
	assert_int_equal(receive(buf, 8, false, NR_NEVER), 2);
	for (int i = 0; i < 100; i++)
		assert_int_equal(io->ops->go_on(io), 0);
	nr_event_set(cancel[0]);
	assert_int_equal(receive(buf, 8, false, NR_NEVER), -ECANCELED);
	nr_file_close(block.stop);
}

static void *cancel_later(void *arg)
{
	(void)arg;
	usleep(10000);
	nr_event_set(cancel[1]);
	return NULL;
}

static void test_cancelling_ends_a_wait_under_way(void **state)
{
	pthread_t thread;
	char buf[8];

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, cancel_later, NULL), 0);
	assert_int_equal(receive(buf, 8, false, NR_NEVER), -ECANCELED);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static volatile sig_atomic_t storms;

static void on_alarm(int number)
{
	(void)number;
	storms++;
}

static void set_storm(bool on)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval every = {{0, on ? 200 : 0}, {0, on ? 200 : 0}};

	/* Without SA_RESTART: each blocking call is interrupted. */
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

#define STORM_BYTES 3000000

/* Echoes slowly, in a thread that signals do not reach. */
static void *echo(void *arg)
{
	static char buf[65536];
	size_t left = STORM_BYTES;
	ssize_t got;

	(void)arg;
	while (left > 0 && (got = recv(ends[1], buf, sizeof(buf), 0)) > 0) {
		usleep(300);
		if (send(ends[1], buf, (size_t)got, MSG_NOSIGNAL) != got)
			break;
		left -= (size_t)got;
	}
	return NULL;
}

static void start_echo(pthread_t *thread)
{
	sigset_t alarm, before;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, &before);
	assert_int_equal(pthread_create(thread, NULL, echo, NULL), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void test_interruptions_never_surface(void **state)
{
	static char out[16384], in[16384];
	size_t received = 0;
	pthread_t thread;
	int64_t from;

	(void)state;
	start_echo(&thread);
	set_storm(true);
	for (size_t sent = 0; sent < STORM_BYTES;) {
		size_t len = STORM_BYTES - sent;
		ssize_t n = transmit(out, len < sizeof(out) ? len : sizeof(out),
		                     NR_NEVER);

		assert_true(n > 0);
		sent += (size_t)n;
		while (received < sent) {
			n = receive(in, sizeof(in), false, NR_NEVER);
			assert_true(n > 0);
			received += (size_t)n;
		}
	}
	from = nr_now();
	assert_int_equal(receive(in, 1, false, from + 50 * MS), -ETIMEDOUT);
	assert_int_equal(io->ops->sleep(io, nr_now() + 20 * MS), 0);
	assert_true(nr_now() >= from + 70 * MS);
	set_storm(false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(received, STORM_BYTES);
	assert_true(storms > 20);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(test_waits_end_at_their_time_and_not_before),
		CASE(test_past_time_means_not_to_wait),
		CASE(test_buffer_is_lent_only_with_bytes_in_it),
		CASE(test_server_cancels_every_wait),
		CASE(test_conversation_cancels_every_wait),
		CASE(test_calls_that_never_wait_see_it_after_a_while),
		CASE(test_stop_ends_waits_that_heed_it),
		CASE(test_cancelling_ends_a_wait_under_way),
		CASE(test_interruptions_never_surface),
	};

	return RUN("block", cases);
}
