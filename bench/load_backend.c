/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a relay: it takes connections from a listener that the
 * load was started with, and sends back what comes, or drinks it. It has no
 * strand of its own, or it would fight with the clients for their core: whoever
 * polls those polls it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

/* Of what is thrown away unseen the kernel can be asked for more at a time. */
#define PIECE  65536
#define UNSEEN (1 << 20)

/* One connection, and where in the ring the next byte of it is. */
struct load_inner {
	int fd;
	uint32_t at;
	bool placed; /* its client's number has come */
	struct load_inner *next;
};

static void watch(const struct load_backend *backend, int fd, void *data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

	if (epoll_ctl(backend->watch, EPOLL_CTL_ADD, fd, &event) < 0)
		load_die("epoll_ctl", -errno);
}

void load_backend_init(struct load_backend *backend,
                       const struct load_args *args,
                       const struct load_pattern *pattern)
{
	*backend = (struct load_backend){.listener = args->backend,
	                                 .checked = args->checked,
	                                 .pattern = pattern};
	backend->watch = epoll_create1(EPOLL_CLOEXEC);
	if (backend->watch < 0)
		load_die("epoll_create1", -errno);
	watch(backend, backend->listener, NULL);
}

static struct load_inner *new_inner(void)
{
	struct load_inner *inner = calloc(1, sizeof(*inner));

	if (!inner)
		load_die("memory", -ENOMEM);
	return inner;
}

static void accept_one(struct load_backend *backend)
{
	struct load_inner *inner = new_inner();
	int one = 1;

	inner->fd = accept4(backend->listener, NULL, NULL, SOCK_CLOEXEC);
	if (inner->fd < 0)
		load_die("accept4", -errno);
	if (setsockopt(inner->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) <
	    0)
		load_die("setsockopt", -errno);
	watch(backend, inner->fd, inner);
	inner->next = backend->inner;
	backend->inner = inner;
	backend->open++;
}

/* Messages are short, and there is room for as many as are in flight. */
static void send_back(const struct load_inner *inner, const char *data,
                      ssize_t len)
{
	ssize_t sent =
		send(inner->fd, data, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent != len)
		load_die("the backend's answer", sent < 0 ? -errno : -ENOBUFS);
}

/* A connection begins with its client's number, which says where it begins. */
static size_t place(struct load_backend *backend, struct load_inner *inner,
                    const char *data, size_t len)
{
	uint32_t number;

	if (inner->placed)
		return 0;
	if (len < sizeof(number))
		load_die("the client's number", -EBADMSG);
	memcpy(&number, data, sizeof(number));
	inner->at = load_place(backend->pattern, number);
	inner->placed = true;
	return sizeof(number);
}

static void check(struct load_backend *backend, struct load_inner *inner,
                  const char *data, size_t len)
{
	size_t skip = place(backend, inner, data, len);

	if (memcmp(data + skip, backend->pattern->bytes + inner->at,
	           len - skip) != 0)
		load_die("the backend's bytes", -EBADMSG);
	inner->at =
		(inner->at + (uint32_t)(len - skip)) % backend->pattern->period;
}

static void receive(struct load_backend *backend, struct load_inner *inner)
{
	static char buf[PIECE];
	bool unseen = backend->drinks && !backend->checked;
	ssize_t got =
		recv(inner->fd, unseen ? NULL : buf, unseen ? UNSEEN : PIECE,
	             MSG_DONTWAIT | (unseen ? MSG_TRUNC : 0));

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0)
		load_die("the backend's receive", -errno);
	if (got == 0) {
		close(inner->fd);
		inner->fd = -1;
		backend->open--;
		return;
	}
	backend->received += (uint64_t)got;
	if (!backend->drinks)
		send_back(inner, buf, got);
	else if (backend->checked)
		check(backend, inner, buf, (size_t)got);
}

void load_backend_poll(struct load_backend *backend)
{
	struct epoll_event events[LOAD_EVENTS];
	int ready = epoll_wait(backend->watch, events, LOAD_EVENTS, 0);

	for (int i = 0; i < ready; i++) {
		if (events[i].data.ptr)
			receive(backend, events[i].data.ptr);
		else
			accept_one(backend);
	}
}

void load_backend_end(struct load_backend *backend, int64_t until)
{
	while (backend->open > 0) {
		if (load_now_ns() > until)
			load_die("the end of all at the backend", -ETIMEDOUT);
		load_backend_poll(backend);
	}
	while (backend->inner) {
		struct load_inner *inner = backend->inner;

		backend->inner = inner->next;
		free(inner);
	}
	close(backend->watch);
}
