/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors: see os_poll.h. */
#include "os/os_poll.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <time.h>

#include "base/assert.h"
#include "base/time.h"
#include "os/os_time.h"

/* How long it still is until UNTIL; null for ever. */
static const struct timespec *left(int64_t until, struct timespec *buf)
{
	int64_t ns;

	if (until == NR_NEVER)
		return NULL;
	ns = until - nr_now();
	if (ns < 0)
		ns = 0;
	buf->tv_sec = ns / NR_NS_PER_S;
	buf->tv_nsec = ns % NR_NS_PER_S;
	return buf;
}

int nr_poll(struct pollfd *fds, unsigned count, int64_t until)
{
	struct timespec buf;
	int ready;

	do {
		ready = ppoll(fds, count, left(until, &buf), NULL);
	} while (ready < 0 && errno == EINTR);
	return ready < 0 ? -errno : ready;
}

int nr_watch_open(void)
{
	int watch = epoll_create1(EPOLL_CLOEXEC);

	return watch < 0 ? -errno : watch;
}

int nr_watch_control(int watch, int what, int fd, struct epoll_event *event)
{
	return epoll_ctl(watch, what, fd, event) < 0 ? -errno : 0;
}

int nr_watch_add(int watch, int fd, void *data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

	return nr_watch_control(watch, EPOLL_CTL_ADD, fd, &event);
}

int nr_watch_edges(int watch, int fd, uint64_t data)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = data,
	};

	return nr_watch_control(watch, EPOLL_CTL_ADD, fd, &event);
}

int nr_watch_remove(int watch, int fd)
{
	return nr_watch_control(watch, EPOLL_CTL_DEL, fd, NULL);
}

int nr_watch_events(int watch, struct epoll_event *ret_events, int most,
                    int64_t until)
{
	int timeout = -1, ready;

	nr_assert(most > 0);
	if (until <= 0) {
		timeout = 0;
	} else if (until != NR_NEVER) {
		/* Rounded up: waking too early would be waking twice. */
		int64_t ms =
			(until - nr_now() + NR_NS_PER_MS - 1) / NR_NS_PER_MS;

		timeout = ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
	}
	ready = epoll_wait(watch, ret_events, most, timeout);
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	return ready;
}

int nr_watch_wait(int watch, void **ret_data, unsigned most, int64_t until)
{
	struct epoll_event events[64];
	int ready;

	if (most > sizeof(events) / sizeof(events[0]))
		most = sizeof(events) / sizeof(events[0]);
	ready = nr_watch_events(watch, events, (int)most, until);
	for (int i = 0; i < ready; i++)
		ret_data[i] = events[i].data.ptr;
	return ready;
}
