/* SPDX-License-Identifier: MIT */
/* The command line of naru serve, and what --help says of it. */

#include "serve.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define NAME NR_TOOL_SERVE_NAME

/* What the library takes. */
#define STACK_MIN (INT64_C(16) << 10)
#define STACK_MAX (INT64_C(1) << 30)

static void usage_models(FILE *out)
{
	const struct naru_model_info *chosen = naru_model_info(0), *info;

	for (int i = 1; (info = naru_model_info(i)) != NULL; i++)
		fprintf(out, "  %-15s %s%s\n", info->name, info->summary,
		        info == chosen ? " (default)" : "");
}

static void usage_options(FILE *out)
{
	fputs("options:\n"
	      "  -m, --model MODEL           who runs a talk, see below\n"
	      "  -w, --workers N             threads of fiber, one for each "
	      "core; workers of\n"
	      "                              prefork and pool, 16\n"
	      "  -b, --backlog N             connections that may wait to be "
	      "accepted\n"
	      "  -c, --max-conversations N   at once, 1000, of fiber 100000; "
	      "more wait in the\n"
	      "                              backlog\n"
	      "  -p, --port N                the port, 0 for one that is free\n"
	      "  -4, -6                      IPv4 or IPv6 only\n"
	      "  -1                          print the endpoint on standard "
	      "output when ready\n"
	      "      --idle-timeout TIME     how long a talk waits for its "
	      "peer; 10m\n"
	      "      --message-timeout TIME  how long a message may take from "
	      "its first byte\n"
	      "                              on; 1m\n"
	      "      --write-timeout TIME    how long one send may take; 1m\n"
	      "      --handshake-timeout TIME\n"
	      "                              how long what comes before a talk "
	      "may take: a\n"
	      "                              PROXY header and TLS; 10s\n"
	      "      --drain TIME            how long conversations may take "
	      "to end; 10s\n"
	      "      --stack SIZE            the stack of a fiber, 128K, or of "
	      "a thread, 512K\n"
	      "      --io WAITER             how fibers wait: auto, uring, "
	      "epoll; auto\n"
	      "      --isolate               fibers in processes, not threads: "
	      "a crash costs\n"
	      "                              the conversations of one only\n"
	      "      --stall TIME            tell of a fiber that computes for "
	      "longer without\n"
	      "                              waiting; 100ms; or never\n",
	      out);
}

static void usage_connections(FILE *out)
{
	fputs("      --proxy-protocol[=WHO]  clients say first for whom they "
	      "speak: all of them\n"
	      "                              (required), or those of "
	      "NETWORKS\n"
	      "      --announce VERSION      what relay says first to the "
	      "other server: v1, v2\n"
	      "      --cert FILE --key FILE  the certificates of tls://, in "
	      "PEM; again for\n"
	      "                              other names; SIGHUP reads them "
	      "anew\n"
	      "      --ca FILE               who vouches for clients; the "
	      "system's\n"
	      "      --verify WHAT           clients' certificates: none, "
	      "optional, required;\n"
	      "                              none\n"
	      "      --alpn NAME[,NAME...]   protocols over TLS, the "
	      "preferred first\n"
	      "      --pin PINS              clients' public keys, "
	      "sha256//...;...\n" NR_TOOL_TLS_RELAY_USAGE
	      "      --framing FRAMING       talk in messages; see below\n"
	      "      --crlf                  lines that are sent end with CR "
	      "LF\n"
	      "      --keepalive TIME        ask a peer that is silent for "
	      "so long whether it\n"
	      "                              is there\n"
	      "      --user-timeout TIME     how long what is sent may stay "
	      "unacknowledged\n"
	      "      --fast-open N           clients whose first bytes come "
	      "with their first\n"
	      "                              packet and that may wait so; 0\n"
	      "  -v                          tell of each conversation; -vv of "
	      "each call\n"
	      "  -q                          say nothing but why it fails to "
	      "start\n"
	      "  -h, --help                  this text\n"
	      "\n"
	      "TIME is a number and ms, s, m or h; seconds without one. SIZE "
	      "is a number and\n"
	      "K or M; bytes without one.\n",
	      out);
}

