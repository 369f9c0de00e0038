/* SPDX-License-Identifier: MIT */
/*
 * Clients that send what is known beforehand and compare every byte of the
 * answer: see load.h. A send or a comparison is one call on the ring, so that
 * checking costs next to nothing beside the kernel's share.
 *
 * Readiness is edge-triggered both ways. A receive that fills less than the
 * buffer, or leaves nothing unanswered, has emptied the socket: no call is
 * made to hear that there is nothing. A send that finds no room is gone on
 * with at the next event.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

#define CHUNK      65536
#define SOURCES    200   /* addresses, of some 28,000 ports each */
#define RING       65521 /* prime: no message begins where another does */
#define LINES      1021
#define LINE_LEAST 8 /* with the LF */
#define LINE_MOST  56

/* Numbers without a pattern, the same in every run. */
static uint32_t scatter(uint64_t number)
{
	number = (number + 1) * 0x9e3779b97f4a7c15;
	number = (number ^ (number >> 29)) * 0xbf58476d1ce4e5b9;
	return (uint32_t)(number >> 32);
}

static void *allocate(size_t count, size_t size)
{
	void *room = calloc(count, size);

	if (!room)
		load_die("memory", -ENOMEM);
	return room;
}

static void fill_bytes(struct load_pattern *pattern)
{
	pattern->period = RING;
	pattern->bytes = allocate(RING + CHUNK, 1);
	for (uint32_t i = 0; i < RING; i++)
		pattern->bytes[i] = (char)scatter(i);
}

static void fill_lines(struct load_pattern *pattern)
{
	uint32_t span = LINE_MOST - LINE_LEAST + 1, at = 0;

	pattern->lines_count = LINES;
	pattern->lines = allocate(LINES, sizeof(*pattern->lines));
	pattern->begins = allocate(LINES, sizeof(*pattern->begins));
	pattern->bytes = allocate(LINES * LINE_MOST + CHUNK, 1);
	for (uint32_t line = 0; line < LINES; line++) {
		uint32_t len = LINE_LEAST + scatter(line) % span;

		pattern->lines[line] = (uint16_t)len;
		pattern->begins[line] = at;
		for (; len > 1; len--, at++)
			pattern->bytes[at] = (char)('!' + scatter(at) % 94);
		pattern->bytes[at++] = '\n';
	}
	pattern->period = at;
}

void load_pattern_init(struct load_pattern *pattern, int size)
{
	pattern->size = (uint32_t)size;
	if (size)
		fill_bytes(pattern);
	else
		fill_lines(pattern);
	for (uint32_t i = 0; i < CHUNK; i++)
		pattern->bytes[pattern->period + i] = pattern->bytes[i];
}

void load_init(struct load *load, const struct load_args *args)
{
	load->args = args;
	load->server.sin_family = AF_INET;
	load->server.sin_port = htons((uint16_t)args->port);
	load->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	load->clients =
		allocate((size_t)args->connections, sizeof(*load->clients));
	load->watch = epoll_create1(EPOLL_CLOEXEC);
	if (load->watch < 0)
		load_die("epoll_create1", -errno);
	load->last = load_now_ns();
}

void load_fini(struct load *load)
{
	close(load->watch);
	free(load->clients);
	free(load->pattern.bytes);
	free(load->pattern.lines);
	free(load->pattern.begins);
}

/* For every wait of FD in the kernel. */
static int limit_waits(int fd, int ms)
{
	struct timeval most = {.tv_sec = ms / 1000,
	                       .tv_usec = ms % 1000 * 1000L};
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
	               sizeof(one)) < 0)
		return -errno;
	return 0;
}

int load_connect(struct load *load)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	uint32_t host = 0x7f010001 + (uint32_t)(load->serial++ % SOURCES);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	source.sin_addr.s_addr = htonl(host);
	if (fd < 0)
		return -errno;
	err = limit_waits(fd, load->args->stall_ms);
	/* On loopback connect() returns at once while the backlog has room. */
	if (err == 0 &&
	    (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0 ||
	     connect(fd, (struct sockaddr *)&load->server,
	             sizeof(load->server)) < 0))
		err = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	if (err < 0) {
		close(fd);
		return err;
	}
	return fd;
}

static size_t next_length(const struct load_pattern *pattern, uint32_t *line)
{
	size_t len;

	if (pattern->size)
		return pattern->size;
	len = pattern->lines[*line];
	*line = *line + 1 == pattern->lines_count ? 0 : *line + 1;
	return len;
}

uint32_t load_place(const struct load_pattern *pattern, uint32_t number)
{
	return number * 7919 % pattern->period;
}

static void place(const struct load_pattern *pattern,
                  struct load_client *client, uint32_t number)
{
	uint32_t line = pattern->size ? 0 : number * 61 % pattern->lines_count;
	uint32_t at = load_place(pattern, number);

