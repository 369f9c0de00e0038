/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_OPENING_H
#define NR_CONV_OPENING_H

/*
 * What comes on a connection before its conversation begins: a PROXY header,
 * and TLS's handshake. Whoever will hold the conversation does it, never the
 * accepting strand, and under a time of its own.
 */

#include <stdbool.h>
#include <stdint.h>

struct naru_conv;
struct nr_connection;
struct nr_report;
struct nr_settings;
struct nr_tls;
struct nr_transport;

/* Whether anything may come before a conversation that is accepted with these
 * settings over that transport. */
bool nr_opening_precedes(const struct nr_settings *settings,
                         const struct nr_transport *transport);

/* Opens CONV, which was accepted as CONNECTION, as its settings and its
 * transport ask for, and has it admitted then, all of that in time. What fails
 * is reported (NARU_EVENT_HANDSHAKE). 0 or an error. */
int nr_opening_accepted(struct naru_conv *conv,
                        const struct nr_connection *connection);

/* Holds TLS's handshake on CONV, until UNTIL; as the client where it was
 * dialled. What came of it is reported. 0 or an error, after which CONV's link
 * can only be closed. */
int nr_opening_tls(struct naru_conv *conv, int64_t until);

/* Has the files of TLS read, where they are to be read before a handshake, by
 * somebody who may block. What is wrong with them is told to REPORT. 0, or why
 * there can be no handshake. */
int nr_opening_read_tls(struct nr_tls *tls, const struct nr_report *report);

#endif
