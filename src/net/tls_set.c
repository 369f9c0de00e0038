/* SPDX-License-Identifier: MIT */
/* Certificates, keys and who is trusted, as read from files: see tls_set.h. */
#include "net/tls_set.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* How many sessions of TLS 1.2 without tickets a server keeps. */
#define SESSIONS_KEPT 1024

/* The longest name of a host. */
#define NAME_MAX_LEN 255

/* A reading under way. */
struct reading {
	struct nr_tls_set *set;
	const struct naru_tls *options;
	X509_STORE *store; /* of who is trusted, the same for all */
	struct nr_tls_wrong *wrong;
};

/* Whether the peer's certificate is asked for, and whether it is looked at who
 * has signed it. */
static bool is_asked(const struct nr_tls_set *set)
{
	enum naru_tls_verify verify = set->config->as.verify;

	return !set->server || set->config->pin_count > 0 ||
	       verify >= NARU_TLS_OPTIONAL;
}

static bool is_verified(const struct nr_tls_set *set)
{
	enum naru_tls_verify verify = set->config->as.verify;

	return verify >= NARU_TLS_OPTIONAL ||
	       (verify == NARU_TLS_VERIFY_DEFAULT && !set->server);
}

/* Who is trusted: CA, or else the system's store. */
static int read_store(struct reading *reading)
{
	const char *ca = reading->options->ca;

	reading->store = X509_STORE_new();
	if (!reading->store)
		return -ENOMEM;
	if (!ca && !is_verified(reading->set))
		return 0;
	return nr_tls_files_trusted(reading->store, ca, reading->wrong);
}

/* Reads who asks for what: the name in a ClientHello (RFC 6066, section 3). */
static bool asked_name(SSL *ssl, char name[static NAME_MAX_LEN + 1])
{
	const unsigned char *at;
	size_t len, name_len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &at,
	                              &len) != 1)
		return false;
	/* The list's length, one entry's type, which is 0, and its length. */
	if (len < 5 || (size_t)(at[0] << 8 | at[1]) != len - 2 || at[2] != 0)
		return false;
	name_len = (size_t)(at[3] << 8 | at[4]);
	if (name_len == 0 || name_len > len - 5 || name_len > NAME_MAX_LEN ||
	    memchr(at + 5, '\0', name_len))
		return false;
	memcpy(name, at + 5, name_len);
	name[name_len] = '\0';
	return true;
}

/* Shows the certificate that is made out to the name which is asked for, before
 * it is looked whether a session can go on: that belongs to one of them. */
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
	const struct nr_tls_set *set = arg;
	char name[NAME_MAX_LEN + 1];

	(void)alert;
	if (!asked_name(ssl, name))
		return SSL_CLIENT_HELLO_SUCCESS;
	for (unsigned i = 0; i < set->count; i++) {
		X509 *cert = SSL_CTX_get0_certificate(set->contexts[i]);

		if (X509_check_host(cert, name, 0,
		                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
		                    NULL) != 1)
			continue;
		if (i > 0)
			(void)SSL_set_SSL_CTX(ssl, set->contexts[i]);
		break;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* Says that the name was understood. */
static int take_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	return SSL_TLSEXT_ERR_OK;
}

/* The first of our protocols that the client knows; where it knows none of
 * them, there is nothing to talk about (RFC 7301, section 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **ret,
                           unsigned char *ret_len, const unsigned char *theirs,
                           unsigned their_len, void *arg)
{
	const struct nr_tls_set *set = arg;
	const struct nr_tls_config *config = set->config;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, ret_len, config->alpn,
	                          config->alpn_len, theirs,
	                          their_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int judge_certificate(X509_STORE_CTX *check, void *arg)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(
		check, SSL_get_ex_data_X509_STORE_CTX_idx());

	struct nr_tls_owner *owner = SSL_get_app_data(ssl);

	(void)arg;
	return owner->judge(owner, check);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct nr_tls_owner *owner = SSL_get_app_data(ssl);

	return owner->keep(owner, session);
}

/*
 * What a session must have in common with a handshake to be gone on with: which
 * of the certificates it is, what is asked of clients, and who vouches for
 * them. A certificate that is renewed stays the same in this.
 */
static int set_session_context(struct reading *reading, SSL_CTX *context,
                               unsigned which)
{
	const struct naru_tls *options = reading->options;
	STACK_OF(X509_OBJECT) *trusted =
		X509_STORE_get0_objects(reading->store);
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	unsigned len = 0;
	bool ok = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL);

	ok = ok && EVP_DigestUpdate(hash, &which, sizeof(which)) &&
	     EVP_DigestUpdate(hash, &options->verify,
	                      sizeof(options->verify)) &&
	     EVP_DigestUpdate(hash, reading->set->config->pins,
	                      (size_t)reading->set->config->pin_count *
	                              NR_TLS_PIN_SIZE);
	for (int i = 0; ok && i < sk_X509_OBJECT_num(trusted); i++) {
		X509 *cert =
			X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
		unsigned char one[EVP_MAX_MD_SIZE];

		if (cert && X509_digest(cert, EVP_sha256(), one, &len) == 1)
			ok = EVP_DigestUpdate(hash, one, len);
	}
	ok = ok && EVP_DigestFinal_ex(hash, digest, &len) &&
	     SSL_CTX_set_session_id_context(context, digest, len);
	EVP_MD_CTX_free(hash);
	return ok ? 0 : -ENOMEM;
}

/* A session does not outlive the certificate of the client that it began
 * with. */
