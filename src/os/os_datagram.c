/* SPDX-License-Identifier: MIT */
/* Datagram sockets: see os_datagram.h. */
#include "os/os_datagram.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "os/os_file.h"
#include "os/os_socket.h"

/* In linux/udp.h, which cannot stand beside netinet/udp.h. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno
	                                                                : 0;
}

/* An IPv6 socket for IPv4 as well where MAPPED. Without IP_RECVERR a socket
 * hears of a closed port, and of no other reason why a datagram did not
 * arrive. */
static int set_up(int fd, bool six, bool mapped)
{
	int err = 0;

	if (six)
		err = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !mapped);
	if (err == 0 && six)
		err = set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	if (err == 0 && (!six || mapped))
		err = set(fd, IPPROTO_IP, IP_RECVERR, 1);
	return err;
}

static int open_socket(int family, bool mapped)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = set_up(fd, family == AF_INET6, mapped);
	if (err < 0)
		nr_file_close(fd);
	return err < 0 ? err : fd;
}

int nr_datagram_open(int family)
{
	return open_socket(family, false);
}

int nr_datagram_open_mapped(void)
{
	return open_socket(AF_INET6, true);
}

struct naru_addr nr_datagram_mapped(const struct naru_addr *ipv4)
{
	struct naru_addr mapped = {.len = sizeof(mapped.as.ipv6)};

	mapped.as.ipv6.sin6_family = AF_INET6;
	mapped.as.ipv6.sin6_port = ipv4->as.ipv4.sin_port;
	mapped.as.ipv6.sin6_addr.s6_addr[10] = 0xff;
	mapped.as.ipv6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&mapped.as.ipv6.sin6_addr.s6_addr[12], &ipv4->as.ipv4.sin_addr,
	       sizeof(ipv4->as.ipv4.sin_addr));
	return mapped;
}

