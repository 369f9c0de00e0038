/* SPDX-License-Identifier: MIT */
/* The engines, both by the same cases: what many fibers receive and send when
 * room is short, when time and data come together, when descriptors come
 * again. */
#include "io/engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "engines.h"
#include "fiber/scheduler.h"
#include "os/os_socket.h"
#include "os/os_time.h"

#define FIBERS 200
#define PAIRS  50

static struct nr_scheduler *scheduler;

static int open_scheduler(const struct nr_engine_ops *engine,
                          struct nr_engine_size size)
{
	const struct nr_scheduler_options options = {
		.engine = engine,
		.engine_size = size,
		.stack_size = (size_t)64 * 1024,
		.max = FIBERS + 1,
		.stall = NR_NEVER,
	};

	return nr_scheduler_open(&scheduler, &options);
}

static int set_up_epoll(void **state)
{
	(void)state;
	return open_scheduler(&nr_engine_epoll, (struct nr_engine_size){0});
}

static int set_up_uring(void **state)
{
	(void)state;
	return open_scheduler(&nr_engine_uring, (struct nr_engine_size){0});
}

/* Eight completions have room, and one buffer is lent. */
static int set_up_tiny(void **state)
{
	(void)state;
	return open_scheduler(&nr_engine_uring, (struct nr_engine_size){2, 1});
}

static int tear_down(void **state)
{
	(void)state;
	nr_scheduler_close(scheduler);
	scheduler = NULL;
	return 0;
}

/* A fiber's socket, and the other end of it. */
struct pair {
	struct nr_handle handle;
	int far;
	unsigned received;
	unsigned timeouts;
	ssize_t result;
	struct nr_fiber *fiber;
};

static struct pair pairs[FIBERS];
static char sent_all; /* what a sender returns that was not cut short */

static void open_pair(struct pair *pair)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd),
	                 0);
	*pair = (struct pair){.handle = {fd[0], nr_handle_serial()},
	                      .far = fd[1]};
}

static void close_pair(struct pair *pair)
{
	close(pair->handle.fd);
	close(pair->far);
}

static void start(void (*fn)(void *arg), struct pair *pair)
{
	const struct nr_fiber_start how = {.fn = fn, .arg = pair};

	assert_int_equal(nr_fiber_start(scheduler, &how, &pair->fiber), 0);
}

static void turn(void)
{
	int64_t until = nr_now() + 2 * NR_NS_PER_MS;

	assert_int_equal(nr_scheduler_turn(scheduler, until), 0);
}

static void run_all(void)
{
	while (nr_scheduler_count(scheduler) > 0)
		turn();
}

static struct nr_io *own_io(void)
{
	return &nr_fiber_self()->io.io;
}

/* Receives once into a buffer that is lent; what came is the next of a row of
 * numbers. */
static ssize_t receive(struct pair *pair, bool soon, int64_t until)
{
	struct nr_io *io = own_io();
	struct nr_span span = {0};
	ssize_t got = io->ops->recv(io, pair->handle, &span, soon, until);

	if (got <= 0) {
		assert_null(span.data);
		return got;
	}
	for (ssize_t i = 0; i < got; i++)
		assert_int_equal((unsigned char)span.data[i],
		                 (pair->received++) & 0xff);
	io->ops->give_back(io, span.data);
	return got;
}

static void receive_all(void *arg)
{
	struct pair *pair = arg;
	unsigned calls = 0;
	ssize_t got;

	do
		got = receive(pair, calls++ % 3 == 0, NR_NEVER);
	while (got > 0);
	pair->result = got;
}

#define BYTES 300

static void *send_to_all(void *arg)
{
	for (unsigned i = 0; i < BYTES; i++) {
		unsigned char byte = i & 0xff;

		for (int k = 0; k < FIBERS; k++)
			if (send(pairs[k].far, &byte, 1, 0) != 1)
				return NULL;
	}
	for (int k = 0; k < FIBERS; k++)
		shutdown(pairs[k].far, SHUT_WR);
	return arg;
}

static void test_more_come_than_there_is_room_for(void **state)
{
	pthread_t thread;
	void *all = NULL;

	(void)state;
	for (int i = 0; i < FIBERS; i++) {
		open_pair(&pairs[i]);
		start(receive_all, &pairs[i]);
	}
	/* All wait, and then all are answered at once. */
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_to_all, &sent_all),
	                 0);
	run_all();
	assert_int_equal(pthread_join(thread, &all), 0);
	assert_ptr_equal(all, &sent_all);
	for (int i = 0; i < FIBERS; i++) {
		assert_int_equal(pairs[i].received, BYTES);
		assert_int_equal(pairs[i].result, 0);
		close_pair(&pairs[i]);
	}
}

