/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_ADDR_H
#define NR_NET_ADDR_H

/* What one does with an address; the public part is naru/addr.h. */

#include <stdbool.h>

#include "naru/addr.h"
#include "os/os_addr.h"

/* An address of which nothing is known. */
extern const struct naru_addr nr_addr_none;

/* An IP address from its text, "192.0.2.1" or "2001:db8::1", strictly as
 * inet_pton(3) reads it. False where TEXT is none. */
bool nr_addr_parse_ip(const char *text, unsigned port,
                      struct naru_addr *ret_addr);

/* The address of a unix socket: PATH of LEN bytes, or an abstract name. False
 * where it does not fit (unix(7): 108 bytes). */
bool nr_addr_unix(const char *path, size_t len, bool abstract,
                  struct naru_addr *ret_addr);

bool nr_addr_equal(const struct naru_addr *a, const struct naru_addr *b);

/* Whether it stands for every address of this machine (0.0.0.0, ::). */
bool nr_addr_is_wildcard(const struct naru_addr *addr);

void nr_addr_set_port(struct naru_addr *addr, unsigned port);

/* The path of a unix socket in the file system, or null: abstract, unnamed,
 * no unix socket. */
const char *nr_addr_path(const struct naru_addr *addr);

/* Writes ADDR as an endpoint of the transport SCHEME: "tcp://127.0.0.1:80",
 * "unix:/run/x". Otherwise like naru_addr_format(). */
int nr_addr_endpoint(const struct naru_addr *addr, const char *scheme,
                     char *buf, size_t size);

/* The text of ADDR, in BUF, for logs: never fails, and where it does not fit
 * it is "?". */
const char *nr_addr_text(const struct naru_addr *addr,
                         char buf[static NARU_ADDR_TEXT]);

#endif
