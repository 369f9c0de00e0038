/* SPDX-License-Identifier: MIT */
/*
 * naru call: connects, and carries bytes both ways at once. The main strand
 * receives, since the peer's end decides when the call ends; a second one
 * sends what comes on standard input. That one waits outside of the library,
 * in poll(2), so it is woken through a descriptor of its own.
 */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arguments.h"
#include "command.h"
#include "log.h"
#include "tls_options.h"

#define NAME  "naru call"

#define CHUNK 65536

/* The longest datagram of UDP over IPv4. */
#define DATAGRAM_MAX 65507

/* What the command line asks for. */
struct call {
	struct naru_dial_options options;
	struct nr_tool_tls tls;
	struct nr_tool_log log;
	char endpoint[NR_TOOL_ENDPOINT_TEXT];        /* in full */
	const char *others[NARU_DIAL_ENDPOINTS_MAX]; /* ended by null */
	unsigned other_count;
	int64_t port;
	int64_t wait_ms; /* over UDP, for answers when the input has ended */
	int verbosity;
	bool half_open;
	bool help;
};

/* The strand that sends. Its fields are its own until it has ended. */
struct sender {
	int stop_fd;   /* readable when it shall stop */
	int input_err; /* standard input could not be read: a negated errno */
	int result;    /* of the sending calls */
	bool input_ended; /* all input was read and handed to the system */
	_Atomic int64_t ended_at; /* when, on naru_now()'s clock; 0 before */
	size_t chunk;             /* how much is sent at once */
	char buf[CHUNK];
};

static void usage(FILE *out)
{
	fputs("usage: naru call [options] [ENDPOINT]\n"
	      "\n"
	      "Connects to ENDPOINT (default localhost:1060), sends what comes "
	      "on standard\n"
	      "input and prints what the peer sends. The end of input is told "
	      "to the peer,\n"
	      "and its answer is still read to the end; the peer's end ends "
	      "the "
	      "call.\n"
	      "\n"
	      "options:\n"
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
	      "      --half-open    go on sending after the peer's end\n"
	      "      --wait TIME    over udp://, how long to wait for answers "
	      "after the end of\n"
	      "                     input; 1s\n"
	      "  -v                 print both addresses; -vv each call\n"
	      "  -h, --help         this text\n"
	      "\n"
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
	OPTION_PROXY,
	OPTION_WAIT,
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
	{"proxy-protocol", required_argument, NULL, OPTION_PROXY},
	NR_TOOL_TLS_OPTIONS,
	{"wait", required_argument, NULL, OPTION_WAIT},
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
		return nr_tool_duration(&wait, optarg, &call->wait_ms);
	case OPTION_HALF_OPEN:
		call->half_open = true;
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
	nr_tool_tls_end(&call->tls);
	call->options.tls = call->tls.given ? &call->tls.tls : NULL;
	if (argc - optind > 1) {
		nr_tool_say(NAME, "'%s': nothing may follow the endpoint",
		            argv[optind + 1]);
		return false;
	}
	return nr_tool_endpoint(NAME, argc > optind ? argv[optind] : NULL,
	                        call->port, call->endpoint);
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
	if (call->log.why[0] && strstr(call->log.what, "TLS"))
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

/* Waits until standard input can be read: 1; 0 when told to stop. */
static int wait_for_input(const struct sender *sender)
{
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = sender->stop_fd, .events = POLLIN},
	};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return 0;
	return fds[1].revents == 0;
}

static int send_input(struct naru_conv *conv, void *arg)
{
	struct sender *sender = arg;

	while (wait_for_input(sender)) {
		ssize_t n = read(STDIN_FILENO, sender->buf, sender->chunk);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			sender->input_err = n < 0 ? -errno : 0;
			sender->result = naru_finish(conv);
			sender->input_ended = true;
			atomic_store(&sender->ended_at, naru_now());
			break;
		}
		sender->result = naru_write(conv, sender->buf, (size_t)n);
		if (sender->result == 0)
			sender->result = naru_flush(conv);
		if (sender->result < 0)
			break;
	}
	return sender->result;
}

/* Writes all of DATA to standard output: 0 or a negated errno. */
static int print(const char *data, size_t len)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EAGAIN)
			(void)poll(&out, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Prints what the peer sends until it has finished: 0, or what broke; then
 * RET_OUTPUT says whether it was our output. */
static int print_answer(struct naru_conv *conv, bool *ret_output)
{
	static char buf[CHUNK];
	ssize_t n;

	while ((n = naru_read(conv, buf, sizeof(buf))) > 0) {
		int err = print(buf, (size_t)n);

		if (err < 0) {
			*ret_output = true;
			return err;
		}
	}
	return (int)n;
}

static bool is_udp(const struct call *call)
{
	return strncmp(call->endpoint, "udp://", 6) == 0;
}

/* How often one looks whether the input has ended. */
#define LOOK_MS 20

/* The same over UDP, where a datagram may be empty and silence is the only
 * end: once the input has ended, as long as it was asked for. */
static int print_datagrams(const struct call *call, struct naru_conv *conv,
                           struct sender *sender, bool *ret_output)
{
	int64_t heard = naru_now(), ended;
	struct naru_msg msg;
	int err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, LOOK_MS);

	while (err == 0) {
		err = naru_recv(conv, &msg);
		if (err > 0) {
			heard = naru_now();
			err = print(msg.data, msg.len);
			*ret_output = err < 0;
			continue;
		}
		ended = atomic_load(&sender->ended_at);
		if (err != -ETIMEDOUT)
			break;
		if (ended > 0 && naru_now() - (ended > heard ? ended : heard) >=
		                         call->wait_ms)
			return 0;
		err = 0;
	}
	return err;
}

