/* SPDX-License-Identifier: MIT */
/* The life of a server: naru/server.h. */
#include "server/server.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "net/addr.h"
#include "os/os_process.h"
#include "os/os_time.h"

/* Between cancelling a conversation and killing the process that holds it:
 * enough for naru_program() to end what does not want to. */
#define KILL_NS (5 * NR_NS_PER_S)

/* How often waiting may fail while a server drains. */
#define FAILURES_MAX 100

/* How often one looks whether a timer that was set for now has gone off. */
#define LOOKS_MAX 1000

static struct naru_server *server_of(struct nr_host *host)
{
	return nr_list_entry(host, struct naru_server, host);
}

/* Who is to be admitted. */
struct entering {
	struct naru_server *server;
	struct nr_accepted *accepted;
};

static int admit(void *arg, int64_t until)
{
	const struct entering *entering = arg;

	return nr_admission_admit(entering->server, entering->accepted, until);
}

static void host_converse(struct nr_host *host, struct nr_accepted *accepted)
{
	struct naru_server *server = server_of(host);
	struct entering entering = {server, accepted};
	struct nr_listener *listener;
	struct nr_connection connection;

	nr_assert(accepted->listener < server->listener_count);
	listener = &server->listeners[accepted->listener];
	connection = (struct nr_connection){
		.transport = listener->transport,
		.fd = accepted->fd,
		.id = accepted->id,
		.peer = accepted->peer,
		.local = listener->wildcard ? accepted->local : listener->addr,
		.first = accepted->first,
		.first_len = accepted->first_len,
		.dropped = accepted->dropped,
		.admit = accepted->stage == NR_STAGE_OPENING ? admit : NULL,
		.admit_arg = &entering,
	};
	/* What it came to has been reported; nobody is left to tell. */
	(void)nr_conv_converse(&connection, &server->settings, listener->talk,
	                       listener->arg);
	/* The accepting strand would find the conversation gone. */
	if (accepted->stage != NR_STAGE_OPENING &&
	    atomic_load(&server->asked) &&
	    nr_file_is_readable(server->cancel.fd))
		server->host.cut = true;
}

static void host_leave(struct nr_host *host)
{
	struct naru_server *server = server_of(host);

	for (unsigned i = 0; i < server->listener_count; i++)
		nr_file_close(server->listeners[i].source.fd);
	if (server->holding)
		nr_file_close(server->held.fd);
	nr_loop_fini(&server->loop);
}

static void host_begun(struct nr_host *host, struct nr_accepted *accepted)
{
	nr_admission_begun(server_of(host), accepted);
}

static void host_over(struct nr_host *host, struct nr_accepted *accepted)
{
	nr_admission_over(server_of(host), accepted);
}

static void host_wake(struct nr_host *host)
{
	struct naru_server *server = server_of(host);

	if (atomic_exchange(&server->attentive, false))
		nr_event_set(server->wake.fd);
}

static void woken(struct nr_source *source)
{
	struct naru_server *server =
		nr_list_entry(source, struct naru_server, wake);

	nr_event_clear(source->fd);
	nr_admission_retry(server);
}

static void stop_asked(struct nr_source *source)
{
	struct naru_server *server =
		nr_list_entry(source, struct naru_server, stop);

	server->stopping = true;
	nr_loop_remove(&server->loop, source);
}

static void cancel_due(struct nr_source *source)
{
	struct naru_server *server =
		nr_list_entry(source, struct naru_server, cancel);

	server->cancelled = true;
	/* The stop may not have been heard of yet; who is accepted after this
	 * would not be cancelled any more. */
	server->stopping = true;
	/* Asked now: those whom it cancels may be gone a moment later. */
	if (server->model && nr_admission_count(server) > 0)
		server->host.cut = true;
	if (server->model && server->ops->cancel)
		server->ops->cancel(server->model);
	nr_loop_remove(&server->loop, source);
}

