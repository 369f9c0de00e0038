/* SPDX-License-Identifier: MIT */
/*
 * Small protocols, most of them as old as the net: each is a function that
 * talks with one peer from top to bottom.
 */

#include "talks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/*
 * A talk waits for small messages with a small buffer, so that an idle one in
 * a fiber costs one page of its stack; what comes in bulk it takes with a large
 * one, for as long as there is much.
 */
#define SMALL 1024
#define LARGE 16384

/* What a talk does with the bytes that came. */
typedef int handle(struct naru_conv *conv, const char *data, size_t len);

/* As naru_read(), and handles what it read. */
static ssize_t take(struct naru_conv *conv, char *buf, size_t size, handle *fn)
{
	ssize_t n = naru_read(conv, buf, size);
	int err = n > 0 ? fn(conv, buf, (size_t)n) : 0;

	return err < 0 ? err : n;
}

/* Not a part of take_all(), whose stack would have room for it all the time. */
static __attribute__((noinline)) ssize_t take_bulk(struct naru_conv *conv,
                                                   handle *fn)
{
	char buf[LARGE];
	ssize_t n;

	do
		n = take(conv, buf, sizeof(buf), fn);
	while (n >= SMALL);
	return n;
}

/* Handles all that comes, to the peer's end. */
static int take_all(struct naru_conv *conv, handle *fn)
{
	char buf[SMALL];
	ssize_t n;

	do {
		n = take(conv, buf, sizeof(buf), fn);
		if (n == SMALL)
			n = take_bulk(conv, fn);
	} while (n > 0);
	return (int)n;
}

static int send_back(struct naru_conv *conv, const char *data, size_t len)
{
	return naru_write(conv, data, len);
}

/* RFC 862: what comes goes back. */
static int echo(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return take_all(conv, send_back);
}

int nr_tool_send_peer(struct naru_conv *conv)
{
	const struct naru_addr *peer = naru_peer(conv);
	char host[NARU_ADDR_TEXT];
	int err = naru_addr_host(peer, host, sizeof(host));

	if (err < 0)
		return err;
	/* The socket of a unix client seldom has a name. */
	if (host[0] == '\0')
		strcpy(host, "unix");
	return naru_sendf(conv, "received well ('%s', %u)", host,
	                  naru_addr_port(peer));
}

/* Reads what comes first and answers with the peer's address. */
static int ack(struct naru_conv *conv, void *arg)
{
	char buf[SMALL];
	ssize_t n = naru_read(conv, buf, sizeof(buf));

	(void)arg;
	return n > 0 ? nr_tool_send_peer(conv) : (int)n;
}

static int throw_away(struct naru_conv *conv, const char *data, size_t len)
{
	(void)conv;
	(void)data;
	(void)len;
	return 0;
}

/* RFC 863: what comes is thrown away. */
static int discard(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return take_all(conv, throw_away);
}

/* Like discard(), for a peer that owes us nothing: silence is no fault. */
static int drink(struct naru_conv *conv, void *arg)
{
	int err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER);

	return err < 0 ? err : discard(conv, arg);
}

/* RFC 864's pattern: the 95 printable characters in a ring, 72 to a line,
 * each line one further on. 95 lines are a whole turn. */
#define RING 95
#define LINE 72
#define TURN ((size_t)RING * (LINE + 2))

static void turn(char *out)
{
	for (int line = 0; line < RING; line++) {
		for (int i = 0; i < LINE; i++)
			*out++ = (char)(' ' + (line + i) % RING);
		*out++ = '\r';
		*out++ = '\n';
	}
}

/*
 * RFC 864: characters without end, until the peer has enough. A half-close is
 * not that: a peer with nothing to say may still want to hear. Its leaving is
 * the way that this talk ends; what was on its way to it then is lost, and the
 * end says so.
 */
static int chargen(struct naru_conv *conv, void *arg)
{
	char *text = naru_alloc(conv, TURN);
	int err;

	if (!text)
		return -ENOMEM;
	err = naru_spawn(conv, drink, arg);
	turn(text);
	while (err == 0)
		err = naru_write(conv, text, TURN);
	return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

int nr_tool_date(char *ret)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now == (time_t)-1 || !gmtime_r(&now, &tm))
		return -EOVERFLOW;
	strftime(ret, NR_TOOL_DATE_TEXT, "%A, %B %d, %Y %H:%M:%S-UTC", &tm);
	return 0;
}

