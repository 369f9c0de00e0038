/* SPDX-License-Identifier: MIT */
/*
 * A flood through a relay: clients send as much as is taken, and the backend,
 * which is in this process too, drinks it. Its bytes are counted, and at the
 * end every byte that was sent has to be there. So that the load is not what
 * is measured, it copies none of them: clients send a file, and the backend
 * throws away. With checked=1 each byte is also compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define PIECE 65536

struct bulk {
	struct load_backend backend;
	uint64_t sent;
	int file; /* the ring */
};

/* One send to each that may have room. */
static void send_round(struct load *load)
{
	const struct load_pattern *pattern = &load->pattern;
	struct bulk *bulk = load->mode;

	for (int i = 0; i < load->clients_count; i++) {
		struct load_client *client = &load->clients[i];
		off_t at = client->out_at;
		ssize_t sent;

		if (!client->unsent)
			continue;
		sent = sendfile(client->fd, bulk->file, &at, PIECE);
		if (sent < 0 && errno != EAGAIN)
			load_die("sendfile", -errno);
		client->unsent = sent > 0;
		if (sent <= 0)
			continue;
		bulk->sent += (uint64_t)sent;
		client->out_at =
			(client->out_at + (uint32_t)sent) % pattern->period;
	}
}

static void run_until(struct load *load, int64_t end)
{
	struct bulk *bulk = load->mode;
	struct epoll_event events[LOAD_EVENTS];
	uint64_t before = bulk->backend.received;
	int64_t now = load_now_ns(), last = now;

	for (; now < end; now = load_now_ns()) {
		int ready = epoll_wait(load->watch, events, LOAD_EVENTS, 0);

		for (int i = 0; i < ready; i++) {
			struct load_client *client = events[i].data.ptr;

			if (events[i].events & (EPOLLERR | EPOLLHUP))
				load_die("the relay's end", -ECONNRESET);
			client->unsent = 1;
		}
		send_round(load);
		load_backend_poll(&bulk->backend);
		if (bulk->backend.received != before)
			last = now;
		else if (now - last > load->args->stall_ms * LOAD_NS_PER_MS)
			load_die("bytes", -ETIMEDOUT);
		before = bulk->backend.received;
	}
}

/* sendfile(2) cannot be told to wait for nothing but by the socket. */
static void set_waiting(struct load *load, bool on)
{
	for (int i = 0; i < load->clients_count; i++)
		if (fcntl(load->clients[i].fd, F_SETFL, on ? 0 : O_NONBLOCK) <
		    0)
			load_die("fcntl", -errno);
}

/* The ring and what of it is repeated, as a file. */
static int open_file(const struct load_pattern *pattern)
{
	size_t len = pattern->period + PIECE;
	int file = memfd_create("ring", MFD_CLOEXEC);

	if (file < 0 || write(file, pattern->bytes, len) != (ssize_t)len)
		load_die("memfd_create", -errno);
	return file;
}

/* Each connection begins with its number. */
static void open_all(struct load *load)
{
	struct bulk *bulk = load->mode;

	load_open_all(load, 0);
	for (int i = 0; i < load->clients_count; i++) {
		uint32_t number = (uint32_t)i;

		if (send(load->clients[i].fd, &number, sizeof(number),
		         MSG_NOSIGNAL) != sizeof(number))
			load_die("send", -errno);
		bulk->sent += sizeof(number);
		load->clients[i].unsent = 1;
	}
}

void load_bulk(const struct load_args *args)
{
	static struct bulk bulk;
	struct load load = {.mode = &bulk};
	struct load_interval interval;
	uint64_t received;
	int64_t now;

	load_pattern_init(&load.pattern, args->size);
	load_init(&load, args);
	load_backend_init(&bulk.backend, args, &load.pattern);
	bulk.backend.drinks = true;
	load.backend = &bulk.backend;
	bulk.file = open_file(&load.pattern);
	open_all(&load);
	set_waiting(&load, false);
	run_until(&load, load_now_ns() + args->warmup_ms * LOAD_NS_PER_MS);
	received = bulk.backend.received;
	load_begin(&interval, args->pid);
	now = load_now_ns();
	run_until(&load, now + args->measure_ms * LOAD_NS_PER_MS);
	load_end(&interval, args->pid);
	received = bulk.backend.received - received;
	set_waiting(&load, true);
	load_close(&load);
	if (bulk.backend.received != bulk.sent)
		load_die("bytes are missing", -EBADMSG);
	load_fini(&load);
	close(bulk.file);
	printf("{\"count\": %llu, ", (unsigned long long)received);
	load_print_interval(&interval);
	printf("}\n");
}