static void test_data_and_end_come_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < FIBERS; i++) {
		open_pair(&pairs[i]);
		start(receive_all, &pairs[i]);
	}
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	/* Before the engine looks: both are one edge. */
	for (int i = 0; i < FIBERS; i++) {
		assert_int_equal(send(pairs[i].far, "\0\1\2", 3, 0), 3);
		close(pairs[i].far);
	}
	run_all();
	for (int i = 0; i < FIBERS; i++) {
		assert_int_equal(pairs[i].received, 3);
		assert_int_equal(pairs[i].result, 0);
		close(pairs[i].handle.fd);
	}
}

/* Time against data. */

#define LATE_BYTES 400

static void receive_impatiently(void *arg)
{
	struct pair *pair = arg;
	ssize_t got;

	while (pair->received < LATE_BYTES) {
		got = receive(pair, false, nr_now() + NR_NS_PER_MS / 2);
		if (got == -ETIMEDOUT)
			pair->timeouts++;
		else
			assert_true(got > 0);
	}
}

/* About as often as the receivers lose their patience. */
static void *send_now_and_then(void *arg)
{
	const struct timespec moment = {.tv_nsec = NR_NS_PER_MS};

	for (unsigned i = 0; i < LATE_BYTES; i++) {
		unsigned char byte = i & 0xff;

		nanosleep(&moment, NULL);
		for (int k = 0; k < PAIRS; k++)
			if (send(pairs[k].far, &byte, 1, 0) != 1)
				return NULL;
	}
	return arg;
}

static void test_time_and_data_together_lose_nothing(void **state)
{
	unsigned timeouts = 0;
	pthread_t thread;
	void *all = NULL;

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		open_pair(&pairs[i]);
		start(receive_impatiently, &pairs[i]);
	}
	assert_int_equal(pthread_create(&thread, NULL, send_now_and_then,
	                                &sent_all),
	                 0);
	run_all();
	assert_int_equal(pthread_join(thread, &all), 0);
	assert_ptr_equal(all, &sent_all);
	for (int i = 0; i < PAIRS; i++) {
		assert_int_equal(pairs[i].received, LATE_BYTES);
		timeouts += pairs[i].timeouts;
		close_pair(&pairs[i]);
	}
	/* Else there was no race. */
	assert_true(timeouts > PAIRS);
}

/* Cancelling against data: what is not returned is still there. */
static void receive_once(void *arg)
{
	struct pair *pair = arg;

	pair->result = receive(pair, false, NR_NEVER);
}

static _Atomic unsigned asked, answered;

static void *send_when_asked(void *arg)
{
	unsigned rounds = *(unsigned *)arg;

	for (unsigned i = 4; i <= rounds; i += 4) {
		while (asked < i)
			sched_yield();
		(void)send(pairs[0].far, "", 1, 0);
		answered = i;
	}
	return NULL;
}

/* A byte comes, and whoever waits for it is cancelled, in an order that the
 * round chooses. */
static void send_and_cancel(unsigned round)
{
	switch (round % 4) {
	case 0: /* at the same time, or nearly */
		asked = round;
		for (unsigned k = 0; k < round % 64; k++)
			(void)nr_now();
		nr_scheduler_cancel(scheduler);
		while (answered < round)
			sched_yield();
		return;
	case 1: /* first the byte */
		assert_int_equal(send(pairs[0].far, "", 1, 0), 1);
		nr_scheduler_cancel(scheduler);
		break;
	case 2: /* first the byte, which is known of */
		assert_int_equal(send(pairs[0].far, "", 1, 0), 1);
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		assert_int_equal(nr_scheduler_count(scheduler), 1);
		nr_scheduler_cancel(scheduler);
		break;
	default:
		nr_scheduler_cancel(scheduler);
		assert_int_equal(send(pairs[0].far, "", 1, 0), 1);
		break;
	}
}

