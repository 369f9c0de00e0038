/* SPDX-License-Identifier: MIT */
/* Addresses and their texts. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "unit.h"

static struct naru_addr ip(const char *text, unsigned port)
{
	struct naru_addr addr;

	assert_true(nr_addr_parse_ip(text, port, &addr));
	return addr;
}

static struct naru_addr local(const char *name, size_t len, bool abstract)
{
	struct naru_addr addr;

	assert_true(nr_addr_unix(name, len, abstract, &addr));
	return addr;
}

static void assert_texts(const struct naru_addr *addr, const char *text,
                         const char *host, const char *endpoint)
{
	char buf[NARU_ADDR_TEXT];

	assert_int_equal(naru_addr_format(addr, buf, sizeof(buf)),
	                 strlen(text));
	assert_string_equal(buf, text);
	assert_int_equal(naru_addr_host(addr, buf, sizeof(buf)), strlen(host));
	assert_string_equal(buf, host);
	assert_int_equal(nr_addr_endpoint(addr, "tcp", buf, sizeof(buf)),
	                 strlen(endpoint));
	assert_string_equal(buf, endpoint);
}

static void test_ip_addresses_have_their_texts(void **state)
{
	struct naru_addr v4 = ip("192.0.2.1", 80);
	struct naru_addr v6 = ip("2001:DB8:0::1", 65535);

	(void)state;
	assert_int_equal(naru_addr_kind(&v4), NARU_ADDR_IPV4);
	assert_int_equal(naru_addr_port(&v4), 80);
	assert_texts(&v4, "192.0.2.1:80", "192.0.2.1", "tcp://192.0.2.1:80");
	assert_int_equal(naru_addr_kind(&v6), NARU_ADDR_IPV6);
	assert_int_equal(naru_addr_port(&v6), 65535);
	assert_texts(&v6, "[2001:db8::1]:65535", "2001:db8::1",
	             "tcp://[2001:db8::1]:65535");
	v6.as.ipv6.sin6_scope_id = 4294967295;
	assert_texts(&v6, "[2001:db8::1%4294967295]:65535",
	             "2001:db8::1%4294967295",
	             "tcp://[2001:db8::1%4294967295]:65535");
}

static void test_unix_names_have_their_texts(void **state)
{
	struct naru_addr path = local("/run/x", 6, false);
	struct naru_addr name = local("na\0me", 5, true);
	struct naru_addr odd = local("/a\nb\\", 5, false);
	struct naru_addr unnamed = {.len = sizeof(sa_family_t)};

	(void)state;
	unnamed.as.any.sa_family = AF_UNIX;
	assert_texts(&path, "unix:/run/x", "/run/x", "unix:/run/x");
	assert_texts(&name, "unix:@na\\x00me", "@na\\x00me", "unix:@na\\x00me");
	assert_texts(&odd, "unix:/a\\x0ab\\\\", "/a\\x0ab\\\\",
	             "unix:/a\\x0ab\\\\");
	assert_texts(&unnamed, "unix:", "", "unix:");
	assert_string_equal(nr_addr_path(&path), "/run/x");
	assert_null(nr_addr_path(&name));
	assert_null(nr_addr_path(&unnamed));
	assert_int_equal(naru_addr_port(&path), 0);
}

static void test_longest_text_fits(void **state)
{
	char name[108], buf[NARU_ADDR_TEXT];
	struct naru_addr addr;

	(void)state;
	memset(name, '\x01', sizeof(name));
	addr = local(name, 107, true);
	assert_int_equal(naru_addr_format(&addr, buf, sizeof(buf)),
	                 6 + 4 * 107);
	assert_false(nr_addr_unix(name, 108, true, &addr));
	assert_false(nr_addr_unix(name, 108, false, &addr));
	assert_false(nr_addr_unix(name, 0, false, &addr));
	/* The kernel may report a path without its terminator. */
	addr = local(name, 107, false);
	addr.as.local.sun_path[107] = '\x01';
	assert_int_equal(naru_addr_host(&addr, buf, sizeof(buf)), 4 * 108);
}

static void test_small_buffer_gives_enospc(void **state)
{
	struct naru_addr addr = ip("192.0.2.1", 80);
	char buf[32];

	(void)state;
	for (size_t size = 0; size <= 12; size++)
		assert_int_equal(naru_addr_format(&addr, buf, size), -ENOSPC);
	assert_int_equal(naru_addr_format(&addr, buf, 13), 12);
	assert_int_equal(naru_addr_host(&addr, buf, 9), -ENOSPC);
	assert_int_equal(naru_addr_host(&addr, buf, 10), 9);
	assert_int_equal(nr_addr_endpoint(&addr, "tcp", buf, 18), -ENOSPC);
	assert_int_equal(nr_addr_endpoint(&addr, "tcp", buf, 19), 18);
	assert_int_equal(naru_addr_format(&addr, NULL, 0), -ENOSPC);
}

static void test_unknown_address_is_none(void **state)
{
	struct naru_addr strange = {.len = sizeof(struct sockaddr)};

	(void)state;
	strange.as.any.sa_family = AF_APPLETALK;
	assert_int_equal(naru_addr_kind(&nr_addr_none), NARU_ADDR_NONE);
	assert_int_equal(naru_addr_kind(NULL), NARU_ADDR_NONE);
	assert_int_equal(naru_addr_kind(&strange), NARU_ADDR_NONE);
	assert_int_equal(naru_addr_port(&strange), 0);
	assert_texts(&strange, "?", "?", "tcp://?");
}

static void test_ip_is_read_strictly(void **state)
{
	static const char *const wrong[] = {
		"",         "1.2.3",  "010.0.0.1", "1.2.3.256",
		"1.2.3.4 ", "0x7f.1", "1.2.3.4.",  ":::",
		"::1%1",    "[::1]",  "1::2::3",   "12345::",
	};
	struct naru_addr addr;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_false(nr_addr_parse_ip(wrong[i], 1, &addr));
}

static void test_equal_and_wildcard(void **state)
{
	struct naru_addr a = ip("::1", 1), b = ip("0::1", 1), c = ip("::1", 2);
	struct naru_addr any4 = ip("0.0.0.0", 0), any6 = ip("::", 0);

	(void)state;
	assert_true(nr_addr_equal(&a, &b));
	assert_false(nr_addr_equal(&a, &c));
	assert_false(nr_addr_equal(&any4, &any6));
	assert_true(nr_addr_is_wildcard(&any4));
	assert_true(nr_addr_is_wildcard(&any6));
	assert_false(nr_addr_is_wildcard(&a));
	assert_false(nr_addr_is_wildcard(&nr_addr_none));
	nr_addr_set_port(&c, 1);
	assert_true(nr_addr_equal(&a, &c));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_ip_addresses_have_their_texts),
		cmocka_unit_test(test_unix_names_have_their_texts),
		cmocka_unit_test(test_longest_text_fits),
		cmocka_unit_test(test_small_buffer_gives_enospc),
		cmocka_unit_test(test_unknown_address_is_none),
		cmocka_unit_test(test_ip_is_read_strictly),
		cmocka_unit_test(test_equal_and_wildcard),
	};

	return RUN("addr", cases);
}
