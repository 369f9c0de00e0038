/* SPDX-License-Identifier: MIT */
/*
 * The pairs of a model and a transport that the conformance suite runs over,
 * by the names that its command line gives them.
 */
#include "place.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge.h"

struct place place;

static const struct {
	const char *name;
	enum naru_model model;
	enum naru_io io;
	bool isolated;
} models[] = {
	{"iterative", NARU_ITERATIVE, 0, false},
	{"process", NARU_PROCESS, 0, false},
	{"thread", NARU_THREAD, 0, false},
	{"prefork", NARU_PREFORK, 0, false},
	{"pool", NARU_POOL, 0, false},
	{"fiber-uring", NARU_FIBER, NARU_IO_URING, false},
	{"fiber-epoll", NARU_FIBER, NARU_IO_EPOLL, false},
	{"fiber-isolated", NARU_FIBER, NARU_IO_AUTO, true},
	{"fiber-isolated-epoll", NARU_FIBER, NARU_IO_EPOLL, true},
};

static const char *const transports[] = {
	[TRANSPORT_TCP4] = "tcp4", [TRANSPORT_TCP6] = "tcp6",
	[TRANSPORT_UNIX] = "unix", [TRANSPORT_TLS] = "tls",
	[TRANSPORT_UDP] = "udp",
};

static bool set_model(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcmp(models[i].name, name) == 0) {
			place.model = models[i].model;
			place.io = models[i].io;
			place.isolated = models[i].isolated;
			return true;
		}
	}
	return false;
}

static bool set_transport(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		if (strcmp(transports[i], name) == 0) {
			place.transport = (enum transport)i;
			return true;
		}
	}
	return false;
}

bool place_set(const char *model, const char *transport)
{
	const char *tmp = getenv("TMPDIR");

	if (!set_model(model) || !set_transport(transport))
		return false;
	/* A socket's path has room for little more than a hundred bytes. */
	if (!tmp || strlen(tmp) > 32)
		tmp = "/tmp";
	snprintf(place.dir, sizeof(place.dir), "%s/naru-XXXXXX", tmp);
	if (!mkdtemp(place.dir)) {
		perror(place.dir);
		return false;
	}
	if (place.transport == TRANSPORT_TLS)
		bridge_open();
	return true;
}

bool place_exists(void)
{
	struct sockaddr_in6 loopback = {
		.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int fd, err;

	if (place.transport != TRANSPORT_TCP6)
		return true;
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	err = bind(fd, (struct sockaddr *)&loopback, sizeof(loopback));
	close(fd);
	return err == 0;
}

void place_clean(void)
{
	struct dirent *entry;
	char path[400];
	DIR *dir = opendir(place.dir);

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", place.dir, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	closedir(dir);
}

void place_leave(void)
{
	place_clean();
	rmdir(place.dir);
	bridge_close();
}

void place_endpoint(char *buf, size_t size)
{
	static unsigned count;

	if (place.transport == TRANSPORT_TCP4)
		snprintf(buf, size, "tcp://127.0.0.1:0");
	else if (place.transport == TRANSPORT_TLS)
		snprintf(buf, size, "tls://127.0.0.1:0");
	else if (place.transport == TRANSPORT_TCP6)
		snprintf(buf, size, "tcp://[::1]:0");
	else if (place.transport == TRANSPORT_UDP)
		snprintf(buf, size, "udp://127.0.0.1:0");
	else
		snprintf(buf, size, "unix:%s/%ld-%u", place.dir, (long)getpid(),
		         count++);
}
