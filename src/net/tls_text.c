/* SPDX-License-Identifier: MIT */
/* Certificates and failures in words: see tls_text.h. */
#include "net/tls_text.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"

/* The most names of one certificate that are told. */
#define NAMES_MAX 4

/* Longer names are cut: they are for people. */
#define NAME_TEXT 128

static void put_text(char *buf, size_t size, const char *text, size_t len)
{
	if (nr_escape(text, len, buf, size) < 0)
		(void)snprintf(buf, size, "...");
}

void nr_tls_text_full_name(const X509_NAME *name, char *buf, size_t size)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *text;
	long len;

	buf[0] = '\0';
	if (!memory)
		return;
	if (X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) >= 0) {
		len = BIO_get_mem_data(memory, &text);
		put_text(buf, size, text, (size_t)len);
	}
	BIO_free(memory);
}

/* The last common name, which is the most particular. */
static void put_common_name(const X509_NAME *name, char *buf, size_t size)
{
	unsigned char *utf8;
	int at = -1, last = -1, len;

	buf[0] = '\0';
	while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return;
	len = ASN1_STRING_to_UTF8(&utf8,
	                          X509_NAME_ENTRY_get_data(
					  X509_NAME_get_entry(name, last)));
	if (len < 0)
		return;
	put_text(buf, size, (const char *)utf8, (size_t)len);
	OPENSSL_free(utf8);
}

static void put_address(const ASN1_OCTET_STRING *address, char *buf,
                        size_t size)
{
	const unsigned char *at = ASN1_STRING_get0_data(address);
	int len = ASN1_STRING_length(address), used = 0;

	buf[0] = '\0';
	if (len == 4) {
		(void)snprintf(buf, size, "%d.%d.%d.%d", at[0], at[1], at[2],
		               at[3]);
		return;
	}
	for (int i = 0; i + 1 < len && (size_t)used + 6 < size; i += 2)
		used += snprintf(buf + used, size - (size_t)used, "%s%x",
		                 i ? ":" : "", at[i] << 8 | at[i + 1]);
}

/* One of a certificate's alternative names, of the kinds that peers have. */
static bool put_alternative(const GENERAL_NAME *name, char *buf, size_t size)
{
	const ASN1_STRING *text;

	switch (name->type) {
	case GEN_DNS:
	case GEN_EMAIL:
	case GEN_URI:
		text = name->d.ia5;
		put_text(buf, size, (const char *)ASN1_STRING_get0_data(text),
		         (size_t)ASN1_STRING_length(text));
		return true;
	case GEN_IPADD:
		put_address(name->d.iPAddress, buf, size);
		return true;
	default:
		return false;
	}
}

/* Up to MOST alternative names, with commas; how many there were. */
static int put_alternatives(const X509 *cert, int most, char *buf, size_t size)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char one[NAME_TEXT];
	size_t used = 0;
	int count = 0;

	buf[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && count < most; i++) {
		if (!put_alternative(sk_GENERAL_NAME_value(names, i), one,
		                     sizeof(one)))
			continue;
		if (used + strlen(one) + 3 > size)
			break;
		used += (size_t)snprintf(buf + used, size - used, "%s%s",
		                         count ? ", " : "", one);
		count++;
	}
	GENERAL_NAMES_free(names);
	return count;
}

void nr_tls_text_own_name(const X509 *cert, char *buf, size_t size)
{
	put_common_name(X509_get_subject_name(cert), buf, size);
	if (buf[0] == '\0')
		(void)put_alternatives(cert, 1, buf, size);
}

/* "CN=x" where there is a common name, or else all of it. */
static void put_short_name(const X509_NAME *name, char *buf, size_t size)
{
	char common[NAME_TEXT];

	put_common_name(name, common, sizeof(common));
	if (common[0])
		(void)snprintf(buf, size, "CN=%.*s", (int)size - 4, common);
	else
		nr_tls_text_full_name(name, buf, size);
}

void nr_tls_text_name(const X509 *cert, char *buf, size_t size)
{
	put_short_name(X509_get_subject_name(cert), buf, size);
	if (buf[0] == '\0' && put_alternatives(cert, 1, buf, size) == 0)
		(void)snprintf(buf, size, "nobody");
}

void nr_tls_text_time(const ASN1_TIME *time, char *buf, size_t size)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1 ||
	    strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(buf, size, "?");
}

