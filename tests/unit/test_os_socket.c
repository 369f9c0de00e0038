/* SPDX-License-Identifier: MIT */
/* Messages between processes, and descriptors that come along. */
#include "os/os_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/os_file.h"
#include "unit.h"

static int ends[2];

static int set_up(void **state)
{
	(void)state;
	return nr_socket_pair(ends);
}

static int tear_down(void **state)
{
	(void)state;
	nr_file_close(ends[0]);
	nr_file_close(ends[1]);
	return 0;
}

/* The lowest descriptor that is free. */
static int lowest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void test_message_brings_its_descriptor(void **state)
{
	int event = nr_event_open(), got = -1;
	char word[4];

	(void)state;
	assert_int_equal(nr_socket_send_message(ends[0], "word", 4, event), 0);
	assert_int_equal(nr_socket_recv_message(ends[1], word, 4, true, &got),
	                 4);
	assert_memory_equal(word, "word", 4);
	assert_true(got >= 0 && got != event);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	nr_event_set(event);
	assert_true(nr_file_is_readable(got));
	nr_file_close(got);
	nr_file_close(event);
}

static void test_message_without_descriptor_gives_none(void **state)
{
	int got = 7;
	char word[4];

	(void)state;
	assert_int_equal(nr_socket_recv_message(ends[1], word, 4, false, &got),
	                 -EAGAIN);
	assert_int_equal(nr_socket_send_message(ends[0], "word", 4, -1), 0);
	assert_int_equal(nr_socket_recv_message(ends[1], word, 4, false, &got),
	                 4);
	assert_int_equal(got, -1);
}

static void test_unwanted_descriptors_are_closed(void **state)
{
	int event = nr_event_open(), before = lowest(), got = -1;
	char word[8];

	(void)state;
	assert_int_equal(nr_socket_send_message(ends[0], "word", 4, event), 0);
	assert_int_equal(nr_socket_recv_message(ends[1], word, 4, true, NULL),
	                 4);
	/* Messages of another length than was agreed on. */
	assert_int_equal(nr_socket_send_message(ends[0], "word", 4, event), 0);
	assert_int_equal(nr_socket_recv_message(ends[1], word, 8, true, &got),
	                 -EBADMSG);
	assert_int_equal(nr_socket_send_message(ends[0], "word", 4, event), 0);
	assert_int_equal(nr_socket_recv_message(ends[1], word, 2, true, &got),
	                 -EBADMSG);
	assert_int_equal(got, -1);
	assert_int_equal(lowest(), before);
	nr_file_close(event);
}

static void test_descriptor_that_has_no_room_is_missed(void **state)
{
	int event = nr_event_open(), got = 7;
	struct rlimit limit, none;
	char word[4];
	ssize_t n;

	(void)state;
	assert_int_equal(nr_socket_send_message(ends[0], "word", 4, event), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)lowest();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	n = nr_socket_recv_message(ends[1], word, 4, true, &got);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(n, 4);
	assert_int_equal(got, -1);
	nr_file_close(event);
}

static void test_closed_end_is_told(void **state)
{
	char word[4];

	(void)state;
	nr_file_close(ends[0]);
	ends[0] = -1;
	assert_int_equal(nr_socket_recv_message(ends[1], word, 4, true, NULL),
	                 0);
	assert_int_equal(nr_socket_send_message(ends[1], "word", 4, -1),
	                 -EPIPE);
}

static void test_full_channel_does_not_wait(void **state)
{
	int sent = 0, err;

	(void)state;
	while ((err = nr_socket_send_message(ends[0], "word", 4, -1)) == 0)
		assert_true(++sent < 1000000);
	assert_int_equal(err, -EAGAIN);
}

static void test_tcp_info_is_of_tcp_alone(void **state)
{
	int fd = nr_socket_open(AF_INET);
	struct nr_tcp_info info;

	(void)state;
	assert_int_equal(nr_socket_tcp_info(ends[0], &info), -EOPNOTSUPP);
	assert_int_equal(nr_socket_tcp_info(fd, &info), 0);
	assert_string_equal(info.state, "CLOSED");
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(nr_socket_listen(fd, 5), 0);
	assert_int_equal(nr_socket_tcp_info(fd, &info), 0);
	assert_string_equal(info.state, "LISTEN");
	assert_int_equal(info.backlog, 5);
	assert_int_equal(info.queued, 0);
	assert_true(nr_socket_backlog_max() > 0);
	nr_file_close(fd);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(test_message_brings_its_descriptor),
		CASE(test_message_without_descriptor_gives_none),
		CASE(test_unwanted_descriptors_are_closed),
		CASE(test_descriptor_that_has_no_room_is_missed),
		CASE(test_closed_end_is_told),
		CASE(test_full_channel_does_not_wait),
		CASE(test_tcp_info_is_of_tcp_alone),
	};

	return RUN("os_socket", cases);
}
