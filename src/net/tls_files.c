/* SPDX-License-Identifier: MIT */
/* Certificates and keys, read from files: see tls_files.h. */
#include "net/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "naru/error.h"
#include "net/tls_text.h"
#include "os/os_file.h"

/* How the name of a block ends that may be meant. */
#define CERTIFICATE "CERTIFICATE"
#define PRIVATE_KEY "PRIVATE KEY"

static int say(struct nr_tls_wrong *wrong, const char *path, const char *why)
{
	ERR_clear_error();
	(void)snprintf(wrong->text, sizeof(wrong->text), "%s: %s", path, why);
	return -NARU_ETLS;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Whether the file has a block whose name ends with KIND, or may have one:
 * where a block is broken, that is what there is to say. */
static bool may_hold(const char *path, const char *kind)
{
	BIO *file = BIO_new_file(path, "r");
	bool found = false;
	char *name, *header;
	unsigned char *data;
	long len;

	while (file && !found &&
	       PEM_read_bio(file, &name, &header, &data, &len) == 1) {
		found = ends_with(name, kind);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	if (!found)
		found = ERR_GET_REASON(ERR_peek_last_error()) !=
		        PEM_R_NO_START_LINE;
	BIO_free(file);
	ERR_clear_error();
	return found;
}

/* What is wrong with the file at PATH: that the system does not give it, that
 * there is nothing of KIND in it, or what OpenSSL says of that. */
static int failed(struct nr_tls_wrong *wrong, const char *path,
                  const char *kind, const char *none)
{
	unsigned long error = ERR_peek_error();
	static const char unread[] = "what is in it cannot be read: ";
	char why[256], byte[2];
	int err = ERR_SYSTEM_ERROR(error) ? -ERR_GET_REASON(error) : 0;

	ERR_clear_error();
	if (err == 0 && ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
		err = -ENOMEM;
	/* OpenSSL takes a folder for an empty file. */
	if (err == 0 && nr_file_read_text(path, byte, sizeof(byte)) == -EISDIR)
		err = -EISDIR;
	if (err < 0) {
		(void)snprintf(wrong->text, sizeof(wrong->text), "%s", path);
		return err;
	}
	if (!may_hold(path, kind))
		return say(wrong, path, none);
	memcpy(why, unread, sizeof(unread));
	nr_tls_text_error(error, why + strlen(unread),
	                  sizeof(why) - strlen(unread));
	return say(wrong, path, why);
}

/* A key with a passphrase: nobody is there to be asked for it. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static int read_key(SSL_CTX *context, const char *path,
                    struct nr_tls_wrong *wrong)
{
	bool asked = false;
	int ok;

	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
	ok = SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
	SSL_CTX_set_default_passwd_cb(context, NULL);
	if (asked)
		return say(wrong, path,
		           "the key is encrypted with a passphrase, which "
		           "nobody is asked for");
	if (ok != 1 &&
	    ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
		return failed(wrong, path, PRIVATE_KEY,
		              "there is no private key in it");
	if (ok != 1 || SSL_CTX_check_private_key(context) != 1)
		return say(wrong, path, "this is not the certificate's key");
	return 0;
}

int nr_tls_files_certificate(SSL_CTX *context,
                             const struct naru_tls_certificate *certificate,
                             struct nr_tls_wrong *wrong)
{
	const char *chain = certificate->chain;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, chain) != 1)
		return failed(wrong, chain, CERTIFICATE,
		              "it holds no certificate in PEM");
	return read_key(context, certificate->key ? certificate->key : chain,
	                wrong);
}

int nr_tls_files_trusted(X509_STORE *store, const char *ca,
                         struct nr_tls_wrong *wrong)
{
	int err = 0;

	ERR_clear_error();
	if (ca && X509_STORE_load_file(store, ca) != 1)
		err = failed(wrong, ca, CERTIFICATE,
		             "it holds no certificate in PEM");
	else if (!ca && X509_STORE_set_default_paths(store) != 1)
		err = failed(wrong, "the system's certificates", CERTIFICATE,
		             "there are none");
	ERR_clear_error();
	return err;
}