/* How long a program that feeds us may take to show that it has more. */
#define INPUT_MORE_MS 50

/* Whether standard input holds bytes now. A pipe that was just emptied tells
 * only after a moment; a person at a terminal is not waited for. */
static bool input_waits(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	int ms = isatty(STDIN_FILENO) ? 0 : INPUT_MORE_MS;
	char byte;

	return poll(&in, 1, ms) > 0 && read(STDIN_FILENO, &byte, 1) > 0;
}

/* Ends the call without waiting for the peer any more. */
static int hang_up(struct naru_conv *conv, const struct sender *sender)
{
	const uint64_t one = 1;
	ssize_t n;
	int err;

	do
		n = write(sender->stop_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	err = naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 0);
	if (err == 0)
		err = naru_set_timeout(conv, NARU_TIMEOUT_END, 0);
	return err;
}

static int broke(const struct call *call, const char *what, int err)
{
	nr_tool_say(NAME, "%s: %s: %s", call->endpoint, what,
	            naru_strerror(err));
	return NR_TOOL_FAILURE;
}

/* What the sender has to tell, once it has ended. CLOSED is naru_close()'s
 * result. */
static int judge(const struct call *call, const struct sender *sender,
                 int closed)
{
	int result = sender->result;
	/* It was stopped half-way by us, or by the peer's end. */
	bool unsent = result == -ECANCELED || result == -ETIMEDOUT ||
	              result == -EPIPE;

	if (sender->input_err < 0)
		return broke(call, "standard input", sender->input_err);
	if (result < 0 && !unsent)
		return broke(call, "the connection broke", result);
	if (unsent || (!sender->input_ended && input_waits())) {
		nr_tool_say(NAME,
		            "%s: the peer finished before all input was sent",
		            call->endpoint);
		return NR_TOOL_FAILURE;
	}
	if (closed < 0)
		return broke(call, "the connection broke", closed);
	return NR_TOOL_OK;
}

/* With --half-open the peer's end is not the end: all input is still sent.
 * What became of that is in SENDER; here returns what else went wrong. */
static int wait_for_sender(struct naru_conv *conv, const struct sender *sender)
{
	int err = naru_join(conv);

	return err < 0 && err != sender->result ? err : 0;
}

/* Both directions at once, until the end. Takes CONV. */
static int converse(const struct call *call, struct naru_conv *conv,
                    struct sender *sender)
{
	bool output = false;
	int err, end, closed;

	err = naru_spawn(conv, send_input, sender);
	if (err < 0) {
		(void)naru_close(conv);
		return broke(call, "a second strand", err);
	}
	err = is_udp(call) ? print_datagrams(call, conv, sender, &output)
	                   : print_answer(conv, &output);
	if (err == 0 && call->half_open)
		err = wait_for_sender(conv, sender);
	end = hang_up(conv, sender);
	closed = naru_close(conv);
	if (output)
		return broke(call, "standard output", err);
	if (err < 0)
		return broke(call, "the connection broke", err);
	return judge(call, sender, end < 0 ? end : closed);
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

/* A person may think, and a pipe may stand still, for as long as they like:
 * who waits here can press ^C. */
static int wait_long(struct naru_conv *conv)
{
	int err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER);

	if (err < 0)
		return err;
	return naru_set_timeout(conv, NARU_TIMEOUT_WRITE, NARU_FOREVER);
}

static int run(struct call *call)
{
	static struct sender sender;
	struct naru_conv *conv;
	int err, status;

	sender.chunk = is_udp(call) ? DATAGRAM_MAX : CHUNK;
	sender.stop_fd = eventfd(0, EFD_CLOEXEC);
	if (sender.stop_fd < 0)
		return broke(call, "eventfd", -errno);
	call->log.capture = true;
	err = naru_dial(&conv, call->endpoint, &call->options);
	call->log.capture = false;
	if (err < 0) {
		close(sender.stop_fd);
		return dial_fails(call, err);
	}
	say_connected(call, conv);
	err = wait_long(conv);
	if (err < 0) {
		(void)naru_close(conv);
		status = broke(call, "timeouts", err);
	} else {
		status = converse(call, conv, &sender);
	}
	close(sender.stop_fd);
	return status;
}

static int call_main(int argc, char **argv)
{
	struct call call = {
		.options = {.size = sizeof(call.options)},
		.port = NR_TOOL_NO_PORT,
		.wait_ms = 1000,
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