void nr_tool_serve_usage(FILE *out)
{
	fputs("usage: naru serve [options] [ENDPOINT] [TALK]\n"
	      "       naru serve [options] [ENDPOINT] -- PROGRAM [ARG...]\n"
	      "\n"
	      "Serves clients at ENDPOINT, and holds the conversation TALK "
	      "with each.\n"
	      "\n" NR_TOOL_ENDPOINT_USAGE
	      ":PORT and *:PORT are all addresses.\n"
	      "\n",
	      out);
	usage_options(out);
	usage_connections(out);
	fputs("\nmodels:\n", out);
	usage_models(out);
	fputs("\ntalks:\n", out);
	for (const struct nr_tool_talk *t = nr_tool_talks; t->name; t++)
		fprintf(out, "  %s%-*s %s\n", t->name,
		        (int)(15 - strlen(t->name)),
		        t->has_target ? "=ENDPOINT" : "", t->summary);
	fputs("\n" NR_TOOL_FRAMING_USAGE "\n"
	      "SIGTERM and SIGINT end the server: conversations may end by "
	      "themselves first;\n"
	      "a second signal ends them at once. Exit status: 0 when all had "
	      "ended, 1 when\n"
	      "some were cut off or the server could not start, 2 for usage "
	      "errors.\n",
	      out);
}

static bool set_model(struct nr_tool_serving *serve, const char *name)
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

static bool set_stack(const char *text, size_t *ret_size)
{
	const struct nr_tool_option option = {NAME, "--stack", STACK_MIN,
	                                      STACK_MAX};
	int64_t size;

	if (!nr_tool_size(&option, text, &size))
		return false;
	*ret_size = (size_t)size;
	return true;
}

static bool set_stall(const char *text, int64_t *ret_ms)
{
	if (strcmp(text, "never") != 0)
		return set_time("--stall", 1, text, ret_ms);
	*ret_ms = NARU_FOREVER;
	return true;
}

static bool set_io(const char *text, enum naru_io *ret_io)
{
	if (strcmp(text, "auto") == 0)
		*ret_io = NARU_IO_AUTO;
	else if (strcmp(text, "uring") == 0)
		*ret_io = NARU_IO_URING;
	else if (strcmp(text, "epoll") == 0)
		*ret_io = NARU_IO_EPOLL;
	else {
		nr_tool_say(NAME,
		            "--io: '%s': fibers do not wait so; there are "
		            "auto, uring, epoll",
		            text);
		return false;
	}
	return true;
}

/* Whether TEXT, which may be null, is a list of networks and nothing else. */
static bool is_networks(const char *text)
{
	return text && strchr(text, '/') &&
	       text[strspn(text, "0123456789abcdefABCDEF.:/,")] == '\0';
}

/* "required", "required,NETWORKS", or "NETWORKS". What the networks say, the
 * library reads. NEXT is the word behind, which is no value of ours. */
static bool set_proxy(const char *text, const char *next,
                      struct naru_options *options)
{
	static const char required[] = "required";
	size_t len = sizeof(required) - 1;

	if (!text && is_networks(next)) {
		nr_tool_say(NAME,
		            "--proxy-protocol: '%s': networks follow with "
		            "\"=\": --proxy-protocol=%s",
		            next, next);
		return false;
	}
	options->proxy = NARU_PROXY_REQUIRED;
	options->proxy_from = NULL;
	if (!text || strcmp(text, required) == 0)
		return true;
	if (strncmp(text, required, len) == 0 && text[len] == ',') {
		options->proxy_from = text + len + 1;
	} else {
		options->proxy = NARU_PROXY_ALLOWED;
		options->proxy_from = text;
	}
	return true;
}

/* Long options without a letter. */
enum {
	OPTION_IDLE = 256,
	OPTION_MESSAGE,
	OPTION_WRITE,
	OPTION_DRAIN,
	OPTION_STACK,
	OPTION_IO,
	OPTION_ISOLATE,
	OPTION_STALL,
	OPTION_PROXY,
	OPTION_ANNOUNCE,
	OPTION_KEEPALIVE,
	OPTION_USER_TIMEOUT,
	OPTION_FAST_OPEN,
	OPTION_HANDSHAKE,
	OPTION_FRAMING,
	OPTION_CRLF,
	OPTION_HEX,
};

