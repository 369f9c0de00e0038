/* SPDX-License-Identifier: MIT */
/*
 * naru serve: listens, and holds a conversation with each client under the
 * model that was asked for, until it is told to stop.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "command.h"
#include "log.h"
#include "talks.h"

#define NAME             "naru serve"

#define DEFAULT_DRAIN_MS 10000

/* What the command line asks for. */
struct serve {
	struct naru_options options;
	const struct nr_tool_talk *talk;
	struct nr_tool_talk_arg arg;
	struct nr_tool_log log;
	char endpoint[NR_TOOL_ENDPOINT_TEXT]; /* in full */
	int64_t port;
	int64_t drain_ms;
	int verbosity;
	bool quiet;
	bool print_endpoint;
	bool help;
};

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

static void on_pipe(int number)
{
	(void)number;
}

static void set_signals(struct naru_server *server, int64_t drain_ms)
{
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

static void usage_models(FILE *out)
{
	const struct naru_model_info *chosen = naru_model_info(0), *info;

	for (int i = 1; (info = naru_model_info(i)) != NULL; i++)
		fprintf(out, "  %-15s %s%s\n", info->name, info->summary,
		        info == chosen ? " (default)" : "");
}

static void usage(FILE *out)
{
	fputs("usage: naru serve [options] [ENDPOINT] [TALK]\n"
	      "       naru serve [options] [ENDPOINT] -- PROGRAM [ARG...]\n"
	      "\n"
	      "Serves clients at ENDPOINT: HOST:PORT, [IPV6]:PORT, :PORT or "
	      "*:PORT for all\n"
	      "addresses, PORT, unix:/PATH, unix:@NAME. The default is "
	      "localhost:1060.\n"
	      "\n"
	      "options:\n"
	      "  -m, --model MODEL           who runs a talk, see below\n"
	      "  -w, --workers N             workers of prefork and pool; 16\n"
	      "  -b, --backlog N             connections that may wait to be "
	      "accepted\n"
	      "  -c, --max-conversations N   at once; more wait in the "
	      "backlog; "
	      "1000\n"
	      "  -p, --port N                the port, 0 for one that is free\n"
	      "  -4, -6                      IPv4 or IPv6 only\n"
	      "  -1                          print the endpoint on standard "
	      "output when ready\n"
	      "      --idle-timeout TIME     how long a talk waits for its "
	      "peer; "
	      "10m\n"
	      "      --drain TIME            how long conversations may take "
	      "to "
	      "end; 10s\n"
	      "  -v                          tell of each conversation; -vv of "
	      "each call\n"
	      "  -q                          say nothing but why it fails to "
	      "start\n"
	      "  -h, --help                  this text\n"
	      "\n"
	      "TIME is a number and ms, s, m or h; seconds without one.\n"
	      "\n"
	      "models:\n",
	      out);
	usage_models(out);
	fputs("\ntalks:\n", out);
	for (const struct nr_tool_talk *t = nr_tool_talks; t->name; t++)
		fprintf(out, "  %s%-*s %s\n", t->name,
		        (int)(15 - strlen(t->name)),
		        t->has_target ? "=ENDPOINT" : "", t->summary);
	fputs("\n"
	      "SIGTERM and SIGINT end the server: conversations may end by "
	      "themselves first;\n"
	      "a second signal ends them at once. Exit status: 0 when all had "
	      "ended, 1 when\n"
	      "some were cut off or the server could not start, 2 for usage "
	      "errors.\n",
	      out);
}

static bool set_model(struct serve *serve, const char *name)
{
	const struct naru_model_info *info;
	char names[256] = "";
	size_t len = 0;

	for (int i = 1; (info = naru_model_info(i)) != NULL; i++) {
		if (strcmp(info->name, name) == 0) {
			serve->options.model = (enum naru_model)i;
			return true;
		}
		if (len < sizeof(names))
			len += (size_t)snprintf(names + len,
			                        sizeof(names) - len, "%s%s",
			                        i > 1 ? ", " : "", info->name);
	}
	nr_tool_say(NAME, "--model: '%s': there is no such model; there are %s",
	            name, names);
	return false;
}

static bool set_count(const char *name, int64_t max, const char *text,
                      unsigned *ret_count)
{
	const struct nr_tool_option option = {NAME, name, 1, max};
	int64_t number;

	if (!nr_tool_number(&option, text, &number))
		return false;
	*ret_count = (unsigned)number;
	return true;
}

static bool set_time(const char *name, int64_t min, const char *text,
                     int64_t *ret_ms)
{
	const struct nr_tool_option option = {NAME, name, min,
	                                      NR_TOOL_DURATION_MAX};

	return nr_tool_duration(&option, text, ret_ms);
}

/* Long options without a letter. */
enum {
	OPTION_IDLE = 256,
	OPTION_DRAIN
};

static const struct option long_options[] = {
	{"model", required_argument, NULL, 'm'},
	{"workers", required_argument, NULL, 'w'},
	{"backlog", required_argument, NULL, 'b'},
	{"max-conversations", required_argument, NULL, 'c'},
	{"port", required_argument, NULL, 'p'},
	{"idle-timeout", required_argument, NULL, OPTION_IDLE},
	{"drain", required_argument, NULL, OPTION_DRAIN},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* Options with a value. */
static bool set_value(struct serve *serve, int c, const char *text)
{
	const struct nr_tool_option port = {NAME, "--port", 0, 65535};
	struct naru_options *o = &serve->options;

	switch (c) {
	case 'm':
		return set_model(serve, text);
	case 'w':
		return set_count("--workers", NARU_WORKERS_MAX, text,
		                 &o->workers);
	case 'b':
		return set_count("--backlog", INT32_MAX, text, &o->backlog);
	case 'c':
		return set_count("--max-conversations", NARU_CONVERSATIONS_MAX,
		                 text, &o->max_conversations);
	case 'p':
		return nr_tool_number(&port, text, &serve->port);
	case OPTION_IDLE:
		return set_time("--idle-timeout", 1, text, &o->idle_ms);
	default:
		return set_time("--drain", 0, text, &serve->drain_ms);
	}
}

static bool set_option(struct serve *serve, int c, char **argv)
{
	switch (c) {
	case '4':
	case '6':
		return nr_tool_family(NAME, c, &serve->options.family);
	case '1':
		serve->print_endpoint = true;
		return true;
	case 'v':
		serve->verbosity++;
		return true;
	case 'q':
		serve->quiet = true;
		return true;
	case 'h':
		serve->help = true;
		return true;
	case '?':
	case ':':
		nr_tool_bad_option(NAME, argv, c, long_options);
		return false;
	default:
		return set_value(serve, c, optarg);
	}
}

static bool set_talk(struct serve *serve, const char *text)
{
	char why[1024] = "";

	serve->talk = nr_tool_talk_find(text, &serve->arg.target);
	if (!serve->talk) {
		nr_tool_say(NAME,
		            "'%s': there is no such talk; see: " NAME " --help",
		            text);
		return false;
	}
	if (!serve->talk->has_target)
		return true;
	if (!serve->arg.target) {
		nr_tool_say(NAME, "'%s': an endpoint is missing: %s=ENDPOINT",
		            text, text);
		return false;
	}
	if (naru_endpoint_check(serve->arg.target, why, sizeof(why)) < 0) {
		nr_tool_say(NAME, "%s: %s", serve->talk->name, why);
		return false;
	}
	return true;
}

/* [ENDPOINT] [TALK], or [ENDPOINT] before a program. */
static bool set_operands(struct serve *serve, int count, char **operands)
{
	bool has_program = serve->talk == &nr_tool_program;
	const char *target;
	const char *endpoint = NULL;

	if (count > (has_program ? 1 : 2)) {
		nr_tool_say(
			NAME,
			has_program
				? "'%s': a program takes the place of a talk"
				: "'%s': nothing may follow the talk",
			operands[count - 1]);
		return false;
	}
	if (count == 2 || has_program ||
	    (count == 1 && !nr_tool_talk_find(operands[0], &target)))
		endpoint = operands[0];
	if (!has_program && count == (endpoint ? 2 : 1) &&
	    !set_talk(serve, operands[count - 1]))
		return false;
	return nr_tool_endpoint(NAME, endpoint, serve->port, serve->endpoint);
}

/* What follows "--" is a program: nothing in it is ours to read. */
static int cut_program(struct serve *serve, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		serve->talk = &nr_tool_program;
		serve->arg.argv = argv + i + 1;
		argv[i] = NULL;
		return i;
	}
	return argc;
}

static bool parse(struct serve *serve, int argc, char **argv)
{
	int c;

	argc = cut_program(serve, argc, argv);
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":m:w:b:c:p:461vqh", long_options,
	                        NULL)) != -1) {
		if (!set_option(serve, c, argv))
			return false;
		if (serve->help)
			return true;
	}
	if (serve->arg.argv && (!serve->arg.argv[0] || !*serve->arg.argv[0])) {
		nr_tool_say(NAME, "a program is missing after '--'");
		return false;
	}
	return set_operands(serve, argc - optind, argv + optind);
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

