/* SPDX-License-Identifier: MIT */
/*
 * naru serve: listens, and holds a conversation with each client under the
 * model that was asked for, until it is told to stop.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "command.h"
#include "serve.h"

#define NAME             NR_TOOL_SERVE_NAME

#define DEFAULT_DRAIN_MS 10000

/*
 * What the signal handler needs. It acts in the process that installed it and
 * in no other: the models of processes fork, and ^C at a terminal reaches all
 * of them.
 */
static struct {
	struct naru_server *server;
	pid_t pid;
	int64_t drain_ms;
	volatile sig_atomic_t signals;
	bool quiet;
} stopping;

static void on_stop(int number)
{
	int64_t drain_ms = stopping.signals ? 0 : stopping.drain_ms;
	static const char said[] = "naru: stopping; a second signal ends all "
				   "conversations at once\n";
	int before = errno;

	(void)number;
	if (getpid() != stopping.pid)
		return;
	/* Said here, because whoever accepts may be in a conversation. Where
	 * nobody hears it, there is nobody to tell. */
	if (!stopping.signals && !stopping.quiet &&
	    write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
		stopping.quiet = true;
	stopping.signals = 1;
	(void)naru_server_stop(stopping.server, drain_ms);
	errno = before;
}

static void on_reload(int number)
{
	(void)number;
	if (getpid() == stopping.pid)
		(void)naru_server_reload_tls_later(stopping.server);
}

static void on_pipe(int number)
{
	(void)number;
}

static void set_signals(struct naru_server *server, int64_t drain_ms,
                        bool has_tls)
{
	struct sigaction reload = {.sa_handler = on_reload,
	                           .sa_flags = SA_RESTART};
	struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	struct sigaction none = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};

	stopping.server = server;
	stopping.pid = getpid();
	stopping.drain_ms = drain_ms;
	sigemptyset(&none.sa_mask);
	/* Two signals that come together are handled in turn. */
	sigemptyset(&stop.sa_mask);
	sigaddset(&stop.sa_mask, SIGTERM);
	sigaddset(&stop.sa_mask, SIGINT);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	/* Without certificates it is what it ever was: the terminal's end. */
	sigemptyset(&reload.sa_mask);
	if (has_tls)
		sigaction(SIGHUP, &reload, NULL);
	/* A log that nobody reads any more must not end the server. A handler
	 * does not outlive exec, as ignoring would: programs find the signal
	 * as they expect it. */
	sigaction(SIGPIPE, &none, NULL);
}

/* The server is about to go: who asks again has been heard. */
static void ignore_signals(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
}

/* Which call fails with ERR, where the library did not say it: all that can
 * go wrong with an address goes wrong in bind(2). */
static const char *failed_call(int err)
{
	switch (err) {
	case -EADDRINUSE:
	case -EADDRNOTAVAIL:
	case -EACCES:
		return "bind: ";
	default:
		return "";
	}
}

static int listen_fails(const struct nr_tool_serving *serve, int err)
{
	/* Which of the endpoint's addresses it is, where that is news. */
	const char *which =
		strstr(serve->endpoint, serve->log.why) ? "" : serve->log.why;

	if (err == -NARU_EENDPOINT) {
		nr_tool_say(NAME, "%s", serve->log.why);
		return NR_TOOL_USAGE;
	}
	nr_tool_say(NAME, "%s: %s%s%s%s%s", serve->endpoint, failed_call(err),
	            which, *which ? ": " : "", naru_strerror(err),
	            err == -NARU_ENONAME ? ", and no talk is called so" : "");
	return NR_TOOL_FAILURE;
}

bool nr_tool_serve_has_fibers(const struct nr_tool_serving *serve)
{
	return naru_model_info(serve->options.model) ==
	       naru_model_info(NARU_FIBER);
}

/*
 * How fibers wait is known when the server runs, which is when it is ready.
 * Then it is the first to be told: whoever reads the log learns in one line
 * what the settings came to.
 */
static void report(const struct naru_event *event, void *arg)
{
	struct nr_tool_serving *serve = arg;

	if (event->kind != NARU_EVENT_WAITER) {
		nr_tool_log_event(event, &serve->log);
		return;
	}
	nr_tool_serve_ready(serve, event);
	if (serve->failed)
		(void)naru_server_stop(serve->server, 0);
}

/* Conversations in fibers are so many that descriptors are what runs out: all
 * that the system grants are used. A program would inherit the limit, and some
 * take it for how many descriptors they have to close: there it stays. */
