/* SPDX-License-Identifier: MIT */
/* Sockets: see os_socket.h. */
#include "os/os_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h> /* more of tcp_info than netinet/tcp.h has */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "os/os_file.h"

/* As netinet/tcp.h names them, which cannot stand beside linux/tcp.h. */
enum tcp_state_number {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

/* A kernel's -1 as -errno. */
static int result(int got)
{
	return got < 0 ? -errno : got;
}

int nr_socket_open(int family)
{
	return result(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

int nr_socket_bind(int fd, const struct naru_addr *addr)
{
	return result(bind(fd, &addr->as.any, addr->len));
}

int nr_socket_set_blocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	return result(fcntl(fd, F_SETFL, flags));
}

int nr_socket_listen(int fd, unsigned backlog)
{
	int err = nr_socket_set_blocking(fd, false);

	if (err < 0)
		return err;
	if (backlog == 0 || backlog > INT_MAX)
		backlog = INT_MAX;
	return result(listen(fd, (int)backlog));
}

int nr_socket_accept(int fd, struct naru_addr *ret_peer)
{
	struct naru_addr peer = {0};
	int got;

	do {
		peer.len = sizeof(peer.as);
		got = accept4(fd, &peer.as.any, &peer.len, SOCK_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (peer.len > sizeof(peer.as))
		peer.len = sizeof(peer.as);
	*ret_peer = peer;
	return got;
}

int nr_socket_connect(int fd, const struct naru_addr *addr)
{
	int err = nr_socket_set_blocking(fd, false), undone;

	if (err < 0)
		return err;
	err = result(connect(fd, &addr->as.any, addr->len));
	/* An interrupted connect goes on by itself, as a nonblocking one. */
	if (err == -EINTR)
		err = -EINPROGRESS;
	undone = nr_socket_set_blocking(fd, true);
	return undone < 0 ? undone : err;
}

static int set_int(int fd, int level, int option, int value)
{
	return result(setsockopt(fd, level, option, &value, sizeof(value)));
}

int nr_socket_error(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) < 0)
		return -errno;
	return -value;
}

int nr_socket_local(int fd, struct naru_addr *ret_addr)
{
	struct naru_addr addr = {.len = sizeof(addr.as)};

	if (getsockname(fd, &addr.as.any, &addr.len) < 0)
		return -errno;
	if (addr.len > sizeof(addr.as))
		addr.len = sizeof(addr.as);
	*ret_addr = addr;
	return 0;
}

int nr_socket_peer(int fd, struct naru_addr *ret_addr)
{
	struct naru_addr addr = {.len = sizeof(addr.as)};

	if (getpeername(fd, &addr.as.any, &addr.len) < 0)
		return -errno;
	if (addr.len > sizeof(addr.as))
		addr.len = sizeof(addr.as);
	*ret_addr = addr;
	return 0;
}

static ssize_t receive(int fd, void *buf, size_t len, int flags)
{
	ssize_t got;

	do {
		got = recv(fd, buf, len, MSG_DONTWAIT | flags);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t nr_socket_recv(int fd, void *buf, size_t len)
{
	return receive(fd, buf, len, 0);
}

ssize_t nr_socket_peek(int fd, void *buf, size_t len)
{
	return receive(fd, buf, len, MSG_PEEK);
}

static ssize_t send_pieces(int fd, const struct iovec *iov, int count,
                           int flags)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
	                         .msg_iovlen = (size_t)count};

	return sendmsg(fd, &message, flags);
}

ssize_t nr_socket_send(int fd, const struct iovec *iov, int count)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t sent;

	do {
		/* One piece costs the kernel less than a list of one. */
		sent = count == 1 ? send(fd, iov->iov_base, iov->iov_len, flags)
		                  : send_pieces(fd, iov, count, flags);
	} while (sent < 0 && errno == EINTR);
	/* That of a first send that has the socket connect (RFC 7413) and
	 * could not take its bytes along. */
	if (sent < 0 && errno == EINPROGRESS)
		return -EAGAIN;
	return sent < 0 ? -errno : sent;
}

void nr_socket_knock(int fd)
{
	/* Whatever it meets is told to whoever waits for the socket. */
	(void)send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int nr_socket_finish(int fd)
{
	return result(shutdown(fd, SHUT_WR));
}

void nr_socket_abort(int fd)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	/* Resets a TCP connection now, and wakes whoever waits, to write too
	 * (connect(2)); a unix socket knows no reset. Not by the library's
	 * connect(), which a thread sanitizer takes for a new socket's. */
	if (syscall(SYS_connect, fd, &none, sizeof(none)) < 0)
		(void)shutdown(fd, SHUT_RDWR);
}

int nr_socket_reuse_addr(int fd)
{
	return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

int nr_socket_v6_only(int fd)
{
	return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

int nr_socket_no_delay(int fd)
{
	return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int nr_socket_bind_no_port(int fd)
{
	return set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
}

/* A duration in units of UNIT, rounded up, as an option that takes an int up to
 * MOST. */
static int in_units(int64_t ns, int64_t unit, int most)
{
	int64_t count = ns / unit + (ns % unit != 0);

	return count > most ? most : (int)count;
}

/* The most that tcp(7) takes for an interval, in seconds. */
#define KEEP_ALIVE_MAX 32767

/* How often a silent peer is asked before it counts as gone; these take as
 * long together as it was silent before. */
#define KEEP_ALIVE_PROBES 3

int nr_socket_keep_alive(int fd, int64_t idle)
{
	int seconds = in_units(idle, NR_NS_PER_S, KEEP_ALIVE_MAX);
	int between = (seconds + KEEP_ALIVE_PROBES - 1) / KEEP_ALIVE_PROBES;
	int err = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);

	if (err == 0)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, between);
	if (err == 0)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_ALIVE_PROBES);
	return err < 0 ? err : set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int nr_socket_user_timeout(int fd, int64_t timeout)
{
	return set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
	               in_units(timeout, NR_NS_PER_MS, INT_MAX));
}

int nr_socket_fast_open(int fd)
{
	return set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
}

int nr_socket_fast_listen(int fd, unsigned most)
{
	return set_int(fd, IPPROTO_TCP, TCP_FASTOPEN,
	               most > INT_MAX ? INT_MAX : (int)most);
}

/* The kernel's numbers in RFC 9293's words. */
static const char *tcp_state(unsigned number)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "ESTABLISHED",
		[TCP_SYN_SENT] = "SYN-SENT",
		[TCP_SYN_RECV] = "SYN-RECEIVED",
		[TCP_FIN_WAIT1] = "FIN-WAIT-1",
		[TCP_FIN_WAIT2] = "FIN-WAIT-2",
		[TCP_TIME_WAIT] = "TIME-WAIT",
		[TCP_CLOSE] = "CLOSED",
		[TCP_CLOSE_WAIT] = "CLOSE-WAIT",
		[TCP_LAST_ACK] = "LAST-ACK",
		[TCP_LISTEN] = "LISTEN",
		[TCP_CLOSING] = "CLOSING",
	};

	if (number >= sizeof(names) / sizeof(names[0]) || !names[number])
		return "UNKNOWN";
	return names[number];
}

