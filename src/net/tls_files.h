/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_FILES_H
#define NR_NET_TLS_FILES_H

/*
 * Certificates and keys, read from files in PEM. All calls block, and return 0
 * or what is wrong: -ENOENT and the like, with the file alone in WRONG;
 * -NARU_ETLS for a file that does not hold what it should, with the file and
 * what there is to say of it.
 */

#include <openssl/ssl.h>

#include "naru/tls.h"

/* What could not be read. */
struct nr_tls_wrong {
	char text[512];
};

/* Has CONTEXT show CERTIFICATE, whose chain is given. */
int nr_tls_files_certificate(SSL_CTX *context,
                             const struct naru_tls_certificate *certificate,
                             struct nr_tls_wrong *wrong);

/* Has STORE trust whom the file CA holds; null for the system's. */
int nr_tls_files_trusted(X509_STORE *store, const char *ca,
                         struct nr_tls_wrong *wrong);

#endif
