/* SPDX-License-Identifier: MIT */
/* Socket calls told as they happen: see trace.h. */
#include "net/trace.h"

#include <stdio.h>
#include <string.h>

#include "net/addr.h"
#include "os/os_datagram.h"
#include "os/os_file.h"
#include "os/os_socket.h"

void nr_trace(const struct nr_report *report, const struct nr_traced *traced)
{
	struct naru_event event = {
		.kind = NARU_EVENT_CALL,
		.call = traced->call,
		.fd = traced->fd,
		.result = traced->result,
		.local = traced->local,
		.peer = traced->peer,
		.text = traced->text,
		.id = traced->id,
	};
	struct nr_tcp_info info;
	/* Of an accept or a socket call, the new socket is what one wants to
	 * know about. */
	int about = traced->result > 0 ? traced->result : traced->fd;

	if (!report->fn || !report->calls)
		return;
	if (about >= 0 && nr_socket_tcp_info(about, &info) == 0)
		event.state = info.state;
	else if (about >= 0 && nr_datagram_is(about))
		event.state = "UDP";
	if (traced->state)
		event.state = traced->state;
	if (traced->fd >= 0 && nr_socket_tcp_info(traced->fd, &info) == 0) {
		event.queued = info.queued;
		event.backlog = info.backlog;
	}
	nr_report(report, &event);
}

void nr_trace_addr(const struct nr_report *report, const char *call, int fd,
                   const struct naru_addr *addr, int result)
{
	char text[NARU_ADDR_TEXT + 16], where[NARU_ADDR_TEXT];
	struct naru_addr local = nr_addr_none;
	/* Only a connection has a peer. */
	const struct naru_addr *peer =
		result == 0 && strcmp(call, "connect") == 0 ? addr : NULL;

	if (!report->fn || !report->calls)
		return;
	(void)nr_socket_local(fd, &local);
	(void)snprintf(text, sizeof(text), "%d, %s", fd,
	               nr_addr_text(addr, where));
	nr_trace(report, &(struct nr_traced){.call = call,
	                                     .fd = fd,
	                                     .result = result,
	                                     .local = &local,
	                                     .peer = peer,
	                                     .text = text});
}

void nr_trace_close(const struct nr_report *report, int fd, uint64_t id,
                    const char *state)
{
	char text[16];

	if (report->fn && report->calls) {
		(void)snprintf(text, sizeof(text), "%d", fd);
		nr_trace(report, &(struct nr_traced){.call = "close",
		                                     .fd = fd,
		                                     .text = text,
		                                     .state = state,
		                                     .id = id});
	}
	nr_file_close(fd);
}
