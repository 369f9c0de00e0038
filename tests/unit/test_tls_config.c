/* SPDX-License-Identifier: MIT */
/* What a struct naru_tls asks for, copied and read. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "net/tls_config.h"
#include "unit.h"

#define PIN_A "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define PIN_B "sha256////////////////////////////////////////////8="

static void test_defaults_are_nothing(void **state)
{
	struct nr_tls_config config;
	const char *why = NULL;

	(void)state;
	assert_int_equal(nr_tls_config_init(&config, NULL, &why), 0);
	assert_null(config.as.certificate.chain);
	assert_null(config.as.ca);
	assert_null(config.alpn);
	assert_int_equal(config.pin_count, 0);
	nr_tls_config_fini(&config);
}

static void test_copy_outlives_the_original(void **state)
{
	char chain[] = "a.pem", key[] = "a.key", other[] = "b.pem";
	const struct naru_tls_certificate others[] = {{other, NULL}};
	const char *const alpn[] = {"h2", "http/1.1", NULL};
	struct nr_tls_config config;
	const char *why = NULL;

	(void)state;
	assert_int_equal(
		nr_tls_config_init(&config,
	                           NARU_TLS(.certificate = {chain, key},
	                                    .others = others, .other_count = 1,
	                                    .alpn = alpn, .ca = ""),
	                           &why),
		0);
	memset(chain, 'x', sizeof(chain) - 1);
	memset(other, 'x', sizeof(other) - 1);
	assert_string_equal(config.as.certificate.chain, "a.pem");
	assert_string_equal(config.as.certificate.key, "a.key");
	assert_string_equal(config.as.others[0].chain, "b.pem");
	assert_null(config.as.others[0].key);
	assert_string_equal(config.as.ca, "");
	assert_int_equal(config.alpn_len, 12);
	assert_memory_equal(config.alpn, "\2h2\10http/1.1", 12);
	nr_tls_config_fini(&config);
}

static void test_pins_are_read_strictly(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256//",
		"sha1//" PIN_A,
		PIN_A ";",
		";" PIN_A,
		PIN_A " ",
		PIN_A PIN_A,
		"sha256//AAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAAA=",
		"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};
	static const unsigned char zeros[NR_TLS_PIN_SIZE];
	struct nr_tls_config config;
	const char *why = NULL;

	(void)state;
	assert_int_equal(nr_tls_config_init(&config,
	                                    NARU_TLS(.pin = PIN_A ";" PIN_B),
	                                    &why),
	                 0);
	assert_int_equal(config.pin_count, 2);
	assert_memory_equal(config.pins, zeros, sizeof(zeros));
	assert_int_equal(config.pins[NR_TLS_PIN_SIZE], 0xff);
	nr_tls_config_fini(&config);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		assert_int_equal(nr_tls_config_init(&config,
		                                    NARU_TLS(.pin = bad[i]),
		                                    &why),
		                 -EINVAL);
		assert_non_null(why);
	}
}

static void test_what_cannot_be_meant_is_refused(void **state)
{
	static const struct naru_tls_certificate no_chain[] = {{NULL, "k"}};
	static const char *const empty[] = {"h2", "", NULL};
	static char long_name[257];
	const char *const too_long[] = {long_name, NULL};
	const struct naru_tls bad[] = {
		{.verify = (enum naru_tls_verify)(NARU_TLS_REQUIRED + 1)},
		{.certificate.key = "k"},
		{.certificate.chain = "c",
	         .others = no_chain,
	         .other_count = 1},
		{.others = no_chain, .other_count = 1},
		{.certificate.chain = "c", .other_count = 1},
		{.alpn = empty},
		{.alpn = too_long},
	};
	struct nr_tls_config config;

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct naru_tls one = bad[i];
		const char *why = NULL;

		one.size = sizeof(one);
		assert_int_equal(nr_tls_config_init(&config, &one, &why),
		                 -EINVAL);
		assert_non_null(why);
	}
}

/* The key of A and B: whether one may stand for the other. */
static bool is_same(const struct naru_tls *a, const struct naru_tls *b)
{
	struct nr_tls_config one, two;
	const char *why = NULL;
	bool same;

	assert_int_equal(nr_tls_config_init(&one, a, &why), 0);
	assert_int_equal(nr_tls_config_init(&two, b, &why), 0);
	same = one.key_len == two.key_len &&
	       memcmp(one.key, two.key, one.key_len) == 0;
	nr_tls_config_fini(&one);
	nr_tls_config_fini(&two);
	return same;
}

static void test_key_has_all_that_decides(void **state)
{
	const char *const h2[] = {"h2", NULL}, *const h3[] = {"h3", NULL};

	(void)state;
	assert_true(is_same(NARU_TLS(.ca = "a", .alpn = h2),
	                    NARU_TLS(.ca = "a", .alpn = h2)));
	assert_false(is_same(NARU_TLS(.ca = "a"), NARU_TLS(.ca = "b")));
	assert_false(is_same(NARU_TLS(.ca = ""), NULL));
	assert_false(
		is_same(NARU_TLS(.ca = "a"), NARU_TLS(.server_name = "a")));
	assert_false(is_same(NARU_TLS(.alpn = h2), NARU_TLS(.alpn = h3)));
	assert_false(is_same(NARU_TLS(.verify = NARU_TLS_NONE), NULL));
	assert_false(is_same(NARU_TLS(.pin = PIN_A), NARU_TLS(.pin = PIN_B)));
	assert_false(is_same(NARU_TLS(.certificate.chain = "ab"),
	                     NARU_TLS(.certificate = {"a", "b"})));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_nothing),
		cmocka_unit_test(test_copy_outlives_the_original),
		cmocka_unit_test(test_pins_are_read_strictly),
		cmocka_unit_test(test_what_cannot_be_meant_is_refused),
		cmocka_unit_test(test_key_has_all_that_decides),
	};

	return RUN("tls_config", tests);
}
