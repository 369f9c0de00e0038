/* SPDX-License-Identifier: MIT */
/* Failures of TLS, in words. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/tls_text.h"
#include "unit.h"

static void assert_text(unsigned long error, const char *expected)
{
	char text[NR_TLS_WHY];

	nr_tls_text_error(error, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void assert_alert(int alert, const char *expected)
{
	assert_text(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + alert),
	            expected);
}

static void test_alert_has_its_name(void **state)
{
	(void)state;
	assert_alert(48, "the peer refuses: alert \"unknown CA\"");
	assert_alert(45, "the peer refuses: alert \"certificate expired\"");
}

/* RFC 8446, section 6.2. */
static void test_alert_of_tls_1_3_has_its_name(void **state)
{
	(void)state;
	assert_alert(109, "the peer refuses: alert \"missing extension\"");
	assert_alert(116, "the peer refuses: alert \"certificate required\"");
	assert_alert(120,
	             "the peer refuses: alert \"no application protocol\"");
}

static void test_alert_that_nobody_knows_has_its_number(void **state)
{
	(void)state;
	assert_alert(200, "the peer refuses: alert 200");
}

static void test_error_is_what_the_peer_does(void **state)
{
	(void)state;
	assert_text(0, "no reason is known");
	assert_text(ERR_PACK(ERR_LIB_SSL, 0,
	                     SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE),
	            "the peer shows no certificate");
	assert_text(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_HTTP_REQUEST),
	            "what the peer sends is not TLS (http request)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alert_has_its_name),
		cmocka_unit_test(test_alert_of_tls_1_3_has_its_name),
		cmocka_unit_test(test_alert_that_nobody_knows_has_its_number),
		cmocka_unit_test(test_error_is_what_the_peer_does),
	};

	/* Its reasons have words only then. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) != 1)
		return 1;
	return RUN("tls_text", tests);
}
