/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_TICKETS_H
#define NR_NET_TLS_TICKETS_H

/*
 * The keys of the tickets by which clients go on with their sessions (RFC 5077;
 * RFC 8446, section 4.6.1): they change with time, and former ones are
 * forgotten, so that whoever reads a server's memory later cannot open what was
 * recorded before.
 *
 * Time is cut into periods. From the secret of one period come its keys and the
 * next one's secret, and no way leads back. A ticket is sealed with the keys of
 * its period; it is opened in that one and the next one.
 *
 * The secrets lie in a page that a server's processes have in common, so that
 * what is forgotten is gone from all of them, however long they live. One that
 * finds the page behind the clock derives for itself what it needs: all come to
 * the same, without a word between them. Any thread.
 */

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A period, and how long a ticket lasts: one of a period's end lives through
 * the next one, and so no ticket outlives its keys. */
#define NR_TLS_TICKETS_S 3600

/* What is derived, each of 32 bytes (HMAC-SHA256), and a name, which tells
 * whose ticket it is and of which period: to others it is random. */
#define NR_TLS_TICKETS_SECRET 32
#define NR_TLS_TICKETS_NAME   16

struct nr_tls_ticket_keys {
	unsigned char name[NR_TLS_TICKETS_NAME];
	unsigned char cipher[NR_TLS_TICKETS_SECRET]; /* of AES-256-CBC */
	unsigned char mac[NR_TLS_TICKETS_SECRET];    /* of HMAC-SHA256 */
};

/* What is known in one period, and enough for all that follow. */
struct nr_tls_ticket_chain {
	uint64_t period;
	unsigned char next[NR_TLS_TICKETS_SECRET]; /* the next one's secret */
	struct nr_tls_ticket_keys last, now;
};

/* What is copied while another process may write it goes word by word. */
#define NR_TLS_TICKETS_WORDS                                                   \
	(sizeof(struct nr_tls_ticket_chain) / sizeof(uint32_t))
_Static_assert(sizeof(struct nr_tls_ticket_chain) % sizeof(uint32_t) == 0,
               "a chain is whole words");

/* A chain lies in one of two places. */
struct nr_tls_tickets_page {
	atomic_bool tended; /* somebody is at it */
	atomic_uint turn;   /* its lowest bit says which place is in use */
	_Atomic uint32_t places[2][NR_TLS_TICKETS_WORDS];
};

struct nr_tls_tickets {
	int64_t start; /* of period 0, by nr_now_boot() */
	EVP_CIPHER *cipher;
	struct nr_tls_tickets_page *page;
};

/* Period 0 of a new random secret. -ENOMEM. */
int nr_tls_ticket_chain_init(struct nr_tls_ticket_chain *chain);

/*
 * Goes on to PERIOD, where that is ahead; some microseconds for each on the
 * way, which a server that was suspended makes up for at once: a year is 8760.
 * -ENOMEM, and CHAIN is what it was.
 */
int nr_tls_ticket_chain_reach(struct nr_tls_ticket_chain *chain,
                              uint64_t period);

/* Of a server, before it forks. -ENOMEM. */
int nr_tls_tickets_new(struct nr_tls_tickets **ret_tickets);
void nr_tls_tickets_free(struct nr_tls_tickets *tickets);

/* Has CONTEXT seal its tickets with these keys, which outlive it. */
void nr_tls_tickets_offer(struct nr_tls_tickets *tickets, SSL_CTX *context);

/* Forgets what is older than the last period, in all processes. Returns how
 * long it is until there is more to forget, in nanoseconds. */
int64_t nr_tls_tickets_tend(struct nr_tls_tickets *tickets);

#endif
