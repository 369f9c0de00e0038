/* SPDX-License-Identifier: MIT */
/*
 * Admission: when a connection is accepted, and when it is left in the
 * backlog. Nothing is accepted that nobody could converse with; and where the
 * system lacks something (descriptors, memory, processes), accepting rests for
 * a moment instead of failing as fast as it can.
 *
 * Where anything comes before a conversation, a connection is none yet when it
 * is accepted, and takes no place among them: silent strangers keep nobody out.
 * It is accepted while there is a place, as others are, which somebody may
 * take before it has been opened. Then it waits, but not for ever.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/strand.h"
#include "net/addr.h"
#include "net/trace.h"
#include "net/transport.h"
#include "os/os_file.h"
#include "os/os_socket.h"
#include "os/os_time.h"
#include "server/server.h"

/* How long accepting rests; the end of a conversation ends the rest too. */
#define REST_NS (100 * NR_NS_PER_MS)

/* The most that are accepted in one go, so that those who converse already have
 * their turn. */
#define BURST_MAX 16

/* How often the limit on conversations is spoken of at the most. */
#define LIMIT_REPORT_NS NR_NS_PER_S

static void report(struct naru_server *server, enum naru_event_kind kind,
                   int result)
{
	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = kind, .result = result});
}

/* Why nobody can be accepted from LISTENER now, or 0. */
static int lacking(const struct nr_listener *listener)
{
	struct naru_server *server = listener->server;
	unsigned openings, taken, descriptors;

	if (server->ops->has_room)
		return server->ops->has_room(server->model) ? 0 : -EUSERS;
	taken = nr_places_taken(&server->places);
	if (taken >= server->places.most)
		return -EUSERS;
	if (!listener->opens)
		return 0;
	openings = atomic_load(&server->openings);
	/* Who asks another process for a place has a channel, too. */
	descriptors = server->ops->admit ? 2 * openings : openings;
	return openings < server->openings_max &&
	                       descriptors + taken < server->connections_max
	               ? 0
	               : -EBUSY;
}

/* Listens to the listeners that somebody can be accepted from, or, in a REST,
 * to none. What cannot be changed now is tried again in the next turn. */
static void listen_where_possible(struct naru_server *server, bool rest)
{
	server->deaf = server->half_deaf = false;
	for (unsigned i = 0; i < server->listener_count; i++) {
		struct nr_listener *listener = &server->listeners[i];
		bool deaf = rest || lacking(listener) < 0;

		listener->deaf = deaf;
		server->deaf |= deaf;
		if (nr_loop_listen(&server->loop, &listener->source,
		                   !deaf && !listener->broken) < 0)
			server->half_deaf = true;
	}
}

static void rest(struct naru_server *server, int why)
{
	if (server->paused != why)
		report(server, NARU_EVENT_PAUSE, why);
	server->paused = why;
	server->paused_until = nr_time_add(nr_now(), REST_NS);
	listen_where_possible(server, true);
}

static void resume(struct naru_server *server)
{
	/* Others may be accepted while no more are opened. */
	if (server->paused == 0 || (server->paused == -EBUSY && server->deaf))
		return;
	server->paused = 0;
	report(server, NARU_EVENT_RESUME, 0);
}

/* Offers an accepted socket to the model; holds it where the model cannot
 * take it now: its client waits, as it would in the backlog. */
static void offer(struct naru_server *server, struct nr_accepted accepted)
{
	int err;

	/* In a child that take() forks, nothing else may be held. */
	server->holding = false;
	err = server->ops->take(server->model, &accepted);
	if (err == 0) {
		resume(server);
		return;
	}
	server->held = accepted;
	server->holding = true;
	rest(server, err);
}

/* Whether the error of an accept was that one connection's (accept(2)): it
 * went away again, or the network reports late what happened to it. */
