/* SPDX-License-Identifier: MIT */
/* Keys of tickets: how long they open what they have sealed. */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "net/tls_tickets.h"
#include "unit.h"

#define PERIOD (NR_TLS_TICKETS_S * NR_NS_PER_S)

/* The clock is the test's. */
static int64_t now = 12345;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker chooses this name. */
int64_t __wrap_nr_now_boot(void);
int64_t __wrap_nr_now_boot(void)
{
	return now;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static EVP_PKEY *key;
static X509 *certificate;

static int make_certificate(void **state)
{
	X509_NAME *name;

	(void)state;
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	name = X509_get_subject_name(certificate);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	                           (const unsigned char *)"naru", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	return X509_sign(certificate, key, EVP_sha256()) > 0 ? 0 : -1;
}

static int free_certificate(void **state)
{
	(void)state;
	X509_free(certificate);
	EVP_PKEY_free(key);
	return 0;
}

/* A server as one of its processes has it. */
struct place {
	struct nr_tls_tickets *tickets;
	SSL_CTX *context;
};

static SSL_CTX *make_context(struct nr_tls_tickets *tickets)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	assert_non_null(context);
	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	nr_tls_tickets_offer(tickets, context);
	return context;
}

static struct place open_place(void)
{
	struct place place;

	assert_int_equal(nr_tls_tickets_new(&place.tickets), 0);
	place.context = make_context(place.tickets);
	return place;
}

static void close_place(struct place *place)
{
	SSL_CTX_free(place->context);
	nr_tls_tickets_free(place->tickets);
}

/* A client that offers SESSION, or the LEN bytes at BYTES as its ticket; either
 * may be null. */
struct offer {
	int version;
	SSL_SESSION *session;
	void *bytes;
	int len;
};

/* What comes of OFFER: whether the session went on, and the one to go on with
 * next. */
static bool shake_hands(const struct place *place, const struct offer *offer,
                        SSL_SESSION **ret_next)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *client = SSL_new(context), *server = SSL_new(place->context);
	BIO *one, *other;
	bool resumed;
	char byte;

	assert_int_equal(BIO_new_bio_pair(&one, 65536, &other, 65536), 1);
	SSL_set_bio(client, one, one);
	SSL_set_bio(server, other, other);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	assert_int_equal(SSL_set_max_proto_version(client, offer->version), 1);
	if (offer->session)
		assert_int_equal(SSL_set_session(client, offer->session), 1);
	if (offer->bytes)
		assert_int_equal(SSL_set_session_ticket_ext(client,
		                                            offer->bytes,
		                                            offer->len),
		                 1);
	for (int i = 0; i < 4; i++) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
	}
	/* Version 1.3 gives its tickets afterwards. */
	assert_true(SSL_read(client, &byte, 1) < 0);
	assert_true(SSL_is_init_finished(client));
	assert_true(SSL_is_init_finished(server));
	resumed = SSL_session_reused(server);
	assert_int_equal(SSL_session_reused(client), resumed);
	*ret_next = SSL_get1_session(client);
	(void)SSL_shutdown(client);
	(void)SSL_shutdown(server);
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(context);
	return resumed;
}

static SSL_SESSION *begin(const struct place *place, int version)
{
	const struct offer offer = {.version = version};
	SSL_SESSION *session;

	assert_false(shake_hands(place, &offer, &session));
	return session;
}

/* Whether SESSION goes on; RET_RENEWED may be null. */
static bool goes_on(const struct place *place, int version,
                    SSL_SESSION *session, bool *ret_renewed)
{
	const struct offer offer = {.version = version, .session = session};
	const unsigned char *before, *after;
	size_t before_len, after_len;
	SSL_SESSION *next;
	bool resumed = shake_hands(place, &offer, &next);

	SSL_SESSION_get0_ticket(session, &before, &before_len);
	SSL_SESSION_get0_ticket(next, &after, &after_len);
	assert_true(before_len > 0 && after_len > 0);
	if (ret_renewed)
		*ret_renewed = before_len != after_len ||
		               memcmp(before, after, before_len) != 0;
	SSL_SESSION_free(next);
	return resumed;
}

static void test_ticket_is_opened_in_two_periods(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct place place = open_place();
		SSL_SESSION *session = begin(&place, versions[i]);
		int64_t start = now;
		bool renewed;

		now = start + PERIOD - 1;
		assert_true(goes_on(&place, versions[i], session, &renewed));
		/* A ticket of version 1.3 is for one use. */
		assert_int_equal(renewed, versions[i] == TLS1_3_VERSION);
		now = start + PERIOD;
		assert_true(goes_on(&place, versions[i], session, &renewed));
		assert_true(renewed);
		now = start + 2 * PERIOD - 1;
		assert_true(goes_on(&place, versions[i], session, &renewed));
		now = start + 2 * PERIOD;
		assert_false(goes_on(&place, versions[i], session, NULL));
		now = start + 1000 * PERIOD;
		assert_false(goes_on(&place, versions[i], session, NULL));
		SSL_SESSION_free(session);
		close_place(&place);
	}
}

