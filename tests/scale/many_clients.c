/* SPDX-License-Identifier: MIT */
/*
 * Thousands of clients in one process: a plain loop on epoll(7), which shares
 * no code with the library that it tests. Each has its turn when its socket has
 * something for it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scale.h"

/* Clients that connect at the same time: a backlog holds no more. */
#define CONNECTING_MAX 256
#define BATCH          256

/* Local ports that a connection finds free among those of its address. */
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

struct client {
	int fd;
	uint32_t number, round;
	uint64_t seed;  /* of what it has asked */
	uint32_t sent;  /* of the request that it sends */
	uint32_t heard; /* of the answer that it awaits */
};

struct clients {
	const struct plan *plan;
	int which, count;
	int watch;
	int connected; /* have begun to connect */
	int answered;  /* in this round */
	struct client *all;
};

/* The whole request or answer of a client's round, head first. */
struct text {
	uint32_t len;
	unsigned char bytes[sizeof(struct head) + BODY_MAX];
};

static void compose(const struct client *client, uint64_t seed,
                    struct text *ret_text)
{
	struct head head = {.number = client->number, .round = client->round};

	head.len = body_len(&head, seed);
	memcpy(ret_text->bytes, &head, sizeof(head));
	body_fill(ret_text->bytes + sizeof(head), &head, seed);
	ret_text->len = (uint32_t)sizeof(head) + head.len;
}

/* Sends what is left of the request and the kernel takes. */
static int say(struct client *client)
{
	struct text text;
	ssize_t sent;

	compose(client, 0, &text);
	while (client->sent < text.len) {
		sent = send(client->fd, text.bytes + client->sent,
		            text.len - client->sent,
		            MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return 0;
		if (sent < 0)
			return wrong("client %u: send: %s", client->number,
			             strerror(errno));
		client->sent += (uint32_t)sent;
		if (client->sent == text.len)
			client->seed = body_seed(
				client->seed, text.bytes + sizeof(struct head),
				text.len - (uint32_t)sizeof(struct head));
	}
	return 0;
}

/* Receives what has come of the answer, and compares it. 1: that was all. */
static int hear(struct client *client)
{
	unsigned char got[sizeof(struct head) + BODY_MAX + 1];
	struct text text;
	ssize_t len;

	len = recv(client->fd, got, sizeof(got), MSG_DONTWAIT);
	if (len < 0 && errno == EAGAIN)
		return 0;
	if (len <= 0)
		return wrong("client %u, round %u: %s", client->number,
		             client->round, len < 0 ? strerror(errno) : "end");
	compose(client, client->seed, &text);
	if ((uint32_t)len > text.len - client->heard ||
	    memcmp(got, text.bytes + client->heard, (size_t)len) != 0)
		return wrong("client %u, round %u: wrong bytes after %u",
		             client->number, client->round, client->heard);
	client->heard += (uint32_t)len;
	if (client->heard < text.len)
		return 0;
	atomic_fetch_add(&page->bytes, text.len);
	client->round++;
	client->sent = client->heard = 0;
	return 1;
}

static struct sockaddr_in server_of(const struct clients *clients, int i)
{
	int which = (clients->which + i) % clients->plan->servers;
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atomic_load(&page->ports[which])),
	};

	return to;
}

/* Each process of clients has an address of its own, and so ports enough. */
static int bind_source(int fd, int which)
{
	struct sockaddr_in own = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)which),
	};

	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1},
	           sizeof(int));
	return bind(fd, (struct sockaddr *)&own, sizeof(own));
}

static int connect_one(struct clients *clients, int i)
{
	struct client *client = &clients->all[i];
	struct sockaddr_in to = server_of(clients, i);
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = client,
	};

	client->number =
		(uint32_t)(i * clients->plan->servers + clients->which);
	client->fd =
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0 || bind_source(client->fd, clients->which) < 0 ||
	    (connect(client->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(clients->watch, EPOLL_CTL_ADD, client->fd, &event) < 0)
		return wrong("client %u: connect: %s", client->number,
		             strerror(errno));
	clients->connected++;
	return 0;
}

