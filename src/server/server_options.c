/* SPDX-License-Identifier: MIT */
/* What a server's options come to: naru/server.h states the defaults. */
#include <errno.h>

#include "base/options.h"
#include "base/time.h"
#include "os/os_process.h"
#include "server/server.h"

#define STALL_MS_DEFAULT 100

/* What differs from model to model. */
struct defaults {
	unsigned workers, conversations;
	size_t stack_size;
};
static const struct defaults defaults = {16, 1000, (size_t)512 * 1024};
static const struct defaults fiber_defaults = {0, 100000, (size_t)128 * 1024};
#define STACK_MIN       ((size_t)16 * 1024)
#define STACK_MAX       ((size_t)1024 * 1024 * 1024)
#define FIBER_STACK_MAX ((size_t)64 * 1024 * 1024)

/* Descriptors that are left to the program: its files, our own, listeners. */
#define DESCRIPTORS_SPARED (NR_LISTENERS_MAX + 32)

/* Connections of which one waits for the handshake, at the least, beside the
 * conversations. */
#define OPENINGS_MIN 64

/* How many connections the limit on descriptors leaves room for. */
static unsigned connections_room(void)
{
	unsigned limit = nr_file_limit();
	unsigned room = limit > 2 * DESCRIPTORS_SPARED
	                        ? limit - DESCRIPTORS_SPARED
	                        : limit / 2;

	return room < 1 ? 1 : room;
}

/* How many conversations there may be where nobody says: not without a
 * bound. */
static unsigned conversations_default(unsigned most)
{
	unsigned room = connections_room();

	return room < most ? room : most;
}

/* How many connections may be opened at once: silent ones are not to keep
 * others out, nor to use up the descriptors of conversations. */
static void limit_openings(struct naru_server *server)
{
	unsigned conversations = server->options.max_conversations;
	unsigned room = connections_room();

	server->openings_max =
		conversations > OPENINGS_MIN ? conversations : OPENINGS_MIN;
	server->connections_max = conversations > room ? conversations : room;
}

static bool in_range(const struct naru_options *options, bool fiber)
{
	return options->workers <= NARU_WORKERS_MAX &&
	       options->max_conversations <= NARU_CONVERSATIONS_MAX &&
	       options->stack_size <= (fiber ? FIBER_STACK_MAX : STACK_MAX) &&
	       (options->stack_size == 0 || options->stack_size >= STACK_MIN) &&
	       options->message_limit <= NARU_MESSAGE_MAX &&
	       options->family <= NARU_FAMILY_IPV6 && options->idle_ms >= 0 &&
	       options->message_ms >= 0 && options->write_ms >= 0 &&
	       options->end_ms >= 0 && options->stall_ms >= 0 &&
	       options->io <= NARU_IO_EPOLL && options->handshake_ms >= 0;
}

static void set_timeout(struct nr_settings *settings, enum naru_timeout which,
                        int64_t ms)
{
	if (ms > 0)
		settings->timeouts[which] = nr_ns_from_ms(ms);
}

/* What the settings came to, for whoever asks for the options. */
static void take_back(struct naru_options *options,
                      const struct nr_settings *settings)
{
	const int64_t *timeouts = settings->timeouts;

	options->memory_limit = settings->memory_limit;
	options->idle_ms = nr_ms_from_ns(timeouts[NARU_TIMEOUT_IDLE]);
	options->message_ms = nr_ms_from_ns(timeouts[NARU_TIMEOUT_MESSAGE]);
	options->write_ms = nr_ms_from_ns(timeouts[NARU_TIMEOUT_WRITE]);
	options->end_ms = nr_ms_from_ns(timeouts[NARU_TIMEOUT_END]);
	options->handshake_ms = nr_ms_from_ns(settings->handshake);
}

/* The framing that conversations begin with. Who asks for the options sees our
 * own copy: the one that was given may be gone by then. */
static int take_framing(struct naru_server *server)
{
	struct naru_options *options = &server->options;
	struct nr_framing *framing = &server->settings.framing;
	int err;

	if (options->message_limit == 0)
		options->message_limit = framing->limit;
	err = nr_framing_take(framing, options->framing,
	                      options->message_limit);
	if (err < 0)
		return err;
	nr_framing_give(framing, &server->framing);
	options->framing = &server->framing;
	return 0;
}

static void take_defaults(struct naru_options *options,
                          const struct nr_model_ops *ops)
{
	const bool fiber = ops->id == NARU_FIBER;
	const struct defaults *from = fiber ? &fiber_defaults : &defaults;

	if (options->workers == 0)
		options->workers = fiber ? nr_process_cores() : from->workers;
	/* A worker that is a process or a thread of its own holds one. */
	if (options->max_conversations == 0)
		options->max_conversations =
			ops->info.has_workers && !fiber
				? options->workers
				: conversations_default(from->conversations);
	if (options->stack_size == 0)
		options->stack_size = from->stack_size;
	if (options->stall_ms == 0)
		options->stall_ms = STALL_MS_DEFAULT;
}

int nr_server_take_options(struct naru_server *server,
                           const struct naru_options *given)
{
	struct naru_options *options = &server->options;
	struct nr_settings *settings = &server->settings;
	int err = nr_options_take(options, sizeof(*options), given);

	if (err < 0)
		return err;
	server->ops = nr_model_find(options->model, options->isolate != 0);
	if (!server->ops || !in_range(options, server->ops->id == NARU_FIBER))
		return -EINVAL;
	if (!nr_tuning_read(&server->tuning, options->keepalive_ms,
	                    options->user_timeout_ms, options->fast_open))
		return -EINVAL;
	options->model = server->ops->id;
	take_defaults(options, server->ops);
	limit_openings(server);

	*settings = nr_settings_default;
	if (options->memory_limit > 0)
		settings->memory_limit = options->memory_limit;
	err = take_framing(server);
	if (err < 0)
		return err;
	set_timeout(settings, NARU_TIMEOUT_IDLE, options->idle_ms);
	if (options->idle_ms > 0)
		settings->idle_datagram = settings->timeouts[NARU_TIMEOUT_IDLE];
	set_timeout(settings, NARU_TIMEOUT_MESSAGE, options->message_ms);
	set_timeout(settings, NARU_TIMEOUT_WRITE, options->write_ms);
	set_timeout(settings, NARU_TIMEOUT_END, options->end_ms);
	if (options->handshake_ms > 0)
		settings->handshake = nr_ns_from_ms(options->handshake_ms);
	take_back(options, settings);
	settings->report =
		(struct nr_report){options->report, options->report_arg,
	                           options->report_calls != 0};
	return nr_server_take_proxies(server);
}

int naru_server_options(struct naru_server *server,
                        struct naru_options *ret_options)
{
	if (!nr_is_server(server) || !ret_options)
		return -EINVAL;
	return nr_options_give(&server->options, sizeof(server->options),
	                       ret_options);
}
