/* SPDX-License-Identifier: MIT */
/* Endpoints: what is read, and where and why the rest is not. */
#include "net/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "naru.h"
#include "net/addr.h"
#include "net/transport.h"
#include "unit.h"

#define NAME  NR_HOST_NAME
#define ADDR  NR_HOST_ADDRESS
#define LOCAL NR_HOST_LOCALHOST
#define ALL   NR_HOST_ALL

static const struct good {
	const char *text;
	const char *host;
	enum nr_host_kind kind;
	unsigned port;
} good[] = {
	{"localhost", "localhost", LOCAL, 1060},
	{"LocalHost:7", "LocalHost", LOCAL, 7},
	{"tcp://localhost:0", "localhost", LOCAL, 0},
	{"1060", "", LOCAL, 1060},
	{"0", "", LOCAL, 0},
	{"65535", "", LOCAL, 65535},
	{"*", "", ALL, 1060},
	{"*:80", "", ALL, 80},
	{":80", "", ALL, 80},
	{"tcp://:80", "", ALL, 80},
	{"tcp://*", "", ALL, 1060},
	{"127.0.0.1", "127.0.0.1", ADDR, 1060},
	{"0.0.0.0:65535", "0.0.0.0", ADDR, 65535},
	{"tcp://255.255.255.255:1", "255.255.255.255", ADDR, 1},
	{"[::1]", "::1", ADDR, 1060},
	{"[::]:0", "::", ADDR, 0},
	{"tcp://[2001:db8::1]:80", "2001:db8::1", ADDR, 80},
	{"[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1", ADDR, 80},
	{"[fe80::1%2]:80", "fe80::1%2", ADDR, 80},
	{"[fe80::1%eth0]", "fe80::1%eth0", ADDR, 1060},
	{"example.org", "example.org", NAME, 1060},
	{"example.org.:25", "example.org.", NAME, 25},
	{"a-b_c.d1:25", "a-b_c.d1", NAME, 25},
	{"m\xc3\xbcnster.test", "m\xc3\xbcnster.test", NAME, 1060},
	{"1.2.3.example", "1.2.3.example", NAME, 1060},
	{"0x7f.example", "0x7f.example", NAME, 1060},
	{"0xg", "0xg", NAME, 1060},
	{"tcp", "tcp", NAME, 1060},
	{"unix", "unix", NAME, 1060},
};

static void test_good_endpoints_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct nr_endpoint_error error = {0};
		struct nr_endpoint read;

		if (nr_endpoint_parse(good[i].text, &read, &error) != 0)
			fail_msg("%s: byte %zu: %s", good[i].text, error.place,
			         error.reason);
		assert_ptr_equal(read.transport, &nr_transport_tcp);
		assert_int_equal(read.kind, good[i].kind);
		assert_string_equal(read.host, good[i].host);
		assert_int_equal(read.port, good[i].port);
		assert_int_equal(naru_endpoint_check(good[i].text, NULL, 0), 0);
	}
}

static void test_udp_endpoints_are_read(void **state)
{
	struct nr_endpoint_error error = {0};
	struct nr_endpoint read;

	(void)state;
	assert_int_equal(nr_endpoint_parse("udp://[::1]:53", &read, &error), 0);
	assert_ptr_equal(read.transport, &nr_transport_udp);
	assert_string_equal(read.host, "::1");
	assert_int_equal(read.port, 53);
	assert_int_equal(nr_endpoint_parse("udp://*", &read, &error), 0);
	assert_ptr_equal(read.transport, &nr_transport_udp);
	assert_int_equal(read.kind, ALL);
	/* Digits alone are a port only where no transport is named. */
	assert_int_equal(nr_endpoint_parse("udp://53", &read, &error),
	                 -NARU_EENDPOINT);
}