/* Clients that wait for their first answer. */
static int connecting(const struct clients *clients)
{
	return clients->connected - clients->answered;
}

/* What comes when the answer was whole is news of what was read already. */
static int expect_silence(const struct client *client)
{
	char byte;

	if (recv(client->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return 0;
	return wrong("client %u: there is more than its answer",
	             client->number);
}

/* CLIENT has news in this round. 1: it is answered. */
static int attend(struct client *client, uint32_t round)
{
	int err;

	if (client->round > round)
		return expect_silence(client);
	err = say(client);
	return err < 0 ? err : hear(client);
}

/* Each of those that have news has its turn. */
static int turn(struct clients *clients, uint32_t round)
{
	struct epoll_event events[BATCH];
	int ready = epoll_wait(clients->watch, events, BATCH, WAIT_MS), err = 0;

	if (ready <= 0)
		return wrong("clients %d: in round %u nothing comes any more, "
		             "%d of %d are answered",
		             clients->which, round, clients->answered,
		             clients->count);
	for (int i = 0; i < ready && err == 0; i++) {
		err = attend(events[i].data.ptr, round);
		clients->answered += err > 0;
		err = err < 0 ? err : 0;
	}
	return err;
}

static int connect_all(struct clients *clients)
{
	int err = 0;

	while (err == 0 && clients->answered < clients->count) {
		while (err == 0 && clients->connected < clients->count &&
		       connecting(clients) < CONNECTING_MAX)
			err = connect_one(clients, clients->connected);
		if (err == 0)
			err = turn(clients, 0);
	}
	return err;
}

/* All ask, and then all are answered. */
static int exchange_all(struct clients *clients, uint32_t round)
{
	int err = 0;

	clients->answered = 0;
	for (int i = 0; i < clients->count && err == 0; i++)
		err = say(&clients->all[i]);
	while (err == 0 && clients->answered < clients->count)
		err = turn(clients, round);
	return err;
}

static int finish_all(struct clients *clients)
{
	for (int i = 0; i < clients->count; i++)
		if (shutdown(clients->all[i].fd, SHUT_WR) < 0)
			return wrong("client %u: shutdown: %s",
			             clients->all[i].number, strerror(errno));
	for (int i = 0; i < clients->count; i++) {
		struct pollfd waiting = {.fd = clients->all[i].fd,
		                         .events = POLLIN};
		ssize_t got = -1;
		char byte;

		errno = ETIMEDOUT;
		if (poll(&waiting, 1, WAIT_MS) > 0)
			got = recv(waiting.fd, &byte, 1, 0);
		if (got != 0)
			return wrong("client %u: no end, but %s",
			             clients->all[i].number,
			             got < 0 ? strerror(errno) : "a byte");
		close(waiting.fd);
	}
	return 0;
}

/* Says that this process is through with a phase, and waits for the next. */
static void await_phase(enum phase next)
{
	atomic_fetch_add(&page->done[next - 1], 1);
	while (atomic_load(&page->phase) < (int)next)
		rest();
}

int ask_many(const struct plan *plan, int which)
{
	struct clients clients = {
		.plan = plan,
		.which = which,
		.count = plan->connections / plan->servers,
		.watch = epoll_create1(EPOLL_CLOEXEC),
	};
	uint32_t round;
	int err;

	/* Those that one server does not divide evenly into. */
	if (which < plan->connections % plan->servers)
		clients.count++;
	clients.all = calloc((size_t)clients.count, sizeof(*clients.all));
	if (clients.watch < 0 || !clients.all)
		abort();
	err = connect_all(&clients);
	if (err == 0)
		await_phase(TALK);
	for (round = 1; err == 0 && round <= ROUNDS; round++)
		err = exchange_all(&clients, round);
	if (err == 0)
		await_phase(FINISH);
	if (err == 0)
		err = finish_all(&clients);
	free(clients.all);
	atomic_fetch_add(&page->done[FINISH], err == 0);
	return err < 0;
}