static void test_cancelled_receive_drops_nothing(void **state)
{
	unsigned rounds = 1200, received = 0;
	pthread_t thread;
	char byte;

	(void)state;
	asked = answered = 0;
	assert_int_equal(pthread_create(&thread, NULL, send_when_asked,
	                                &rounds),
	                 0);
	for (unsigned i = 1; i <= rounds; i++) {
		open_pair(&pairs[0]);
		start(receive_once, &pairs[0]);
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		send_and_cancel(i);
		run_all();
		if (pairs[0].result == 1) {
			assert_int_equal(pairs[0].received, 1);
			received++;
		} else {
			assert_int_equal(pairs[0].result, -ECANCELED);
			assert_int_equal(recv(pairs[0].handle.fd, &byte, 1,
			                      MSG_DONTWAIT),
			                 1);
		}
		close_pair(&pairs[0]);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* What was known of has won; and not all has. */
	assert_in_range(received, rounds / 4, rounds - 1);
}

/* A number that comes again, while the old socket lives on elsewhere. */
static void test_descriptor_number_comes_again(void **state)
{
	int number, old;

	(void)state;
	for (int round = 0; round < 20; round++) {
		open_pair(&pairs[0]);
		start(receive_once, &pairs[0]);
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		assert_int_equal(send(pairs[0].far, "", 1, 0), 1);
		run_all();
		assert_int_equal(pairs[0].result, 1);
		number = pairs[0].handle.fd;
		/* As in a child that was forked meanwhile. */
		old = dup(number);
		pairs[1] = pairs[0];
		close(number);

		open_pair(&pairs[0]);
		assert_int_equal(pairs[0].handle.fd, number);
		start(receive_once, &pairs[0]);
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		/* What the old one tells wakes nobody. */
		assert_int_equal(send(pairs[1].far, "x", 1, 0), 1);
		close(pairs[1].far);
		for (int i = 0; i < 3; i++)
			assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		assert_int_equal(nr_scheduler_count(scheduler), 1);
		assert_int_equal(send(pairs[0].far, "", 1, 0), 1);
		run_all();
		assert_int_equal(pairs[0].result, 1);
		close_pair(&pairs[0]);
		close(old);
	}
}

/* TCP, for resets. */
static void open_tcp_pair(struct pair *pair)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	void *to = &addr;

	assert_int_equal(bind(listener, to, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, to, &len), 0);
	assert_int_equal(connect(far, to, len), 0);
	*pair = (struct pair){.far = far,
	                      .handle = {accept4(listener, NULL, NULL,
	                                         SOCK_CLOEXEC),
	                                 nr_handle_serial()}};
	assert_true(pair->handle.fd >= 0);
	close(listener);
}

static void receive_reset(void *arg)
{
	struct pair *pair = arg;

	pair->result = receive(pair, false, NR_NEVER);
	/* The error was told once; what follows is an end, and no wait. */
	assert_int_equal(receive(pair, false, NR_NEVER), 0);
}

static void test_reset_wakes_the_reader_and_is_told_once(void **state)
{
	const struct linger hard = {.l_onoff = 1};

	(void)state;
	for (int round = 0; round < 20; round++) {
		open_tcp_pair(&pairs[0]);
		start(receive_reset, &pairs[0]);
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		assert_int_equal(setsockopt(pairs[0].far, SOL_SOCKET, SO_LINGER,
		                            &hard, sizeof(hard)),
		                 0);
		close(pairs[0].far);
		run_all();
		assert_int_equal(pairs[0].result, -ECONNRESET);
		close(pairs[0].handle.fd);
	}
}

/* Sending more than a socket takes. */

#define FLOOD ((size_t)4 << 20)

static void send_flood(void *arg)
{
	static char block[65536];
	struct pair *pair = arg;
	struct nr_io *io = own_io();
	size_t total = 0;

	while (total < FLOOD) {
		struct iovec iov = {block, sizeof(block)};
		ssize_t sent =
			io->ops->send(io, pair->handle, &iov, 1, NR_NEVER);

		assert_true(sent > 0);
		total += (size_t)sent;
	}
	pair->result = (ssize_t)total;
	assert_int_equal(shutdown(pair->handle.fd, SHUT_WR), 0);
}

static void *drink(void *arg)
{
	char buf[5000];
	ssize_t got;

	while ((got = recv(pairs[0].far, buf, sizeof(buf), 0)) > 0)
		*(size_t *)arg += (size_t)got;
	return arg;
}

