/* SPDX-License-Identifier: MIT */
/*
 * The limit over UDP: one socket, one loop, recvmmsg(2) and sendmmsg(2), and
 * nothing kept of anybody.
 *
 *     bare_udp
 *
 * Prints its port when datagrams can come, and ends with SIGTERM.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define BATCH 64
#define SIZE  2048

static struct mmsghdr messages[BATCH];
static struct sockaddr_in names[BATCH];
static struct iovec pieces[BATCH];
static char data[BATCH][SIZE];

static void prepare(void)
{
	for (int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){data[i], SIZE};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &names[i],
			.msg_namelen = sizeof(names[i]),
			.msg_iov = &pieces[i],
			.msg_iovlen = 1,
		};
	}
}

int main(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int queue = 4 * 1024 * 1024;
	socklen_t len = sizeof(own);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue)) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &len) < 0) {
		perror("bare_udp");
		return 1;
	}
	printf("%d\n", ntohs(own.sin_port));
	fflush(stdout);
	for (;;) {
		int got, sent = 0, n;

		prepare();
		got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < got; i++)
			pieces[i].iov_len = messages[i].msg_len;
		while (sent < got) {
			n = sendmmsg(fd, messages + sent,
			             (unsigned)(got - sent), 0);
			sent += n > 0 ? n : 1;
		}
	}
}