static const struct option long_options[] = {
	{"model", required_argument, NULL, 'm'},
	{"workers", required_argument, NULL, 'w'},
	{"backlog", required_argument, NULL, 'b'},
	{"max-conversations", required_argument, NULL, 'c'},
	{"port", required_argument, NULL, 'p'},
	{"idle-timeout", required_argument, NULL, OPTION_IDLE},
	{"message-timeout", required_argument, NULL, OPTION_MESSAGE},
	{"write-timeout", required_argument, NULL, OPTION_WRITE},
	{"drain", required_argument, NULL, OPTION_DRAIN},
	{"stack", required_argument, NULL, OPTION_STACK},
	{"io", required_argument, NULL, OPTION_IO},
	{"isolate", no_argument, NULL, OPTION_ISOLATE},
	{"stall", required_argument, NULL, OPTION_STALL},
	{"proxy-protocol", optional_argument, NULL, OPTION_PROXY},
	{"announce", required_argument, NULL, OPTION_ANNOUNCE},
	{"handshake-timeout", required_argument, NULL, OPTION_HANDSHAKE},
	NR_TOOL_TLS_OPTIONS,
	NR_TOOL_TLS_RELAY_OPTIONS,
	{"framing", required_argument, NULL, OPTION_FRAMING},
	{"crlf", no_argument, NULL, OPTION_CRLF},
	{"hex", no_argument, NULL, OPTION_HEX},
	{"keepalive", required_argument, NULL, OPTION_KEEPALIVE},
	{"user-timeout", required_argument, NULL, OPTION_USER_TIMEOUT},
	{"fast-open", required_argument, NULL, OPTION_FAST_OPEN},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* Options with a value. */
static bool set_value(struct nr_tool_serving *serve, int c, const char *text)
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
	case OPTION_MESSAGE:
		return set_time("--message-timeout", 1, text, &o->message_ms);
	case OPTION_WRITE:
		return set_time("--write-timeout", 1, text, &o->write_ms);
	case OPTION_STACK:
		return set_stack(text, &o->stack_size);
	case OPTION_IO:
		return set_io(text, &o->io);
	case OPTION_HANDSHAKE:
		return set_time("--handshake-timeout", 1, text,
		                &o->handshake_ms);
	case OPTION_FRAMING:
		return nr_tool_framing_set(&serve->framing, NAME, text);
	case OPTION_STALL:
		return set_stall(text, &o->stall_ms);
	case OPTION_ANNOUNCE:
		return nr_tool_announce(NAME, "--announce", text,
		                        &serve->arg.announce);
	case OPTION_KEEPALIVE:
		return set_time("--keepalive", 1, text, &o->keepalive_ms);
	case OPTION_USER_TIMEOUT:
		return set_time("--user-timeout", 1, text, &o->user_timeout_ms);
	case OPTION_FAST_OPEN:
		return set_count("--fast-open", INT32_MAX, text, &o->fast_open);
	default:
		return set_time("--drain", 0, text, &serve->drain_ms);
	}
}

/* Options of TLS: the server's, or those of what relay= calls. */
static bool set_tls(struct nr_tool_serving *serve, int c, char *text)
{
	if (nr_tool_tls_has(c))
		return nr_tool_tls_set(&serve->tls, NAME, c, text);
	return nr_tool_tls_set(&serve->relay_tls, NAME,
	                       c - NR_TOOL_OPTION_RELAY, text);
}

