/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_CONFIG_H
#define NR_NET_TLS_CONFIG_H

/*
 * What a struct naru_tls asks for, in a copy that outlives the caller's, and
 * read: protocols as they are sent, pins as bytes.
 */

#include <stddef.h>

#include "naru/tls.h"

/* The most certificates besides the first, protocols, and pins. */
#define NR_TLS_OTHERS_MAX 1000
#define NR_TLS_ALPN_MAX   64
#define NR_TLS_PINS_MAX   64

/* The bytes of a pin: SHA-256. */
#define NR_TLS_PIN_SIZE 32

struct nr_tls_config {
	struct naru_tls as; /* its texts and lists lie in MEMORY */
	/* All that decides what is agreed on, and with whom: two with the same
	 * bytes here are the same. */
	const char *key;
	size_t key_len;
	const unsigned char *alpn; /* as in RFC 7301, or null */
	unsigned alpn_len;
	const unsigned char *pins; /* of NR_TLS_PIN_SIZE bytes each */
	unsigned pin_count;
	void *memory;
};

/* Copies GIVEN, which may be null for the defaults. 0; -EINVAL for what cannot
 * be meant, and in RET_WHY which; -E2BIG, -ENOMEM. */
int nr_tls_config_init(struct nr_tls_config *config,
                       const struct naru_tls *given, const char **ret_why);
void nr_tls_config_fini(struct nr_tls_config *config);

#endif
