/* SPDX-License-Identifier: MIT */
/*
 * What a socket call and its outcome mean, in one sentence each. The first
 * row that fits is taken: put the special before the general.
 */

#include "explain.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Any failure that no other row names. */
#define ANY_FAILURE (-1)

static const struct explanation {
	const char *call;
	int err;           /* 0 for success, an error number, ANY_FAILURE */
	const char *state; /* the socket's state; null for any */
	const char *text;
} explanations[] = {
	{"bind", 0, "UDP", "the socket has an address now; datagrams can come"},
	{"connect", 0, "UDP",
         "datagrams go to this peer and come from it alone; nothing was sent "
         "yet, so nobody knows whether it is there"},
	{"close", 0, "UDP",
         "the descriptor is given back; the peer is not told"},
	{"socket", 0, NULL,
         "a socket, known by this number; it has no address and no peer yet"},
	{"socket", EMFILE, NULL, "this process has no descriptor left"},
	{"socket", EAFNOSUPPORT, NULL,
         "this machine does not speak this family of addresses"},
	{"bind", 0, NULL,
         "the socket has an address now; nobody can connect yet"},
	{"bind", EADDRINUSE, NULL, "another socket has this address and port"},
	{"bind", EACCES, NULL, "we have no right to this address or port"},
	{"bind", EADDRNOTAVAIL, NULL, "this machine has no such address"},
	{"listen", EADDRINUSE, NULL,
         "another socket listens on this address and port"},
	{"accept", EAGAIN, NULL, "nobody waits in the backlog"},
	{"accept", ECONNABORTED, NULL,
         "a client left the backlog before it was welcomed"},
	{"accept", EMFILE, NULL,
         "this process has no descriptor left; the client stays in the "
         "backlog"},
	{"accept", ENFILE, NULL,
         "the system has no descriptor left; the client stays in the "
         "backlog"},
	{"accept", ANY_FAILURE, NULL, "nobody was welcomed"},
	{"connect", 0, NULL,
         "connected: we are in the server's backlog, whether or not it has "
         "accepted us yet"},
	{"connect", EINPROGRESS, NULL,
         "the system knocks at the other end; the answer comes later"},
	{"connect", ECONNREFUSED, NULL, "nobody listens there"},
	{"connect", ETIMEDOUT, NULL, "no answer came in time"},
	{"connect", EHOSTUNREACH, NULL, "no way leads to that machine"},
	{"connect", ENETUNREACH, NULL, "no way leads to that network"},
	{"connect", ENOENT, NULL, "there is no such unix socket"},
	{"connect", EAGAIN, NULL, "the backlog at the other end is full"},
	{"connect", ECANCELED, NULL,
         "given up before an answer came: another one answered, or nobody "
         "waits "
         "any more"},
	{"shutdown", 0, "CLOSED", "both sides have finished"},
	{"shutdown", 0, "LAST-ACK",
         "no more from us; the peer had finished before"},
	{"shutdown", 0, "CLOSING",
         "no more from us; the peer has finished as well"},
	{"shutdown", 0, "TIME-WAIT",
         "no more from us; the peer has finished as well"},
	{"shutdown", 0, NULL, "no more from us; the peer may still send"},
	{"shutdown", ENOTCONN, NULL, "the connection was gone already"},
	{"close", 0, NR_TOOL_NEVER_CONNECTED,
         "no connection came about; the descriptor is given back"},
	{"close", 0, "LISTEN",
         "nobody is welcomed any more; who still waited is turned away"},
	{"close", 0, "ESTABLISHED",
         "this descriptor is given back; the connection lives on where "
         "another process holds it"},
	{"close", 0, "CLOSE-WAIT",
         "the peer had finished, and now we have too"},
	{"close", 0, "CLOSED",
         "both have finished; where we did first, the system keeps the "
         "addresses for a minute (TIME-WAIT)"},
	{"close", 0, NULL,
         "the descriptor is given back; the system does what is left to do"},
};

/* accept4 is accept with flags. */
static bool same_call(const char *row, const char *call)
{
	if (strcmp(call, "accept4") == 0)
		call = "accept";
	return strcmp(row, call) == 0;
}

static bool fits(const struct explanation *row, const struct naru_event *event)
{
	int err = event->result < 0 ? -event->result : 0;

	if (!same_call(row->call, event->call))
		return false;
	if (row->err != err && !(row->err == ANY_FAILURE && err != 0))
		return false;
	if (!row->state)
		return true;
	return event->state && strcmp(row->state, event->state) == 0;
}

static const char *sentence(const struct naru_event *event)
{
	size_t rows = sizeof(explanations) / sizeof(explanations[0]);

	for (size_t i = 0; i < rows; i++)
		if (fits(&explanations[i], event))
			return explanations[i].text;
	return event->result < 0 ? naru_strerror(event->result) : "";
}

const char *nr_tool_explain(char *buf, size_t size,
                            const struct naru_event *event)
{
	buf[0] = '\0';
	if (!event->call)
		return buf;
	/* Of unix sockets the kernel does not tell how full they are. */
	if (event->result >= 0 && same_call("listen", event->call) &&
	    event->backlog == 0)
		snprintf(buf, size, "the system welcomes clients now");
	else if (event->result >= 0 && same_call("accept", event->call) &&
	         event->backlog == 0)
		snprintf(buf, size,
		         "a new socket for this conversation; the listening "
		         "one stays as it was");
	else if (event->result >= 0 && same_call("listen", event->call))
		snprintf(buf, size,
		         "the system welcomes clients now and queues up to %u "
		         "of them (%u waiting)",
		         event->backlog, event->queued);
	else if (event->result >= 0 && same_call("accept", event->call))
		snprintf(
			buf, size,
			"a new socket for this conversation; the listening one "
			"stays as it was (queue %u of %u)%s",
			event->queued, event->backlog,
			event->state && strcmp(event->state, "CLOSE-WAIT") == 0
				? "; its client has already sent all and "
				  "finished"
				: "");
	else
		snprintf(buf, size, "%s", sentence(event));
	return buf;
}
