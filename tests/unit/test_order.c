/* SPDX-License-Identifier: MIT */
/* The order in which addresses are called (RFC 8305, section 4). */
#include "client/order.h"

#include <string.h>

#include "net/addr.h"
#include "unit.h"

static struct naru_addr addr(const char *text)
{
	struct naru_addr found;

	assert_true(nr_addr_parse_ip(text, 80, &found));
	return found;
}

/* Adds the addresses in TEXT, which are parted by spaces. */
static void add(struct nr_order *order, const char *text)
{
	struct naru_addr addrs[NR_RESOLVE_MAX];
	char copy[512], *rest = copy, *one;
	int count = 0;

	assert_true(strlen(text) < sizeof(copy));
	memcpy(copy, text, strlen(text) + 1);
	while ((one = strsep(&rest, " ")) != NULL)
		addrs[count++] = addr(one);
	nr_order_add(order, addrs, count);
}

/* The next one is TEXT. */
static void expect(struct nr_order *order, const char *text)
{
	const struct naru_addr wanted = addr(text);
	const int left = order->left;
	const struct naru_addr *next = nr_order_next(order);

	assert_non_null(next);
	assert_true(nr_addr_equal(next, &wanted));
	assert_int_equal(order->left, left - 1);
}

static void expect_end(struct nr_order *order)
{
	assert_null(nr_order_next(order));
	assert_int_equal(order->left, 0);
}

static void test_empty_order_has_no_next(void **state)
{
	struct nr_order order = {0};

	(void)state;
	expect_end(&order);
}

static void test_families_take_turns_and_keep_their_order(void **state)
{
	struct nr_order order = {0};

	(void)state;
	add(&order, "2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1 192.0.2.2");
	expect(&order, "2001:db8::1");
	expect(&order, "192.0.2.1");
	expect(&order, "2001:db8::2");
	expect(&order, "192.0.2.2");
	expect(&order, "2001:db8::3");
	expect_end(&order);
}

static void test_first_one_given_decides_who_begins(void **state)
{
	struct nr_order order = {0};

	(void)state;
	add(&order, "192.0.2.1 192.0.2.2 2001:db8::1");
	expect(&order, "192.0.2.1");
	expect(&order, "2001:db8::1");
	expect(&order, "192.0.2.2");
	expect_end(&order);
}

static void test_one_family_goes_as_it_was_given(void **state)
{
	struct nr_order order = {0};

	(void)state;
	add(&order, "192.0.2.3 192.0.2.1 192.0.2.2");
	expect(&order, "192.0.2.3");
	expect(&order, "192.0.2.1");
	expect(&order, "192.0.2.2");
	expect_end(&order);
}

static void test_late_family_is_next(void **state)
{
	struct nr_order order = {0};

	(void)state;
	add(&order, "192.0.2.1 192.0.2.2");
	expect(&order, "192.0.2.1");
	add(&order, "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2");
	expect(&order, "2001:db8::1");
	expect(&order, "192.0.2.2");
	expect(&order, "2001:db8::2");
	expect_end(&order);
	add(&order, "192.0.2.9");
	expect(&order, "192.0.2.9");
}

static void test_same_address_is_called_once(void **state)
{
	struct nr_order order = {0};

	(void)state;
	add(&order, "192.0.2.1 192.0.2.1");
	add(&order, "192.0.2.1");
	expect(&order, "192.0.2.1");
	add(&order, "192.0.2.1");
	expect_end(&order);
}

static void test_scope_tells_addresses_apart(void **state)
{
	struct nr_order order = {0};
	struct naru_addr both[] = {addr("fe80::1"), addr("fe80::1")};

	(void)state;
	both[0].as.ipv6.sin6_scope_id = 1;
	both[1].as.ipv6.sin6_scope_id = 2;
	nr_order_add(&order, both, 2);
	assert_int_equal(order.left, 2);
}

static void test_more_than_there_is_room_for_are_left_out(void **state)
{
	struct nr_order order = {0};
	struct naru_addr one = addr("192.0.2.1");

	(void)state;
	for (unsigned port = 1; port < 2 * NR_ORDER_MAX; port++) {
		nr_addr_set_port(&one, port);
		nr_order_add(&order, &one, 1);
	}
	for (int i = 0; i < NR_ORDER_MAX; i++)
		assert_non_null(nr_order_next(&order));
	expect_end(&order);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_empty_order_has_no_next),
		cmocka_unit_test(test_families_take_turns_and_keep_their_order),
		cmocka_unit_test(test_first_one_given_decides_who_begins),
		cmocka_unit_test(test_one_family_goes_as_it_was_given),
		cmocka_unit_test(test_late_family_is_next),
		cmocka_unit_test(test_same_address_is_called_once),
		cmocka_unit_test(test_scope_tells_addresses_apart),
		cmocka_unit_test(test_more_than_there_is_room_for_are_left_out),
	};

	return RUN("order", cases);
}