static void put_day(const ASN1_TIME *time, char *buf, size_t size)
{
	nr_tls_text_time(time, buf, size);
	buf[strcspn(buf, "T")] = '\0';
}

/* Who it is made out to instead. */
static void put_wrong_name(const X509 *cert, const char *called, char *buf,
                           size_t size)
{
	char names[NR_TLS_WHY / 2], who[NAME_TEXT];

	nr_tls_text_name(cert, who, sizeof(who));
	if (put_alternatives(cert, NAMES_MAX, names, sizeof(names)) == 0)
		nr_tls_text_own_name(cert, names, sizeof(names));
	(void)snprintf(buf, size,
	               "the certificate of %s is made out to %s, not to %s",
	               who, names[0] ? names : "nobody",
	               called ? called : "who was called");
}

void nr_tls_text_mistrust(X509_STORE_CTX *check, const char *called, char *buf,
                          size_t size)
{
	int error = X509_STORE_CTX_get_error(check);
	const X509 *cert = X509_STORE_CTX_get_current_cert(check);
	char who[NAME_TEXT] = "the peer", text[NAME_TEXT] = "";

	if (!cert)
		cert = X509_STORE_CTX_get0_cert(check);
	if (cert)
		nr_tls_text_name(cert, who, sizeof(who));
	switch (cert ? error : X509_V_ERR_UNSPECIFIED) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		put_day(X509_get0_notAfter(cert), text, sizeof(text));
		(void)snprintf(buf, size,
		               "the certificate of %s has expired on %s", who,
		               text);
		return;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		put_day(X509_get0_notBefore(cert), text, sizeof(text));
		(void)snprintf(buf, size,
		               "the certificate of %s is valid from %s on only",
		               who, text);
		return;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		put_wrong_name(cert, called, buf, size);
		return;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		(void)snprintf(buf, size,
		               "the certificate of %s is self-signed, and not "
		               "among those that we trust",
		               who);
		return;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		put_short_name(X509_get_issuer_name(cert), text, sizeof(text));
		(void)snprintf(buf, size,
		               "the certificate of %s is signed by nobody we "
		               "trust: %s",
		               who, text);
		return;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		(void)snprintf(buf, size,
		               "the chain of certificates leads to %s, whom we "
		               "do not trust",
		               who);
		return;
	default:
		(void)snprintf(buf, size, "the certificate of %s: %s", who,
		               X509_verify_cert_error_string(error));
		return;
	}
}

/* From this on, a reason is an alert that the peer sent. */
#define ALERT_FIRST SSL_AD_REASON_OFFSET

/* The name of an alert, or "unknown". OpenSSL 3.0 does not know those that came
 * with TLS 1.3 (RFC 8446, section 6.2). */
static const char *alert_name(int alert)
{
	switch (alert) {
	case SSL_AD_MISSING_EXTENSION:
		return "missing extension";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return "no application protocol";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

static void put_alert(int alert, char *buf, size_t size)
{
	const char *name = alert_name(alert);

	if (strcmp(name, "unknown") == 0)
		(void)snprintf(buf, size, "the peer refuses: alert %d", alert);
	else
		(void)snprintf(buf, size, "the peer refuses: alert \"%s\"",
		               name);
}

void nr_tls_text_error(unsigned long error, char *buf, size_t size)
{
	bool is_tls = ERR_GET_LIB(error) == ERR_LIB_SSL;
	int reason = is_tls ? ERR_GET_REASON(error) : 0;
	const char *text = ERR_reason_error_string(error);

	ERR_clear_error();
	if (error == 0)
		text = "no reason is known";
	else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		text = "the peer shows no certificate";
	else if (!text)
		text = "unknown";
	if (reason >= ALERT_FIRST && reason < ALERT_FIRST + 256)
		put_alert(reason - ALERT_FIRST, buf, size);
	else if (reason == SSL_R_WRONG_VERSION_NUMBER ||
	         reason == SSL_R_HTTP_REQUEST ||
	         reason == SSL_R_HTTPS_PROXY_REQUEST ||
	         reason == SSL_R_PACKET_LENGTH_TOO_LONG)
		(void)snprintf(buf, size, "what the peer sends is not TLS (%s)",
		               text);
	else
		(void)snprintf(buf, size, "%s", text);
}
