/* SPDX-License-Identifier: MIT */
/* TCP (RFC 9293) over IPv4 and IPv6. */
#include "net/addr.h"
#include "net/stream.h"
#include "net/trace.h"
#include "net/transport.h"
#include "net/tuning.h"
#include "os/os_socket.h"

/*
 * The options of a listening socket, which the accepted ones inherit:
 * - a restarted server may have its port again while connections of the
 *   former one are still in TIME-WAIT;
 * - an IPv6 socket takes IPv6 only, so that the same port of IPv4 can be
 *   listened on beside it;
 * - what is sent leaves at once: we collect small writes ourselves;
 * - and what the server's options ask for.
 */
static int set_listener_options(int fd, const struct naru_addr *addr,
                                const struct nr_tuning *tuning)
{
	int err = nr_socket_reuse_addr(fd);

	if (err == 0 && naru_addr_kind(addr) == NARU_ADDR_IPV6)
		err = nr_socket_v6_only(fd);
	if (err == 0)
		err = nr_socket_no_delay(fd);
	if (err == 0 && tuning)
		err = nr_tuning_listen(fd, tuning);
	return err;
}

static int tcp_listen(const struct naru_addr *addr,
                      const struct nr_listen *options)
{
	int fd = nr_stream_open(addr, options->report), err;

	if (fd < 0)
		return fd;
	err = set_listener_options(fd, addr, options->tuning);
	if (err == 0)
		err = nr_stream_bind(fd, addr, options->report);
	if (err == 0)
		err = nr_stream_listen(fd, options);
	if (err < 0)
		nr_trace_close(options->report, fd, 0, NULL);
	return err < 0 ? err : fd;
}

static int tcp_open(const struct naru_addr *addr,
                    const struct naru_addr *source,
                    const struct nr_report *report)
{
	int fd = nr_stream_open(addr, report), err;

	if (fd < 0)
		return fd;
	err = nr_socket_no_delay(fd);
	if (err == 0 && source)
		err = naru_addr_port(source) ? nr_socket_reuse_addr(fd)
		                             : nr_socket_bind_no_port(fd);
	if (err == 0 && source)
		err = nr_stream_bind(fd, source, report);
	if (err < 0)
		nr_trace_close(report, fd, 0, NULL);
	return err < 0 ? err : fd;
}

const struct nr_transport nr_transport_tcp = {
	.name = "tcp",
	.link = &nr_stream_link,
	.listen = tcp_listen,
	.open = tcp_open,
};
