/* SPDX-License-Identifier: MIT */
/* Plain streams: see stream.h. */
#include "net/stream.h"

#include <errno.h>
#include <stdio.h>

#include "net/addr.h"
#include "net/trace.h"
#include "os/os_socket.h"

int nr_stream_open(const struct naru_addr *addr, const struct nr_report *report)
{
	static const char *const texts[] = {
		[NARU_ADDR_NONE] = "?",
		[NARU_ADDR_IPV4] = "AF_INET, SOCK_STREAM",
		[NARU_ADDR_IPV6] = "AF_INET6, SOCK_STREAM",
		[NARU_ADDR_UNIX] = "AF_UNIX, SOCK_STREAM",
	};
	int fd = nr_socket_open(addr->as.any.sa_family);

	nr_trace(report,
	         &(struct nr_traced){.call = "socket",
	                             .fd = -1,
	                             .result = fd,
	                             .text = texts[naru_addr_kind(addr)]});
	return fd;
}

int nr_stream_bind(int fd, const struct naru_addr *addr,
                   const struct nr_report *report)
{
	int err = nr_socket_bind(fd, addr);

	nr_trace_addr(report, "bind", fd, addr, err);
	return err;
}

int nr_stream_listen(int fd, const struct nr_listen *options)
{
	int err = nr_socket_listen(fd, options->backlog);
	struct naru_addr local = nr_addr_none;
	char text[32];

	if (options->report->calls) {
		unsigned backlog = options->backlog;

		(void)nr_socket_local(fd, &local);
		(void)snprintf(text, sizeof(text), "%d, %u", fd,
		               backlog ? backlog : nr_socket_backlog_max());
		nr_trace(options->report, &(struct nr_traced){.call = "listen",
		                                              .fd = fd,
		                                              .result = err,
		                                              .local = &local,
		                                              .text = text});
	}
	return err;
}

static struct nr_handle handle_of(const struct nr_link *link)
{
	return (struct nr_handle){link->fd, link->serial, link->in_pieces};
}

static ssize_t stream_recv(struct nr_link *link, struct nr_io *io,
                           struct nr_span *into, bool soon, int64_t until)
{
	/* The peer speaks first: it has to know of us. */
	if (atomic_load_explicit(&link->unsaid, memory_order_relaxed) &&
	    atomic_exchange(&link->unsaid, false))
		nr_socket_knock(link->fd);
	return io->ops->recv(io, handle_of(link), into, soon, until);
}

static ssize_t stream_send(struct nr_link *link, struct nr_io *io,
                           const struct iovec *iov, int count, int64_t until)
{
	if (atomic_load_explicit(&link->unsaid, memory_order_relaxed))
		atomic_store(&link->unsaid, false);
	return io->ops->send(io, handle_of(link), iov, count, until);
}

/* Waits until a connection that is late stands: what is finished before takes
 * back the bytes that it was to begin with. */
static int await_late(struct nr_link *link, struct nr_io *io, int64_t until)
{
	const struct iovec nothing = {.iov_base = link, .iov_len = 0};
	ssize_t sent = stream_send(link, io, &nothing, 1, until);

	if (sent < 0)
		return (int)sent;
	link->late = false;
	return 0;
}

static ssize_t stream_splice_in(struct nr_link *link, struct nr_io *io,
                                struct nr_pipe *pipe, int64_t until)
{
	return io->ops->splice_in(io, handle_of(link), pipe, until);
}

static ssize_t stream_splice_out(struct nr_link *link, struct nr_io *io,
                                 struct nr_pipe *pipe, int64_t until)
{
	return io->ops->splice_out(io, handle_of(link), pipe, until);
}

static int stream_splicing(struct nr_link *link, bool on)
{
	return nr_socket_set_blocking(link->fd, !on);
}

static bool is_closed(const struct nr_link *link)
{
	struct nr_tcp_info info;

	return nr_socket_tcp_info(link->fd, &info) == 0 && info.closed;
}

/* After a peer's end the connection is still open for us, but for a reset. One
 * that came behind the end, for what we sent then, is EPIPE to the kernel. */
static bool stream_broke(struct nr_link *link)
{
	return is_closed(link) && nr_socket_error(link->fd) != -EPIPE;
}

static int stream_finish(struct nr_link *link, struct nr_io *io, int64_t until)
{
	int err = link->late ? await_late(link, io, until) : 0;
	char text[32];

	if (err < 0)
		return err;
	err = nr_socket_finish(link->fd);
	if (link->report->calls) {
		(void)snprintf(text, sizeof(text), "%d, SHUT_WR", link->fd);
		nr_trace(link->report, &(struct nr_traced){.call = "shutdown",
		                                           .fd = link->fd,
		                                           .id = link->id,
		                                           .result = err,
		                                           .text = text});
	}
	/* A peer that had finished before got some bytes too many. */
	link->gone = err == -ENOTCONN && is_closed(link);
	return link->gone ? 0 : err;
}

static void stream_abort(struct nr_link *link)
{
	nr_socket_abort(link->fd);
}

static uint64_t stream_acknowledged(struct nr_link *link, uint64_t sent)
{
	struct nr_tcp_info info;

	if (nr_socket_tcp_info(link->fd, &info) < 0)
		return sent;
	/* The side that asked for the connection counts its SYN as a byte. */
	if (link->dialled && info.acked > 0)
		info.acked--;
	return info.acked < sent ? info.acked : sent;
}

static void stream_close(struct nr_link *link)
{
	nr_trace_close(link->report, link->fd, link->id, NULL);
	link->fd = -1;
}

const struct nr_link_ops nr_stream_link = {
	.recv = stream_recv,
	.send = stream_send,
	.splice_in = stream_splice_in,
	.splice_out = stream_splice_out,
	.splicing = stream_splicing,
	.broke = stream_broke,
	.finish = stream_finish,
	.abort = stream_abort,
	.acknowledged = stream_acknowledged,
	.close = stream_close,
};
