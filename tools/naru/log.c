/* SPDX-License-Identifier: MIT */
/* Prints lines, whatever may be in them. */

#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The longest line; a pipe takes this much in one piece. */
#define LINE_MAX_BYTES   PIPE_BUF
#define LINE_SHORT_BYTES 512

/* Copies TEXT to LINE, of which LEN bytes of SIZE are used, and returns how
 * many are used then. */
static size_t escape(char *line, size_t len, size_t size, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text && len + 4 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= ' ' && c <= '~') {
			line[len++] = *text;
			continue;
		}
		line[len++] = '\\';
		line[len++] = 'x';
		line[len++] = digits[c >> 4];
		line[len++] = digits[c & 15];
	}
	return len;
}

/* Makes the line "PREFIX: text" of SIZE bytes at LINE; how long it is. False
 * where it does not fit: then it is cut. */
static bool compose(char *line, size_t size, const char *prefix,
                    const char *text, size_t *ret_len)
{
	size_t len = escape(line, 0, size - 1, prefix);

	len = escape(line, len, size - 1, ": ");
	len = escape(line, len, size - 1, text);
	line[len++] = '\n';
	*ret_len = len;
	return len + 4 < size;
}

void nr_tool_put(const char *line, size_t len)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, line, len);
	while (n < 0 && errno == EINTR);
}

static __attribute__((noinline)) void say_long(const char *prefix,
                                               const char *format, va_list args)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	size_t len;

	if (vsnprintf(text, sizeof(text), format, args) < 0)
		return;
	(void)compose(line, sizeof(line), prefix, text, &len);
	nr_tool_put(line, len);
}

/* Conversations log on their own stacks, and nearly every line is short. */
static void say(const char *prefix, const char *format, va_list args)
{
	char text[LINE_SHORT_BYTES], line[LINE_SHORT_BYTES];
	int saved = errno; /* a report function leaves no trace */
	va_list again;
	size_t len;
	int needed;

	va_copy(again, args);
	needed = vsnprintf(text, sizeof(text), format, args);
	if (needed >= 0 && (size_t)needed < sizeof(text) &&
	    compose(line, sizeof(line), prefix, text, &len))
		nr_tool_put(line, len);
	else
		say_long(prefix, format, again);
	va_end(again);
	errno = saved;
}

void nr_tool_say(const char *prefix, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(prefix, format, args);
	va_end(args);
}

void nr_tool_log_init(struct nr_tool_log *log, int verbosity, bool client)
{
	log->verbosity = verbosity;
	log->client = client;
	log->pid = getpid();
	atomic_init(&log->paused, false);
	atomic_init(&log->backlog, 0);
	atomic_init(&log->refused, -1);
	log->capture = false;
	log->why[0] = log->what[0] = '\0';
}

void nr_tool_log(const struct nr_tool_log *log, int level, const char *format,
                 ...)
{
	va_list args;

	if (log->verbosity < level)
		return;
	va_start(args, format);
	say("naru", format, args);
	va_end(args);
}

const char *nr_tool_duration_text(char *buf, int64_t ms)
{
	if (ms < 1000)
		snprintf(buf, NR_TOOL_DURATION_TEXT, "%" PRId64 " ms", ms);
	else if (ms % 3600000 == 0)
		snprintf(buf, NR_TOOL_DURATION_TEXT, "%" PRId64 " h",
		         ms / 3600000);
	else if (ms % 60000 == 0)
		snprintf(buf, NR_TOOL_DURATION_TEXT, "%" PRId64 " min",
		         ms / 60000);
	else if (ms % 1000 == 0)
		snprintf(buf, NR_TOOL_DURATION_TEXT, "%" PRId64 " s",
		         ms / 1000);
	else
		snprintf(buf, NR_TOOL_DURATION_TEXT, "%" PRId64 ".%03d s",
		         ms / 1000, (int)(ms % 1000));
	return buf;
}

const char *nr_tool_addr_text(char *buf, const struct naru_addr *addr)
{
	if (!addr || naru_addr_format(addr, buf, NARU_ADDR_TEXT) < 0)
		snprintf(buf, NARU_ADDR_TEXT, "?");
	else if (strcmp(buf, "unix:") == 0)
		snprintf(buf, NARU_ADDR_TEXT, "unix:(unnamed)");
	return buf;
}
