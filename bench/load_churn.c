/* SPDX-License-Identifier: MIT */
/*
 * Connections that come and go: each client over and over connects, sends 64
 * bytes, receives them back, compares every byte, and closes.
 *
 * The clients close first, so TIME-WAIT is on their side.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

struct slot {
	int fd;
	size_t got;
	int64_t began;
	uint64_t sent[LOAD_MESSAGE / sizeof(uint64_t)];
	char answer[LOAD_MESSAGE];
};

struct churn {
	bool measuring;
	bool closing; /* nobody connects anew */
	int open;
	uint64_t count;
	struct bench_histogram times;
};

static void begin(struct load *load, struct slot *slot)
{
	struct churn *churn = load->mode;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};

	slot->got = 0;
	for (size_t i = 0; i < LOAD_MESSAGE / sizeof(uint64_t); i++)
		slot->sent[i] = (load->serial + i) * 0x9e3779b97f4a7c15;
	slot->began = load_now_ns();
	slot->fd = load_connect(load);
	if (slot->fd < 0)
		load_die("connect", slot->fd);
	if (send(slot->fd, slot->sent, LOAD_MESSAGE, MSG_NOSIGNAL) !=
	    LOAD_MESSAGE)
		load_die("send", -errno);
	if (epoll_ctl(load->watch, EPOLL_CTL_ADD, slot->fd, &event) < 0)
		load_die("epoll_ctl", -errno);
	churn->open++;
}

static void note(struct load *load, const struct slot *slot)
{
	struct churn *churn = load->mode;

	load->last = load_now_ns();
	if (!churn->measuring)
		return;
	churn->count++;
	bench_histogram_add(&churn->times, load->last - slot->began);
}

/* Something came for SLOT; once all is there, the next connection begins. */
static void proceed(struct load *load, struct slot *slot)
{
	struct churn *churn = load->mode;
	ssize_t got = recv(slot->fd, slot->answer + slot->got,
	                   LOAD_MESSAGE - slot->got, MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		load_die("recv", got < 0 ? -errno : -ECONNRESET);
	slot->got += (size_t)got;
	if (slot->got < LOAD_MESSAGE)
		return;
	if (memcmp(slot->answer, slot->sent, LOAD_MESSAGE) != 0)
		load_die("answer", -EBADMSG);
	note(load, slot);
	close(slot->fd);
	churn->open--;
	if (!churn->closing)
		begin(load, slot);
}

static void poll_slots(struct load *load, int64_t now)
{
	struct epoll_event events[LOAD_EVENTS];
	int ready = epoll_wait(load->watch, events, LOAD_EVENTS, 0);

	if (ready < 0 && errno != EINTR)
		load_die("epoll_wait", -errno);
	for (int i = 0; i < ready; i++)
		proceed(load, events[i].data.ptr);
	if (now - load->last > load->args->stall_ms * LOAD_NS_PER_MS)
		load_die("stalled", -ETIMEDOUT);
}

static void run_for(struct load *load, int ms)
{
	int64_t now = load_now_ns(), end = now + ms * LOAD_NS_PER_MS;

	for (; now < end; now = load_now_ns())
		poll_slots(load, now);
}

/* A server may not have forgotten anyone. */
static void finish(struct load *load)
{
	struct churn *churn = load->mode;

	churn->measuring = false;
	churn->closing = true;
	while (churn->open > 0)
		poll_slots(load, load_now_ns());
}

void load_churn(const struct load_args *args)
{
	static struct churn churn;
	struct load load = {.mode = &churn};
	struct load_interval interval;
	struct slot *slots;

	load_init(&load, args);
	slots = calloc((size_t)args->connections, sizeof(*slots));
	if (!slots)
		load_die("memory", -ENOMEM);
	for (int i = 0; i < args->connections; i++)
		begin(&load, &slots[i]);
	run_for(&load, args->warmup_ms);
	churn.measuring = true;
	load_begin(&interval, args->pid);
	run_for(&load, args->measure_ms);
	load_end(&interval, args->pid);
	finish(&load);
	free(slots);
	load_fini(&load);
	if (churn.count == 0)
		load_die("no answer", -ETIMEDOUT);
	printf("{\"count\": %llu, ", (unsigned long long)churn.count);
	load_print_times(&churn.times);
	printf(", ");
	load_print_interval(&interval);
	printf("}\n");
}
