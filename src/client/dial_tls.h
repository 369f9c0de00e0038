/* SPDX-License-Identifier: MIT */
#ifndef NR_CLIENT_DIAL_TLS_H
#define NR_CLIENT_DIAL_TLS_H

/* What a dial does for TLS. */

#include <stdbool.h>
#include <stdint.h>

struct naru_conv;
struct naru_dial_options;
struct nr_endpoint;
struct nr_report;
struct nr_settings;
struct nr_tls;

/* Before anybody is called: reads the files, so that nobody is where they
 * cannot be used. SECURE says whether an endpoint asks for TLS. In RET_TLS what
 * it is done with, which the caller releases; null where OPTIONS do not ask for
 * it, either. 0, or an error, which has been told to REPORT. */
int nr_dial_tls_read(const struct naru_dial_options *options, bool secure,
                     const struct nr_report *report, struct nr_tls **ret_tls);

/* Prepares CONV, which has just begun with SETTINGS, for TLS, which may be
 * null, and holds the handshake where ENDPOINT asks for it, until UNTIL at the
 * longest. 0 or an error, after which CONV can only be dropped; SETTINGS hold
 * what nr_dial_tls_end() gives back in any case. */
int nr_dial_tls(struct naru_conv *conv, struct nr_settings *settings,
                struct nr_tls *tls, const struct nr_endpoint *endpoint,
                int64_t until);
void nr_dial_tls_end(struct nr_settings *settings);

#endif
