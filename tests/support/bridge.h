/* SPDX-License-Identifier: MIT */
#ifndef TESTS_BRIDGE_H
#define TESTS_BRIDGE_H

/*
 * TLS for clients of plain sockets: a process of its own stands between, and
 * shakes hands as soon as it is started. Its other end is a plain connection of
 * TCP, on which everything has its likeness: an end is close_notify, a reset is
 * a reset, and an end without close_notify is a reset, too.
 */

#include <stdbool.h>

#include "naru.h"

/* Makes a certificate for 127.0.0.1 and ::1, which vouches for itself, and its
 * key, in a new folder; dials of the library trust it from now on. */
void bridge_open(void);
void bridge_close(void);

/* The same for a process that does not use OpenSSL, so that what it forks finds
 * it untouched. Each bridge costs more then. */
void bridge_open_apart(void);

/* The options of a server that shows it; null where there is none. */
const struct naru_tls *bridge_tls(void);

/* Puts TLS on FD, a connected socket that it takes. Returns the plain socket.
 * SMALL asks for buffers as small as the system allows. */
int bridge_over(int fd, bool server, bool small);

#endif