/* RFC 867: the date and the time as text, in UTC. */
static int daytime(struct naru_conv *conv, void *arg)
{
	char text[NR_TOOL_DATE_TEXT + sizeof("\r\n")];
	int err = nr_tool_date(text);
	size_t len;

	(void)arg;
	if (err < 0)
		return err;
	len = strlen(text);
	memcpy(text + len, "\r\n", sizeof("\r\n"));
	return naru_write(conv, text, len + 2);
}

/* RFC 868: seconds since 1900, 32 bits, the highest byte first. */
static int time_of_day(struct naru_conv *conv, void *arg)
{
	uint32_t now = (uint32_t)((uint64_t)time(NULL) + 2208988800u);
	unsigned char bytes[4] = {
		(unsigned char)(now >> 24),
		(unsigned char)(now >> 16),
		(unsigned char)(now >> 8),
		(unsigned char)now,
	};

	(void)arg;
	return naru_write(conv, bytes, sizeof(bytes));
}

/* Says why there is no relay; of TLS, also which certificate it is for. */
static void tell_refusal(struct naru_conv *conv,
                         const struct nr_tool_talk_arg *given,
                         const struct nr_tool_log *log, int err)
{
	const char *why = strstr(log->what, "TLS") ? log->why : "";

	nr_tool_log(log, NR_TOOL_LOG_ERROR,
	            "conversation %" PRIu64 ": relay: %s: %s%s%s",
	            naru_id(conv), given->target, naru_strerror(err),
	            *why ? ": " : "", why);
}

/* Carries bytes between the peer and another server. */
static int relay(struct naru_conv *conv, void *arg)
{
	const struct nr_tool_talk_arg *given = arg;
	struct nr_tool_log *log = naru_alloc(conv, sizeof(*log));
	struct naru_conv *other;
	int err, end;

	if (!log) {
		naru_abort(conv);
		return -ENOMEM;
	}
	nr_tool_log_init(log, given->log->verbosity, true);
	log->pid = given->log->pid;
	log->capture = true;
	err = naru_dial(&other, given->targets[0],
	                NARU_DIAL_OPTIONS(.alternatives = given->targets + 1,
	                                  .report = nr_tool_log_event,
	                                  .report_arg = log,
	                                  .report_calls = log->verbosity >=
	                                                  NR_TOOL_LOG_CALLS,
	                                  .tls = given->tls,
	                                  .framing = given->framing,
	                                  .announce = given->announce,
	                                  .announce_for = conv));
	if (err < 0) {
		tell_refusal(conv, given, log, err);
		/* Not the empty answer that an orderly end would be. */
		naru_abort(conv);
		return err;
	}
	/* What another endpoint said is not this one's. */
	log->why[0] = '\0';
	err = naru_relay(conv, other);
	/* Under TLS 1.3 a server may refuse a certificate only now. */
	if (err < 0 && log->why[0])
		tell_refusal(conv, given, log, err);
	end = naru_close(other);
	return err < 0 ? err : end;
}

const struct nr_tool_talk nr_tool_talks[] = {
	{"echo", echo, false, "send back what comes (RFC 862)",
         nr_tool_datagram_echo, nr_tool_messages_echo},
	{"ack", ack, false, "read once, answer with the peer's address, end",
         NULL, nr_tool_messages_ack},
	{"discard", discard, false, "throw away what comes (RFC 863)",
         nr_tool_datagram_discard, nr_tool_messages_discard},
	{"chargen", chargen, false, "send characters without end (RFC 864)",
         nr_tool_datagram_chargen},
	{"daytime", daytime, false, "send the date and the time (RFC 867)",
         NULL, nr_tool_messages_daytime},
	{"time", time_of_day, false, "send the time as a number (RFC 868)"},
	{"relay", relay, true,
         "carry bytes to and from a server: ENDPOINT[,ENDPOINT...]", NULL,
         relay},
	{NULL, NULL, false, NULL},
};

const struct nr_tool_talk *nr_tool_talk_find(const char *text,
                                             const char **ret_target)
{
	size_t len = strcspn(text, "=");

	for (const struct nr_tool_talk *t = nr_tool_talks; t->name; t++) {
		if (strlen(t->name) != len || strncmp(t->name, text, len) != 0)
			continue;
		if (!t->has_target && text[len] == '=')
			continue;
		*ret_target = text[len] == '=' ? text + len + 1 : NULL;
		return t;
	}
	return NULL;
}
