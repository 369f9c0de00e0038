/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_PROXY_FORMAT_H
#define NR_NET_PROXY_FORMAT_H

/*
 * What the bytes of a PROXY header mean. The specification is the document
 * "The PROXY protocol, versions 1 & 2", which comes with HAProxy
 * (doc/proxy-protocol.txt).
 */

/* How each version begins. */
#define NR_PROXY_V1_BEGIN "PROXY "
#define NR_PROXY_V2_BEGIN "\r\n\r\n\0\r\nQUIT\n"

/* The 13th byte of version 2: version and command. */
#define NR_PROXY_V2_LOCAL 0x20u
#define NR_PROXY_V2_PROXY 0x21u

/* The 14th: family and protocol. The 15th and 16th are the length of what
 * follows. */
#define NR_PROXY_V2_FAMILY   0xf0u
#define NR_PROXY_V2_INET     0x10u
#define NR_PROXY_V2_INET6    0x20u
#define NR_PROXY_V2_UNIX     0x30u
#define NR_PROXY_V2_PROTOCOL 0x0fu
#define NR_PROXY_V2_STREAM   0x01u
#define NR_PROXY_V2_DGRAM    0x02u
#define NR_PROXY_V2_UNSPEC   0x00u /* of either */

/* Bytes that a unix socket's name has in version 2, with zeros behind it. */
#define NR_PROXY_V2_NAME 108

#endif