void nr_datagram_unmap(struct naru_addr *addr)
{
	struct naru_addr ipv4 = {.len = sizeof(ipv4.as.ipv4)};
	const struct sockaddr_in6 *six = &addr->as.ipv6;

	if (six->sin6_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return;
	ipv4.as.ipv4.sin_family = AF_INET;
	ipv4.as.ipv4.sin_port = six->sin6_port;
	memcpy(&ipv4.as.ipv4.sin_addr, &six->sin6_addr.s6_addr[12],
	       sizeof(ipv4.as.ipv4.sin_addr));
	*addr = ipv4;
}

int nr_datagram_prefer(int fd)
{
	static const struct sock_filter first = {.code = BPF_RET | BPF_K,
	                                         .k = 0};
	struct sock_fprog program;
	int err = nr_datagram_share(fd), undone;

	/* Its padding too is handed to the kernel. */
	memset(&program, 0, sizeof(program));
	program.len = 1;
	program.filter = (struct sock_filter *)(uintptr_t)&first;
	if (err == 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
	                           &program, sizeof(program)) < 0)
		err = -errno;
	undone = set(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	return err < 0 ? err : undone;
}

int nr_datagram_connect(int fd, const struct naru_addr *peer)
{
	return connect(fd, &peer->as.any, peer->len) < 0 ? -errno : 0;
}

int nr_datagram_share(int fd)
{
	return set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int nr_datagram_tell_local(int fd, int family)
{
	if (family == AF_INET6)
		return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return set(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

int nr_datagram_ignore_errors(int fd, int family)
{
	if (family == AF_INET6)
		return set(fd, IPPROTO_IPV6, IPV6_RECVERR, 0);
	return set(fd, IPPROTO_IP, IP_RECVERR, 0);
}

int nr_datagram_queue(int fd, size_t size)
{
	return set(fd, SOL_SOCKET, SO_RCVBUF, (int)size);
}

/* Our address in the control data of MESSAGE. To a group of hosts came what
 * has no such address of ours: the answer goes from the one that the kernel
 * names (IPv4), or chooses (IPv6). */
static struct naru_addr find_local(struct msghdr *message)
{
	struct naru_addr local = {0};
	struct cmsghdr *head;

	for (head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level == IPPROTO_IP &&
		    head->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(head), sizeof(info));
			local.as.ipv4.sin_family = AF_INET;
			local.as.ipv4.sin_addr = info.ipi_spec_dst;
			local.len = sizeof(local.as.ipv4);
		} else if (head->cmsg_level == IPPROTO_IPV6 &&
		           head->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(head), sizeof(info));
			if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
				continue;
			local.as.ipv6.sin6_family = AF_INET6;
			local.as.ipv6.sin6_addr = info.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				local.as.ipv6.sin6_scope_id = info.ipi6_ifindex;
			local.len = sizeof(local.as.ipv6);
		}
	}
	return local;
}

/* recvmmsg(2), which says nothing of an error behind the first message: the
 * next call does. */
static int receive(int fd, struct mmsghdr *messages, unsigned count)
{
	int got;

	do {
		got = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* Throws away what ICMP has said: its number has been returned already. Else
 * the socket would be ready for ever. */
static void drop_errors(int fd)
{
	struct msghdr message;
	int before = errno;

	do {
		message = (struct msghdr){0};
	} while (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0 ||
	         errno == EINTR);
	errno = before;
}

/* Whether ERR may stand for something in the socket's queue of errors. */
static bool is_network_error(int err)
{
	return err < 0 && err != -EAGAIN && err != -EBADF && err != -ENOTSOCK;
}

struct control {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(
		sizeof(struct in6_pktinfo))];
};

int nr_datagram_hear(int fd, struct nr_heard *heard, unsigned count)
{
	struct mmsghdr messages[NR_DATAGRAMS_MAX] = {0};
	struct control control[NR_DATAGRAMS_MAX];
	struct iovec iov[NR_DATAGRAMS_MAX];
	int got;

	nr_assert(count > 0 && count <= NR_DATAGRAMS_MAX);
	for (unsigned i = 0; i < count; i++) {
		heard[i].peer = (struct naru_addr){0};
		iov[i] = (struct iovec){heard[i].data, heard[i].room};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &heard[i].peer.as,
			.msg_namelen = sizeof(heard[i].peer.as),
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = &control[i],
			.msg_controllen = sizeof(control[i]),
		};
	}
	got = receive(fd, messages, count);
	if (is_network_error(got))
		drop_errors(fd);
	for (int i = 0; i < got; i++) {
		struct naru_addr *peer = &heard[i].peer;

		heard[i].len = messages[i].msg_len;
		peer->len = messages[i].msg_hdr.msg_namelen;
		/* A label of the way, no part of who it is. */
		if (peer->as.any.sa_family == AF_INET6)
			peer->as.ipv6.sin6_flowinfo = 0;
		nr_datagram_unmap(peer);
		/* Nobody can be answered there; and who connects to port 0
		 * takes what comes from all ports of that address. */
		if (peer->as.ipv6.sin6_port == 0)
			peer->len = 0;
		heard[i].local = find_local(&messages[i].msg_hdr);
	}
	return got;
}

/* How many bytes each datagram has of those that came in one piece. */
static size_t find_segment(struct msghdr *message)
{
	struct cmsghdr *head;
	int size;

	for (head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_UDP || head->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(head), sizeof(size));
		return size > 0 ? (size_t)size : 0;
	}
	return 0;
}

struct segment_control {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))];
};

/* Whether NAME, which may be a mapped one, is PEER. */
static bool is_from(const struct sockaddr_in6 *name,
                    const struct naru_addr *peer)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)name;
	struct naru_addr mapped = *peer;

	if (name->sin6_family == AF_INET)
		return peer->as.any.sa_family == AF_INET &&
		       four->sin_port == peer->as.ipv4.sin_port &&
		       four->sin_addr.s_addr == peer->as.ipv4.sin_addr.s_addr;
	if (peer->as.any.sa_family == AF_INET)
		mapped = nr_datagram_mapped(peer);
	return name->sin6_port == mapped.as.ipv6.sin6_port &&
	       IN6_ARE_ADDR_EQUAL(&name->sin6_addr, &mapped.as.ipv6.sin6_addr);
}

