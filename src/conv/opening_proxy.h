/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_OPENING_PROXY_H
#define NR_CONV_OPENING_PROXY_H

/*
 * PROXY headers at the beginning of connections: whom one is expected of, how
 * exactly its bytes are received and not one more, and what a dial sends.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "naru/dial.h"
#include "net/networks.h"
#include "os/os_addr.h"

struct naru_conv;

/* Who sends a header to a server, naru_options.proxy and .proxy_from. */
struct nr_proxies {
	bool required;           /* all; who is not in FROM is refused */
	bool listed;             /* there is a list; else all are in it */
	struct nr_networks from; /* the list */
	char text[];             /* it, as its user wrote it */
};

/* Who stands between, in the arena of the conversation that it is of. */
struct nr_via {
	struct naru_addr addr;
	struct nr_cursor values; /* that came with the header */
};

/* Receives the header where CONV's peer has to send one, until UNTIL; then its
 * peer is whom it announces. Tells what came of it. 0 or an error. */
int nr_opening_proxy(struct naru_conv *conv, int64_t until);

/* Sends the header that OPTIONS ask for over CONV, which was dialled and has
 * sent nothing. Tells what came of it. 0 or an error. */
int nr_opening_announce(struct naru_conv *conv,
                        const struct naru_dial_options *options, int64_t until);

#endif
