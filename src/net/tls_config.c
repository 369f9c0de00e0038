/* SPDX-License-Identifier: MIT */
/* Options of TLS, copied and read: see tls_config.h. */
#include "net/tls_config.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

/* How a pin begins, and the base64 of its digest. */
#define PIN_PREFIX "sha256//"
#define PIN_TEXT   44

/* The copy being made: texts and lists are taken from one piece of memory,
 * whose size was found by the same steps without any. */
struct copying {
	char *at;    /* texts, or null while they are only measured */
	size_t size; /* of all texts so far */
};

/* A text, told from none: "=text" or "-". Returns the copy. */
static const char *copy_text(struct copying *copying, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	char *to = copying->at;

	copying->size += len + 2;
	if (!to)
		return NULL;
	copying->at += len + 2;
	to[0] = text ? '=' : '-';
	if (len > 0)
		memcpy(to + 1, text, len);
	to[len + 1] = '\0';
	return text ? to + 1 : NULL;
}

static void copy_certificate(struct copying *copying,
                             struct naru_tls_certificate *to,
                             const struct naru_tls_certificate *from)
{
	const struct naru_tls_certificate copy = {
		.chain = copy_text(copying, from->chain),
		.key = copy_text(copying, from->key),
	};

	if (to)
		*to = copy;
}

/* Every text of FROM, in a fixed order. OTHERS takes the list, or is null where
 * it is measured. */
static void copy_texts(struct copying *copying, struct naru_tls *to,
                       const struct naru_tls *from,
                       struct naru_tls_certificate *others)
{
	copy_certificate(copying, &to->certificate, &from->certificate);
	to->ca = copy_text(copying, from->ca);
	to->server_name = copy_text(copying, from->server_name);
	to->pin = copy_text(copying, from->pin);
	for (unsigned i = 0; i < from->other_count; i++)
		copy_certificate(copying, others ? &others[i] : NULL,
		                 &from->others[i]);
}

/* Protocols as a list with lengths, at TO where that is not null. */
static const char *read_alpn(const char *const *alpn, unsigned char *to,
                             unsigned *ret_len)
{
	unsigned len = 0;

	for (unsigned i = 0; alpn && alpn[i]; i++) {
		size_t one = strlen(alpn[i]);

		if (one == 0 || one > 255 || i >= NR_TLS_ALPN_MAX)
			return "a protocol's name (ALPN) has 1 to 255 bytes, "
			       "and there are at most 64 of them";
		if (to) {
			to[len] = (unsigned char)one;
			memcpy(to + len + 1, alpn[i], one);
		}
		len += (unsigned)one + 1;
	}
	*ret_len = len;
	return NULL;
}

/* One pin. */
static bool read_pin(const char *text, size_t len, unsigned char *to)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const size_t prefix = sizeof(PIN_PREFIX) - 1;
	unsigned char bytes[NR_TLS_PIN_SIZE + 1];

	if (len != prefix + PIN_TEXT || strncmp(text, PIN_PREFIX, prefix) != 0)
		return false;
	text += prefix;
	if (strspn(text, digits) != PIN_TEXT - 1 || text[PIN_TEXT - 1] != '=' ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)text, PIN_TEXT) !=
	            (int)sizeof(bytes))
		return false;
	memcpy(to, bytes, NR_TLS_PIN_SIZE);
	return true;
}

static const char *read_pins(const char *text, unsigned char *to,
                             unsigned *ret_count)
{
	*ret_count = 0;
	while (text) {
		size_t len = strcspn(text, ";");

		if (*ret_count == NR_TLS_PINS_MAX ||
		    !read_pin(text, len,
		              to + (size_t)*ret_count * NR_TLS_PIN_SIZE))
			return "a pin is sha256// and the base64 of 32 bytes";
		++*ret_count;
		text = text[len] ? text + len + 1 : NULL;
	}
	return NULL;
}

/* The bytes of one block: the key, which is all texts and what is left besides,
 * protocols, pins, and the list of certificates in front of them. */
static int copy_all(struct nr_tls_config *config, const struct naru_tls *given)
{
	const size_t list = given->other_count * sizeof(*given->others);
	struct naru_tls *to = &config->as;
	struct copying copying = {0};
	unsigned char *rest;
	char *memory;

	copy_texts(&copying, to, given, NULL);
	memory = malloc(list + copying.size + 1 + config->alpn_len +
	                (size_t)NR_TLS_PINS_MAX * NR_TLS_PIN_SIZE);
	if (!memory)
		return -ENOMEM;
	copying = (struct copying){.at = memory + list};
	copy_texts(&copying, to, given, (void *)memory);
	to->others = (void *)memory;
	to->alpn = NULL;
	rest = (unsigned char *)copying.at;
	*rest++ = (unsigned char)given->verify;
	config->alpn = config->alpn_len ? rest : NULL;
	(void)read_alpn(given->alpn, rest, &config->alpn_len);
	config->key = memory + list;
	config->key_len = copying.size + 1 + config->alpn_len;
	config->pins = rest + config->alpn_len;
	config->memory = memory;
	return 0;
}

static const char *judge(const struct naru_tls *given)
{
	if ((int)given->verify < 0 || given->verify > NARU_TLS_REQUIRED)
		return "no such verification";
	if (given->other_count > NR_TLS_OTHERS_MAX ||
	    (given->other_count > 0 && !given->others))
		return "the list of certificates is missing or too long";
	if (given->certificate.key && !given->certificate.chain)
		return "a key has no certificate";
	for (unsigned i = 0; i < given->other_count; i++)
		if (!given->others[i].chain)
			return "a key has no certificate";
	if (given->other_count > 0 && !given->certificate.chain)
		return "the first certificate is missing";
	return NULL;
}

int nr_tls_config_init(struct nr_tls_config *config,
                       const struct naru_tls *given, const char **ret_why)
{
	struct naru_tls own;
	const char *why;
	int err = nr_options_take(&own, sizeof(own), given);

	*config = (struct nr_tls_config){0};
	if (err < 0)
		return err;
	config->as = own;
	why = judge(&own);
	if (!why)
		why = read_alpn(own.alpn, NULL, &config->alpn_len);
	if (!why)
		err = copy_all(config, &own);
	if (!why && err == 0)
		why = read_pins(own.pin,
		                (unsigned char *)(uintptr_t)config->pins,
		                &config->pin_count);
	if (!why)
		return err;
	nr_tls_config_fini(config);
	*ret_why = why;
	return -EINVAL;
}

void nr_tls_config_fini(struct nr_tls_config *config)
{
	free(config->memory);
	*config = (struct nr_tls_config){0};
}
