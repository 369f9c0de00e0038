/* SPDX-License-Identifier: MIT */
/*
 * Reads numbers, durations, sizes and endpoints of the command line. strtol(3)
 * is not used: it takes signs, spaces and leading zeros.
 */

#include "arguments.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define DEFAULT_HOST "localhost"
#define DEFAULT_PORT "1060"

/* More digits than these are out of every range, and could overflow. */
#define DIGITS_MAX 15

static bool bad(const struct nr_tool_option *option, const char *text,
                const char *why)
{
	nr_tool_say(option->command, "%s: '%s': %s", option->name, text, why);
	return false;
}

/* Reads the digits that TEXT begins with; returns how many, or 0 where they
 * are no number. */
static size_t digits(const char *text, int64_t *ret_number)
{
	size_t len = strspn(text, "0123456789");
	int64_t number = 0;

	if (len == 0 || len > DIGITS_MAX || (len > 1 && text[0] == '0'))
		return 0;
	for (size_t i = 0; i < len; i++)
		number = number * 10 + (text[i] - '0');
	*ret_number = number;
	return len;
}

/* Why TEXT does not begin with a number that we take. */
static const char *why_no_number(const char *text)
{
	size_t len = strspn(text, "0123456789");

	if (*text == '\0')
		return "it is empty";
	if (len > 1 && text[0] == '0')
		return "a number has no leading zeros";
	return len > DIGITS_MAX ? "the number is too large"
	                        : "a decimal number is wanted";
}

bool nr_tool_number(const struct nr_tool_option *option, const char *text,
                    int64_t *ret_number)
{
	char why[96];
	int64_t number;
	size_t len = digits(text, &number);

	if (len == 0)
		return bad(option, text, why_no_number(text));
	if (text[len] != '\0') {
		snprintf(why, sizeof(why), "'%.20s' follows the number",
		         text + len);
		return bad(option, text, why);
	}
	if (number < option->min || number > option->max) {
		snprintf(why, sizeof(why),
		         "it must be from %" PRId64 " to %" PRId64, option->min,
		         option->max);
		return bad(option, text, why);
	}
	*ret_number = number;
	return true;
}

/* How many milliseconds SUFFIX stands for; 0 where it is unknown. */
static int64_t unit(const char *suffix)
{
	static const struct {
		const char *suffix;
		int64_t ms;
	} units[] = {
		{"", 1000},   {"ms", 1},      {"s", 1000},
		{"m", 60000}, {"h", 3600000},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(units[i].suffix, suffix) == 0)
			return units[i].ms;
	return 0;
}

bool nr_tool_duration(const struct nr_tool_option *option, const char *text,
                      int64_t *ret_ms)
{
	char why[96];
	int64_t number, ms;
	size_t len = digits(text, &number);

	if (len == 0)
		return bad(option, text, why_no_number(text));
	ms = unit(text + len);
	if (ms == 0) {
		snprintf(why, sizeof(why),
		         "'%.20s' is no unit of time: ms, s, m or h",
		         text + len);
		return bad(option, text, why);
	}
	if (number > option->max / ms)
		return bad(option, text, "it is longer than a year");
	if (number * ms < option->min) {
		char least[NR_TOOL_DURATION_TEXT];

		snprintf(why, sizeof(why), "it must be at least %s",
		         nr_tool_duration_text(least, option->min));
		return bad(option, text, why);
	}
	*ret_ms = number * ms;
	return true;
}

/* How many bytes SUFFIX stands for; 0 where it is unknown. */
static int64_t size_unit(const char *suffix)
{
	if (suffix[0] == '\0')
		return 1;
	if (suffix[1] != '\0')
		return 0;
	return suffix[0] == 'K' ? 1 << 10 : suffix[0] == 'M' ? 1 << 20 : 0;
}

bool nr_tool_size(const struct nr_tool_option *option, const char *text,
                  int64_t *ret_size)
{
	char why[96];
	int64_t number, bytes;
	size_t len = digits(text, &number);

	if (len == 0)
		return bad(option, text, why_no_number(text));
	bytes = size_unit(text + len);
	if (bytes == 0) {
		snprintf(why, sizeof(why), "'%.20s' is no unit of size: K or M",
		         text + len);
		return bad(option, text, why);
	}
	if (number > option->max / bytes || number * bytes < option->min) {
		snprintf(why, sizeof(why),
		         "it must be from %" PRId64 "K to %" PRId64 "K",
		         option->min >> 10, option->max >> 10);
		return bad(option, text, why);
	}
	*ret_size = number * bytes;
	return true;
}

int nr_tool_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* An endpoint over IP, in pieces of its text; PORT is null where there is
 * none. */
