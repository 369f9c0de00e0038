/* SPDX-License-Identifier: MIT */
#ifndef NR_CLIENT_DIAL_TLS_H
#define NR_CLIENT_DIAL_TLS_H

/* What a dial does for TLS, once it is connected. */

#include <stdint.h>

struct naru_conv;
struct naru_dial_options;
struct nr_endpoint;
struct nr_settings;

/* Prepares CONV, which has just begun with SETTINGS, for TLS, and holds the
 * handshake where ENDPOINT asks for it, until UNTIL at the longest. 0 or an
 * error, after which CONV can only be dropped; SETTINGS hold what
 * nr_dial_tls_end() gives back in any case. */
int nr_dial_tls(struct naru_conv *conv, struct nr_settings *settings,
                const struct naru_dial_options *options,
                const struct nr_endpoint *endpoint, int64_t until);
void nr_dial_tls_end(struct nr_settings *settings);

#endif
