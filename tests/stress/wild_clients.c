/* SPDX-License-Identifier: MIT */
/*
 * The clients' side: plain sockets in one loop, each doing at random what
 * clients do, the bad ones too. What arrives is right to the last byte; and
 * before the server is told to stop, everything does arrive.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define CLIENTS   40
#define ANSWERS   8
#define LINE_MAX_ 64
#define CHUNK     65536
#define TURN_MS   1
/* For everything that is under way to come to its end. */
#define SETTLE_MS 40000

struct answer {
	unsigned seed;
	size_t len;
};

struct client {
	int fd; /* or -1 */
	bool slow, finishing, relaying, urged, hung;
	struct request last; /* that it has sent */
	unsigned char *out;
	size_t out_len, out_at;
	size_t slow_from;               /* a byte at a time from here on */
	struct answer answers[ANSWERS]; /* that are to come, in turn */
	int count;
	size_t heard; /* of the first of them */
};

static struct {
	uint64_t *stream;
	bool settling; /* what is under way ends, and nothing begins */
	bool stopped;  /* the server may end anything */
	struct client clients[CLIENTS];
} wild;

static unsigned below(unsigned limit)
{
	return pick(wild.stream, limit);
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

static bool is_wrong(struct client *client, const char *what)
{
	(void)expect_at("clients", (int)(client - wild.clients), what,
	                (long long)client->last.kind, (long long)client->heard);
	return false;
}

static void end(struct client *client)
{
	close(client->fd);
	free(client->out);
	*client = (struct client){.fd = -1};
}

static void begin(struct client *client)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atomic_load(&page->ports[0])),
	};
	int small = 4096;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (one_in(4))
		setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small,
		           sizeof(small));
	if (connect(client->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		if (!wild.stopped)
			is_wrong(client, "connect");
		end(client);
	}
}

/* Breaks off, wherever it is. */
static void reset(struct client *client)
{
	const struct linger linger = {.l_onoff = 1};

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	atomic_fetch_add(&page->reset, 1);
	end(client);
}

/* Requests. */

static size_t random_len(void)
{
	switch (below(4)) {
	case 0:
		return below(20);
	case 1:
		return below(LEN_MAX);
	default:
		return below(5000);
	}
}

static struct request random_request(const struct client *client)
{
	struct request request = {
		.kind = (enum request_kind)below(REQUEST_KINDS),
		.ms = below(6),
		.len = random_len(),
		.seed = below(1u << 30),
	};

	/* Few, for strands are many already. */
	if (request.kind == HANG && !one_in(4))
		request.kind = ECHO;
	/* These wait for all strands, and so for one that hangs. */
	if (client->hung && (request.kind == SPAWN || request.kind == BOTH))
		request.kind = ECHO;
	if (request.kind == TRICKLE)
		request.len = 1 + below(TRICKLE_MAX);
	return request;
}

static void add_request(struct client *client)
{
	struct request request = random_request(client);
	enum request_kind kind = request.kind;
	bool follows = kind == ECHO || kind == TRICKLE || kind == BOTH ||
	               kind == RELAY;
	unsigned char *out =
		realloc(client->out, client->out_len + LINE_MAX_ + request.len);

	if (!out)
		abort();
	client->out = out;
	client->out_len += (size_t)sprintf((char *)out + client->out_len,
	                                   REQUEST_LINE, (int)kind, request.ms,
	                                   request.len, request.seed);
	client->slow_from = client->out_len;
	if (follows) {
		fill(out + client->out_len, request.seed, 0, request.len);
		client->out_len += request.len;
	}
	client->last = request;
	client->slow = kind == TRICKLE;
	client->relaying = kind == RELAY;
	client->hung = client->hung || kind == HANG;
	if (kind != HANG)
		client->answers[client->count++] =
			(struct answer){request.seed + (kind != RELAY),
		                        request.len};
}

/* Something new, when all is said and heard. */
static void go_on(struct client *client)
{
	free(client->out);
	client->out = NULL;
	client->out_len = client->out_at = 0;
	if (client->relaying || wild.settling || one_in(8)) {
		client->finishing = true;
		shutdown(client->fd, SHUT_WR);
		return;
	}
	do
		add_request(client);
	while (client->count < ANSWERS && !client->relaying && !client->slow &&
	       one_in(2));
}

/* Half-closes already when all is said, now and then. */
static void finish_early(struct client *client)
{
	if (client->out_at < client->out_len || client->finishing ||
	    client->count == 0 || !one_in(10))
		return;
	client->finishing = true;
	shutdown(client->fd, SHUT_WR);
}

/* Bytes. */

