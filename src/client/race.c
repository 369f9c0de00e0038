/* SPDX-License-Identifier: MIT */
/*
 * The race of addresses: see race.h.
 *
 * A single address is waited for as any connection is. Only where more than one
 * thing is under way, attempts or a look-up, do they share an epoll descriptor,
 * which then is what the strand waits for.
 */
#include "client/race.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "client/look_up.h"
#include "client/order.h"
#include "conv/strand.h"
#include "naru/error.h"
#include "net/addr.h"
#include "net/endpoint.h"
#include "net/trace.h"
#include "net/transport.h"
#include "os/os_file.h"
#include "os/os_poll.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* A connection under way. */
struct attempt {
	int fd; /* -1 where it is over */
	bool watched;
	const struct naru_addr *addr;
};

/* What the look-up is known by in the watch, beside the attempts. */
enum {
	LOOK_UP = NR_ORDER_MAX
};

struct race {
	const struct nr_caller *caller;
	const struct nr_endpoint *endpoint;
	int64_t until;
	int64_t next_at;       /* the next address is due */
	struct nr_look_up *up; /* null where there is none, or no more */
	int64_t attend_at;     /* it has to be attended to */
	int watch;             /* -1 before it is needed */
	bool up_watched;
	int count, under_way; /* attempts; those that are not over */
	int best;             /* the error that says most so far, or 0 */
	int winner;           /* an attempt, or -1 */
	struct nr_order order;
	struct attempt attempts[NR_ORDER_MAX];
};

/* An answer says more than silence, silence more than there being no way. */
static int rank(int err)
{
	switch (-err) {
	case 0:
		return 0;
	case ECANCELED:
		return 10;
	case NARU_ECERT:
		return 9;
	case ECONNREFUSED:
	case ECONNRESET:
		return 8;
	case NARU_ESELF:
		return 7;
	case ETIMEDOUT:
		return 6;
	case EHOSTUNREACH:
		return 5;
	case ENETUNREACH:
		return 4;
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
		return 1;
	default:
		return 3;
	}
}

int nr_race_telling(int a, int b)
{
	return rank(b) > rank(a) ? b : a;
}

/* What the kernel says of a route that drops or forbids, in the terms that
 * callers know. */
static int connect_error(int err)
{
	return err == -EINVAL ? -ENETUNREACH : err;
}

/* Whether LOCAL, connected with PEER, is connected with itself: two sockets of
 * this machine that call each other at the same time are connected, and so is
 * one that happens to call the port that it was given. */
static bool calls_itself(int fd, const struct naru_addr *peer)
{
	struct naru_addr local;

	return naru_addr_kind(peer) != NARU_ADDR_UNIX &&
	       nr_socket_local(fd, &local) == 0 && nr_addr_equal(&local, peer);
}

/* A socket that may be connected to ADDR. */
static int open_socket(const struct nr_caller *caller,
                       const struct nr_transport *transport,
                       const struct naru_addr *addr)
{
	const struct naru_addr *source = caller->source;
	const enum naru_addr_kind kind = naru_addr_kind(addr);
	int fd, err;

	if (source && kind != NARU_ADDR_UNIX && kind != naru_addr_kind(source))
		return -EAFNOSUPPORT;
	fd = transport->open(addr, source, caller->report);
	if (fd < 0)
		return fd;
	err = nr_tuning_dial(fd, &caller->tuning);
	if (err < 0)
		nr_trace_close(caller->report, fd, 0, NULL);
	return err < 0 ? err : fd;
}

/* What came of connecting FD to ADDR is told. Closes it where that is ERR;
 * else RET_CALLED is filled in. Returns the error, or that which there is in
 * spite of success. */
static int settle(const struct nr_caller *caller, int fd,
                  const struct naru_addr *addr, int err,
                  struct nr_called *ret_called)
{
	struct nr_called called = {.peer = *addr};
	int got;

	err = connect_error(err);
	nr_trace_addr(caller->report, "connect", fd, addr, err);
	if (err == 0) {
		/* Who calls 0.0.0.0 reaches somebody else. */
		got = nr_socket_peer(fd, &called.peer);
		if (got < 0)
			called.peer = *addr;
		else if (calls_itself(fd, &called.peer))
			err = -NARU_ESELF;
		called.late = got == -ENOTCONN && caller->tuning.fast_open > 0;
	}
	if (err < 0)
		nr_trace_close(caller->report, fd, 0, NULL);
	else
		*ret_called = called;
	return err;
}