/* Opens what the server waits with. */
static int open_sources(struct naru_server *server)
{
	int err = nr_loop_init(&server->loop);

	if (err < 0)
		return err;
	err = server->stop.fd = nr_event_open();
	if (err >= 0)
		err = server->cancel.fd = nr_timer_open();
	if (err >= 0)
		err = server->wake.fd = nr_event_open();
	server->stop.ready = stop_asked;
	server->cancel.ready = cancel_due;
	server->wake.ready = woken;
	if (err >= 0)
		err = nr_loop_add(&server->loop, &server->stop);
	if (err >= 0)
		err = nr_loop_add(&server->loop, &server->cancel);
	if (err >= 0)
		err = nr_loop_add(&server->loop, &server->wake);
	return err < 0 ? err : 0;
}

static void close_sources(struct naru_server *server)
{
	nr_file_close(server->wake.fd);
	nr_file_close(server->cancel.fd);
	nr_file_close(server->stop.fd);
	nr_loop_fini(&server->loop);
}

int naru_server_new(struct naru_server **ret_server,
                    const struct naru_options *options)
{
	struct naru_server *server;
	int err;

	if (!ret_server)
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->magic = NR_SERVER_MAGIC;
	server->owner = nr_process_id();
	server->stop.fd = server->cancel.fd = server->wake.fd = -1;
	server->reload.fd = -1;
	server->loop.watch = -1;
	err = nr_server_take_options(server, options);
	if (err == 0)
		err = open_sources(server);
	if (err == 0)
		err = nr_server_open_tls(server);
	if (err < 0) {
		nr_server_close_tls(server);
		close_sources(server);
		nr_server_free_proxies(server);
		free(server);
		return err;
	}
	server->host = (struct nr_host){
		.loop = &server->loop,
		.report = &server->settings.report,
		.tls = server->settings.tls,
		.workers = server->options.workers,
		.max_conversations = server->options.max_conversations,
		.max_openings =
			server->ops->has_room ? 0 : server->openings_max,
		.stack_size = server->options.stack_size,
		.io = server->options.io,
		.catch_overflow = server->options.catch_overflow != 0,
		.stall = nr_ns_from_ms(server->options.stall_ms),
		.stop = server->stop.fd,
		.cancel = server->cancel.fd,
		.places = &server->places,
		.converse = host_converse,
		.begun = host_begun,
		.over = host_over,
		.leave = host_leave,
		.wake = host_wake,
	};
	nr_places_init(&server->places, server->options.max_conversations);
	*ret_server = server;
	return 0;
}

int naru_server_listen(struct naru_server *server, const char *endpoint,
                       naru_talk *talk, void *arg)
{
	if (!nr_is_server(server) || !talk)
		return -EINVAL;
	if (server->life != NR_LIFE_NEW)
		return -EBUSY;
	return nr_listeners_add(server, endpoint, talk, arg);
}

int naru_server_endpoint(struct naru_server *server, unsigned index, char *buf,
                         size_t size)
{
	if (!nr_is_server(server))
		return -EINVAL;
	if (index >= server->listener_count)
		return -ENOENT;
	return nr_addr_endpoint(&server->listeners[index].addr,
	                        server->listeners[index].transport->name, buf,
	                        size);
}

/* Waits until something happens or UNTIL has come. */
static int turn(struct naru_server *server, int64_t until)
{
	until = nr_time_min(until, nr_server_tend_tls(server));
	return server->ops->turn ? server->ops->turn(server->model, until)
	                         : nr_loop_turn(&server->loop, until);
}

/* Accepts until somebody asks to stop. */
static int accept_all(struct naru_server *server)
{
	int err = 0;

	while (!server->stopping && err == 0) {
		/* Tended first: that may make room. */
		int64_t tend = server->ops->tend(server->model);
		int64_t until = nr_admission_prepare(server);

		err = turn(server, nr_time_min(until, tend));
	}
	nr_admission_end(server);
	return err;
}

static void report_drain(struct naru_server *server)
{
	int64_t left = nr_timer_left(server->cancel.fd);

	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = NARU_EVENT_DRAIN,
	                               .duration_ms = nr_ms_from_ns(left),
	                               .result = (int)nr_admission_count(
					       server)});
}

/* The kernel refuses to wait, which it may do again: nobody may be left behind,
 * but not for ever. */