static int listen_fails(const struct serve *serve, int err)
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

/* The endpoint as the user wrote it, with the port that the system chose. */
static void ready_endpoint(const struct serve *serve,
                           struct naru_server *server, char *ret)
{
	char bound[NARU_ADDR_TEXT];

	if (strncmp(serve->endpoint, "unix:", 5) == 0 ||
	    naru_server_endpoint(server, 0, bound, sizeof(bound)) < 0)
		snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%s", serve->endpoint);
	else if (serve->options.family != NARU_FAMILY_ANY)
		/* A name would promise the other family as well. */
		snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%s", bound);
	else
		nr_tool_endpoint_port(serve->endpoint, strrchr(bound, ':') + 1,
		                      ret);
}

/* Where it listens, all of them. */
static void say_listening(const struct serve *serve, struct naru_server *server)
{
	char all[1024] = "", one[NARU_ADDR_TEXT], workers[32] = "";
	bool program = serve->talk == &nr_tool_program;
	struct naru_options real = {.size = sizeof(real)};
	const struct naru_model_info *info;
	size_t len = 0, used = 0;
	char what[512] = "";

	if (naru_server_options(server, &real) < 0)
		return;
	info = naru_model_info(real.model);

	for (unsigned i = 0;
	     naru_server_endpoint(server, i, one, sizeof(one)) >= 0; i++)
		if (len < sizeof(all))
			len += (size_t)snprintf(all + len, sizeof(all) - len,
			                        "%s%s", i ? " and " : "", one);
	if (info->has_workers)
		snprintf(workers, sizeof(workers), ", %u worker%s",
		         real.workers, real.workers == 1 ? "" : "s");
	if (!program)
		snprintf(what, sizeof(what), "%s%s%s", serve->talk->name,
		         serve->arg.target ? "=" : "",
		         serve->arg.target ? serve->arg.target : "");
	for (char **arg = program ? serve->arg.argv : NULL; arg && *arg; arg++)
		if (used < sizeof(what))
			used += (size_t)snprintf(what + used,
			                         sizeof(what) - used, "%s%s",
			                         used ? " " : "", *arg);
	nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
	            "listening on %s: %s %s, model %s%s, backlog %u", all,
	            program ? "program" : "talk", what, info->name, workers,
	            atomic_load(&serve->log.backlog));
}