static bool has_got_fin(unsigned state)
{
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ||
	       state == TCP_CLOSING || state == TCP_TIME_WAIT;
}

int nr_socket_tcp_info(int fd, struct nr_tcp_info *ret_info)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*ret_info = (struct nr_tcp_info){
		.state = tcp_state(info.tcpi_state),
		.closed = info.tcpi_state == TCP_CLOSE,
		.acked = info.tcpi_bytes_acked,
		.received = info.tcpi_bytes_received,
		.written = info.tcpi_bytes_sent - info.tcpi_bytes_retrans +
	                   info.tcpi_notsent_bytes,
	};
	/* The peer's FIN counts as a byte that came; it is none. */
	if (ret_info->received > 0 && has_got_fin(info.tcpi_state))
		ret_info->received--;
	/* For a listener the kernel puts its queue into these two. */
	if (info.tcpi_state == TCP_LISTEN) {
		ret_info->queued = info.tcpi_unacked;
		ret_info->backlog = info.tcpi_sacked;
	}
	return 0;
}

int nr_socket_peer_process(int fd, pid_t *ret_pid, uid_t *ret_uid,
                           gid_t *ret_gid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret_pid = peer.pid;
	*ret_uid = peer.uid;
	*ret_gid = peer.gid;
	return 0;
}

unsigned nr_socket_backlog_max(void)
{
	char text[32];
	unsigned long value = 0;

	if (nr_file_read_text("/proc/sys/net/core/somaxconn", text,
	                      sizeof(text)) > 0)
		value = strtoul(text, NULL, 10);
	return value > 0 && value <= INT_MAX ? (unsigned)value : SOMAXCONN;
}

int nr_socket_pair(int ret_fds[2])
{
	return result(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds));
}

int nr_socket_stream_pair(int ret_fds[2])
{
	return result(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds));
}

int nr_socket_send_pieces(int fd, const struct iovec pieces[2], int passed)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
	                         .msg_iovlen = 2};
	ssize_t sent;

	if (passed >= 0) {
		struct cmsghdr *head = &control.align;

		message.msg_control = &control;
		message.msg_controllen = sizeof(control.space);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &passed, sizeof(int));
	}
	do {
		sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int nr_socket_send_message(int fd, const void *data, size_t len, int passed)
{
	const struct iovec pieces[] = {{(void *)(uintptr_t)data, len},
	                               {NULL, 0}};

	return nr_socket_send_pieces(fd, pieces, passed);
}

/* The descriptor in MESSAGE's control data, or -1. */
static int passed_descriptor(struct msghdr *message)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	int fd;

	if (!head || head->cmsg_level != SOL_SOCKET ||
	    head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(int));
	return fd;
}

ssize_t nr_socket_recv_pieces(int fd, const struct iovec pieces[2], bool wait,
                              int *ret_passed)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
	                         .msg_iovlen = 2,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control.space)};
	int flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
	int passed;
	ssize_t got;

	do {
		got = recvmsg(fd, &message, flags);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	passed = passed_descriptor(&message);
	if (got > 0 && (message.msg_flags & MSG_TRUNC))
		got = -EBADMSG;
	if (got > 0)
		*ret_passed = passed;
	else if (passed >= 0)
		nr_file_close(passed);
	return got;
}

ssize_t nr_socket_recv_message(int fd, void *data, size_t len, bool wait,
                               int *ret_passed)
{
	const struct iovec pieces[] = {{data, len}, {NULL, 0}};
	int passed = -1;
	ssize_t got = nr_socket_recv_pieces(fd, pieces, wait, &passed);

	if (got > 0 && (size_t)got != len)
		got = -EBADMSG;
	if (got > 0 && ret_passed)
		*ret_passed = passed;
	else if (passed >= 0)
		nr_file_close(passed);
	return got;
}