static void test_renewed_ticket_is_of_its_own_period(void **state)
{
	struct place place = open_place();
	SSL_SESSION *session = begin(&place, TLS1_2_VERSION), *next;
	const struct offer offer = {.version = TLS1_2_VERSION,
	                            .session = session};

	(void)state;
	now += PERIOD;
	assert_true(shake_hands(&place, &offer, &next));
	now += PERIOD;
	assert_false(goes_on(&place, TLS1_2_VERSION, session, NULL));
	assert_true(goes_on(&place, TLS1_2_VERSION, next, NULL));
	SSL_SESSION_free(session);
	SSL_SESSION_free(next);
	close_place(&place);
}

static void test_ticket_of_another_server_is_refused(void **state)
{
	struct place one = open_place(), other = open_place();

	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		SSL_SESSION *session = begin(&one, versions[i]);

		assert_false(goes_on(&other, versions[i], session, NULL));
		assert_true(goes_on(&one, versions[i], session, NULL));
		SSL_SESSION_free(session);
	}
	close_place(&one);
	close_place(&other);
}

static void test_contexts_of_a_server_share_their_tickets(void **state)
{
	struct place one = open_place();
	struct place other = {one.tickets, make_context(one.tickets)};
	SSL_SESSION *session = begin(&one, TLS1_3_VERSION);

	(void)state;
	assert_true(goes_on(&other, TLS1_3_VERSION, session, NULL));
	/* And no ticket outlives its keys. */
	assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(session),
	                 NR_TLS_TICKETS_S);
	assert_int_equal(SSL_CTX_get_timeout(other.context), NR_TLS_TICKETS_S);
	SSL_SESSION_free(session);
	SSL_CTX_free(other.context);
	close_place(&one);
}

static void test_chains_that_go_on_apart_agree(void **state)
{
	struct nr_tls_ticket_chain one = {0}, other, third;

	(void)state;
	assert_int_equal(nr_tls_ticket_chain_init(&one), 0);
	other = one;
	for (uint64_t i = 1; i <= 50; i++)
		assert_int_equal(nr_tls_ticket_chain_reach(&one, i), 0);
	assert_int_equal(nr_tls_ticket_chain_reach(&other, 49), 0);
	assert_memory_equal(&one.last, &other.now, sizeof(other.now));
	assert_int_equal(nr_tls_ticket_chain_reach(&other, 50), 0);
	assert_memory_equal(&one, &other, sizeof(one));
	/* Nobody goes back. */
	assert_int_equal(nr_tls_ticket_chain_reach(&other, 3), 0);
	assert_memory_equal(&one, &other, sizeof(one));
	assert_int_equal(nr_tls_ticket_chain_init(&third), 0);
	assert_memory_not_equal(&one.next, &third.next, sizeof(one.next));
}

/* A process whose page nobody tends, beside one whose page is tended. */
static void test_worker_that_is_behind_agrees(void **state)
{
	struct place tended = open_place(), behind;
	struct nr_tls_tickets_page page = *tended.tickets->page;
	struct nr_tls_tickets copy = *tended.tickets;
	SSL_SESSION *session;

	(void)state;
	copy.page = &page;
	behind = (struct place){&copy, make_context(&copy)};
	for (int i = 0; i < 5; i++) {
		now += PERIOD;
		(void)nr_tls_tickets_tend(tended.tickets);
		session = begin(i % 2 ? &tended : &behind, TLS1_3_VERSION);
		assert_true(goes_on(i % 2 ? &behind : &tended, TLS1_3_VERSION,
		                    session, NULL));
		SSL_SESSION_free(session);
	}
	assert_memory_equal(&page.turn, &(unsigned){0}, sizeof(unsigned));
	SSL_CTX_free(behind.context);
	close_place(&tended);
}

/* Whether LEN bytes at WHAT are anywhere in the page. */
static bool remembers(const struct nr_tls_tickets *tickets, const void *what,
                      size_t len)
{
	return memmem(tickets->page, sizeof(*tickets->page), what, len) != NULL;
}

