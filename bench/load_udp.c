/* SPDX-License-Identifier: MIT */
/*
 * Asks an echo server over UDP, and counts the answers.
 *
 *     load_udp PORT PEERS IN_FLIGHT SIZE MS SEGMENTS
 *
 * Each of PEERS sockets has IN_FLIGHT datagrams of SIZE bytes on their way and
 * sends another for each that comes back, for MS milliseconds. With SEGMENTS 1,
 * those that leave together leave in one piece (UDP_SEGMENT). What is lost is
 * noticed after a while, and sent anew. Prints how many came back in the time
 * that was counted, how many were sent anew, and the time in nanoseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH        64
#define DATAGRAM_MAX 1472
#define PEERS_MAX    1000
#define LOST_NS      50000000

static struct {
	int fd;
	int away; /* sent, and not yet back */
	long long heard;
} peers[PEERS_MAX];

static int peer_count, in_flight, size;
static bool segments;
static long long came, again;
static char data[BATCH * DATAGRAM_MAX];
static char back[BATCH][DATAGRAM_MAX];

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "load_udp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void open_peer(int number, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_port = htons((unsigned short)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), cut = size;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("connect");
	if (segments &&
	    setsockopt(fd, SOL_UDP, UDP_SEGMENT, &cut, sizeof(cut)) < 0)
		fail("UDP_SEGMENT");
	peers[number].fd = fd;
}

/* Sends COUNT more. */
static void ask(int number, int count)
{
	struct mmsghdr messages[BATCH] = {0};
	struct iovec piece = {data, (size_t)size};
	int sent = 0;

	if (segments) {
		int together = 60000 / size;

		for (; count > 0; count -= together) {
			int n = count < together ? count : together;

			if (send(peers[number].fd, data,
			         (size_t)n * (size_t)size, 0) < 0)
				fail("send");
			peers[number].away += n;
		}
		return;
	}
	for (int i = 0; i < count; i++) {
		messages[i].msg_hdr.msg_iov = &piece;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		int n = sendmmsg(peers[number].fd, messages + sent,
		                 (unsigned)(count - sent), 0);

		if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED)
			fail("sendmmsg");
		sent += n > 0 ? n : 0;
	}
	peers[number].away += count;
}

static void take(int number)
{
	struct mmsghdr messages[BATCH] = {0};
	struct iovec pieces[BATCH];
	int got;

	for (int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){back[i], DATAGRAM_MAX};
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	got = recvmmsg(peers[number].fd, messages, BATCH, 0, NULL);
	if (got <= 0)
		return;
	for (int i = 0; i < got; i++)
		if ((int)messages[i].msg_len != size) {
			errno = EBADMSG;
			fail("an answer");
		}
	came += got;
	peers[number].away -= got;
	peers[number].heard = now();
	ask(number, got);
}

/* What has not come back for long is lost. */
static void look_after(void)
{
	for (int i = 0; i < peer_count; i++) {
		if (now() - peers[i].heard < LOST_NS)
			continue;
		again += peers[i].away;
		peers[i].away = 0;
		peers[i].heard = now();
		ask(i, in_flight);
	}
}

static void run_until(int watch, long long end)
{
	struct epoll_event events[BATCH];
	long long looked = now();

	while (now() < end) {
		int ready = epoll_wait(watch, events, BATCH, 10);

		for (int i = 0; i < ready; i++)
			take((int)events[i].data.u32);
		if (now() - looked > LOST_NS) {
			look_after();
			looked = now();
		}
	}
}

static int number_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	return *end == '\0' && number >= 0 && number <= 1000000 ? (int)number
	                                                        : -1;
}

int main(int argc, char **argv)
{
	int watch = epoll_create1(0);
	long long begin;

	if (argc != 7)
		return 2;
	peer_count = number_of(argv[2]);
	in_flight = number_of(argv[3]);
	size = number_of(argv[4]);
	segments = number_of(argv[6]) != 0;
	if (peer_count < 1 || peer_count > PEERS_MAX || in_flight < 1 ||
	    in_flight > BATCH || size < 1 || size > DATAGRAM_MAX || watch < 0)
		return 2;
	for (int i = 0; i < peer_count; i++) {
		struct epoll_event event = {.events = EPOLLIN,
		                            .data.u32 = (unsigned)i};

		open_peer(i, number_of(argv[1]));
		if (epoll_ctl(watch, EPOLL_CTL_ADD, peers[i].fd, &event) < 0)
			fail("epoll_ctl");
		peers[i].heard = now();
		ask(i, in_flight);
	}
	/* Sockets are made and caches filled before anything counts. */
	run_until(watch, now() + 200000000);
	printf("begin\n");
	fflush(stdout);
	begin = now();
	came = again = 0;
	run_until(watch, begin + number_of(argv[5]) * 1000000LL);
	printf("%lld %lld %lld\n", came, again, now() - begin);
	return 0;
}