	client->out_line = client->in_line = line;
	client->out_at = client->in_at =
		pattern->size ? at : pattern->begins[line];
	client->left = next_length(pattern, &client->in_line);
}

int load_open(struct load *load, int depth)
{
	struct load_client *client = &load->clients[load->clients_count];
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
	                            .data.ptr = client};
	int fd = load_connect(load);

	if (fd < 0)
		return fd;
	*client = (struct load_client){.fd = fd};
	if (epoll_ctl(load->watch, EPOLL_CTL_ADD, fd, &event) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	place(&load->pattern, client, (uint32_t)load->clients_count++);
	load_allow(load, client, (size_t)depth);
	return load_send(load, client);
}

void load_open_all(struct load *load, int depth)
{
	for (int i = 0; i < load->args->connections; i++) {
		int err = load_open(load, depth);

		if (err < 0)
			load_die("connect", err);
	}
}

void load_allow(struct load *load, struct load_client *client, size_t count)
{
	load->owed += count;
	while (count-- > 0)
		client->unsent +=
			next_length(&load->pattern, &client->out_line);
}

int load_send(const struct load *load, struct load_client *client)
{
	const struct load_pattern *pattern = &load->pattern;

	while (client->unsent > 0) {
		size_t len = client->unsent < CHUNK ? client->unsent : CHUNK;
		ssize_t sent = send(client->fd, pattern->bytes + client->out_at,
		                    len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		client->unsent -= (size_t)sent;
		client->unanswered += (size_t)sent;
		client->out_at =
			(client->out_at + (uint32_t)sent) % pattern->period;
	}
	return 0;
}

/* How many messages are complete with the next LEN bytes. */
static int complete(const struct load_pattern *pattern,
                    struct load_client *client, size_t len)
{
	int count = 0;

	for (; len >= client->left; count++) {
		len -= client->left;
		client->left = next_length(pattern, &client->in_line);
	}
	client->left -= len;
	return count;
}

int load_receive(struct load *load, struct load_client *client)
{
	const struct load_pattern *pattern = &load->pattern;
	static char buf[CHUNK];
	ssize_t got;
	int count = 0;

	do {
		got = recv(client->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		if ((size_t)got > client->unanswered ||
		    memcmp(buf, pattern->bytes + client->in_at, (size_t)got) !=
		            0)
			return -EBADMSG;
		client->unanswered -= (size_t)got;
		client->in_at =
			(client->in_at + (uint32_t)got) % pattern->period;
		count += complete(pattern, client, (size_t)got);
	} while (got == sizeof(buf) && client->unanswered > 0);
	client->answered += (uint64_t)count;
	load->answered += (uint64_t)count;
	load->owed -= (uint64_t)count;
	return count;
}

static int proceed(struct load *load, struct load_client *client,
                   load_done *done)
{
	int count = load_receive(load, client);

	if (count < 0)
		return count;
	if (count > 0 && done)
		done(load, client, count);
	return load_send(load, client);
}

int load_poll(struct load *load, load_done *done, int64_t now)
{
	struct epoll_event events[LOAD_EVENTS];
	int ready, err = 0;

	if (load->backend)
		load_backend_poll(load->backend);
	ready = epoll_wait(load->watch, events, LOAD_EVENTS, 0);
	if (ready < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < ready && err == 0; i++)
		err = proceed(load, events[i].data.ptr, done);
	if (ready > 0 || load->owed == 0)
		load->last = now;
	else if (now - load->last > load->args->stall_ms * LOAD_NS_PER_MS)
		return -ETIMEDOUT;
	return err;
}

int load_drain(struct load *load)
{
	int64_t now = load_now_ns(),
		end = now + load->args->stall_ms * LOAD_NS_PER_MS;
	int err = 0;

	for (; err == 0 && load->owed > 0; now = load_now_ns()) {
		if (now > end)
			return -ETIMEDOUT;
		err = load_poll(load, NULL, now);
	}
	return err;
}

void load_close(struct load *load)
{
	char surplus;

	for (int i = 0; i < load->clients_count; i++)
		if (shutdown(load->clients[i].fd, SHUT_WR) < 0)
			load_die("shutdown", -errno);
	if (load->backend)
		load_backend_end(load->backend,
		                 load_now_ns() +
		                         load->args->stall_ms * LOAD_NS_PER_MS);
	for (int i = 0; i < load->clients_count; i++) {
		ssize_t got = recv(load->clients[i].fd, &surplus, 1, 0);

		if (got > 0)
			load_die("a byte too many", -EBADMSG);
		if (got < 0)
			load_die("the server's end",
			         errno == EAGAIN ? -ETIMEDOUT : -errno);
		close(load->clients[i].fd);
	}
	load->clients_count = 0;
}
