/* SPDX-License-Identifier: MIT */
/* naru call: reads its command line, connects, and converses. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "call_converse.h"
#include "command.h"
#include "framing_options.h"
#include "log.h"
#include "tls_options.h"

#define NAME NR_TOOL_CALL_NAME

/* What the command line asks for. */
struct call {
	struct naru_dial_options options;
	struct nr_tool_tls tls;
	struct nr_tool_framing framing;
	struct nr_tool_log log;
	char endpoint[NR_TOOL_ENDPOINT_TEXT];        /* in full */
	const char *others[NARU_DIAL_ENDPOINTS_MAX]; /* ended by null */
	unsigned other_count;
	struct nr_tool_converse converse;
	int64_t port;
	int verbosity;
	bool help;
};

static void usage_options(FILE *out)
{
	fputs("options:\n"
	      "  -p, --port N       the port\n"
	      "  -4, -6             IPv4 or IPv6 only\n"
	      "      --timeout TIME how long connecting may take; 30s\n"
	      "      --source ADDR  the address to call from: ADDR or "
	      "ADDR:PORT\n"
	      "      --proxy-protocol VERSION  say first, as v1 or v2 does, "
	      "that "
	      "nobody\n"
	      "                     stands between\n"
	      "      --servername NAME\n"
	      "                     of tls://, who must be at the other end; "
	      "the host\n"
	      "      --ca FILE      who vouches for it, in PEM; the system's\n"
	      "      --verify WHAT  its certificate: required or none; "
	      "required\n"
	      "      --pin PINS     its public key, sha256//...;...\n"
	      "      --cert FILE --key FILE\n"
	      "                     our own certificate, in PEM\n"
	      "      --alpn NAME[,NAME...]\n"
	      "                     protocols over TLS, the preferred first\n"
	      "      --or ENDPOINT  called where those before it cannot be "
	      "reached; again\n"
	      "                     for more\n"
	      "      --retry N      try N times more, after pauses that grow; "
	      "0\n"
	      "      --keepalive TIME\n"
	      "                     ask a peer that is silent for so long "
	      "whether it is there\n"
	      "      --user-timeout TIME\n"
	      "                     how long what is sent may stay "
	      "unacknowledged\n"
	      "      --fast-open    send the first bytes with the first "
	      "packet\n"
	      "      --framing FRAMING\n"
	      "                     each line of input is sent as a message, "
	      "each message\n"
	      "                     printed as a line; see below\n"
	      "      --hex          input and output are hex digits: de ad "
	      "be ef\n"
	      "      --crlf         send LF as CR LF\n"
	      "      --half-open    go on sending after the peer's end\n"
	      "      --no-shutdown  do not tell the peer of the end of input: "
	      "it decides\n"
	      "                     when all has been said\n"
	      "      --wait TIME    over udp://, how long to wait for answers "
	      "after the end of\n"
	      "                     input; 1s\n"
	      "  -v                 print both addresses; -vv each call\n"
	      "  -h, --help         this text\n",
	      out);
}

static void usage(FILE *out)
{
	fputs("usage: naru call [options] [ENDPOINT]\n"
	      "\n"
	      "Connects to ENDPOINT, sends what comes on standard input and "
	      "prints what the\n"
	      "peer sends. The end of input is told to the peer, and its "
	      "answer is still read\n"
	      "to the end; the peer's end ends the call.\n"
	      "\n" NR_TOOL_ENDPOINT_USAGE "\n",
	      out);
	usage_options(out);
	fputs("\n" NR_TOOL_FRAMING_USAGE "\n"
	      "TIME is a number and ms, s, m or h; seconds without one.\n"
	      "Exit status: 0 after the peer's end, 1 when there was no "
	      "connection, it broke,\n"
	      "or the peer ended before all input was sent; 2 for usage "
	      "errors.\n",
	      out);
}

enum {
	OPTION_TIMEOUT = 256,
	OPTION_SOURCE,
	OPTION_OR,
	OPTION_RETRY,
	OPTION_KEEPALIVE,
	OPTION_USER_TIMEOUT,
	OPTION_FAST_OPEN,
	OPTION_HALF_OPEN,
	OPTION_NO_SHUTDOWN,
	OPTION_PROXY,
	OPTION_WAIT,
	OPTION_FRAMING,
	OPTION_HEX,
	OPTION_CRLF,
};

