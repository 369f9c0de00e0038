/* SPDX-License-Identifier: MIT */
/*
 * Keys of tickets: see tls_tickets.h.
 *
 * The page has two places. Whoever tends it writes to the one that is not in
 * use, has it used, and wipes the other; whoever reads looks behind whether it
 * was still in use then. So nobody waits for anybody, not even for one that was
 * stopped or killed in the middle: a reader derives the rest for itself.
 */
#include "net/tls_tickets.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "os/os_memory.h"
#include "os/os_time.h"

#define PERIOD_NS (NR_TLS_TICKETS_S * NR_NS_PER_S)

#define WORDS     NR_TLS_TICKETS_WORDS

/* What WHICH of a period comes to; two of them tell nothing of each other, nor
 * of the secret. */
static bool derive(const unsigned char secret[static NR_TLS_TICKETS_SECRET],
                   const char *which,
                   unsigned char ret[static NR_TLS_TICKETS_SECRET])
{
	return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret,
	                 NR_TLS_TICKETS_SECRET, (const unsigned char *)which,
	                 strlen(which), ret, NR_TLS_TICKETS_SECRET,
	                 NULL) != NULL;
}

/* One period further. */
static bool step(struct nr_tls_ticket_chain *chain)
{
	unsigned char secret[NR_TLS_TICKETS_SECRET];
	unsigned char name[NR_TLS_TICKETS_SECRET];
	bool ok;

	memcpy(secret, chain->next, sizeof(secret));
	chain->period++;
	chain->last = chain->now;
	ok = derive(secret, "naru ticket name", name) &&
	     derive(secret, "naru ticket cipher", chain->now.cipher) &&
	     derive(secret, "naru ticket mac", chain->now.mac) &&
	     derive(secret, "naru ticket next", chain->next);
	memcpy(chain->now.name, name, sizeof(chain->now.name));
	OPENSSL_cleanse(secret, sizeof(secret));
	return ok;
}

int nr_tls_ticket_chain_init(struct nr_tls_ticket_chain *chain)
{
	bool ok = RAND_priv_bytes(chain->next, sizeof(chain->next)) == 1;

	/* Twice: keys that nobody has derived, everybody would know. */
	ok = ok && step(chain) && step(chain);
	chain->period = 0;
	ERR_clear_error();
	return ok ? 0 : -ENOMEM;
}

int nr_tls_ticket_chain_reach(struct nr_tls_ticket_chain *chain,
                              uint64_t period)
{
	struct nr_tls_ticket_chain ahead = *chain;
	bool ok = true;

	while (ok && ahead.period < period)
		ok = step(&ahead);
	if (ok)
		*chain = ahead;
	OPENSSL_cleanse(&ahead, sizeof(ahead));
	return ok ? 0 : -ENOMEM;
}

/* Reads the place in use; returns which turn that was. Each load is ordered
 * before the last one: where it saw what a later turn has written, that one
 * sees the turn. */
static unsigned look(const struct nr_tls_tickets_page *page,
                     struct nr_tls_ticket_chain *ret_chain)
{
	unsigned turn;

	do {
		turn = atomic_load(&page->turn);
		for (size_t i = 0; i < WORDS; i++) {
			uint32_t word =
				atomic_load_explicit(&page->places[turn & 1][i],
			                             memory_order_acquire);

			memcpy((char *)ret_chain + i * sizeof(word), &word,
			       sizeof(word));
		}
	} while (atomic_load(&page->turn) != turn);
	return turn;
}

/* Fills a place, or wipes it where CHAIN is null. */
static void put(_Atomic uint32_t place[static WORDS],
                const struct nr_tls_ticket_chain *chain)
{
	for (size_t i = 0; i < WORDS; i++) {
		uint32_t word = 0;

		if (chain)
			memcpy(&word, (const char *)chain + i * sizeof(word),
			       sizeof(word));
		atomic_store_explicit(&place[i], word, memory_order_release);
	}
}

/* Has CHAIN take the place of what TURN had. */
static void replace(struct nr_tls_tickets_page *page, unsigned turn,
                    const struct nr_tls_ticket_chain *chain)
{
	/* Several processes may run what one has made. */
	if (atomic_exchange(&page->tended, true))
		return;
	if (atomic_load(&page->turn) == turn) {
		put(page->places[(turn + 1) & 1], chain);
		atomic_store(&page->turn, turn + 1);
		put(page->places[turn & 1], NULL);
	}
	atomic_store(&page->tended, false);
}