static bool is_connections_own(int err)
{
	switch (-err) {
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENETUNREACH:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

static void trace_accept(struct nr_listener *listener, int result,
                         const struct naru_addr *peer, uint64_t id)
{
	const struct nr_report *to = &listener->server->settings.report;
	struct naru_addr local = listener->addr;
	char text[32];

	if (!to->calls)
		return;
	if (result >= 0)
		(void)nr_socket_local(result, &local);
	(void)snprintf(text, sizeof(text), "%d, SOCK_CLOEXEC",
	               listener->source.fd);
	nr_trace(to, &(struct nr_traced){.call = "accept4",
	                                 .fd = listener->source.fd,
	                                 .result = result,
	                                 .local = &local,
	                                 .peer = result >= 0 ? peer : NULL,
	                                 .text = text,
	                                 .id = id});
}

static void report_limit(struct naru_server *server, int why)
{
	int64_t *reported = why == -EUSERS ? &server->limit_reported
	                                   : &server->bound_reported;
	int64_t now = nr_now();

	if (*reported && now - *reported < LIMIT_REPORT_NS)
		return;
	*reported = now;
	server->paused = why;
	report(server, NARU_EVENT_PAUSE, why);
}

/* Counts somebody who is about to be accepted from LISTENER. 0, or why that
 * cannot be. */
static int count_in(struct nr_listener *listener, enum nr_stage *ret_stage)
{
	struct naru_server *server = listener->server;
	int err = lacking(listener);

	if (err < 0)
		return err;
	if (server->ops->has_room) {
		*ret_stage = NR_STAGE_UNCOUNTED;
	} else if (listener->opens) {
		atomic_fetch_add(&server->openings, 1);
		*ret_stage = NR_STAGE_OPENING;
	} else {
		/* Who has been opened may have been quicker. */
		if (!nr_places_try(&server->places))
			return -EUSERS;
		*ret_stage = NR_STAGE_CONVERSING;
	}
	return 0;
}

static void count_out(struct naru_server *server, enum nr_stage stage)
{
	if (stage == NR_STAGE_OPENING)
		atomic_fetch_sub(&server->openings, 1);
	else if (stage == NR_STAGE_CONVERSING)
		nr_places_give(&server->places);
}

/* A listener that somebody shut down (another process that has it may) is ready
 * for ever and gives nobody: it must not take the others' turn. */
static void give_up(struct nr_listener *listener)
{
	struct naru_server *server = listener->server;
	char text[NARU_ADDR_TEXT];

	listener->broken = true;
	(void)nr_loop_listen(&server->loop, &listener->source, false);
	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                               .call = "accept",
	                               .text = nr_addr_text(&listener->addr,
	                                                    text),
	                               .result = -EINVAL});
}

/* Who has waited longest at a door gets a socket of its own, if anybody has. */
static int accept_at_door(struct nr_listener *listener,
                          struct nr_accepted *ret_accepted)
{
	struct nr_arrival arrival;
	int err =
		listener->transport->datagram->accept(listener->door, &arrival);

	if (err < 0)
		return err;
	*ret_accepted = (struct nr_accepted){
		.peer = arrival.peer,
		.local = arrival.local,
		.first = arrival.first,
		.first_len = arrival.first_len,
		.dropped = arrival.dropped,
	};
	return arrival.fd;
}

/* Accepts somebody who has been counted in, the FIRST one since we were told of
 * some or another. Whether there may be one more for us now. */
static bool accept_counted(struct nr_listener *listener, enum nr_stage stage,
                           bool first)
{
	struct naru_server *server = listener->server;
	struct nr_accepted accepted = {0};
	int fd = listener->source.fd;

	accepted.fd = listener->door ? accept_at_door(listener, &accepted)
	                             : nr_socket_accept(fd, &accepted.peer);
	if (accepted.fd < 0)
		count_out(server, stage);
	accepted.stage = stage;
	if (first && !listener->door &&
	    (accepted.fd == -EAGAIN || accepted.fd == -EINVAL) &&
	    nr_file_is_shut_down(fd)) {
		give_up(listener);
		return false;
	}
	if (accepted.fd == -EAGAIN || (!first && accepted.fd == -EINVAL))
		return false;
	if (accepted.fd >= 0)
		accepted.id = ++server->last_id;
	if (!listener->door)
		trace_accept(listener, accepted.fd, &accepted.peer,
		             accepted.id);
	if (accepted.fd >= 0) {
		accepted.listener = (unsigned)(listener - server->listeners);
		offer(server, accepted);
	} else if (!is_connections_own(accepted.fd)) {
		rest(server, accepted.fd);
	}
	return accepted.fd >= 0;
}

