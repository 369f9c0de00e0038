/* SPDX-License-Identifier: MIT */
/* Events, timers and files. */
#include "os/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "os/os_time.h"
#include "unit.h"

static void test_event_is_readable_while_it_is_set(void **state)
{
	int fd = nr_event_open();

	(void)state;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(nr_file_is_readable(fd));
	nr_event_clear(fd);
	for (int i = 0; i < 3; i++)
		nr_event_set(fd);
	assert_true(nr_file_is_readable(fd));
	assert_true(nr_file_is_readable(fd));
	nr_event_clear(fd);
	assert_false(nr_file_is_readable(fd));
	nr_file_close(fd);
}

static void test_timer_is_readable_from_its_time_on(void **state)
{
	int fd = nr_timer_open();

	(void)state;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(nr_file_is_readable(fd));
	assert_int_equal(nr_timer_set(fd, nr_now() + 60 * NR_NS_PER_S), 0);
	assert_true(nr_timer_left(fd) > 50 * NR_NS_PER_S);
	assert_false(nr_file_is_readable(fd));
	/* Set anew, to a time that has passed. */
	assert_int_equal(nr_timer_set(fd, 0), 0);
	assert_true(nr_file_is_readable(fd));
	assert_true(nr_file_is_readable(fd));
	assert_int_equal(nr_timer_left(fd), 0);
	assert_int_equal(nr_timer_set(fd, NR_NEVER), 0);
	assert_false(nr_file_is_readable(fd));
	nr_file_close(fd);
}

static void test_signal_safe_calls_keep_errno(void **state)
{
	int event = nr_event_open(), timer = nr_timer_open();

	(void)state;
	errno = 12345;
	nr_event_set(event);
	nr_event_set(-1);
	assert_true(nr_timer_set(-1, 5) == -EBADF);
	assert_int_equal(nr_timer_set(timer, 5), 0);
	assert_false(nr_file_is_readable(-1));
	nr_file_replace(event, timer);
	assert_int_equal(errno, 12345);
	nr_file_close(event);
	nr_file_close(timer);
	nr_file_close(-1);
}

static void test_replaced_number_stays_and_means_the_other(void **state)
{
	int old = nr_event_open(), by = nr_event_open();

	(void)state;
	nr_file_replace(old, by);
	nr_event_set(by);
	assert_true(nr_file_is_readable(old));
	assert_true(fcntl(old, F_GETFD) & FD_CLOEXEC);
	nr_file_close(old);
	nr_file_close(by);
}

static void test_file_is_read_as_text(void **state)
{
	char path[] = "/tmp/naru-unit-XXXXXX", buf[6];
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "123456789", 9), 9);
	close(fd);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(nr_file_read_text(path, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "12345");
	assert_int_equal(nr_file_remove(path), 0);
	assert_int_equal(nr_file_remove(path), -ENOENT);
	assert_int_equal(nr_file_read_text(path, buf, sizeof(buf)), -ENOENT);
}

static void test_file_is_identified_as_what_it_is(void **state)
{
	char path[] = "/tmp/naru-unit-XXXXXX";
	struct nr_file_id one, same;
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	assert_int_equal(nr_file_identify(path, &one), 0);
	assert_false(one.is_socket);
	assert_int_equal(nr_file_identify(path, &same), 0);
	assert_true(one.inode == same.inode && one.device == same.device);
	unlink(path);
	assert_int_equal(nr_file_identify(path, &one), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_event_is_readable_while_it_is_set),
		cmocka_unit_test(test_timer_is_readable_from_its_time_on),
		cmocka_unit_test(test_signal_safe_calls_keep_errno),
		cmocka_unit_test(
			test_replaced_number_stays_and_means_the_other),
		cmocka_unit_test(test_file_is_read_as_text),
		cmocka_unit_test(test_file_is_identified_as_what_it_is),
	};

	return RUN("os_file", cases);
}