/* The only address that there is. */
static int call_one(const struct nr_caller *caller,
                    const struct nr_endpoint *endpoint,
                    const struct naru_addr *addr, int64_t until,
                    struct nr_called *ret_called)
{
	struct nr_io *io = caller->self->io;
	int fd = open_socket(caller, endpoint->transport, addr), err;

	if (fd < 0)
		return fd;
	err = io->ops->connect(io, (struct nr_handle){.fd = fd}, addr, until);
	err = settle(caller, fd, addr, err, ret_called);
	return err < 0 ? err : fd;
}

/* An attempt has come to ERR. The first one that connected is the winner. */
static void finish(struct race *race, struct attempt *attempt, int err,
                   struct nr_called *ret_called)
{
	nr_assert(attempt->fd >= 0 && race->winner < 0);
	if (attempt->watched)
		(void)nr_watch_remove(race->watch, attempt->fd);
	race->under_way--;
	err = settle(race->caller, attempt->fd, attempt->addr, err, ret_called);
	if (err == 0) {
		race->winner = (int)(attempt - race->attempts);
		return;
	}
	attempt->fd = -1;
	race->best = nr_race_telling(race->best, err);
	/* The next one need not wait any longer. */
	race->next_at = 0;
}

/* Begins with the next address, where one is left. */
static void begin_next(struct race *race, struct nr_called *ret_called)
{
	const struct naru_addr *addr = nr_order_next(&race->order);
	struct attempt *attempt = &race->attempts[race->count];
	int fd, err;

	nr_assert(addr && race->count < NR_ORDER_MAX);
	fd = open_socket(race->caller, race->endpoint->transport, addr);
	if (fd < 0) {
		race->best = nr_race_telling(race->best, fd);
		return;
	}
	*attempt = (struct attempt){.fd = fd, .addr = addr};
	race->count++;
	race->under_way++;
	race->next_at = nr_time_add(nr_now(), race->caller->attempt_delay);
	err = nr_socket_connect(fd, addr);
	if (err != -EINPROGRESS)
		finish(race, attempt, err, ret_called);
}

static int watch(struct race *race, int fd, unsigned events, unsigned number)
{
	struct epoll_event event = {.events = events, .data.u64 = number};

	return nr_watch_control(race->watch, EPOLL_CTL_ADD, fd, &event);
}

/* Has the watch watch all that is under way. */
static int watch_all(struct race *race)
{
	int err = 0;

	if (race->watch < 0)
		err = race->watch = nr_watch_open();
	if (err >= 0 && race->up && !race->up_watched) {
		err = watch(race, nr_look_up_fd(race->up), EPOLLIN, LOOK_UP);
		race->up_watched = err == 0;
	}
	for (int i = 0; i < race->count && err >= 0; i++) {
		struct attempt *attempt = &race->attempts[i];

		if (attempt->fd < 0 || attempt->watched)
			continue;
		err = watch(race, attempt->fd, EPOLLOUT, (unsigned)i);
		attempt->watched = err == 0;
	}
	return err < 0 ? err : 0;
}

/* The attempts that are ready come to their ends, until one has won. */
static int collect(struct race *race, struct nr_called *ret_called)
{
	struct epoll_event events[16];
	int ready = nr_watch_events(race->watch, events,
	                            sizeof(events) / sizeof(events[0]), 0);

	for (int i = 0; i < ready && race->winner < 0; i++) {
		struct attempt *attempt;

		if (events[i].data.u64 >= LOOK_UP)
			continue;
		attempt = &race->attempts[events[i].data.u64];
		if (attempt->fd >= 0)
			finish(race, attempt, nr_socket_error(attempt->fd),
			       ret_called);
	}
	return ready < 0 ? ready : 0;
}

/* The only attempt that is under way. */
static struct attempt *only_attempt(struct race *race)
{
	int i = 0;

	nr_assert(race->under_way == 1);
	while (race->attempts[i].fd < 0)
		i++;
	return &race->attempts[i];
}

/* Waits for whatever is under way, until UNTIL. 0, or why it cannot be waited
 * for. */
static int wait_for_any(struct race *race, int64_t until,
                        struct nr_called *ret_called)
{
	struct nr_io *io = race->caller->self->io;
	struct attempt *attempt;
	int err;

	if (race->under_way == 0) {
		struct nr_handle event = {.fd = nr_look_up_fd(race->up)};

		err = io->ops->wait(io, event, NR_READABLE, until);
	} else if (race->under_way == 1 && !race->up) {
		attempt = only_attempt(race);
		err = io->ops->wait(io, (struct nr_handle){.fd = attempt->fd},
		                    NR_WRITABLE, until);
		if (err == 0)
			finish(race, attempt, nr_socket_error(attempt->fd),
			       ret_called);
	} else {
		err = watch_all(race);
		if (err == 0)
			err = io->ops->wait(io,
			                    (struct nr_handle){
						    .fd = race->watch},
			                    NR_READABLE, until);
		if (err == 0)
			err = collect(race, ret_called);
	}
	return err == -ETIMEDOUT ? 0 : err;
}