static void raise_limit(const struct nr_tool_serving *serve)
{
	struct rlimit limit;

	if (!nr_tool_serve_has_fibers(serve) ||
	    serve->talk == &nr_tool_program ||
	    getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	/* Where it cannot be, there are fewer conversations. */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Says how the server ended, or why it did not begin. */
static int tell_end(const struct nr_tool_serving *serve, int err)
{
	if (serve->failed)
		return NR_TOOL_FAILURE;
	if (err == -ECANCELED)
		nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
		            "stopped; some conversations were cut off");
	else if (err < 0 && !serve->ready && serve->options.io == NARU_IO_URING)
		nr_tool_say(NAME, "--io uring: %s", naru_strerror(err));
	else if (err < 0)
		nr_tool_say(NAME, "%s: %s", serve->endpoint,
		            naru_strerror(err));
	else
		nr_tool_log(&serve->log, NR_TOOL_LOG_CONVERSATIONS, "stopped");
	return err < 0 ? NR_TOOL_FAILURE : NR_TOOL_OK;
}

static bool is_udp(const struct nr_tool_serving *serve)
{
	return nr_tool_is_under(serve->endpoint, "udp");
}

/* As it is at this endpoint, under this framing. */
static naru_talk *pick_talk(const struct nr_tool_serving *serve)
{
	const struct nr_tool_talk *talk = serve->talk;

	if (is_udp(serve))
		return talk->run_datagram ? talk->run_datagram : talk->run;
	return serve->arg.framing ? talk->run_messages : talk->run;
}

static int run(struct nr_tool_serving *serve)
{
	int err;

	if (serve->talk == &nr_tool_program && is_udp(serve)) {
		nr_tool_say(NAME,
		            "%s: a program reads a stream of bytes, which UDP "
		            "is not",
		            serve->endpoint);
		return NR_TOOL_USAGE;
	}
	if (serve->talk == &nr_tool_program &&
	    !nr_tool_program_is_there(serve->arg.argv[0])) {
		nr_tool_say(NAME, "there is no program '%s' that can be run",
		            serve->arg.argv[0]);
		return NR_TOOL_FAILURE;
	}
	serve->log.capture = true;
	err = naru_server_listen(serve->server, serve->endpoint,
	                         pick_talk(serve), &serve->arg);
	serve->log.capture = false;
	if (err < 0)
		return listen_fails(serve, err);
	stopping.quiet = serve->quiet;
	set_signals(serve->server, serve->drain_ms, serve->options.tls != NULL);
	if (!nr_tool_serve_has_fibers(serve))
		nr_tool_serve_ready(serve, NULL);
	if (serve->failed)
		return NR_TOOL_FAILURE;
	err = naru_server_run(serve->server);
	ignore_signals();
	return tell_end(serve, err);
}

static void set_options(struct nr_tool_serving *serve)
{
	nr_tool_log_init(&serve->log,
	                 serve->quiet ? NR_TOOL_LOG_QUIET : serve->verbosity,
	                 false);
	serve->arg.log = &serve->log;
	serve->options.report = report;
	serve->options.report_arg = serve;
	serve->options.report_calls = serve->log.verbosity >= NR_TOOL_LOG_CALLS;
	serve->options.catch_overflow = 1;
}

/* Why there is no server. */
static int say_wrong(const struct nr_tool_serving *serve, int err)
{
	const char *why = serve->log.why;

	if (strcmp(serve->log.what, "read proxy_from") == 0)
		nr_tool_say(NAME, "--proxy-protocol: %s", why);
	else if (nr_tool_tls_is_wrong(&serve->log))
		nr_tool_tls_say_wrong(&serve->tls, NAME, why, err);
	else if (*why)
		nr_tool_say(NAME, "%s: %s", why, naru_strerror(err));
	else if (err == -EINVAL)
		nr_tool_say(NAME, "a number among the options is too large");
	else
		nr_tool_say(NAME, "%s: %s", serve->endpoint,
		            naru_strerror(err));
	return err == -EINVAL ? NR_TOOL_USAGE : NR_TOOL_FAILURE;
}

static int serve_main(int argc, char **argv)
{
	struct nr_tool_serving serve = {
		.options = {.size = sizeof(serve.options)},
		.talk = &nr_tool_talks[0],
		.port = NR_TOOL_NO_PORT,
		.drain_ms = DEFAULT_DRAIN_MS,
		.tls.prefix = "",
		.relay_tls.prefix = "relay-",
	};
	int err, status;

	if (!nr_tool_serve_parse(&serve, argc, argv))
		return NR_TOOL_USAGE;
	if (serve.help)
		return nr_tool_help(&nr_tool_serve);
	/* A relay would meet it with its first client only. */
	err = nr_tool_tls_check(&serve.relay_tls, NAME);
	if (err < 0)
		return err == -EINVAL ? NR_TOOL_USAGE : NR_TOOL_FAILURE;
	set_options(&serve);
	raise_limit(&serve);
	serve.log.capture = true;
	err = naru_server_new(&serve.server, &serve.options);
	serve.log.capture = false;
	if (err < 0)
		return say_wrong(&serve, err);
	status = run(&serve);
	naru_server_free(serve.server);
	return status;
}

const struct nr_tool_command nr_tool_serve = {
	.name = "serve",
	.run = serve_main,
	.usage = nr_tool_serve_usage,
	.summary = "wait for clients and hold a conversation with each",
};
