/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PLACE_H
#define TESTS_PLACE_H

/*
 * Where a test takes place: the model that its server runs, and the transport
 * that its client comes by.
 */

#include <stdbool.h>
#include <stddef.h>

#include "naru.h"

enum transport {
	TRANSPORT_TCP4,
	TRANSPORT_TCP6,
	TRANSPORT_UNIX,
	TRANSPORT_TLS,
	TRANSPORT_UDP,
};

struct place {
	enum naru_model model;
	enum naru_io io; /* of fibers */
	bool isolated;   /* fibers in processes, not threads */
	enum transport transport;
	char dir[64]; /* for unix sockets; removed at the end */
};

extern struct place place;

/* Reads the names of a model and a transport; false for unknown ones. */
bool place_set(const char *model, const char *transport);
/* Whether this machine has the transport at all. */
bool place_exists(void);
/* Removes the directory and the sockets that a killed server left in it. */
void place_clean(void);
void place_leave(void);

/* Writes an endpoint to listen on, a new one at each call. */
void place_endpoint(char *buf, size_t size);

#endif
