/* SPDX-License-Identifier: MIT */
/* What a link with TLS holds, from its making to its end: see tls_state.h. */
#include "net/tls_state.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "naru/error.h"
#include "net/addr.h"
#include "os/os_socket.h"

static struct nr_tls_state *state_of(struct nr_tls_owner *owner)
{
	return nr_list_entry(owner, struct nr_tls_state, owner);
}

/* Whether CERT has one of the keys that the options name. */
static bool is_pinned(const struct nr_tls_config *config, const X509 *cert)
{
	unsigned char digest[EVP_MAX_MD_SIZE], *key = NULL;
	int len = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &key) : -1;
	unsigned digest_len = 0;
	bool found = false;

	if (len <= 0)
		return false;
	if (EVP_Digest(key, (size_t)len, digest, &digest_len, EVP_sha256(),
	               NULL) == 1)
		for (unsigned i = 0; i < config->pin_count && !found; i++)
			found = memcmp(config->pins +
			                       (size_t)i * NR_TLS_PIN_SIZE,
			               digest, NR_TLS_PIN_SIZE) == 0;
	OPENSSL_free(key);
	return found;
}

/* Whether a certificate that nobody vouches for will do. */
static bool is_anybody_welcome(const struct nr_tls *tls)
{
	enum naru_tls_verify verify = tls->config.as.verify;

	return verify == NARU_TLS_NONE ||
	       (verify == NARU_TLS_VERIFY_DEFAULT && tls->server);
}

static bool judge(struct nr_tls_owner *owner, X509_STORE_CTX *check)
{
	struct nr_tls_state *state = state_of(owner);
	const struct nr_tls_config *config = &state->tls->config;
	const X509 *cert = X509_STORE_CTX_get0_cert(check);
	bool trusted = X509_verify_cert(check) == 1;
	char *why = state->outcome->text, who[128];
	size_t size = sizeof(state->outcome->text);

	if (!trusted && !is_anybody_welcome(state->tls)) {
		nr_tls_text_mistrust(check, state->called, why, size);
	} else if (config->pin_count > 0 && !is_pinned(config, cert)) {
		nr_tls_text_name(cert, who, sizeof(who));
		(void)snprintf(why, size,
		               "the certificate of %s has another key than "
		               "those that are pinned",
		               who);
		X509_STORE_CTX_set_error(check,
		                         X509_V_ERR_APPLICATION_VERIFICATION);
	} else {
		return true;
	}
	state->mistrusted = true;
	return false;
}

static bool keep(struct nr_tls_owner *owner, SSL_SESSION *session)
{
	struct nr_tls_state *state = state_of(owner);

	if (!state->session_key || !SSL_SESSION_is_resumable(session))
		return false;
	nr_tls_sessions_put(state->set->sessions, state->session_key, session);
	return true;
}

/* The name that the peer's certificate must be made out to: as it was given, or
 * the host that was called; null where there is none. */
static const char *name_of(const struct nr_tls_config *config,
                           const struct nr_tls_called *called)
{
	if (config->as.server_name && config->as.server_name[0])
		return config->as.server_name;
	if (called->host && called->host[0])
		return called->host;
	return called->port ? "localhost" : NULL;
}

/* Has it verified that the peer is NAME, and asks for NAME where it is none of
 * an address (RFC 6066, section 3). */
static bool set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct naru_addr addr;
	char plain[256];
	size_t len = strcspn(name, "%");

	if (len == 0 || len >= sizeof(plain))
		return false;
	memcpy(plain, name, len);
	plain[len] = '\0';
	if (nr_addr_parse_ip(plain, 0, &addr))
		return X509_VERIFY_PARAM_set1_ip_asc(param, plain) == 1;
	/* The dot that ends a name in full is the resolver's. */
	if (plain[len - 1] == '.')
		plain[len - 1] = '\0';
	X509_VERIFY_PARAM_set_hostflags(param,
	                                X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return plain[0] && SSL_set_tlsext_host_name(ssl, plain) == 1 &&
	       SSL_set1_host(ssl, plain) == 1;
}

/* Goes on with an earlier session where there is one. */
static int set_session(struct nr_tls_state *state, const char *name,
                       const struct nr_tls_called *called)
{
	char key[NR_TLS_SESSION_KEY];
	SSL_SESSION *session;
	int len = snprintf(key, sizeof(key), "%s|%s|%u", name,
	                   called->host ? called->host : "", called->port);

	if (len < 0 || (size_t)len >= sizeof(key))
		return 0;
	state->session_key = strdup(key);
	if (!state->session_key)
		return -ENOMEM;
	session = nr_tls_sessions_take(state->set->sessions, key);
	/* Where that cannot be, the handshake is a whole one. */
	if (session)
		(void)SSL_set_session(state->ssl, session);
	SSL_SESSION_free(session);
	return 0;
}

static int prepare_client(struct nr_tls_state *state,
                          const struct nr_tls_called *called)
{
	const char *name = name_of(&state->tls->config, called);

	SSL_set_connect_state(state->ssl);
	if (!name && is_anybody_welcome(state->tls))
		return 0;
	if (!name || !set_name(state->ssl, name)) {
		(void)snprintf(state->outcome->text,
		               sizeof(state->outcome->text),
		               "the server has no name that could be verified");
		return -NARU_ECERT;
	}
	state->called = name;
	return set_session(state, name, called);
}

int nr_tls_state_new(struct nr_link *link, struct nr_tls *tls,
                     const struct nr_tls_called *called,
                     struct nr_tls_outcome *outcome,
                     struct nr_tls_state **ret_state)
{
	struct nr_tls_state *state = calloc(1, sizeof(*state));
	struct nr_tcp_info info;
	int err = 0;

