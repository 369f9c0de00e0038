/* SPDX-License-Identifier: MIT */
#ifndef NARU_PROXY_H
#define NARU_PROXY_H

/*
 * The PROXY protocol, versions 1 and 2: who stands between says for whom it
 * speaks. naru_options.proxy and .proxy_from say who is believed,
 * naru_dial_options.announce and .announce_for what a dial says. naru_peer()
 * is the real client then, and naru_local() the address that it called.
 */

#include <sys/types.h>

#include "naru/base.h"

NARU_BEGIN_DECLS

/*
 * Who stands between: the peer of the connection itself, as it announced
 * another. It belongs to the conversation. Null where nobody was announced.
 * Never fails.
 */
const struct naru_addr *naru_via(struct naru_conv *conv);

/*
 * A value that came with a header of version 2, by its TYPE (0x01 ALPN, 0x02
 * the name that was asked for, 0x05 a unique number, ...). It belongs to the
 * conversation.
 *
 * Returns its length and where it is in RET_VALUE, or -ENOENT.
 */
NARU_RESULT ssize_t naru_via_value(struct naru_conv *conv, unsigned type,
                                   const void **ret_value);

NARU_END_DECLS

#endif