static bool set_option(struct nr_tool_serving *serve, int c, char **argv)
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
	case OPTION_ISOLATE:
		serve->options.isolate = 1;
		return true;
	case OPTION_CRLF:
		serve->framing.crlf = true;
		return true;
	case OPTION_PROXY:
		return set_proxy(optarg, argv[optind], &serve->options);
	case NR_TOOL_OPTION_SERVERNAME:
		nr_tool_say(NAME, "--servername: this is for who calls: naru "
		                  "call, and relay= by --relay-servername");
		return false;
	case OPTION_HEX:
		nr_tool_say(NAME, "--hex: this is for naru call; a server "
		                  "shows nothing of what is said");
		return false;
	case 'h':
		serve->help = true;
		return true;
	case '?':
	case ':':
		nr_tool_bad_option(NAME, argv, c, long_options);
		return false;
	default:
		if (nr_tool_tls_has(c) ||
		    nr_tool_tls_has(c - NR_TOOL_OPTION_RELAY))
			return set_tls(serve, c, optarg);
		return set_value(serve, c, optarg);
	}
}

/* Cuts ENDPOINT,ENDPOINT... into those that are called one after the other. */
static bool cut_targets(struct nr_tool_serving *serve)
{
	struct nr_tool_talk_arg *arg = &serve->arg;
	/* It lasts as long as the command. */
	static char text[NARU_DIAL_ENDPOINTS_MAX * NR_TOOL_ENDPOINT_TEXT];
	char *rest = text, why[1024] = "";
	size_t len = strlen(arg->target);
	int count = 0;

	if (len >= sizeof(text)) {
		nr_tool_say(NAME, "%s: the endpoints are too long",
		            serve->talk->name);
		return false;
	}
	memcpy(text, arg->target, len + 1);
	while (rest && count < NARU_DIAL_ENDPOINTS_MAX) {
		char *one = strsep(&rest, ",");

		arg->targets[count++] = one;
		if (naru_endpoint_check(one, why, sizeof(why)) == 0)
			continue;
		nr_tool_say(NAME, "%s: %s", serve->talk->name, why);
		return false;
	}
	if (!rest)
		return true;
	nr_tool_say(NAME, "%s: at most %d endpoints are possible",
	            serve->talk->name, NARU_DIAL_ENDPOINTS_MAX);
	return false;
}

static bool set_talk(struct nr_tool_serving *serve, const char *text)
{
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
	return cut_targets(serve);
}

/* [ENDPOINT] [TALK], or [ENDPOINT] before a program. */
static bool set_operands(struct nr_tool_serving *serve, int count,
                         char **operands)
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
	if (!nr_tool_serve_can_announce(serve))
		return false;
	return nr_tool_endpoint(NAME, endpoint, serve->port, serve->endpoint);
}

/* What follows "--" is a program: nothing in it is ours to read. */
static int cut_program(struct nr_tool_serving *serve, int argc, char **argv)
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

/* What messages are; --crlf alone means lines. */
static bool end_framing(struct nr_tool_serving *serve)
{
	struct nr_tool_framing *f = &serve->framing;
	const char *option = f->text ? "--framing" : "--crlf";

	if (!f->text && !f->crlf)
		return true;
	if (!nr_tool_serve_has_messages(serve, option))
		return false;
	if (f->crlf && nr_tool_is_under(serve->endpoint, "udp")) {
		nr_tool_say(NAME, "--crlf: a datagram ends without one");
		return false;
	}
	serve->options.framing = &f->framing;
	serve->arg.framing = &f->framing;
	return nr_tool_framing_crlf(f, NAME);
}

/* TLS without a certificate of its own is no server's, and without an endpoint
 * under it nobody's. */
static bool end_tls(struct nr_tool_serving *serve)
{
	const char *const own[] = {serve->endpoint, NULL};

	serve->options.tls = nr_tool_tls_end(&serve->tls);
	serve->arg.tls = nr_tool_tls_end(&serve->relay_tls);
	if (!nr_tool_tls_fits(&serve->tls, NAME, "", own) ||
	    !nr_tool_tls_fits(&serve->relay_tls, NAME,
	                      " of relay=", serve->arg.targets))
		return false;
	if (serve->tls.certificate_count > 0 || !nr_tool_tls_is_meant(own))
		return true;
	nr_tool_say(NAME, "TLS needs a certificate and its key: --cert FILE "
	                  "--key FILE");
	return false;
}

bool nr_tool_serve_parse(struct nr_tool_serving *serve, int argc, char **argv)
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
	return set_operands(serve, argc - optind, argv + optind) &&
	       end_framing(serve) && end_tls(serve);
}