static bool accept_one(struct nr_listener *listener, bool first)
{
	struct naru_server *server = listener->server;
	enum nr_stage stage;
	int err;

	/* A model that could not start may turn the loop on its way out. */
	if (!server->model || server->stopping || server->refusing ||
	    server->holding || listener->deaf)
		return false;
	err = count_in(listener, &stage);
	if (err == 0)
		return accept_counted(listener, stage, first);
	listen_where_possible(server, false);
	report_limit(server, err);
	return false;
}

/*
 * Accepts some: being told of each alone costs more than accepting it. One
 * finds that there is none left by a call in vain, so one tries for as many as
 * there were the last time, and for twice as many where there were.
 */
void nr_admission_ready(struct nr_source *source)
{
	struct nr_listener *listener =
		nr_list_entry(source, struct nr_listener, source);
	unsigned most = listener->server->ops->in_place ? 1 : listener->burst;
	unsigned count = 0;

	while (count < most && accept_one(listener, count == 0))
		count++;
	if (count == most && most < BURST_MAX)
		listener->burst = most * 2;
	else if (count < most)
		listener->burst = count > 0 ? count : 1;
}

void nr_admission_retry(struct naru_server *server)
{
	server->paused_until = 0;
}

/* Welcomes those at the doors of whom no readiness tells any more. Until when
 * the accepting strand may wait then. */
static int64_t welcome_waiting(struct naru_server *server)
{
	int64_t until = NR_NEVER;

	for (unsigned i = 0; i < server->listener_count; i++) {
		struct nr_listener *listener = &server->listeners[i];
		const struct nr_datagram_ops *ops =
			listener->transport->datagram;

		if (!listener->door || listener->deaf ||
		    ops->waiting(listener->door) == 0)
			continue;
		nr_admission_ready(&listener->source);
		if (ops->waiting(listener->door) > 0)
			until = 0;
	}
	return until;
}

/* What is to be done where something keeps us from accepting. */
static int64_t prepare(struct naru_server *server)
{
	if (server->paused && nr_now() < server->paused_until) {
		/* Set here and not when the rest begins, because the wake-up
		 * for an earlier end may still be on its way. */
		atomic_store(&server->attentive, true);
		return server->paused_until;
	}
	if (server->holding && !server->cancelled)
		offer(server, server->held);
	if (server->holding)
		return server->paused_until;
	if (!server->deaf && !server->half_deaf)
		return NR_NEVER;
	/* Asked again after the others know that we want to be woken: room
	 * made before that is seen, room made later wakes. */
	atomic_store(&server->attentive, true);
	listen_where_possible(server, false);
	return server->half_deaf ? nr_time_add(nr_now(), REST_NS) : NR_NEVER;
}

int64_t nr_admission_prepare(struct naru_server *server)
{
	int64_t until = prepare(server);

	if (until != NR_NEVER || server->holding)
		return until;
	return welcome_waiting(server);
}

void nr_admission_end(struct naru_server *server)
{
	if (server->holding) {
		nr_trace_close(&server->settings.report, server->held.fd, 0,
		               NULL);
		nr_accepted_forget(&server->held);
		count_out(server, server->held.stage);
	}
	server->holding = false;
}

unsigned nr_admission_count(struct naru_server *server)
{
	return server->ops->has_room ? server->ops->running(server->model)
	                             : nr_places_taken(&server->places);
}

int nr_admission_admit(struct naru_server *server, struct nr_accepted *accepted,
                       int64_t until)
{
	int err;

	if (server->ops->admit)
		return server->ops->admit(server->model, accepted, until);
	err = nr_places_take(&server->places, nr_strand_self(), until);
	if (err == 0)
		nr_admission_begun(server, accepted);
	return err;
}

void nr_admission_begun(struct naru_server *server,
                        struct nr_accepted *accepted)
{
	nr_assert(accepted->stage == NR_STAGE_OPENING);
	accepted->stage = NR_STAGE_CONVERSING;
	atomic_fetch_sub(&server->openings, 1);
	server->host.wake(&server->host);
}

void nr_admission_over(struct naru_server *server, struct nr_accepted *accepted)
{
	count_out(server, accepted->stage);
	server->host.wake(&server->host);
}