/* How to talk to it; "*" is no host that a client could call, and ncat takes an
 * IPv6 address without its brackets. */
static void say_hint(const struct serve *serve, const char *ready)
{
	const char *text = ready, *host = "", *port, *name;
	int len;

	if (strncmp(text, "tcp://", 6) != 0) {
		nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
		            "talk to it with: %s call %s",
		            program_invocation_name, text);
		return;
	}
	text += 6;
	if (*text == '*') {
		host = "localhost";
		text++;
	}
	port = strrchr(text, ':') + 1;
	name = *text == '[' ? text + 1 : text;
	len = (int)(port - 1 - text) - (*text == '[' ? 2 : 0);
	nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
	            "talk to it with: %s call %s%s, or ncat %s%.*s %s",
	            program_invocation_name, host, text, host, len, name, port);
}

static int say_ready(const struct serve *serve, struct naru_server *server)
{
	char ready[NR_TOOL_ENDPOINT_TEXT];

	ready_endpoint(serve, server, ready);
	say_listening(serve, server);
	say_hint(serve, ready);
	if (!serve->print_endpoint)
		return 0;
	if (printf("%s\n", ready) < 0 || fflush(stdout) != 0) {
		nr_tool_say(NAME, "standard output cannot be written");
		return -EIO;
	}
	return 0;
}

