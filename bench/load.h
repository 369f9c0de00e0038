/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/*
 * What the modes of the load share: the arguments, clients that check every
 * byte that comes back, and the interval that is measured.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

#define LOAD_EVENTS    256
#define LOAD_MESSAGE   64
#define LOAD_NS_PER_MS INT64_C(1000000)

struct load_args {
	int port;
	int pid;         /* the server's, for its CPU time and memory */
	int core;        /* ours; below 0: any */
	int server_core; /* where `ready` starts servers */
	int connections;
	int depth; /* messages in flight on each */
	int size;  /* of a message */
	int rate;  /* messages each second, on all connections together */
	int warmup_ms;
	int measure_ms;
	int backend;    /* a listener that we have, for what a relay
	                   connects to; below 0: none */
	int checked;    /* by `bulk`: each byte is compared */
	int stall_ms;   /* without any answer: an error */
	char **command; /* of the server that `ready` starts */
};

/*
 * The bytes that clients send: a ring of PERIOD bytes in which each client
 * begins elsewhere, so that a byte of another connection or from another place
 * is a wrong one. The ring's beginning is repeated behind its end: what is
 * sent or compared is always in one piece. Messages all have the same length,
 * or are lines, whose lengths go round with the ring.
 */
struct load_pattern {
	char *bytes;
	uint32_t period;
	uint32_t size; /* of each message; 0: lines */
	uint32_t lines_count;
	uint16_t *lines; /* the length of each */
	uint32_t *begins;
};

struct load_client {
	int fd;
	uint32_t out_at, in_at; /* in the ring: what comes next */
	uint32_t out_line, in_line;
	size_t unsent;     /* may go out */
	size_t unanswered; /* went out, and is not back */
	size_t left;       /* of the message that is coming back */
	uint64_t answered;
};

struct load_inner;

/* What stands behind a relay. */
struct load_backend {
	int listener, watch;
	bool drinks; /* and else sends back what comes */
	bool checked;
	const struct load_pattern *pattern;
	struct load_inner *inner;
	int open; /* connections */
	uint64_t received;
};

struct load {
	const struct load_args *args;
	struct sockaddr_in server;
	struct load_pattern pattern;
	int watch;
	struct load_client *clients;
	int clients_count;
	uint64_t serial;              /* of connections, from the beginning */
	uint64_t answered;            /* messages, on all connections */
	uint64_t owed;                /* messages that are not answered yet */
	int64_t last;                 /* when something came */
	struct load_backend *backend; /* or null */
	void *mode;                   /* of the mode that runs */
};

struct load_interval {
	int64_t began, server, self, busy, timeouts;
};

/* Says WHAT failed, and why (a negative errno), and ends the program. */
_Noreturn void load_die(const char *what, int err);
int64_t load_now_ns(void);
void load_pin(int core); /* below 0: nothing */

/*
 * A connection to the server from an address that changes with each, so that
 * ports never run short. Returns a descriptor or a negative errno.
 */
int load_connect(struct load *load);

/* Messages of SIZE bytes or, with 0, lines. */
void load_pattern_init(struct load_pattern *pattern, int size);

/* Where in the ring client NUMBER begins. */
uint32_t load_place(const struct load_pattern *pattern, uint32_t number);

/* The backend of a relay: accepts and answers, or drinks, what is there, and
 * waits for nothing. At its end every client has to have finished by UNTIL. */
void load_backend_init(struct load_backend *backend,
                       const struct load_args *args,
                       const struct load_pattern *pattern);
void load_backend_poll(struct load_backend *backend);
void load_backend_end(struct load_backend *backend, int64_t until);

/* Makes room for COUNT clients; none is connected. */
void load_init(struct load *load, const struct load_args *args);
void load_fini(struct load *load);

/* Connects the next client, and lets the first DEPTH messages go out. */
int load_open(struct load *load, int depth);
void load_open_all(struct load *load, int depth);

/* Lets the next COUNT messages of CLIENT go out; load_send() sends them. */
void load_allow(struct load *load, struct load_client *client, size_t count);
int load_send(const struct load *load, struct load_client *client);

/*
 * Takes and checks what came. Returns how many messages are complete with it,
 * or a negative errno; -EBADMSG is a wrong byte, or one too many.
 */
int load_receive(struct load *load, struct load_client *client);

/* What a mode does with CLIENT once COUNT of its messages were answered. */
typedef void load_done(struct load *load, struct load_client *client,
                       int count);

/*
 * Waits for nothing: takes what is there at NOW, calls DONE (or nobody, for
 * NULL) and sends what may go out. -ETIMEDOUT if something was owed and
 * nothing came for the stall time; errors of load_receive() and load_send().
 */
int load_poll(struct load *load, load_done *done, int64_t now);

/* Lets what is owed come back, in the stall time at the most. */
int load_drain(struct load *load);

/* Each client half-closes; the server has to, too, without another byte. */
void load_close(struct load *load);

void load_begin(struct load_interval *interval, int pid);
/* From here on INTERVAL holds differences. */
void load_end(struct load_interval *interval, int pid);
/* The interval as members of a JSON object, without braces. */
void load_print_interval(const struct load_interval *interval);
void load_print_times(const struct bench_histogram *times);

/* The modes. Each prints one line of JSON. */
void load_echo(const struct load_args *args);
void load_bulk(const struct load_args *args);
void load_lines(const struct load_args *args);
void load_steady(const struct load_args *args);
void load_churn(const struct load_args *args);
void load_idle(const struct load_args *args);
void load_ready(const struct load_args *args);

#endif