static bool say(struct client *client)
{
	size_t len = client->out_len - client->out_at;
	size_t most = 1 + below(CHUNK);
	bool slowly = client->slow && client->out_at >= client->slow_from;
	ssize_t sent;

	/* Slowly only when the server waits for it. */
	if (slowly && (client->count > 1 || one_in(2)))
		return true;
	if (slowly)
		most = 1;
	else if (client->slow && most > client->slow_from - client->out_at)
		most = client->slow_from - client->out_at;
	sent = send(client->fd, client->out + client->out_at,
	            len < most ? len : most, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN) {
		if (!wild.stopped)
			return is_wrong(client, "send");
		end(client);
		return true;
	}
	client->out_at += sent > 0 ? (size_t)sent : 0;
	/* Another one would make an ordinary byte of the first. */
	if (!client->urged && one_in(100)) {
		client->urged = true;
		if (send(client->fd, "!", 1,
		         MSG_OOB | MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
			atomic_fetch_add(&page->urgent, 1);
	}
	return true;
}

/* Compares LEN bytes that have come with what was to come. */
static bool compare(struct client *client, const unsigned char *buf, size_t len)
{
	while (len > 0) {
		struct answer *first = &client->answers[0];
		size_t n = first->len - client->heard;

		if (client->count == 0)
			return is_wrong(client, "more than the answers");
		n = n < len ? n : len;
		if (!holds(buf, first->seed, client->heard, n))
			return is_wrong(client, "wrong bytes");
		atomic_fetch_add(&page->bytes, (long long)n);
		client->heard += n;
		buf += n;
		len -= n;
		if (client->heard < first->len)
			continue;
		client->heard = 0;
		client->count--;
		memmove(first, first + 1,
		        (size_t)client->count * sizeof(*first));
	}
	return true;
}

/* An answer of no bytes has come as soon as it is the next. */
static void skip_empty(struct client *client)
{
	struct answer *first = &client->answers[0];

	while (client->count > 0 && first->len == 0) {
		client->count--;
		memmove(first, first + 1,
		        (size_t)client->count * sizeof(*first));
	}
}

static bool hear(struct client *client)
{
	static unsigned char buf[CHUNK];
	size_t most = one_in(3) ? 1 + below(500) : CHUNK;
	ssize_t got = recv(client->fd, buf, most, MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return true;
	if (got > 0)
		return compare(client, buf, (size_t)got);
	if (!wild.stopped && got < 0)
		return is_wrong(client, "recv");
	if (!wild.stopped && (!client->finishing || client->count > 0))
		return is_wrong(client, "an end too early");
	if (client->finishing && client->count == 0)
		atomic_fetch_add(&page->finished, 1);
	end(client);
	return true;
}

/* Turns. */

static bool turn_one(struct client *client, short ready)
{
	if (!wild.settling && one_in(1500)) {
		reset(client);
		return true;
	}
	/* Reads slowly, at times. */
	if (ready & (POLLIN | POLLHUP | POLLERR) && !one_in(5) && !hear(client))
		return false;
	if (client->fd >= 0 && client->out_at < client->out_len &&
	    ready & (POLLOUT | POLLHUP | POLLERR) && !say(client))
		return false;
	if (client->fd < 0 || client->finishing)
		return true;
	finish_early(client);
	skip_empty(client);
	if (!client->finishing && client->out_at == client->out_len &&
	    client->count == 0)
		go_on(client);
	return true;
}

static bool turn(void)
{
	struct pollfd fds[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		struct client *client = &wild.clients[i];

		if (client->fd < 0 && !wild.settling && one_in(4))
			begin(client);
		fds[i] = (struct pollfd){.fd = client->fd, .events = POLLIN};
		if (client->out_at < client->out_len)
			fds[i].events |= POLLOUT;
		skip_empty(client);
	}
	if (poll(fds, CLIENTS, TURN_MS) < 0 && errno != EINTR)
		abort();
	for (int i = 0; i < CLIENTS; i++)
		if (fds[i].fd >= 0 && wild.clients[i].fd == fds[i].fd &&
		    !turn_one(&wild.clients[i], fds[i].revents))
			return false;
	return atomic_load(&shared->failures) == 0;
}

static bool is_quiet(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (wild.clients[i].fd >= 0)
			return false;
	return true;
}

static void tell_stuck(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct client *client = &wild.clients[i];

		if (client->fd < 0)
			continue;
		printf("# client %d, last request %d: %zu of %zu sent, %d "
		       "answers to come, %zu of the first heard%s\n",
		       i, (int)client->last.kind, client->out_at,
		       client->out_len, client->count, client->heard,
		       client->finishing ? ", finishing" : "");
		is_wrong(client, "stuck");
	}
}

/* Lets everything come to its end. */
static bool settle(void)
{
	int64_t limit = clock_ms() + SETTLE_MS;

	wild.settling = true;
	while (!is_quiet()) {
		if (!turn())
			return false;
		if (clock_ms() > limit) {
			tell_stuck();
			return false;
		}
	}
	return true;
}

/* Stops the server, which may end everything then. */
static bool stop(int pid, int pipe)
{
	int64_t limit = clock_ms() + SETTLE_MS;
	int status;

	wild.settling = wild.stopped = true;
	close(pipe);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (!turn())
			return false;
		if (clock_ms() > limit) {
			EXPECT(clock_ms(), limit);
			return false;
		}
	}
	atomic_fetch_add(&page->drained, 1);
	return EXPECT(status, 0);
}

bool ask_wildly(uint64_t *stream, int ms, int pid, int pipe)
{
	int64_t until = clock_ms() + abs(ms);
	bool right = true;

	memset(&wild, 0, sizeof(wild));
	wild.stream = stream;
	for (int i = 0; i < CLIENTS; i++)
		wild.clients[i].fd = -1;
	while (right && clock_ms() < until)
		right = turn();
	if (right && ms < 0)
		right = settle();
	right = right && stop(pid, pipe);
	for (int i = 0; i < CLIENTS; i++)
		if (wild.clients[i].fd >= 0)
			end(&wild.clients[i]);
	return right;
}