static SSL_TICKET_RETURN judge_ticket(SSL *ssl, SSL_SESSION *session,
                                      const unsigned char *name, size_t len,
                                      SSL_TICKET_STATUS status, void *arg)
{
	const X509 *peer = session ? SSL_SESSION_get0_peer(session) : NULL;

	(void)ssl;
	(void)name;
	(void)len;
	(void)arg;
	if (peer && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (status == SSL_TICKET_SUCCESS)
		return SSL_TICKET_RETURN_USE;
	if (status == SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_USE_RENEW;
	return SSL_TICKET_RETURN_IGNORE_RENEW;
}

static int set_server(struct reading *reading, SSL_CTX *context, unsigned which)
{
	struct nr_tls_set *set = reading->set;
	int mode = SSL_VERIFY_NONE;

	(void)SSL_CTX_set_dh_auto(context, 1);
	SSL_CTX_set_client_hello_cb(context, choose_certificate, set);
	nr_tls_tickets_offer(set->tickets, context);
	(void)SSL_CTX_set_session_ticket_cb(context, NULL, judge_ticket, NULL);
	(void)SSL_CTX_set_tlsext_servername_callback(context, take_name);
	SSL_CTX_sess_set_cache_size(context, SESSIONS_KEPT);
	if (set->config->alpn_len > 0)
		SSL_CTX_set_alpn_select_cb(context, choose_protocol, set);
	if (is_asked(set))
		mode = SSL_VERIFY_PEER;
	if (set->config->as.verify == NARU_TLS_REQUIRED ||
	    set->config->pin_count > 0)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(context, mode, NULL);
	/* One that is kept here nobody could judge as a ticket is. */
	if (mode != SSL_VERIFY_NONE)
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* Who has several certificates learns which one is wanted. */
	if (mode != SSL_VERIFY_NONE && reading->options->ca)
		SSL_CTX_set_client_CA_list(context,
		                           SSL_load_client_CA_file(
						   reading->options->ca));
	return set_session_context(reading, context, which);
}

static int set_client(struct reading *reading, SSL_CTX *context)
{
	const struct nr_tls_config *config = reading->set->config;

	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context,
	                               SSL_SESS_CACHE_CLIENT |
	                                       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	if (config->alpn_len > 0 &&
	    SSL_CTX_set_alpn_protos(context, config->alpn, config->alpn_len) !=
	            0)
		return -ENOMEM;
	return 0;
}

/* One context, with one certificate or, of a client, none. */
static int add_context(struct reading *reading,
                       const struct naru_tls_certificate *certificate)
{
	struct nr_tls_set *set = reading->set;
	SSL_CTX *context = SSL_CTX_new(set->server ? TLS_server_method()
	                                           : TLS_client_method());
	int err = 0;

	if (!context)
		return -ENOMEM;
	set->contexts[set->count++] = context;
	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
	                                           SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(context,
	                       SSL_MODE_ENABLE_PARTIAL_WRITE |
	                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                               SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set1_cert_store(context, reading->store);
	SSL_CTX_set_cert_verify_callback(context, judge_certificate, NULL);
	if (certificate->chain)
		err = nr_tls_files_certificate(context, certificate,
		                               reading->wrong);
	if (err == 0)
		err = set->server ? set_server(reading, context, set->count - 1)
		                  : set_client(reading, context);
	return err;
}

static int read_all(struct reading *reading)
{
	const struct naru_tls *options = reading->options;
	struct nr_tls_set *set = reading->set;
	int err;

	set->contexts = calloc(options->other_count + 1, sizeof(SSL_CTX *));
	if (!set->contexts)
		return -ENOMEM;
	if (!set->server) {
		set->sessions = malloc(sizeof(*set->sessions));
		if (!set->sessions)
			return -ENOMEM;
		nr_tls_sessions_init(set->sessions);
	}
	err = read_store(reading);
	if (err == 0)
		err = add_context(reading, &options->certificate);
	for (unsigned i = 0; err == 0 && i < options->other_count; i++)
		err = add_context(reading, &options->others[i]);
	return err;
}

int nr_tls_set_read(const struct nr_tls_config *config,
                    struct nr_tls_tickets *tickets, struct nr_tls_set **ret_set,
                    struct nr_tls_wrong *ret_wrong)
{
	struct nr_tls_set *set = calloc(1, sizeof(*set));
	struct reading reading = {.set = set,
	                          .options = &config->as,
	                          .wrong = ret_wrong};
	int err;

	ret_wrong->text[0] = '\0';
	if (!set)
		return -ENOMEM;
	set->refs = 1;
	set->config = config;
	set->server = tickets != NULL;
	set->tickets = tickets;
	err = read_all(&reading);
	X509_STORE_free(reading.store);
	ERR_clear_error();
	if (err < 0) {
		nr_tls_set_release(set);
		return err;
	}
	*ret_set = set;
	return 0;
}

struct nr_tls_set *nr_tls_set_hold(struct nr_tls_set *set)
{
	atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
	return set;
}

void nr_tls_set_release(struct nr_tls_set *set)
{
	if (!set ||
	    atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (unsigned i = 0; i < set->count; i++)
		SSL_CTX_free(set->contexts[i]);
	if (set->sessions)
		nr_tls_sessions_fini(set->sessions);
	free(set->sessions);
	free(set->contexts);
	free(set);
}

SSL *nr_tls_set_new(struct nr_tls_set *set, struct nr_tls_owner *owner)
{
	SSL *ssl = SSL_new(set->contexts[0]);

	if (!ssl) {
		ERR_clear_error();
		return NULL;
	}
	(void)SSL_set_app_data(ssl, owner);
	return ssl;
}