/* Where it is wrong, and a part of why. */
static const struct bad {
	const char *text;
	size_t place;
	const char *reason;
} bad[] = {
	{"", 1, "empty"},
	{"tcp://", 7, "host is missing"},
	{"host:", 6, "port number is missing"},
	{":", 2, "port number is missing"},
	{"*:", 3, "port number is missing"},
	{"host:x", 6, "port number is missing"},
	{"host:-1", 6, "port number is missing"},
	{"host:+1", 6, "port number is missing"},
	{"host: 1", 6, "port number is missing"},
	{"host:65536", 6, "at most 65535"},
	{"host:99999999999999999999", 6, "at most 65535"},
	{"65536", 1, "at most 65535"},
	{"host:01", 6, "leading zeros"},
	{"host:00", 6, "leading zeros"},
	{"010", 1, "leading zeros"},
	{"host:80x", 8, "nothing may follow"},
	{"host:80 ", 8, "nothing may follow"},
	{"host:80/", 8, "nothing may follow"},
	{"host:0x50", 7, "nothing may follow"},
	{"host:80:", 1, "brackets"},
	{"*x", 2, "colon and a port"},
	{"[::1]x", 6, "colon and a port"},
	{"[::1]80", 6, "colon and a port"},
	{"[::1", 5, "] is missing"},
	{"[", 2, "] is missing"},
	{"[]", 2, "not an IPv6"},
	{"[1.2.3.4]", 2, "not an IPv6"},
	{"[localhost]", 2, "not an IPv6"},
	{"[12345::]", 2, "not an IPv6"},
	{"[::1%]", 5, "scope is missing"},
	{"[%1]", 2, "not an IPv6"},
	{"::1", 1, "brackets"},
	{"tcp://::1", 7, "brackets"},
	{"2001:db8::1", 1, "brackets"},
	{"1.2.3", 1, "not an IPv4"},
	{"1.2.3.4.5", 1, "not an IPv4"},
	{"1.2.3.256", 1, "not an IPv4"},
	{"010.0.0.1", 1, "not an IPv4"},
	{"0x7f.1", 1, "not an IPv4"},
	{"0x7f000001", 1, "not an IPv4"},
	{"0X7F.0X1", 1, "not an IPv4"},
	{"tcp://2130706433", 7, "not an IPv4"},
	{"tcp://1.2.3.04", 7, "not an IPv4"},
	{"host name", 5, "part of a host name"},
	{"user@host", 5, "part of a host name"},
	{"tcp://host/path", 11, "part of a host name"},
	{"ho\x01st", 3, "part of a host name"},
	{"tcp:host", 5, "port number is missing"},
	{"sctp://host", 1, "no such transport"},
	{"TCP://host", 1, "no such transport"},
	{"/run/x", 1, "behind unix:"},
	{"unix:", 6, "path is missing"},
	{"unix:@", 7, "name is missing"},
};

static void test_bad_endpoints_say_where_and_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct nr_endpoint_error error = {0};
		struct nr_endpoint read;
		char why[512], place[32];

		if (nr_endpoint_parse(bad[i].text, &read, &error) !=
		    -NARU_EENDPOINT)
			fail_msg("%s was read", bad[i].text);
		if (error.place != bad[i].place ||
		    !strstr(error.reason, bad[i].reason))
			fail_msg("%s: byte %zu: %s", bad[i].text, error.place,
			         error.reason);
		assert_int_equal(naru_endpoint_check(bad[i].text, why,
		                                     sizeof(why)),
		                 -NARU_EENDPOINT);
		snprintf(place, sizeof(place), "at byte %zu: ", error.place);
		assert_non_null(strstr(why, place));
		assert_non_null(strstr(why, error.reason));
	}
}

static void test_host_name_over_limit_is_refused(void **state)
{
	struct nr_endpoint_error error;
	struct nr_endpoint read;
	char text[400];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[255] = '\0';
	assert_int_equal(nr_endpoint_parse(text, &read, &error), 0);
	text[255] = 'a';
	text[256] = '\0';
	assert_int_equal(nr_endpoint_parse(text, &read, &error),
	                 -NARU_EENDPOINT);
	assert_int_equal(error.place, 1);
}

static void test_unix_names_are_read(void **state)
{
	struct nr_endpoint_error error;
	struct nr_endpoint read;
	char text[200] = "unix:";

	(void)state;
	assert_int_equal(nr_endpoint_parse("unix:/run/x", &read, &error), 0);
	assert_ptr_equal(read.transport, &nr_transport_unix);
	assert_string_equal(nr_addr_path(&read.local), "/run/x");
	assert_int_equal(nr_endpoint_parse("unix:rel://x", &read, &error), 0);
	assert_string_equal(nr_addr_path(&read.local), "rel://x");
	assert_int_equal(nr_endpoint_parse("unix:@name", &read, &error), 0);
	assert_null(nr_addr_path(&read.local));
	memset(text + 5, 'a', 107);
	assert_int_equal(nr_endpoint_parse(text, &read, &error), 0);
	text[112] = 'a';
	assert_int_equal(nr_endpoint_parse(text, &read, &error),
	                 -NARU_EENDPOINT);
	assert_int_equal(error.place, 6);
}

