/* SPDX-License-Identifier: MIT */
#ifndef NR_SERVER_SERVER_H
#define NR_SERVER_SERVER_H

/*
 * A server: listeners, the model that holds the conversations, and what
 * stands between them, which is when to accept and when not to.
 */

#include <stdatomic.h>

#include "conv/places.h"
#include "io/loop.h"
#include "model/model.h"
#include "naru/server.h"
#include "net/endpoint.h"
#include "net/tuning.h"
#include "os/os_file.h"

/* The most listeners that one server has. */
#define NR_LISTENERS_MAX 64

#define NR_SERVER_MAGIC  0x73657276u

struct nr_listener {
	struct nr_source source; /* its socket */
	struct naru_server *server;
	const struct nr_transport *transport;
	struct naru_addr addr;  /* with its real port */
	struct nr_file_id file; /* of a unix socket with a path */
	struct nr_door *door;   /* of datagrams, or null */
	_Atomic bool refused;   /* somebody else closed it already */
	bool broken;            /* somebody else has shut it down */
	bool deaf;              /* it is not listened to */
	bool opens;     /* its connections are opened before they are counted as
	                   conversations */
	unsigned burst; /* how many to accept in one go */
	bool wildcard;  /* conversations ask for their own address */
	naru_talk *talk;
	void *arg;
};

enum nr_life {
	NR_LIFE_NEW,
	NR_LIFE_RUNNING,
	NR_LIFE_OVER,
};

struct naru_server {
	unsigned magic;
	_Atomic enum nr_life life;
	pid_t owner; /* the process that made it, or that runs it */
	struct naru_options options;
	struct nr_settings settings;
	struct naru_framing framing; /* that options.framing points to */
	struct nr_tuning tuning;     /* of its listeners */
	const struct nr_model_ops *ops;
	struct nr_model *model;
	struct nr_host host;
	struct nr_loop loop;

	struct nr_listener listeners[NR_LISTENERS_MAX];
	unsigned listener_count;
	_Atomic bool refusing;     /* the listeners take nobody any more */
	_Atomic unsigned refusers; /* calls that make them so just now */

	/* Stopping: both cross fork(). */
	struct nr_source stop;   /* an event */
	struct nr_source cancel; /* a timer, set when the drain begins */
	struct nr_source reload; /* an event: TLS's files are to be read anew */
	bool stopping, cancelled;
	_Atomic bool asked; /* to stop, in this process */

	/* Admission. */
	struct nr_source wake;   /* an event, set for the accepting strand */
	_Atomic bool attentive;  /* it wants to be woken */
	struct nr_accepted held; /* accepted, but not taken by the model yet */
	bool holding;
	bool deaf;      /* some listeners are not listened to */
	bool half_deaf; /* or should not be, or should be again */
	int paused;     /* why nothing is accepted: -errno, or 0 */
	int64_t paused_until;
	int64_t limit_reported, bound_reported; /* when they last were */
	uint64_t last_id;

	/* Who converses, and who is being opened (conv/opening.h): where the
	 * model does not count (model.h). */
	struct nr_places places;
	_Atomic unsigned openings;
	unsigned openings_max;
	unsigned connections_max; /* of both, for as long as one is opened */
};

static inline bool nr_is_server(const struct naru_server *server)
{
	return server && server->magic == NR_SERVER_MAGIC;
}

/* server_options.c: what the options come to. */
int nr_server_take_options(struct naru_server *server,
                           const struct naru_options *given);

/* server_proxy.c: who sends PROXY headers, once the other options stand; and
 * what that holds. */
int nr_server_take_proxies(struct naru_server *server);
void nr_server_free_proxies(struct naru_server *server);

/* Whether clients with IP addresses may have to send one. */
bool nr_server_expects_headers_over_ip(const struct naru_server *server);

/* server_tls.c: reads the files of the options' TLS, if any; its loop is open.
 */
int nr_server_open_tls(struct naru_server *server);
void nr_server_close_tls(struct naru_server *server);

/* What is to be done for it before the server waits; returns until when it may.
 */
int64_t nr_server_tend_tls(struct naru_server *server);

/* listeners.c */
int nr_listeners_add(struct naru_server *server, const char *endpoint,
                     naru_talk *talk, void *arg);
void nr_listeners_close(struct naru_server *server);

/* Refuses whoever connects, without the accepting strand's help. Safe in a
 * signal handler, and from any thread. */
void nr_listeners_refuse(struct naru_server *server);

/* admission.c */

/* A listener has somebody to be accepted. */
void nr_admission_ready(struct nr_source *source);

/* What is to be done before the accepting strand waits; returns until when it
 * may. */
int64_t nr_admission_prepare(struct naru_server *server);

/* A conversation is over: there may be room again. */
void nr_admission_retry(struct naru_server *server);

/* Nothing will be accepted any more. */
void nr_admission_end(struct naru_server *server);

/* How many conversations there are. */
unsigned nr_admission_count(struct naru_server *server);

/* ACCEPTED has been opened by the strand that calls: waits until it may be a
 * conversation. 0; -ETIMEDOUT, -ECANCELED, NR_STOPPED. */
int nr_admission_admit(struct naru_server *server, struct nr_accepted *accepted,
                       int64_t until);

/* ACCEPTED, which is being opened, is a conversation from now on. Any
 * thread. */
void nr_admission_begun(struct naru_server *server,
                        struct nr_accepted *accepted);

/* It is neither any more. Any thread. */
void nr_admission_over(struct naru_server *server,
                       struct nr_accepted *accepted);

#endif
