/* SPDX-License-Identifier: MIT */
/* Lists of networks: what is in them, and what is no list. */
#include "net/networks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/addr.h"
#include "unit.h"

static struct naru_addr addr_of(const char *text)
{
	struct naru_addr addr = {.len = sizeof(sa_family_t)};

	if (strcmp(text, "unix") == 0)
		addr.as.any.sa_family = AF_UNIX;
	else if (strcmp(text, "none") == 0)
		addr = nr_addr_none;
	else
		assert_true(nr_addr_parse_ip(text, 4711, &addr));
	return addr;
}

static const struct {
	const char *list, *addr;
	bool in;
} cases_in[] = {
	{"192.0.2.0/24", "192.0.2.0", true},
	{"192.0.2.0/24", "192.0.2.255", true},
	{"192.0.2.0/24", "192.0.3.0", false},
	{"192.0.2.128/25", "192.0.2.127", false},
	{"192.0.2.128/25", "192.0.2.128", true},
	{"192.0.2.7", "192.0.2.7", true},
	{"192.0.2.7", "192.0.2.6", false},
	{"192.0.2.6/31", "192.0.2.7", true},
	{"192.0.2.7/32", "192.0.2.7", true},
	{"0.0.0.0/0", "255.255.255.255", true},
	{"0.0.0.0/0", "::1", false},
	{"128.0.0.0/1", "127.0.0.1", false},
	{"128.0.0.0/1", "128.0.0.0", true},
	{"2001:db8::/32", "2001:db8:ffff::1", true},
	{"2001:db8::/32", "2001:db9::", false},
	{"2001:db8::/33", "2001:db8:8000::", false},
	{"2001:db8::/127", "2001:db8::1", true},
	{"2001:db8::/127", "2001:db8::2", false},
	{"::1", "::1", true},
	{"::1", "::2", false},
	{"::/0", "2001:db8::1", true},
	{"::/0", "192.0.2.1", false},
	{"::/0", "unix", false},
	/* An IPv4 address is one however it is written. */
	{"192.0.2.0/24", "::ffff:192.0.2.9", true},
	{"::ffff:192.0.2.0/120", "192.0.2.9", true},
	{"::ffff:192.0.2.0/120", "192.0.3.9", false},
	{"::ffff:0:0/96", "10.0.0.1", true},
	{"::/0", "::ffff:192.0.2.9", false},
	{"::/80", "::ffff:192.0.2.9", false},
	/* It is not one where only the end looks so (RFC 4291, 2.5.5.1). */
	{"192.0.2.0/24", "::192.0.2.9", false},
	{"unix", "unix", true},
	{"unix", "127.0.0.1", false},
	{"unix", "none", false},
	{"0.0.0.0/0,::/0,unix", "none", false},
	{"10.0.0.0/8,unix,::1", "::1", true},
	{"10.0.0.0/8,unix,::1", "unix", true},
	{"10.0.0.0/8,unix,::1", "11.0.0.1", false},
};

static void test_addresses_are_in_their_networks(void **state)
{
	struct nr_networks networks;
	struct nr_networks_error error;

	(void)state;
	for (size_t i = 0; i < COUNT(cases_in); i++) {
		struct naru_addr addr = addr_of(cases_in[i].addr);

		assert_int_equal(nr_networks_read(cases_in[i].list, &networks,
		                                  &error),
		                 0);
		if (nr_networks_have(&networks, &addr) != cases_in[i].in)
			fail_msg("%s in %s", cases_in[i].addr,
			         cases_in[i].list);
	}
}

/* Exactly the addresses that agree in the bits that count, for every number
 * of bits. */
static void test_each_bit_that_counts_counts(void **state)
{
	struct nr_networks networks;
	struct nr_networks_error error;
	char text[64];

	(void)state;
	for (unsigned bits = 0; bits <= 128; bits++) {
		snprintf(text, sizeof(text), "::/%u", bits);
		assert_int_equal(nr_networks_read(text, &networks, &error), 0);
		for (unsigned bit = 0; bit < 128; bit++) {
			struct naru_addr addr = addr_of("::");

			addr.as.ipv6.sin6_addr.s6_addr[bit / 8] =
				(uint8_t)(0x80 >> bit % 8);
			assert_int_equal(nr_networks_have(&networks, &addr),
			                 bit >= bits);
		}
	}
}

static const struct {
	const char *list;
	size_t place;
	const char *reason;
} cases_wrong[] = {
	{"", 1, "missing"},
	{",", 1, "missing"},
	{"::1,", 5, "missing"},
	{"::1,,::2", 5, "missing"},
	{"/8", 1, "missing"},
	{" ::1", 1, "not an IP address"},
	{"::1 ", 1, "not an IP address"},
	{"localhost", 1, "not an IP address"},
	{"1.2.3", 1, "not an IP address"},
	{"010.0.0.1", 1, "not an IP address"},
	{"[::1]", 1, "not an IP address"},
	{"fe80::1%1", 1, "not an IP address"},
	{"UNIX", 1, "not an IP address"},
	{"2001:db8:0000:0000:0000:0000:0000:0000:0000:0000", 1,
         "not an IP address"},
	{"::1,unix/1", 9, "nothing may follow unix"},
	{"10.0.0.0/", 10, "up to 32"},
	{"10.0.0.0/33", 10, "up to 32"},
	{"10.0.0.0/08", 10, "up to 32"},
	{"10.0.0.0/-1", 10, "up to 32"},
	{"10.0.0.0/8x", 11, "nothing may follow"},
	{"10.0.0.0/8/8", 11, "nothing may follow"},
	{"::/129", 4, "up to 128"},
	{"::/99999999999999999999", 4, "up to 128"},
	{"unix,10.0.0.1/8", 6, "bits set"},
	{"10.0.0.1/31", 1, "bits set"},
	{"2001:db8::1/64", 1, "bits set"},
	{"::1/127", 1, "bits set"},
	{"::ffff:192.0.2.1/120", 1, "bits set"},
	{"::ffff:0:0/90", 1, "bits set"},
};

static void test_what_is_wrong_is_told_with_its_place(void **state)
{
	struct nr_networks networks;

	(void)state;
	for (size_t i = 0; i < COUNT(cases_wrong); i++) {
		struct nr_networks_error error = {0};

		if (nr_networks_read(cases_wrong[i].list, &networks, &error) !=
		    -EINVAL)
			fail_msg("\"%s\" was read", cases_wrong[i].list);
		if (error.place != cases_wrong[i].place ||
		    !strstr(error.reason, cases_wrong[i].reason))
			fail_msg("\"%s\": at byte %zu: %s", cases_wrong[i].list,
			         error.place, error.reason);
	}
}

static void test_list_has_a_limit(void **state)
{
	static char text[NR_NETWORKS_MAX * 4 + 8];
	struct nr_networks networks;
	struct nr_networks_error error;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < NR_NETWORKS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s::1",
		                        i ? "," : "");
	assert_int_equal(nr_networks_read(text, &networks, &error), 0);
	assert_int_equal(networks.count, NR_NETWORKS_MAX);
	memcpy(text + len, ",::1", 5);
	assert_int_equal(nr_networks_read(text, &networks, &error), -EINVAL);
	assert_int_equal(error.place, len + 2);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_addresses_are_in_their_networks),
		cmocka_unit_test(test_each_bit_that_counts_counts),
		cmocka_unit_test(test_what_is_wrong_is_told_with_its_place),
		cmocka_unit_test(test_list_has_a_limit),
	};

	return RUN("networks", cases);
}
