/* SPDX-License-Identifier: MIT */
/*
 * What naru serve tells when clients can come: a line for people that says what
 * the settings came to, one that says how to talk to the server, and, where a
 * script asked for it, the endpoint on standard output.
 */

#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The endpoint as the user wrote it, with the port that the system chose. */
static void ready_endpoint(const struct nr_tool_serving *serve, char *ret)
{
	char bound[NARU_ADDR_TEXT];

	if (nr_tool_is_under(serve->endpoint, "unix") ||
	    naru_server_endpoint(serve->server, 0, bound, sizeof(bound)) < 0)
		snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%s", serve->endpoint);
	else if (serve->options.family != NARU_FAMILY_ANY)
		/* A name would promise the other family as well. */
		snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%s", bound);
	else
		nr_tool_endpoint_port(serve->endpoint, strrchr(bound, ':') + 1,
		                      ret);
}

/* All addresses that it listens on. */
static void list_endpoints(struct naru_server *server, char *ret, size_t size)
{
	char one[NARU_ADDR_TEXT];
	size_t len = 0;

	for (unsigned i = 0;
	     naru_server_endpoint(server, i, one, sizeof(one)) >= 0; i++)
		if (len < size)
			len += (size_t)snprintf(ret + len, size - len, "%s%s",
			                        i ? " and " : "", one);
}

/* The talk, or the program. */
static void name_talk(const struct nr_tool_serving *serve, char *ret,
                      size_t size)
{
	bool program = serve->talk == &nr_tool_program;
	const char *target = serve->arg.target;
	size_t len;

	len = (size_t)snprintf(ret, size, "%s", program ? "program" : "talk ");
	if (!program)
		snprintf(ret + len, size - len, "%s%s%s", serve->talk->name,
		         target ? "=" : "", target ? target : "");
	for (char **arg = program ? serve->arg.argv : NULL; arg && *arg; arg++)
		if (len < size)
			len += (size_t)snprintf(ret + len, size - len, " %s",
			                        *arg);
}

/* How fibers wait; where it is not with io_uring though it might be, why. */
static void name_waiter(const struct naru_event *waiter, char *ret, size_t size)
{
	ret[0] = '\0';
	if (!waiter)
		return;
	if (strcmp(waiter->call, "uring") == 0)
		snprintf(ret, size, ", io_uring");
	else if (waiter->result < 0)
		snprintf(ret, size, ", %s (io_uring: %s)", waiter->call,
		         naru_strerror(waiter->result));
	else
		snprintf(ret, size, ", %s", waiter->call);
}

static void say_listening(const struct nr_tool_serving *serve,
                          const struct naru_event *waiter)
{
	struct naru_options real = {.size = sizeof(real)};
	char all[1024], talk[512], how[128], workers[32] = "", backlog[32] = "";
	const struct naru_model_info *info;

	if (naru_server_options(serve->server, &real) < 0)
		return;
	info = naru_model_info(real.model);
	if (info->has_workers)
		snprintf(workers, sizeof(workers), ", %u worker%s",
		         real.workers, real.workers == 1 ? "" : "s");
	list_endpoints(serve->server, all, sizeof(all));
	name_talk(serve, talk, sizeof(talk));
	name_waiter(waiter, how, sizeof(how));
	if (atomic_load(&serve->log.backlog) > 0)
		snprintf(backlog, sizeof(backlog), ", backlog %u",
		         atomic_load(&serve->log.backlog));
	nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
	            "listening on %s: %s, model %s%s%s%s%s", all, talk,
	            info->name, workers,
	            waiter && real.isolate ? ", isolated" : "", how, backlog);
}

/* How to talk to it; "*" is no host that a client could call, and ncat takes an
 * IPv6 address without its brackets. */
static void say_ncat(const struct nr_tool_serving *serve, const char *text)
{
	const bool udp = nr_tool_is_under(text, "udp");
	const bool secure = nr_tool_is_under(text, "tls");
	const char *scheme = udp ? "udp://" : secure ? "tls://" : "";
	const char *option = udp ? "-u " : secure ? "--ssl " : "";
	const char *host = "", *port, *name;
	int len;

	text += 6;
	if (*text == '*') {
		host = "localhost";
		text++;
	}
	port = strrchr(text, ':') + 1;
	name = *text == '[' ? text + 1 : text;
	len = (int)(port - 1 - text) - (*text == '[' ? 2 : 0);
	if (serve->framing.text) {
		nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
		            "talk to it with: %s call --framing '%s' %s%s%s",
		            program_invocation_name, serve->framing.text,
		            scheme, host, text);
		return;
	}
	nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
	            "talk to it with: %s call %s%s%s, or ncat %s%s%.*s %s",
	            program_invocation_name, scheme, host, text, option, host,
	            len, name, port);
}

static void say_hint(const struct nr_tool_serving *serve, const char *ready)
{
	if (strstr(ready, "://"))
		say_ncat(serve, ready);
	else
		nr_tool_log(&serve->log, NR_TOOL_LOG_ERROR,
		            "talk to it with: %s call %s",
		            program_invocation_name, ready);
}

void nr_tool_serve_ready(struct nr_tool_serving *serve,
                         const struct naru_event *waiter)
{
	char ready[NR_TOOL_ENDPOINT_TEXT];

	serve->ready = true;
	ready_endpoint(serve, ready);
	say_listening(serve, waiter);
	say_hint(serve, ready);
	if (!serve->print_endpoint)
		return;
	if (printf("%s\n", ready) < 0 || fflush(stdout) != 0) {
		nr_tool_say(NR_TOOL_SERVE_NAME,
		            "standard output cannot be written");
		serve->failed = true;
	}
}