static const struct option long_options[] = {
	{"port", required_argument, NULL, 'p'},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"source", required_argument, NULL, OPTION_SOURCE},
	{"or", required_argument, NULL, OPTION_OR},
	{"retry", required_argument, NULL, OPTION_RETRY},
	{"keepalive", required_argument, NULL, OPTION_KEEPALIVE},
	{"user-timeout", required_argument, NULL, OPTION_USER_TIMEOUT},
	{"fast-open", no_argument, NULL, OPTION_FAST_OPEN},
	{"half-open", no_argument, NULL, OPTION_HALF_OPEN},
	{"no-shutdown", no_argument, NULL, OPTION_NO_SHUTDOWN},
	{"proxy-protocol", required_argument, NULL, OPTION_PROXY},
	NR_TOOL_TLS_OPTIONS,
	{"wait", required_argument, NULL, OPTION_WAIT},
	{"framing", required_argument, NULL, OPTION_FRAMING},
	{"hex", no_argument, NULL, OPTION_HEX},
	{"crlf", no_argument, NULL, OPTION_CRLF},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool set_time(const char *name, int64_t *ret_ms)
{
	const struct nr_tool_option time = {NAME, name, 1,
	                                    NR_TOOL_DURATION_MAX};

	return nr_tool_duration(&time, optarg, ret_ms);
}

/* One place is the endpoint's own, and so is the null's. */
static bool add_other(struct call *call, const char *endpoint)
{
	if (call->other_count == NARU_DIAL_ENDPOINTS_MAX - 1) {
		nr_tool_say(NAME, "--or: '%s': at most %d are possible",
		            endpoint, NARU_DIAL_ENDPOINTS_MAX - 1);
		return false;
	}
	call->others[call->other_count++] = endpoint;
	call->options.alternatives = call->others;
	return true;
}

static bool set_retry(struct call *call)
{
	const struct nr_tool_option retry = {NAME, "--retry", 0,
	                                     NARU_DIAL_TRIES_MAX - 1};
	int64_t count;

	if (!nr_tool_number(&retry, optarg, &count))
		return false;
	call->options.tries = (unsigned)count + 1;
	return true;
}

/* Options with a value that say how to dial. */
static bool set_dial(struct call *call, int c)
{
	struct naru_dial_options *o = &call->options;

	switch (c) {
	case OPTION_TIMEOUT:
		return set_time("--timeout", &o->timeout_ms);
	case OPTION_OR:
		return add_other(call, optarg);
	case OPTION_RETRY:
		return set_retry(call);
	case OPTION_KEEPALIVE:
		return set_time("--keepalive", &o->keepalive_ms);
	case OPTION_USER_TIMEOUT:
		return set_time("--user-timeout", &o->user_timeout_ms);
	default:
		o->source = optarg;
		return true;
	}
}

static bool set_option(struct call *call, int c, char **argv)
{
	const struct nr_tool_option port = {NAME, "--port", 1, 65535};
	const struct nr_tool_option wait = {NAME, "--wait", 0,
	                                    NR_TOOL_DURATION_MAX};

	switch (c) {
	case 'p':
		return nr_tool_number(&port, optarg, &call->port);
	case '4':
	case '6':
		return nr_tool_family(NAME, c, &call->options.family);
	case OPTION_TIMEOUT:
	case OPTION_SOURCE:
	case OPTION_OR:
	case OPTION_RETRY:
	case OPTION_KEEPALIVE:
	case OPTION_USER_TIMEOUT:
		return set_dial(call, c);
	case OPTION_FAST_OPEN:
		call->options.fast_open = 1;
		return true;
	case OPTION_PROXY:
		return nr_tool_announce(NAME, "--proxy-protocol", optarg,
		                        &call->options.announce);
	case OPTION_WAIT:
		return nr_tool_duration(&wait, optarg, &call->converse.wait_ms);
	case OPTION_FRAMING:
		return nr_tool_framing_set(&call->framing, NAME, optarg);
	case OPTION_HEX:
		call->converse.hex = true;
		return true;
	case OPTION_CRLF:
		call->framing.crlf = true;
		return true;
	case OPTION_HALF_OPEN:
		call->converse.half_open = true;
		return true;
	case OPTION_NO_SHUTDOWN:
		call->converse.unfinished = true;
		return true;
	case 'v':
		call->verbosity++;
		return true;
	case 'h':
		call->help = true;
		return true;
	default:
		if (nr_tool_tls_has(c))
			return nr_tool_tls_set(&call->tls, NAME, c, optarg);
		nr_tool_bad_option(NAME, argv, c, long_options);
		return false;
	}
}

/* What lines are, now that the endpoint is known. */
static bool end_framing(struct call *call)
{
	struct nr_tool_framing *f = &call->framing;
	bool is_udp = nr_tool_is_under(call->endpoint, "udp");

	if (!f->text) {
		call->converse.crlf = f->crlf;
		if (f->crlf && call->converse.hex)
			nr_tool_say(NAME, "--crlf: --hex says each byte that "
			                  "is sent");
		return !(f->crlf && call->converse.hex);
	}
	if (f->crlf && is_udp) {
		nr_tool_say(NAME, "--crlf: a datagram ends without one");
		return false;
	}
	call->options.framing = &f->framing;
	call->converse.framed = true;
	call->converse.limit =
		f->framing.limit ? f->framing.limit : NR_TOOL_FRAMING_LIMIT;
	return nr_tool_framing_crlf(f, NAME);
}

