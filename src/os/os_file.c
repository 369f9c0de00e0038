/* SPDX-License-Identifier: MIT */
/* Descriptors that wake, and files by their paths: see os_file.h. */
#include "os/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/time.h"

void nr_file_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void nr_file_replace(int fd, int by)
{
	int before = errno;

	while (dup3(by, fd, O_CLOEXEC) < 0 && errno == EINTR)
		;
	errno = before;
}

int nr_event_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void nr_event_set(int fd)
{
	static const uint64_t one = 1;
	int before = errno;

	/* The only way to fail is a full counter, and then it is set. */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = before;
}

void nr_event_clear(int fd)
{
	uint64_t count;

	/* The only way to fail is an empty counter, and then it is clear. */
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

int nr_timer_open(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int nr_timer_set(int fd, int64_t at)
{
	struct itimerspec spec = {0};
	int before = errno, err;

	/* Zero would disarm it. */
	if (at <= 0)
		at = 1;
	spec.it_value.tv_sec = at / NR_NS_PER_S;
	spec.it_value.tv_nsec = at % NR_NS_PER_S;
	err = timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno
	                                                              : 0;
	errno = before;
	return err;
}

int64_t nr_timer_left(int fd)
{
	struct itimerspec spec = {0};

	if (timerfd_gettime(fd, &spec) < 0)
		return 0;
	return (int64_t)spec.it_value.tv_sec * NR_NS_PER_S +
	       spec.it_value.tv_nsec;
}

bool nr_file_is_readable(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	int before = errno, ready;

	do {
		ready = poll(&one, 1, 0);
	} while (ready < 0 && errno == EINTR);
	errno = before;
	return ready > 0 && (one.revents & POLLIN);
}

bool nr_file_is_shut_down(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLRDHUP};
	int ready;

	do {
		ready = poll(&one, 1, 0);
	} while (ready < 0 && errno == EINTR);
	return ready > 0 && (one.revents & (POLLHUP | POLLRDHUP));
}

ssize_t nr_file_read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	do {
		got = read(fd, buf, size - 1);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		got = -errno;
	else
		buf[got] = '\0';
	nr_file_close(fd);
	return got;
}

int nr_file_identify(const char *path, struct nr_file_id *ret_id)
{
	struct stat found;

	if (lstat(path, &found) < 0)
		return -errno;
	ret_id->device = found.st_dev;
	ret_id->inode = found.st_ino;
	ret_id->is_socket = S_ISSOCK(found.st_mode);
	return 0;
}

void nr_file_stamp(const char *path, struct nr_file_stamp *ret_stamp)
{
	struct stat found;

	*ret_stamp = (struct nr_file_stamp){0};
	if (!path || stat(path, &found) < 0)
		return;
	*ret_stamp = (struct nr_file_stamp){
		.device = found.st_dev,
		.inode = found.st_ino,
		.size = (uint64_t)found.st_size,
		.changed = found.st_mtim.tv_sec * NR_NS_PER_S +
	                   found.st_mtim.tv_nsec,
	};
}

int nr_file_remove(const char *path)
{
	return unlink(path) < 0 ? -errno : 0;
}

unsigned nr_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (unsigned)limit.rlim_cur;
}