int nr_datagram_recv(int fd, const struct naru_addr *peer,
                     struct nr_slot *slots, unsigned count,
                     unsigned *ret_foreign)
{
	struct mmsghdr messages[NR_SLOTS_MAX];
	struct segment_control control[NR_SLOTS_MAX];
	struct sockaddr_in6 names[NR_SLOTS_MAX];
	struct iovec iov[NR_SLOTS_MAX];
	int got, kept = 0;

	nr_assert(count > 0 && count <= NR_SLOTS_MAX);
	for (unsigned i = 0; i < count; i++) {
		iov[i] = (struct iovec){slots[i].data, slots[i].room};
		messages[i] = (struct mmsghdr){
			.msg_hdr = {.msg_name = &names[i],
		                    .msg_namelen = sizeof(names[i]),
		                    .msg_iov = &iov[i],
		                    .msg_iovlen = 1,
		                    .msg_control = &control[i],
		                    .msg_controllen = sizeof(control[i])},
		};
	}
	got = receive(fd, messages, count);
	if (is_network_error(got))
		drop_errors(fd);
	for (int i = 0; i < got; i++) {
		if (!is_from(&names[i], peer)) {
			++*ret_foreign;
			continue;
		}
		slots[kept++] = (struct nr_slot){.data = iov[i].iov_base,
		                                 .room = slots[i].room,
		                                 .len = messages[i].msg_len,
		                                 .segment = find_segment(
							 &messages[i].msg_hdr)};
	}
	return got < 0 ? got : kept > 0 ? kept : -EAGAIN;
}

int nr_datagram_send(int fd, const struct iovec *datagrams, unsigned count)
{
	struct mmsghdr messages[NR_DATAGRAMS_MAX];
	ssize_t sent;

	nr_assert(count > 0 && count <= NR_DATAGRAMS_MAX);
	/* One alone costs the kernel less. */
	if (count == 1) {
		sent = nr_socket_send(fd, datagrams, 1);
		if (is_network_error((int)sent))
			drop_errors(fd);
		return sent < 0 ? (int)sent : 1;
	}
	for (unsigned i = 0; i < count; i++)
		messages[i] = (struct mmsghdr){
			.msg_hdr = {.msg_iov =
		                            (struct iovec
		                                     *)(uintptr_t)&datagrams[i],
		                    .msg_iovlen = 1}};
	do {
		sent = sendmmsg(fd, messages, count,
		                MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		sent = -errno;
	/* What ended it behind the first one the kernel does not say again. */
	if (is_network_error((int)sent) || (sent > 0 && sent < (int)count))
		drop_errors(fd);
	return (int)sent;
}

int nr_datagram_send_segments(int fd, const struct iovec *datagrams,
                              unsigned count)
{
	const uint16_t size = (uint16_t)datagrams[0].iov_len;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(size))];
	} control = {{0}};
	struct msghdr message = {.msg_iov =
	                                 (struct iovec *)(uintptr_t)datagrams,
	                         .msg_iovlen = count,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control.space)};
	ssize_t sent;

	nr_assert(count > 0 && count <= NR_SEGMENTS_MAX);
	control.align.cmsg_level = SOL_UDP;
	control.align.cmsg_type = UDP_SEGMENT;
	control.align.cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(&control.align), &size, sizeof(size));
	do {
		sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	sent = -errno;
	if (is_network_error((int)sent))
		drop_errors(fd);
	return (int)sent;
}

void nr_datagram_take_segments(int fd)
{
	(void)set(fd, SOL_UDP, UDP_GRO, 1);
}

unsigned nr_datagram_dropped(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

void nr_datagram_shut(int fd)
{
	(void)shutdown(fd, SHUT_RDWR);
}

bool nr_datagram_is(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_DGRAM;
}