struct pieces {
	const char *scheme; /* with the "://" */
	int scheme_len;
	const char *host;
	int host_len;
	const char *port;
};

/* TEXT has been found good by naru_endpoint_check(). */
static struct pieces split(const char *text)
{
	const char *mark = strstr(text, "://");
	const char *host = mark ? mark + 3 : text;
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
	const char *colon = strrchr(end ? end : host, ':');
	struct pieces p = {"tcp://", 6, host, (int)strlen(host), NULL};

	if (mark) {
		p.scheme = text;
		p.scheme_len = (int)(host - text);
	}
	if (!mark && host[strspn(host, "0123456789")] == '\0')
		return (struct pieces){"tcp://", 6, DEFAULT_HOST,
		                       strlen(DEFAULT_HOST), host};
	if (colon) {
		p.host_len = (int)(colon - host);
		p.port = colon + 1;
	}
	if (p.host_len == 0) {
		p.host = "*";
		p.host_len = 1;
	}
	return p;
}

static bool endpoint_ip(const char *command, const char *text, int64_t port,
                        char *ret)
{
	struct pieces p = split(text);
	char wanted[8] = DEFAULT_PORT;

	if (port != NR_TOOL_NO_PORT)
		snprintf(wanted, sizeof(wanted), "%u", (unsigned)port);
	if (port != NR_TOOL_NO_PORT && p.port && strcmp(p.port, wanted) != 0) {
		nr_tool_say(command,
		            "--port: '%s': the endpoint '%s' says another port",
		            wanted, text);
		return false;
	}
	snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%.*s%.*s:%s", p.scheme_len,
	         p.scheme, p.host_len, p.host, p.port ? p.port : wanted);
	return true;
}

bool nr_tool_endpoint(const char *command, const char *text, int64_t port,
                      char *ret)
{
	char why[1024] = "";
	int err;

	if (!text)
		text = DEFAULT_HOST;
	err = naru_endpoint_check(text, why, sizeof(why));
	if (err < 0) {
		nr_tool_say(command, "%s", why[0] ? why : naru_strerror(err));
		return false;
	}
	if (!nr_tool_is_under(text, "unix"))
		return endpoint_ip(command, text, port, ret);
	if (port != NR_TOOL_NO_PORT) {
		nr_tool_say(command, "--port: a unix socket has no port: '%s'",
		            text);
		return false;
	}
	snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%s", text);
	return true;
}

void nr_tool_endpoint_port(const char *full, const char *port, char *ret)
{
	const char *colon = strrchr(full, ':');

	snprintf(ret, NR_TOOL_ENDPOINT_TEXT, "%.*s:%s", (int)(colon - full),
	         full, port);
}

bool nr_tool_is_under(const char *endpoint, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(endpoint, scheme, len) == 0 && endpoint[len] == ':';
}

bool nr_tool_family(const char *command, int letter,
                    enum naru_family *ret_family)
{
	enum naru_family family =
		letter == '4' ? NARU_FAMILY_IPV4 : NARU_FAMILY_IPV6;

	if (*ret_family != NARU_FAMILY_ANY && *ret_family != family) {
		nr_tool_say(command, "-4 and -6 exclude each other");
		return false;
	}
	*ret_family = family;
	return true;
}

/* Whether VALUE is what getopt_long(3) returns for one of OPTIONS. */
static bool is_known(const struct option *options, int value)
{
	for (; options->name; options++)
		if (options->val == value)
			return true;
	return false;
}

bool nr_tool_announce(const char *command, const char *option, const char *text,
                      enum naru_announce *ret_announce)
{
	if (strcmp(text, "v1") == 0)
		*ret_announce = NARU_ANNOUNCE_V1;
	else if (strcmp(text, "v2") == 0)
		*ret_announce = NARU_ANNOUNCE_V2;
	else {
		nr_tool_say(command,
		            "%s: '%s': there is no such version; there are "
		            "v1, v2",
		            option, text);
		return false;
	}
	return true;
}

void nr_tool_bad_option(const char *command, char **argv, int c,
                        const struct option *options)
{
	const char *given = argv[optind - 1];
	bool is_long = strncmp(given, "--", 2) == 0;

	/* Within "-xv" the last argument that was read is another one. */
	if (optopt != 0 && !(is_long && is_known(options, optopt)))
		nr_tool_say(command,
		            c == ':' ? "-%c: a value is missing"
		                     : "-%c: there is no such option",
		            optopt);
	else if (c == ':')
		nr_tool_say(command, "%s: a value is missing", given);
	else if (optopt != 0)
		nr_tool_say(command, "%s: this option takes no value", given);
	else
		nr_tool_say(command, "%s: there is no such option", given);
}