	if (!state)
		return -ENOMEM;
	nr_mutex_init(&state->lock);
	state->owner = (struct nr_tls_owner){.judge = judge, .keep = keep};
	state->tls = nr_tls_hold(tls);
	state->set = nr_tls_current(tls);
	state->outcome = outcome;
	if (nr_socket_tcp_info(link->fd, &info) == 0)
		state->base = info.written;
	state->ssl = nr_tls_set_new(state->set, &state->owner);
	if (!state->ssl || nr_tls_wire_init(&state->wire, link->fd,
	                                    link->in_pieces, state->ssl) < 0)
		err = -ENOMEM;
	else if (link->dialled)
		err = prepare_client(state, called);
	else
		SSL_set_accept_state(state->ssl);
	ERR_clear_error();
	if (err < 0) {
		nr_tls_state_free(state);
		return err;
	}
	*ret_state = state;
	return 0;
}

void nr_tls_state_free(struct nr_tls_state *state)
{
	/* Its BIO first: it knows the wire. */
	SSL_free(state->ssl);
	nr_tls_wire_fini(&state->wire);
	nr_tls_set_release(state->set);
	nr_tls_release(state->tls);
	nr_mutex_fini(&state->lock);
	free(state->session_key);
	free(state->texts);
	free(state);
}

/* Texts, one behind the other. */
struct texts {
	char bytes[2560];
	size_t used;
};

/* Adds TEXT; returns where it is. */
static size_t add(struct texts *texts, const char *text, size_t len)
{
	size_t at = texts->used, room = sizeof(texts->bytes) - at;

	if (len >= room)
		len = room - 1;
	memcpy(texts->bytes + at, text, len);
	texts->bytes[at + len] = '\0';
	if (texts->used + len + 1 < sizeof(texts->bytes))
		texts->used += len + 1;
	return at;
}

/* Who the peer is, as was verified: a server's name as it was called, or else
 * the name of the certificate. */
static void peer_name(struct nr_tls_state *state, const X509 *cert, char *buf,
                      size_t size)
{
	const char *matched =
		X509_VERIFY_PARAM_get0_peername(SSL_get0_param(state->ssl));

	buf[0] = '\0';
	if (!state->info.verified)
		return;
	if (!matched)
		matched = state->called;
	if (matched)
		(void)snprintf(buf, size, "%s", matched);
	else
		nr_tls_text_own_name(cert, buf, size);
}

/* Where in the texts each text of naru_tls_info is. */
struct places {
	size_t alpn, server_name, peer_name, subject, issuer, expires;
};

static void add_certificate(struct nr_tls_state *state, const X509 *cert,
                            struct texts *texts, struct places *at)
{
	char text[NR_TLS_WHY];

	peer_name(state, cert, text, sizeof(text));
	at->peer_name = add(texts, text, strlen(text));
	nr_tls_text_full_name(X509_get_subject_name(cert), text, sizeof(text));
	at->subject = add(texts, text, strlen(text));
	nr_tls_text_full_name(X509_get_issuer_name(cert), text, sizeof(text));
	at->issuer = add(texts, text, strlen(text));
	nr_tls_text_time(X509_get0_notAfter(cert), text, sizeof(text));
	at->expires = add(texts, text, strlen(text));
}

/* Says what was agreed on, in one line. */
static void summarize(struct nr_tls_state *state)
{
	const struct naru_tls_info *info = &state->info;
	struct nr_tls_outcome *outcome = state->outcome;
	const char *certificate = info->subject;

	(void)snprintf(outcome->text, sizeof(outcome->text),
	               "%s, %s%s%s%s%s%s%s%s", info->version, info->cipher,
	               info->alpn[0] ? ", " : "", info->alpn,
	               info->resumed ? ", resumed" : "",
	               info->server_name[0] ? ", for " : "", info->server_name,
	               certificate[0] ? ", with " : "", certificate);
	if (certificate[0] && !info->verified) {
		size_t len = strlen(outcome->text);

		(void)snprintf(outcome->text + len, sizeof(outcome->text) - len,
		               ", not verified");
	}
}

int nr_tls_state_settle(struct nr_tls_state *state)
{
	const char *name =
		SSL_get_servername(state->ssl, TLSEXT_NAMETYPE_host_name);
	const X509 *cert = SSL_get0_peer_certificate(state->ssl);
	struct naru_tls_info *info = &state->info;
	struct texts texts = {.bytes = "", .used = 1};
	struct places at = {0};
	const unsigned char *alpn;
	unsigned alpn_len;

	SSL_get0_alpn_selected(state->ssl, &alpn, &alpn_len);
	if (alpn_len > 0)
		at.alpn = add(&texts, (const char *)alpn, alpn_len);
	if (name)
		at.server_name = add(&texts, name, strlen(name));
	info->verified = cert && SSL_get_verify_result(state->ssl) == X509_V_OK;
	info->resumed = SSL_session_reused(state->ssl);
	if (cert)
		add_certificate(state, cert, &texts, &at);
	ERR_clear_error();
	state->texts = malloc(texts.used);
	if (!state->texts)
		return -ENOMEM;
	memcpy(state->texts, texts.bytes, texts.used);
	info->version = SSL_get_version(state->ssl);
	info->cipher = SSL_get_cipher_name(state->ssl);
	info->alpn = state->texts + at.alpn;
	info->server_name = state->texts + at.server_name;
	info->peer_name = state->texts + at.peer_name;
	info->subject = state->texts + at.subject;
	info->issuer = state->texts + at.issuer;
	info->expires = state->texts + at.expires;
	summarize(state);
	state->called = NULL;
	return 0;
}
