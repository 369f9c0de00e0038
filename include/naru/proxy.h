/* SPDX-License-Identifier: MIT */
#ifndef NARU_PROXY_H
#define NARU_PROXY_H

/*
 * The PROXY protocol, versions 1 and 2 (its specification is in HAProxy's
 * doc/proxy-protocol.txt): whoever stands between says first, in a header, for
 * whom it speaks. naru_options.proxy and .proxy_from say who has to;
 * naru_dial_options.announce and .announce_for, what a dial says. naru_peer()
 * is the real client then, and naru_local() the address that it called.
 *
 * A header is taken to its last byte and no further: what follows it, be it
 * TLS, is as if there had been none. One of version 1 has 107 bytes at most; of
 * version 2, up to 4096 are read, and a checksum in one that announces somebody
 * (CRC-32C) has to be right. Where it says that nobody is announced (UNKNOWN,
 * LOCAL, no address), the connection speaks for itself.
 *
 * A connection whose header is wrong, does not come within
 * naru_options.handshake_ms, or comes from somebody who may not send one, is
 * reset, and there is no conversation: NARU_EVENT_HANDSHAKE tells what is wrong
 * and at which byte.
 *
 * Headers go over TCP, TLS (before its handshake) and unix sockets. Of
 * datagrams they are not known.
 */

#include <sys/types.h>

#include "naru/base.h"

NARU_BEGIN_DECLS

/*
 * Who stands between: the peer of the connection itself, as it announced
 * another. It belongs to the conversation. Null where nobody was announced.
 * Does not wait, and never fails.
 */
const struct naru_addr *naru_via(struct naru_conv *conv);

/*
 * A value that came with a header of version 2, by its TYPE: 0x01 the protocol
 * that was agreed on (ALPN), 0x02 the name that was asked for (SNI), 0x05 a
 * unique number; of the client's TLS, 0x20 all, and out of that 0x21 the
 * version, 0x22 the certificate's name, 0x23 the cipher. Where there are
 * several of one type, it is the first. It belongs to the conversation, and no
 * NUL follows it. Does not wait.
 *
 * Returns its length and where it is in RET_VALUE; -ENOENT where there is
 * none, or -EINVAL.
 */
NARU_RESULT ssize_t naru_via_value(struct naru_conv *conv, unsigned type,
                                   const void **ret_value);

NARU_END_DECLS

#endif