static void test_full_socket_is_waited_for(void **state)
{
	size_t drunk = 0;
	pthread_t thread;

	(void)state;
	open_pair(&pairs[0]);
	start(send_flood, &pairs[0]);
	/* It is full before anybody takes anything. */
	turn();
	assert_int_equal(nr_scheduler_count(scheduler), 1);
	assert_int_equal(pthread_create(&thread, NULL, drink, &drunk), 0);
	run_all();
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pairs[0].result, drunk);
	assert_true(drunk >= FLOOD);
	close_pair(&pairs[0]);
}

static void receive_one(void *arg)
{
	struct nr_io *io = &nr_fiber_self()->io.io;
	struct pair *pair = arg;
	struct nr_span span = {0};

	pair->result = io->ops->recv(io, pair->handle, &span, false,
	                             nr_now() + 10 * NR_NS_PER_S);
	pair->received++;
	if (pair->result > 0)
		io->ops->give_back(io, span.data);
}

/* As a socket is while it is spliced from or to. */
static void test_socket_that_does_not_block_is_waited_for(void **state)
{
	(void)state;
	open_pair(&pairs[0]);
	assert_int_equal(nr_socket_set_blocking(pairs[0].handle.fd, false), 0);
	start(receive_one, &pairs[0]);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(pairs[0].received, 0);
	assert_int_equal(write(pairs[0].far, "now", 3), 3);
	run_all();
	assert_int_equal(pairs[0].result, 3);
	close_pair(&pairs[0]);
}

static void receive_heeding(void *arg)
{
	own_io()->heeds_stop = true;
	receive_one(arg);
	own_io()->heeds_stop = false;
}

static ssize_t take_all(int fd, void *arg)
{
	char buf[8];

	(void)arg;
	return nr_socket_recv(fd, buf, sizeof(buf));
}

static void attempt_heeding(void *arg)
{
	struct nr_attempt attempt = {.call = take_all, .what = NR_READABLE};
	struct nr_io *io = own_io();
	struct pair *pair = arg;

	io->heeds_stop = true;
	pair->result = io->ops->attempt(io, pair->handle, &attempt, NR_NEVER);
}

static void wait_heeding(void *arg)
{
	struct nr_io *io = own_io();
	struct pair *pair = arg;

	io->heeds_stop = true;
	pair->result = io->ops->wait(io, pair->handle, NR_READABLE, NR_NEVER);
}

static void test_stop_ends_waits_that_heed_it(void **state)
{
	static void (*const how[])(void *arg) = {
		receive_heeding, wait_heeding,    receive_one,
		attempt_heeding, attempt_heeding, wait_heeding,
	};
	static const ssize_t results[] = {NR_STOPPED, NR_STOPPED, 3,
	                                  3,          NR_STOPPED, NR_STOPPED};

	(void)state;
	for (int i = 0; i < 6; i++)
		open_pair(&pairs[i]);
	for (int i = 0; i < 4; i++)
		start(how[i], &pairs[i]);
	for (int i = 0; i < 3; i++)
		turn();
	/* An attempt finds what has come. */
	assert_int_equal(write(pairs[3].far, "now", 3), 3);
	nr_scheduler_stop(scheduler);
	/* Who comes later is told at once. */
	start(how[4], &pairs[4]);
	start(how[5], &pairs[5]);
	while (nr_scheduler_count(scheduler) > 1)
		turn();
	assert_int_equal(pairs[2].received, 0);
	assert_int_equal(write(pairs[2].far, "now", 3), 3);
	run_all();
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pairs[i].result, results[i]);
		close_pair(&pairs[i]);
	}
}

#define EACH(test)                                                             \
	{#test " (epoll)", test, set_up_epoll, tear_down, NULL},               \
		{#test " (uring)", test, set_up_uring, tear_down, NULL},       \
	{                                                                      \
#test " (tiny uring)", test, set_up_tiny, tear_down, NULL      \
	}

int main(void)
{
	struct CMUnitTest cases[] = {
		EACH(test_more_come_than_there_is_room_for),
		EACH(test_data_and_end_come_at_once),
		EACH(test_time_and_data_together_lose_nothing),
		EACH(test_cancelled_receive_drops_nothing),
		EACH(test_descriptor_number_comes_again),
		EACH(test_reset_wakes_the_reader_and_is_told_once),
		EACH(test_full_socket_is_waited_for),
		EACH(test_socket_that_does_not_block_is_waited_for),
		EACH(test_stop_ends_waits_that_heed_it),
	};

	return _cmocka_run_group_tests("engine", cases,
	                               keep_possible(cases, COUNT(cases)), NULL,
	                               NULL);
}