/* Takes what has been answered; a look-up that is over goes. */
static void attend(struct race *race)
{
	race->attend_at = nr_look_up_attend(race->up, &race->order);
	if (!nr_look_up_is_over(race->up))
		return;
	if (race->order.count == 0)
		race->best = nr_look_up_error(race->up);
	if (race->up_watched)
		(void)nr_watch_remove(race->watch, nr_look_up_fd(race->up));
	nr_look_up_end(race->up);
	race->up = NULL;
	race->attend_at = NR_NEVER;
}

/* Goes on until one has won (0) or nobody can any more. */
static int run(struct race *race, struct nr_called *ret_called)
{
	int err = 0;

	while (err == 0) {
		int64_t now = nr_now(), until;

		if (race->up)
			attend(race);
		while (race->winner < 0 && race->order.left > 0 &&
		       (race->under_way == 0 || race->next_at <= now))
			begin_next(race, ret_called);
		if (race->winner >= 0)
			return 0;
		if (!race->up && race->under_way == 0) {
			nr_assert(race->best < 0);
			return race->best;
		}
		if (now >= race->until)
			return -ETIMEDOUT;
		until = nr_time_min(race->until, race->attend_at);
		if (race->order.left > 0)
			until = nr_time_min(until, race->next_at);
		err = wait_for_any(race, until, ret_called);
		if (race->winner >= 0)
			return 0;
	}
	return err;
}

/* Ends what is still under way, with ERR. */
static void end(struct race *race, int err)
{
	for (int i = 0; i < race->count; i++) {
		struct attempt *attempt = &race->attempts[i];

		if (attempt->fd < 0 || i == race->winner)
			continue;
		nr_trace_addr(race->caller->report, "connect", attempt->fd,
		              attempt->addr, err);
		nr_trace_close(race->caller->report, attempt->fd, 0, NULL);
	}
	nr_look_up_end(race->up);
	nr_file_close(race->watch);
}

static int run_and_end(struct race *race, struct nr_called *ret_called)
{
	int err = run(race, ret_called);

	/* Those that lost were as good as cancelled. */
	end(race, err == 0 ? -ECANCELED : err);
	if (err == 0)
		return race->attempts[race->winner].fd;
	return nr_race_telling(race->best, err);
}

/* Whether others have to be asked for ENDPOINT's addresses. */
static bool is_name(const struct nr_endpoint *endpoint)
{
	return endpoint->kind == NR_HOST_NAME &&
	       endpoint->transport != &nr_transport_unix;
}

/* Addresses to call: where "all addresses" are meant, this machine's own. */
static int known_addrs(const struct nr_caller *caller,
                       const struct nr_endpoint *endpoint,
                       struct naru_addr *ret_addrs)
{
	struct nr_endpoint here = *endpoint;

	if (here.kind == NR_HOST_ALL)
		here.kind = NR_HOST_LOCALHOST;
	return nr_endpoint_addrs(&here, caller->family, ret_addrs);
}

static int race_all(struct race *race, const struct naru_addr *addrs, int count,
                    struct nr_called *ret_called)
{
	int err = 0;

	if (count > 0)
		nr_order_add(&race->order, addrs, count);
	else
		err = nr_look_up_begin(&race->up, race->caller->self,
		                       race->endpoint, race->caller->family,
		                       race->caller->resolution_delay);
	return err < 0 ? err : run_and_end(race, ret_called);
}

int nr_race(const struct nr_caller *caller, const struct nr_endpoint *endpoint,
            int64_t until, struct nr_called *ret_called)
{
	struct naru_addr addrs[NR_RESOLVE_MAX];
	struct race *race;
	int count = 0, fd;

	if (!is_name(endpoint)) {
		count = known_addrs(caller, endpoint, addrs);
		if (count < 0)
			return count;
		if (count == 1)
			return call_one(caller, endpoint, addrs, until,
			                ret_called);
	}
	race = calloc(1, sizeof(*race));
	if (!race)
		return -ENOMEM;
	race->caller = caller;
	race->endpoint = endpoint;
	race->until = until;
	race->attend_at = NR_NEVER;
	race->watch = race->winner = -1;
	fd = race_all(race, addrs, count, ret_called);
	free(race);
	return fd;
}