static bool go_on(struct naru_server *server, unsigned *failures)
{
	if (!server->ops->cancel || ++*failures > FAILURES_MAX)
		return false;
	server->host.cut = true;
	server->ops->cancel(server->model);
	return true;
}

/* Lets what runs end, within the drain's time and a little longer. */
static void drain(struct naru_server *server)
{
	int64_t kill_at = NR_NEVER;
	unsigned failures = 0;

	nr_places_close(&server->places);
	server->ops->stop(server->model);
	for (;;) {
		int64_t tend;

		/* Set before one asks, so that no end goes unnoticed. */
		atomic_store(&server->attentive, true);
		tend = server->ops->tend(server->model);
		if (server->ops->running(server->model) == 0)
			return;
		if (server->cancelled && kill_at == NR_NEVER) {
			kill_at = nr_time_add(nr_now(), KILL_NS);
		} else if (nr_now() >= kill_at) {
			server->ops->kill(server->model);
			kill_at = nr_time_add(nr_now(), KILL_NS);
		}
		if (turn(server, nr_time_min(kill_at, tend)) < 0 &&
		    !go_on(server, &failures))
			return;
	}
}

int naru_server_run(struct naru_server *server)
{
	enum nr_life expected = NR_LIFE_NEW;
	int err;

	if (!nr_is_server(server) || server->listener_count == 0)
		return -EINVAL;
	if (!atomic_compare_exchange_strong(&server->life, &expected,
	                                    NR_LIFE_RUNNING))
		return -EBUSY;
	/* Whoever runs what its parent made, before a fork, also tidies it. */
	server->owner = nr_process_id();
	err = server->ops->start(&server->host, &server->model);
	if (err < 0) {
		server->life = NR_LIFE_OVER;
		return err;
	}
	err = accept_all(server);
	/* Where waiting itself has failed, there is nothing to drain with. */
	if (err < 0)
		(void)naru_server_stop(server, 0);
	nr_listeners_close(server);
	report_drain(server);
	drain(server);
	server->ops->free(server->model);
	server->model = NULL;
	server->life = NR_LIFE_OVER;
	if (err < 0)
		return err;
	return server->host.cut ? -ECANCELED : 0;
}

/* The timer goes off a moment after it was set for now; and who is cancelled is
 * not to hear before that it may end by itself. */
static void await_cancel(struct naru_server *server)
{
	for (int i = 0; i < LOOKS_MAX; i++)
		if (nr_file_is_readable(server->cancel.fd))
			return;
}

int naru_server_stop(struct naru_server *server, int64_t drain_ms)
{
	int64_t at;
	int err = 0;

	if (!nr_is_server(server) || drain_ms < 0)
		return -EINVAL;
	/* Known before the timer can go off: see host_converse(). */
	atomic_store(&server->asked, true);
	/* What was cancelled once stays cancelled. */
	if (!nr_file_is_readable(server->cancel.fd)) {
		at = nr_time_add(nr_now(), nr_ns_from_ms(drain_ms));
		err = nr_timer_set(server->cancel.fd, at);
		if (drain_ms == 0)
			await_cancel(server);
	}
	nr_event_set(server->stop.fd);
	if (server->ops->in_place)
		nr_listeners_refuse(server);
	return err;
}

void naru_server_free(struct naru_server *server)
{
	if (!server)
		return;
	nr_assert_is(server, NR_SERVER_MAGIC);
	nr_assert(server->life != NR_LIFE_RUNNING);
	if (server->owner == nr_process_id())
		nr_listeners_close(server);
	nr_server_close_tls(server);
	close_sources(server);
	nr_server_free_proxies(server);
	nr_places_fini(&server->places);
	server->magic = 0;
	free(server);
}

int naru_serve(const char *endpoint, naru_talk *talk, void *arg,
               const struct naru_options *options)
{
	struct naru_server *server;
	int err = naru_server_new(&server, options);

	if (err < 0)
		return err;
	err = naru_server_listen(server, endpoint, talk, arg);
	if (err == 0)
		err = naru_server_run(server);
	naru_server_free(server);
	return err;
}