static int run(struct serve *serve, struct naru_server *server)
{
	int err;

	if (serve->talk == &nr_tool_program &&
	    !nr_tool_program_is_there(serve->arg.argv[0])) {
		nr_tool_say(NAME, "there is no program '%s' that can be run",
		            serve->arg.argv[0]);
		return NR_TOOL_FAILURE;
	}
	serve->log.capture = true;
	err = naru_server_listen(server, serve->endpoint, serve->talk->run,
	                         &serve->arg);
	serve->log.capture = false;
	if (err < 0)
		return listen_fails(serve, err);
	stopping.quiet = serve->quiet;
	set_signals(server, serve->drain_ms);
	if (say_ready(serve, server) < 0)
		return NR_TOOL_FAILURE;
	err = naru_server_run(server);
	ignore_signals();
	if (err == -ECANCELED)
		nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
		            "stopped; some conversations were cut off");
	else if (err < 0)
		nr_tool_say(NAME, "%s: %s", serve->endpoint,
		            naru_strerror(err));
	else
		nr_tool_log(&serve->log, NR_TOOL_LOG_CONVERSATIONS, "stopped");
	return err < 0 ? NR_TOOL_FAILURE : NR_TOOL_OK;
}

static int serve_main(int argc, char **argv)
{
	struct serve serve = {
		.options = {.size = sizeof(serve.options)},
		.talk = &nr_tool_talks[0],
		.port = NR_TOOL_NO_PORT,
		.drain_ms = DEFAULT_DRAIN_MS,
	};
	struct naru_server *server;
	int err, status;

	if (!parse(&serve, argc, argv))
		return NR_TOOL_USAGE;
	if (serve.help)
		return nr_tool_help(&nr_tool_serve);
	nr_tool_log_init(&serve.log,
	                 serve.quiet ? NR_TOOL_LOG_QUIET : serve.verbosity,
	                 false);
	serve.arg.log = &serve.log;
	serve.options.report = nr_tool_log_event;
	serve.options.report_arg = &serve.log;
	serve.options.report_calls = serve.log.verbosity >= NR_TOOL_LOG_CALLS;
	err = naru_server_new(&server, &serve.options);
	if (err == -EINVAL) {
		nr_tool_say(NAME, "a number among the options is too large");
		return NR_TOOL_USAGE;
	}
	if (err < 0) {
		nr_tool_say(NAME, "%s: %s", serve.endpoint, naru_strerror(err));
		return NR_TOOL_FAILURE;
	}
	status = run(&serve, server);
	naru_server_free(server);
	return status;
}

const struct nr_tool_command nr_tool_serve = {
	.name = "serve",
	.run = serve_main,
	.usage = usage,
	.summary = "wait for clients and hold a conversation with each",
};