static void test_check_fits_any_buffer(void **state)
{
	char why[16] = "", big[5000], *text = big;

	(void)state;
	for (size_t size = 1; size <= sizeof(why); size++) {
		assert_int_equal(naru_endpoint_check("", why, size),
		                 -NARU_EENDPOINT);
		assert_int_equal(strlen(why), size - 1);
	}
	assert_int_equal(naru_endpoint_check("", NULL, 0), -NARU_EENDPOINT);
	memset(big, '\x01', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(naru_endpoint_check(text, why, sizeof(why)),
	                 -NARU_EENDPOINT);
}

static int addrs_of(const char *text, enum naru_family family,
                    struct naru_addr *addrs)
{
	struct nr_endpoint_error error;
	struct nr_endpoint read;

	assert_int_equal(nr_endpoint_parse(text, &read, &error), 0);
	return nr_endpoint_addrs(&read, family, addrs);
}

static void assert_addr(const struct naru_addr *addr, const char *text)
{
	char buf[NARU_ADDR_TEXT];

	assert_string_equal(nr_addr_text(addr, buf), text);
}

static void test_localhost_and_all_are_both_families(void **state)
{
	struct naru_addr addrs[NR_RESOLVE_MAX];

	(void)state;
	assert_int_equal(addrs_of("localhost:7", NARU_FAMILY_ANY, addrs), 2);
	assert_addr(&addrs[0], "127.0.0.1:7");
	assert_addr(&addrs[1], "[::1]:7");
	assert_int_equal(addrs_of("7", NARU_FAMILY_IPV6, addrs), 1);
	assert_addr(&addrs[0], "[::1]:7");
	assert_int_equal(addrs_of("*:7", NARU_FAMILY_ANY, addrs), 2);
	assert_addr(&addrs[0], "0.0.0.0:7");
	assert_addr(&addrs[1], "[::]:7");
	assert_int_equal(addrs_of(":7", NARU_FAMILY_IPV4, addrs), 1);
	assert_addr(&addrs[0], "0.0.0.0:7");
}

static void test_numeric_addresses_need_no_resolver(void **state)
{
	struct naru_addr addrs[NR_RESOLVE_MAX];

	(void)state;
	assert_int_equal(addrs_of("192.0.2.7:9", NARU_FAMILY_ANY, addrs), 1);
	assert_addr(&addrs[0], "192.0.2.7:9");
	assert_int_equal(addrs_of("[2001:db8::7%1]:9", NARU_FAMILY_ANY, addrs),
	                 1);
	assert_addr(&addrs[0], "[2001:db8::7%1]:9");
	assert_int_equal(addrs_of("192.0.2.7", NARU_FAMILY_IPV6, addrs),
	                 -EAFNOSUPPORT);
	assert_int_equal(addrs_of("unix:@x", NARU_FAMILY_IPV6, addrs), 1);
	assert_addr(&addrs[0], "unix:@x");
}

static void test_null_is_the_default_endpoint(void **state)
{
	struct nr_endpoint_error error;
	struct nr_endpoint read;

	(void)state;
	assert_int_equal(nr_endpoint_parse(NULL, &read, &error), 0);
	assert_ptr_equal(read.transport, &nr_transport_tcp);
	assert_int_equal(read.kind, NR_HOST_LOCALHOST);
	assert_int_equal(read.port, NR_PORT_DEFAULT);
	assert_int_equal(naru_endpoint_check(NULL, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_good_endpoints_are_read),
		cmocka_unit_test(test_udp_endpoints_are_read),
		cmocka_unit_test(test_bad_endpoints_say_where_and_why),
		cmocka_unit_test(test_host_name_over_limit_is_refused),
		cmocka_unit_test(test_unix_names_are_read),
		cmocka_unit_test(test_check_fits_any_buffer),
		cmocka_unit_test(test_null_is_the_default_endpoint),
		cmocka_unit_test(test_localhost_and_all_are_both_families),
		cmocka_unit_test(test_numeric_addresses_need_no_resolver),
	};

	return RUN("endpoint", cases);
}