static bool end_tls(struct call *call)
{
	const char *endpoints[NARU_DIAL_ENDPOINTS_MAX + 1] = {call->endpoint};

	memcpy(endpoints + 1, call->others, sizeof(call->others));
	call->options.tls = nr_tool_tls_end(&call->tls);
	return nr_tool_tls_fits(&call->tls, NAME, "", endpoints);
}

static bool parse(struct call *call, int argc, char **argv)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":p:46vh", long_options, NULL)) !=
	       -1) {
		if (!set_option(call, c, argv))
			return false;
		if (call->help)
			return true;
	}
	if (argc - optind > 1) {
		nr_tool_say(NAME, "'%s': nothing may follow the endpoint",
		            argv[optind + 1]);
		return false;
	}
	return nr_tool_endpoint(NAME, argc > optind ? argv[optind] : NULL,
	                        call->port, call->endpoint) &&
	       end_framing(call) && end_tls(call);
}

/* Why there is no connection, so that the cases can be told apart. */
static const char *dial_error(int err)
{
	switch (err) {
	case -ECONNREFUSED:
		return "connection refused: nobody listens there";
	case -ETIMEDOUT:
		return "timed out: no answer came";
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return "unreachable: no way leads there";
	case -NARU_ENONAME:
		return "no such name";
	case -ENOENT:
		return "no such unix socket";
	case -EADDRNOTAVAIL:
		return "this machine has no such source address, or no port "
		       "left";
	case -EAFNOSUPPORT:
		return "IPv4 and IPv6 do not go together here: see -4, -6 and "
		       "--source";
	default:
		return naru_strerror(err);
	}
}

static int dial_fails(const struct call *call, int err)
{
	if (err == -NARU_EENDPOINT) {
		bool source = strcmp(call->log.what, "read source") == 0;

		nr_tool_say(NAME, "%s%s", source ? "--source: " : "",
		            call->log.why[0] ? call->log.why
		                             : naru_strerror(err));
		return NR_TOOL_USAGE;
	}
	if (nr_tool_tls_is_wrong(&call->log))
		nr_tool_tls_say_wrong(&call->tls, NAME, call->log.why, err);
	else if (strcmp(call->log.what, "announce") == 0)
		nr_tool_say(NAME, "--proxy-protocol: %s", call->log.why);
	else if (call->log.why[0] && strcmp(call->log.what, "TLS") == 0)
		nr_tool_say(NAME, "%s: %s: %s", call->endpoint,
		            naru_strerror(err), call->log.why);
	else if (call->other_count > 0)
		nr_tool_say(NAME, "%s and %u other%s: %s", call->endpoint,
		            call->other_count, call->other_count > 1 ? "s" : "",
		            dial_error(err));
	else
		nr_tool_say(NAME, "%s: %s", call->endpoint, dial_error(err));
	return err == -EINVAL ? NR_TOOL_USAGE : NR_TOOL_FAILURE;
}

static void say_connected(const struct call *call, struct naru_conv *conv)
{
	char local[NARU_ADDR_TEXT], peer[NARU_ADDR_TEXT];

	nr_tool_addr_text(local, naru_local(conv));
	nr_tool_addr_text(peer, naru_peer(conv));
	if (isatty(STDIN_FILENO))
		nr_tool_say("naru",
		            "connected: %s -> %s; type a message and press "
		            "enter, end with ^D",
		            local, peer);
	else
		nr_tool_log(&call->log, NR_TOOL_LOG_CONVERSATIONS,
		            "connected: %s -> %s", local, peer);
	nr_tool_tls_show(&call->log, naru_tls_info(conv));
}

static int run(struct call *call)
{
	struct naru_conv *conv;
	int err;

	call->log.capture = true;
	err = naru_dial(&conv, call->endpoint, &call->options);
	call->log.capture = false;
	if (err < 0)
		return dial_fails(call, err);
	say_connected(call, conv);
	call->converse.endpoint = call->endpoint;
	return nr_tool_converse(&call->converse, conv);
}

static int call_main(int argc, char **argv)
{
	struct call call = {
		.options = {.size = sizeof(call.options)},
		.port = NR_TOOL_NO_PORT,
		.converse.wait_ms = 1000,
		.tls.prefix = "",
	};

	if (!parse(&call, argc, argv))
		return NR_TOOL_USAGE;
	if (call.help)
		return nr_tool_help(&nr_tool_call);
	/* A reader of our output that is gone is an error to report. */
	signal(SIGPIPE, SIG_IGN);
	nr_tool_log_init(&call.log, call.verbosity, true);
	call.options.report = nr_tool_log_event;
	call.options.report_arg = &call.log;
	call.options.report_calls = call.verbosity >= NR_TOOL_LOG_CALLS;
	return run(&call);
}

const struct nr_tool_command nr_tool_call = {
	.name = "call",
	.run = call_main,
	.usage = usage,
	.summary = "connect to a server, send input, print its answers",
};
