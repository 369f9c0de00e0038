/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors. */
#include "os/os_poll.h"

#include <errno.h>

#include "base/time.h"
#include "os/os_file.h"
#include "os/os_time.h"
#include "unit.h"

static void test_poll_ends_at_its_time_and_not_before(void **state)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_MS + 1;

	(void)state;
	assert_int_equal(nr_poll(NULL, 0, until), 0);
	assert_true(nr_now() >= until);
	/* A time that has passed, and one that never was. */
	assert_int_equal(nr_poll(NULL, 0, until), 0);
	assert_int_equal(nr_poll(NULL, 0, 0), 0);
}

static void test_poll_tells_what_is_ready(void **state)
{
	int fd = nr_event_open();
	struct pollfd one = {.fd = fd, .events = POLLIN};

	(void)state;
	assert_int_equal(nr_poll(&one, 1, 0), 0);
	nr_event_set(fd);
	assert_int_equal(nr_poll(&one, 1, NR_NEVER), 1);
	assert_int_equal(one.revents, POLLIN);
	nr_file_close(fd);
}

static void test_watch_gives_back_what_it_was_given(void **state)
{
	int watch = nr_watch_open(), fd = nr_event_open(), mark;
	void *ready[4] = {NULL};

	(void)state;
	assert_int_equal(nr_watch_add(watch, fd, &mark), 0);
	assert_int_equal(nr_watch_add(watch, fd, &mark), -EEXIST);
	assert_int_equal(nr_watch_wait(watch, ready, 4, 0), 0);
	nr_event_set(fd);
	assert_int_equal(nr_watch_wait(watch, ready, 4, NR_NEVER), 1);
	assert_ptr_equal(ready[0], &mark);
	assert_int_equal(nr_watch_remove(watch, fd), 0);
	assert_int_equal(nr_watch_remove(watch, fd), -ENOENT);
	nr_file_close(fd);
	nr_file_close(watch);
}

static void test_watch_waits_no_less_than_asked(void **state)
{
	int watch = nr_watch_open();
	int64_t until = nr_now() + 10 * NR_NS_PER_MS + 1;
	void *ready[1];

	(void)state;
	assert_int_equal(nr_watch_wait(watch, ready, 1, until), 0);
	assert_true(nr_now() >= until);
	assert_int_equal(nr_watch_wait(watch, ready, 1, 0), 0);
	nr_file_close(watch);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_poll_ends_at_its_time_and_not_before),
		cmocka_unit_test(test_poll_tells_what_is_ready),
		cmocka_unit_test(test_watch_gives_back_what_it_was_given),
		cmocka_unit_test(test_watch_waits_no_less_than_asked),
	};

	return RUN("os_poll", cases);
}