static void test_forgotten_secret_is_gone(void **state)
{
	struct nr_tls_tickets *tickets;
	struct nr_tls_ticket_chain chains[6];

	(void)state;
	assert_int_equal(nr_tls_tickets_new(&tickets), 0);
	memcpy(&chains[0], tickets->page->places[0], sizeof(chains[0]));
	for (uint64_t i = 1; i < COUNT(chains); i++) {
		chains[i] = chains[0];
		assert_int_equal(nr_tls_ticket_chain_reach(&chains[i], i), 0);
	}
	assert_true(remembers(tickets, chains[0].next, 32));
	for (size_t i = 1; i < COUNT(chains); i++) {
		const struct nr_tls_ticket_chain *former = &chains[i - 1];

		now += PERIOD;
		assert_int_equal(nr_tls_tickets_tend(tickets), PERIOD);
		assert_false(remembers(tickets, former->next, 32));
		assert_false(remembers(tickets, former->last.cipher, 32));
		assert_false(remembers(tickets, former->last.mac, 32));
		assert_true(remembers(tickets, &former->now, 80));
		assert_true(remembers(tickets, &chains[i].now, 80));
	}
	nr_tls_tickets_free(tickets);
}

/* One that was stopped or killed while it was at the page: nothing is forgotten
 * any more, and all goes on. */
static void test_page_that_is_left_behind_serves(void **state)
{
	struct place place = open_place();
	SSL_SESSION *session;

	(void)state;
	atomic_store(&place.tickets->page->tended, true);
	for (int i = 0; i < 3; i++) {
		session = begin(&place, TLS1_3_VERSION);
		now += PERIOD;
		(void)nr_tls_tickets_tend(place.tickets);
		assert_true(goes_on(&place, TLS1_3_VERSION, session, NULL));
		SSL_SESSION_free(session);
	}
	assert_int_equal(place.tickets->page->turn, 0);
	close_place(&place);
}

static void test_machine_that_slept_for_a_year_catches_up(void **state)
{
	struct place place = open_place();
	SSL_SESSION *session = begin(&place, TLS1_3_VERSION);

	(void)state;
	now += 8760 * PERIOD + PERIOD / 4;
	assert_false(goes_on(&place, TLS1_3_VERSION, session, NULL));
	assert_int_equal(nr_tls_tickets_tend(place.tickets), PERIOD * 3 / 4);
	SSL_SESSION_free(session);
	session = begin(&place, TLS1_3_VERSION);
	assert_true(goes_on(&place, TLS1_3_VERSION, session, NULL));
	SSL_SESSION_free(session);
	close_place(&place);
}

static void test_altered_ticket_is_refused(void **state)
{
	struct place place = open_place();
	SSL_SESSION *session = begin(&place, TLS1_2_VERSION);
	const unsigned char *ticket;
	unsigned char *own;
	size_t len;

	(void)state;
	SSL_SESSION_get0_ticket(session, &ticket, &len);
	own = (unsigned char *)(uintptr_t)ticket;
	for (size_t i = 0; i < len; i++) {
		own[i] ^= 1;
		assert_false(goes_on(&place, TLS1_2_VERSION, session, NULL));
		own[i] ^= 1;
	}
	assert_true(goes_on(&place, TLS1_2_VERSION, session, NULL));
	/* Nobody has keys of zeros, under a name of zeros. */
	memset(own, 0, len);
	assert_false(goes_on(&place, TLS1_2_VERSION, session, NULL));
	SSL_SESSION_free(session);
	close_place(&place);
}

static void test_cut_ticket_is_refused(void **state)
{
	struct place place = open_place();
	SSL_SESSION *session = begin(&place, TLS1_2_VERSION), *next;
	const unsigned char *ticket;
	unsigned char *bytes;
	size_t len;

	(void)state;
	SSL_SESSION_get0_ticket(session, &ticket, &len);
	bytes = calloc(1, len + 1);
	assert_non_null(bytes);
	memcpy(bytes, ticket, len);
	/* From one byte to one too many; none is what each client has at
	 * first. */
	for (size_t i = 1; i <= len + 1; i++) {
		const struct offer offer = {TLS1_2_VERSION, NULL, bytes,
		                            (int)i};

		if (i == len)
			continue;
		assert_false(shake_hands(&place, &offer, &next));
		SSL_SESSION_free(next);
	}
	free(bytes);
	SSL_SESSION_free(session);
	close_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ticket_is_opened_in_two_periods),
		cmocka_unit_test(test_renewed_ticket_is_of_its_own_period),
		cmocka_unit_test(test_ticket_of_another_server_is_refused),
		cmocka_unit_test(test_contexts_of_a_server_share_their_tickets),
		cmocka_unit_test(test_chains_that_go_on_apart_agree),
		cmocka_unit_test(test_worker_that_is_behind_agrees),
		cmocka_unit_test(test_forgotten_secret_is_gone),
		cmocka_unit_test(test_page_that_is_left_behind_serves),
		cmocka_unit_test(test_machine_that_slept_for_a_year_catches_up),
		cmocka_unit_test(test_altered_ticket_is_refused),
		cmocka_unit_test(test_cut_ticket_is_refused),
	};

	return _cmocka_run_group_tests("tls_tickets", tests, COUNT(tests),
	                               make_certificate, free_certificate);
}
