/* SPDX-License-Identifier: MIT */
/*
 * A receive may stop before the last byte that is there: at the place of
 * urgent data, and in a unix socket behind what came with a descriptor. Nobody
 * tells of the rest then, for it came together with the beginning; a
 * conversation goes on to it nevertheless.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "naru.h"

#define WAIT_S 10

static struct naru_server *server;
static atomic_bool waiting; /* the talk has received all there was */
static atomic_bool sent;    /* and now there is more */

/* Looks away while it comes, so that all of it is there at the same time.
 * Answers only at the end: an answer would be news of the socket. */
static int talk(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err = naru_recv(conv, &msg);

	(void)arg;
	atomic_store(&waiting, true);
	while (err > 0 && !atomic_load(&sent)) {
		int slept = naru_sleep(1);

		err = slept < 0 ? slept : err;
	}
	while (err > 0 && (err = naru_recv(conv, &msg)) > 0)
		if (strcmp(msg.data, "three") == 0)
			return naru_send(conv, "all", 3);
	return err;
}

static void *run(void *arg)
{
	int *result = arg;

	*result = naru_server_run(server);
	return NULL;
}

static bool send_urgent(int fd)
{
	return send(fd, "one\n", 4, MSG_NOSIGNAL) == 4 &&
	       send(fd, "!", 1, MSG_NOSIGNAL | MSG_OOB) == 1;
}

static bool send_descriptor(int fd)
{
	static char one[] = "one\n";
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {.cmsg_level = SOL_SOCKET,
	                      .cmsg_type = SCM_RIGHTS,
	                      .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {one, 4};
	struct msghdr message = {.msg_iov = &iov,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(fd, &message, MSG_NOSIGNAL) == 4;
}

static int connect_to(const char *endpoint)
{
	struct sockaddr_in tcp = {.sin_family = AF_INET,
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	const char *name = strchr(endpoint, '@');
	const struct timeval limit = {.tv_sec = WAIT_S};
	socklen_t len = sizeof(tcp);
	int fd, err;

	if (name) {
		/* In the abstract namespace a name begins with a NUL. */
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		                  strlen(name));
		memcpy(local.sun_path + 1, name + 1, strlen(name) - 1);
	} else {
		tcp.sin_port =
			htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
	}
	fd = socket(name ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	err = name ? connect(fd, (struct sockaddr *)&local, len)
	           : connect(fd, (struct sockaddr *)&tcp, len);
	if (err == 0)
		return fd;
	close(fd);
	return -1;
}

/* One conversation in which SEND_ONE leaves a mark in the stream. */
static bool converse(const char *endpoint, bool (*send_one)(int fd))
{
	int fd = connect_to(endpoint);
	char answer[5] = "";
	bool right;

	atomic_store(&waiting, false);
	atomic_store(&sent, false);
	right = fd >= 0 && send(fd, "begin\n", 6, MSG_NOSIGNAL) == 6;
	while (right && !atomic_load(&waiting))
		usleep(1000);
	right = right && send_one(fd) &&
	        send(fd, "two\nthree\n", 10, MSG_NOSIGNAL) == 10;
	atomic_store(&sent, true);
	right = right && recv(fd, answer, 4, MSG_WAITALL) == 4 &&
	        strcmp(answer, "all\n") == 0;
	if (fd >= 0)
		close(fd);
	return right;
}

static const struct {
	const char *name;
	enum naru_model model;
	enum naru_io io;
} models[] = {
	{"thread", NARU_THREAD, 0},
	{"fiber-uring", NARU_FIBER, NARU_IO_URING},
	{"fiber-epoll", NARU_FIBER, NARU_IO_EPOLL},
};
#define MODELS ((int)(sizeof(models) / sizeof(models[0])))

static int start(int which, char *tcp, char *local)
{
	int err = naru_server_new(&server,
	                          NARU_OPTIONS(.model = models[which].model,
	                                       .io = models[which].io,
	                                       .workers = 1));

	(void)snprintf(local, NARU_ADDR_TEXT, "unix:@naru-pieces-%d-%d",
	               (int)getpid(), which);
	if (err == 0)
		err = naru_server_listen(server, "tcp://127.0.0.1:0", talk,
		                         NULL);
	if (err == 0)
		err = naru_server_listen(server, local, talk, NULL);
	if (err == 0)
		err = naru_server_endpoint(server, 0, tcp, NARU_ADDR_TEXT);
	return err < 0 ? err : 0;
}

/* Returns how many of the two cases are bad. */
static int try_model(int which)
{
	char tcp[NARU_ADDR_TEXT], local[NARU_ADDR_TEXT];
	int result = start(which, tcp, local);
	bool urgent = false, passed = false;
	pthread_t thread;

	if (result == 0 && pthread_create(&thread, NULL, run, &result) == 0) {
		urgent = converse(tcp, send_urgent);
		passed = converse(local, send_descriptor);
		naru_server_stop(server, WAIT_S * 1000);
		pthread_join(thread, NULL);
	}
	naru_server_free(server);
	if (result != 0)
		printf("# it ended with %s\n", naru_errname(result));
	printf("%sok 1 - %s goes on behind urgent data\n", urgent ? "" : "not ",
	       models[which].name);
	printf("%sok 2 - %s goes on behind a descriptor\n",
	       passed ? "" : "not ", models[which].name);
	return !urgent + !passed + (result != 0);
}

int main(int argc, char **argv)
{
	for (int i = 0; argc == 2 && i < MODELS; i++) {
		if (strcmp(argv[1], models[i].name) == 0) {
			printf("1..2\n");
			return try_model(i) > 0;
		}
	}
	(void)fprintf(stderr, "usage: pieces thread|fiber-uring|fiber-epoll\n");
	return 2;
}