int nr_tls_tickets_new(struct nr_tls_tickets **ret_tickets)
{
	struct nr_tls_tickets *tickets = calloc(1, sizeof(*tickets));
	struct nr_tls_ticket_chain chain;
	void *page;
	int err;

	if (!tickets)
		return -ENOMEM;
	err = nr_memory_share(sizeof(*tickets->page), &page);
	if (err == 0) {
		tickets->page = page;
		err = nr_tls_ticket_chain_init(&chain);
	}
	if (err == 0) {
		put(tickets->page->places[0], &chain);
		OPENSSL_cleanse(&chain, sizeof(chain));
		tickets->start = nr_now_boot();
		/* Found once: it is in the way of each handshake. */
		tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
		err = tickets->cipher ? 0 : -ENOMEM;
		ERR_clear_error();
	}
	if (err < 0) {
		nr_tls_tickets_free(tickets);
		return err;
	}
	*ret_tickets = tickets;
	return 0;
}

void nr_tls_tickets_free(struct nr_tls_tickets *tickets)
{
	if (!tickets)
		return;
	EVP_CIPHER_free(tickets->cipher);
	/* Not wiped: other processes may go on with it. The last one's end has
	 * the kernel take it back. */
	if (tickets->page)
		nr_memory_release(tickets->page, sizeof(*tickets->page));
	free(tickets);
}

/* How long there have been tickets. */
static int64_t age(const struct nr_tls_tickets *tickets)
{
	int64_t now = nr_now_boot();

	return now > tickets->start ? now - tickets->start : 0;
}

int64_t nr_tls_tickets_tend(struct nr_tls_tickets *tickets)
{
	int64_t now = age(tickets);
	uint64_t period = (uint64_t)(now / PERIOD_NS);
	struct nr_tls_ticket_chain chain;
	unsigned turn = look(tickets->page, &chain);

	if (chain.period < period) {
		if (nr_tls_ticket_chain_reach(&chain, period) == 0)
			replace(tickets->page, turn, &chain);
		ERR_clear_error();
	}
	OPENSSL_cleanse(&chain, sizeof(chain));
	return PERIOD_NS - now % PERIOD_NS;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct nr_tls_ticket_keys *keys)
{
	static char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
	                                         0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_init(mac, keys->mac, sizeof(keys->mac), params) == 1;
}

/* What OpenSSL asks for, and what it is answered: see
 * SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
struct question {
	unsigned char *name, *iv;
	EVP_CIPHER_CTX *cipher;
	EVP_MAC_CTX *mac;
	bool single;
};

static int seal(const struct nr_tls_tickets *tickets,
                const struct nr_tls_ticket_chain *chain,
                const struct question *asked)
{
	const struct nr_tls_ticket_keys *keys = &chain->now;
	int len = EVP_CIPHER_get_iv_length(tickets->cipher);

	memcpy(asked->name, keys->name, sizeof(keys->name));
	if (RAND_bytes(asked->iv, len) == 1 &&
	    EVP_EncryptInit_ex(asked->cipher, tickets->cipher, NULL,
	                       keys->cipher, asked->iv) == 1 &&
	    set_mac(asked->mac, keys))
		return 1;
	/* Not 0, which TLS 1.3 has no message for. */
	return -1;
}

/* 1; 2 for a ticket that another takes the place of; 0 for one that does not
 * count. */
static int unseal(const struct nr_tls_tickets *tickets,
                  const struct nr_tls_ticket_chain *chain,
                  const struct question *asked)
{
	const struct nr_tls_ticket_keys *keys = &chain->now;
	bool is_last = memcmp(asked->name, keys->name, sizeof(keys->name)) != 0;

	if (is_last)
		keys = &chain->last;
	if (memcmp(asked->name, keys->name, sizeof(keys->name)) != 0 ||
	    EVP_DecryptInit_ex(asked->cipher, tickets->cipher, NULL,
	                       keys->cipher, asked->iv) != 1 ||
	    !set_mac(asked->mac, keys))
		return 0;
	/* Of version 1.3 a client uses each only once. */
	return is_last || asked->single ? 2 : 1;
}

static int give_keys(SSL *ssl, unsigned char *name, unsigned char *iv,
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	const struct nr_tls_tickets *tickets =
		SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct question asked = {name, iv, cipher, mac,
	                               SSL_version(ssl) >= TLS1_3_VERSION};
	const uint64_t period = (uint64_t)(age(tickets) / PERIOD_NS);
	struct nr_tls_ticket_chain chain;
	int result = sealing ? -1 : 0;

	(void)ERR_set_mark();
	(void)look(tickets->page, &chain);
	if (nr_tls_ticket_chain_reach(&chain, period) == 0)
		result = sealing ? seal(tickets, &chain, &asked)
		                 : unseal(tickets, &chain, &asked);
	OPENSSL_cleanse(&chain, sizeof(chain));
	/* A whole handshake takes the place of what failed. */
	(void)(result < 0 ? ERR_clear_last_mark() : ERR_pop_to_mark());
	return result;
}

void nr_tls_tickets_offer(struct nr_tls_tickets *tickets, SSL_CTX *context)
{
	(void)SSL_CTX_set_app_data(context, tickets);
	(void)SSL_CTX_set_timeout(context, NR_TLS_TICKETS_S);
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, give_keys);
}
