/* SPDX-License-Identifier: MIT */
/*
 * The load generator: the same for every server, and as little work itself as
 * can be. It spins instead of sleeping, so that no wake-up of its own is in
 * what it measures.
 *
 *     load churn PORT PID CORE CONCURRENCY WARMUP_MS MEASURE_MS
 *
 * CONCURRENCY clients at once, each over and over: connect to 127.0.0.1:PORT,
 * send 64 bytes, receive them back, compare every byte, close. PID is the
 * server's, for its CPU time; CORE is ours. One line of JSON comes out. An
 * answer that is wrong or does not come ends the run with an error.
 *
 * The clients close first, so TIME-WAIT is on their side. Their addresses go
 * round through 127.1.0.0/16, so that ports never run short.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "usage.h"

#define MESSAGE     64
#define SLOTS_MAX   256
#define SOURCES     200 /* addresses, of some 28,000 ports each */
#define SAMPLES_MAX 1000000
#define STALL_NS    INT64_C(3000000000)
#define NS_PER_MS   INT64_C(1000000)

struct slot {
	int fd;
	size_t got;
	int64_t began;
	uint64_t sent[MESSAGE / sizeof(uint64_t)];
	char answer[MESSAGE];
};

struct load {
	struct sockaddr_in server;
	pid_t pid;
	int watch;
	int slots_count;
	struct slot slots[SLOTS_MAX];
	uint64_t serial; /* of connections, from the beginning */
	bool measuring;
	int64_t last; /* when the last answer came */
	uint32_t *samples;
	size_t count;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* A socket whose address is the next one; connect() chooses the port. */
static int open_socket(uint64_t serial)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	uint32_t host = 0x7f010001 + (uint32_t)(serial % SOURCES);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	source.sin_addr.s_addr = htonl(host);
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
	               sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
		die("bind");
	return fd;
}

static void begin(struct load *load, struct slot *slot)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};

	slot->got = 0;
	slot->fd = open_socket(load->serial++);
	for (size_t i = 0; i < MESSAGE / sizeof(uint64_t); i++)
		slot->sent[i] = (load->serial + i) * 0x9e3779b97f4a7c15;
	slot->began = now_ns();
	/* On loopback this returns at once while the backlog has room. */
	if (connect(slot->fd, (struct sockaddr *)&load->server,
	            sizeof(load->server)) < 0)
		die("connect");
	if (send(slot->fd, slot->sent, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		die("send");
	if (epoll_ctl(load->watch, EPOLL_CTL_ADD, slot->fd, &event) < 0)
		die("epoll_ctl");
}

static void note(struct load *load, const struct slot *slot)
{
	load->last = now_ns();
	if (!load->measuring)
		return;
	if (load->count == SAMPLES_MAX) {
		errno = ENOSPC;
		die("samples");
	}
	load->samples[load->count++] = (uint32_t)(load->last - slot->began);
}

/* Something came for SLOT; once all is there, the next connection begins. */
static void proceed(struct load *load, struct slot *slot)
{
	ssize_t got = recv(slot->fd, slot->answer + slot->got,
	                   MESSAGE - slot->got, MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		errno = got < 0 ? errno : ECONNRESET;
		die("recv");
	}
	slot->got += (size_t)got;
	if (slot->got < MESSAGE)
		return;
	if (memcmp(slot->answer, slot->sent, MESSAGE) != 0) {
		errno = EBADMSG;
		die("answer");
	}
	note(load, slot);
	close(slot->fd);
	begin(load, slot);
}

static void run_for(struct load *load, int64_t ns)
{
	struct epoll_event events[SLOTS_MAX];
	int64_t end = now_ns() + ns;

	for (int64_t now = now_ns(); now < end; now = now_ns()) {
		int ready = epoll_wait(load->watch, events, SLOTS_MAX, 0);

		if (ready < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < ready; i++)
			proceed(load, events[i].data.ptr);
		if (now - load->last > STALL_NS) {
			errno = ETIMEDOUT;
			die("stalled");
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* In microseconds. */
static double percentile(const struct load *load, double part)
{
	size_t at = (size_t)(part * (double)(load->count - 1));

	return load->samples[at] / 1e3;
}

static void churn(struct load *load, int64_t warmup_ns, int64_t measure_ns)
{
	int64_t began, took, server, self;

	load->last = now_ns();
	for (int i = 0; i < load->slots_count; i++)
		begin(load, &load->slots[i]);
	run_for(load, warmup_ns);
	load->measuring = true;
	server = bench_cpu_ns(load->pid);
	self = bench_cpu_ns(getpid());
	began = now_ns();
	run_for(load, measure_ns);
	took = now_ns() - began;
	self = bench_cpu_ns(getpid()) - self;
	server = bench_cpu_ns(load->pid) - server;
	if (load->count == 0) {
		errno = ETIMEDOUT;
		die("no answer");
	}
	qsort(load->samples, load->count, sizeof(uint32_t), compare);
	printf("{\"connections\": %zu, \"seconds\": %.6f, "
	       "\"server_cpu_s\": %.6f, \"load_cpu_s\": %.6f, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}\n",
	       load->count, (double)took / 1e9, (double)server / 1e9,
	       (double)self / 1e9, percentile(load, 0.5),
	       percentile(load, 0.99), percentile(load, 1));
}

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity");
}

static long number(const char *text, long most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < 0 || value > most) {
		errno = EINVAL;
		die(text);
	}
	return value;
}

int main(int argc, char **argv)
{
	static struct load load;

	if (argc != 8 || strcmp(argv[1], "churn") != 0) {
		fprintf(stderr, "usage: load churn PORT PID CORE CONCURRENCY "
		                "WARMUP_MS MEASURE_MS\n");
		return 2;
	}
	load.server.sin_family = AF_INET;
	load.server.sin_port = htons((uint16_t)number(argv[2], 65535));
	load.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	load.pid = (pid_t)number(argv[3], INT32_MAX);
	pin((int)number(argv[4], CPU_SETSIZE - 1));
	load.slots_count = (int)number(argv[5], SLOTS_MAX);
	load.samples = malloc(SAMPLES_MAX * sizeof(*load.samples));
	if (!load.samples)
		die("malloc");
	/* Touched now, so that no page is found while it measures. */
	memset(load.samples, 1, SAMPLES_MAX * sizeof(*load.samples));
	load.watch = epoll_create1(EPOLL_CLOEXEC);
	if (load.watch < 0)
		die("epoll_create1");
	churn(&load, number(argv[6], 60000) * NS_PER_MS,
	      number(argv[7], 60000) * NS_PER_MS);
	free(load.samples);
	return 0;
}
