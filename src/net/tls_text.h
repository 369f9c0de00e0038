/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_TEXT_H
#define NR_NET_TLS_TEXT_H

/* Certificates and failures of TLS, in words. Whatever comes out of a
 * certificate has been made printable. */

#include <openssl/x509.h>
#include <stddef.h>

/* What a sentence about a handshake needs at most. */
#define NR_TLS_WHY 512

/* Who CERT is made out to, shortly: "CN=example.org". */
void nr_tls_text_name(const X509 *cert, char *buf, size_t size);

/* A whole name as in RFC 2253. */
void nr_tls_text_full_name(const X509_NAME *name, char *buf, size_t size);

/* A name that CERT is made out to: its common name, or the first of its others;
 * empty where it has none. */
void nr_tls_text_own_name(const X509 *cert, char *buf, size_t size);

/* "2027-01-31T12:00:00Z". */
void nr_tls_text_time(const ASN1_TIME *time, char *buf, size_t size);

/* Why the certificate that CHECK is at cannot be trusted; CALLED is the name
 * that it should be made out to, or null. */
void nr_tls_text_mistrust(X509_STORE_CTX *check, const char *called, char *buf,
                          size_t size);

/* What OpenSSL's queue of this thread has to say, of which only the first
 * matters: the cause. Empties it. */
void nr_tls_text_error(unsigned long error, char *buf, size_t size);

#endif
