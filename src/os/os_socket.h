/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_SOCKET_H
#define NR_OS_SOCKET_H

/*
 * Sockets. Every call returns -errno where it fails and is never interrupted;
 * every descriptor is born close-on-exec. Accepted and connected sockets stay
 * in blocking mode, for the sake of programs that they may be handed to; we
 * ourselves never block in them, because each call says MSG_DONTWAIT.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "os/os_addr.h"

/* A stream socket of FAMILY (AF_INET, AF_INET6, AF_UNIX). */
int nr_socket_open(int family);

int nr_socket_bind(int fd, const struct naru_addr *addr);

/* BACKLOG 0 asks for the system's maximum. Makes the socket nonblocking:
 * accepting from it must not wait for a client that has gone away. */
int nr_socket_listen(int fd, unsigned backlog);

/* -EAGAIN where nobody waits to be accepted. */
int nr_socket_accept(int fd, struct naru_addr *ret_peer);

/* Begins to connect and does not wait: 0 when it is done, -EINPROGRESS when
 * the socket will turn writable, and nr_socket_error() tell the outcome. */
int nr_socket_connect(int fd, const struct naru_addr *addr);

/* The outcome of a connect that was in progress: 0 or -errno. */
int nr_socket_error(int fd);

int nr_socket_local(int fd, struct naru_addr *ret_addr);
int nr_socket_peer(int fd, struct naru_addr *ret_addr);

/* At once, or -EAGAIN. 0 is the peer's end. */
ssize_t nr_socket_recv(int fd, void *buf, size_t len);

/* The same, and the bytes stay where they are. */
ssize_t nr_socket_peek(int fd, void *buf, size_t len);

/* What the kernel takes at once, or -EAGAIN, also where it still connects.
 * Never raises SIGPIPE. */
ssize_t nr_socket_send(int fd, const struct iovec *iov, int count);

/* Whether calls that cannot say MSG_DONTWAIT wait in FD, as they do at first.
 */
int nr_socket_set_blocking(int fd, bool on);

/* Says that no more will be sent: shutdown(SHUT_WR). */
int nr_socket_finish(int fd);

/* Ends receiving now, for whoever waits for it, and makes the closing reset
 * the connection. What cannot be done is no worse than an orderly end. */
void nr_socket_abort(int fd);

/* Options. */
int nr_socket_reuse_addr(int fd);
int nr_socket_v6_only(int fd);
int nr_socket_no_delay(int fd);

/* Binding to an address with port 0 then leaves the port to connect(), which
 * can share one between peers (ip(7), IP_BIND_ADDRESS_NO_PORT). */
int nr_socket_bind_no_port(int fd);

/* Asks the peer now and then whether it is there, once nothing came for IDLE
 * nanoseconds (SO_KEEPALIVE, tcp(7)). */
int nr_socket_keep_alive(int fd, int64_t idle);

/* Gives up a connection whose peer does not acknowledge for TIMEOUT
 * nanoseconds (TCP_USER_TIMEOUT, RFC 5482). */
int nr_socket_user_timeout(int fd, int64_t timeout);

/* TCP Fast Open (RFC 7413): of a socket that will be connected, whose first
 * bytes then may go with its first packet; and of one that will listen, where
 * up to MOST connections that began so may wait to be acknowledged.
 * -EOPNOTSUPP where the system has it switched off. */
int nr_socket_fast_open(int fd);
int nr_socket_fast_listen(int fd, unsigned most);

/* Has a socket connect that waits for its first bytes to do so. */
void nr_socket_knock(int fd);

/* What TCP knows of a socket. */
struct nr_tcp_info {
	const char *state; /* as RFC 9293 names it, "ESTABLISHED" */
	bool closed;       /* it is over both ways: also where it was reset */
	unsigned queued;   /* of a listener: how many wait to be accepted */
	unsigned backlog;  /* of a listener: how many may */
	uint64_t acked;    /* bytes that the peer has acknowledged */
	uint64_t written;  /* bytes that the kernel has taken from us */
	uint64_t received; /* bytes that came */
};

/* -EOPNOTSUPP where the socket is not TCP. */
int nr_socket_tcp_info(int fd, struct nr_tcp_info *ret_info);

/* The peer of a unix socket: SO_PEERCRED. */
int nr_socket_peer_process(int fd, pid_t *ret_pid, uid_t *ret_uid,
                           gid_t *ret_gid);

/* How many may wait at most to be accepted (net.core.somaxconn). */
unsigned nr_socket_backlog_max(void);

/* A pair of connected sockets between processes that keep messages apart. */
int nr_socket_pair(int ret_fds[2]);

/* A pair of connected sockets that carry streams of bytes. */
int nr_socket_stream_pair(int ret_fds[2]);

/* Sends one message between processes, with the descriptor PASSED where that
 * is not -1. Never waits: -EAGAIN. */
int nr_socket_send_message(int fd, const void *data, size_t len, int passed);

/* The same with a message in two pieces, the second of which may be empty. */
int nr_socket_send_pieces(int fd, const struct iovec pieces[2], int passed);

/*
 * Receives one message of exactly LEN bytes; 0 when the other side has
 * closed, -EAGAIN (only with WAIT false) when there is none, -EBADMSG for one
 * of another length. RET_PASSED is the descriptor that came along, or -1; it
 * may be null where none is expected.
 */
ssize_t nr_socket_recv_message(int fd, void *data, size_t len, bool wait,
                               int *ret_passed);

/* The same with a message of any length that the two pieces hold; how long it
 * is. RET_PASSED may not be null. */
ssize_t nr_socket_recv_pieces(int fd, const struct iovec pieces[2], bool wait,
                              int *ret_passed);

#endif
