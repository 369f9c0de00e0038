/* SPDX-License-Identifier: MIT */
/* Datagrams that wait: their order, their limits, what is dropped. */
#include "net/demux.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/packed.h"
#include "unit.h"

static struct naru_addr peer_of(unsigned number)
{
	struct naru_addr peer = {.len = sizeof(peer.as.ipv4)};

	peer.as.ipv4.sin_family = AF_INET;
	peer.as.ipv4.sin_port = htons((uint16_t)(number % 60000 + 1));
	peer.as.ipv4.sin_addr.s_addr = htonl(0x0a000000 + number / 60000);
	return peer;
}

static const struct naru_addr nowhere;

static void add(struct nr_demux *demux, unsigned from, const char *text)
{
	struct naru_addr peer = peer_of(from);

	nr_demux_add(demux, &peer, &nowhere, text, strlen(text));
}

/* What the first one has sent, with a space behind each; it goes. */
static void expect_first(struct nr_demux *demux, unsigned from,
                         const char *texts)
{
	struct nr_pending *first = nr_demux_first(demux);
	struct naru_addr peer = peer_of(from);
	char seen[1024] = "";
	size_t len, at = 0, used = 0;
	char *data;

	assert_non_null(first);
	assert_true(nr_pending_is(first, &peer));
	data = nr_demux_take(demux, first, &len);
	while (at < len) {
		used += (size_t)snprintf(seen + used, sizeof(seen) - used,
		                         "%s ", data + at + NR_PACKED_HEAD);
		at += nr_packed_size(nr_packed_len(data + at));
	}
	assert_int_equal(at, len);
	assert_string_equal(seen, texts);
	free(data);
}

static void test_peers_and_datagrams_keep_their_order(void **state)
{
	struct nr_demux demux;

	(void)state;
	nr_demux_init(&demux, &nr_demux_limits_default);
	assert_null(nr_demux_first(&demux));
	add(&demux, 2, "a");
	add(&demux, 1, "b");
	add(&demux, 2, "");
	add(&demux, 3, "c");
	add(&demux, 1, "d");
	add(&demux, 2, "e");
	assert_int_equal(demux.count, 3);
	expect_first(&demux, 2, "a  e ");
	expect_first(&demux, 1, "b d ");
	/* It is somebody new now. */
	add(&demux, 2, "f");
	expect_first(&demux, 3, "c ");
	expect_first(&demux, 2, "f ");
	assert_int_equal(demux.count, 0);
	assert_int_equal(demux.dropped, 0);
	nr_demux_fini(&demux);
}

static void test_addresses_of_ours_tell_peers_apart(void **state)
{
	struct naru_addr peer = peer_of(1), one = peer_of(7), two = peer_of(8);
	struct nr_demux demux;

	(void)state;
	nr_demux_init(&demux, &nr_demux_limits_default);
	nr_demux_add(&demux, &peer, &one, "1", 1);
	nr_demux_add(&demux, &peer, &two, "2", 1);
	assert_int_equal(demux.count, 2);
	expect_first(&demux, 1, "1 ");
	expect_first(&demux, 1, "2 ");
	nr_demux_fini(&demux);
}

static void test_oldest_datagram_makes_room(void **state)
{
	const struct nr_demux_limits limits = {4, 3, 1000};
	struct nr_demux demux;
	char text[16];

	(void)state;
	nr_demux_init(&demux, &limits);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%d", i);
		add(&demux, 5, text);
	}
	assert_int_equal(nr_demux_first(&demux)->dropped, 7);
	expect_first(&demux, 5, "7 8 9 ");
	nr_demux_fini(&demux);
}

static void test_bytes_are_limited(void **state)
{
	const struct nr_demux_limits limits = {4, 100,
	                                       2 * (10 + NR_PACKED_EXTRA)};
	struct nr_demux demux;

	(void)state;
	nr_demux_init(&demux, &limits);
	add(&demux, 5, "aaaaaaaaaa");
	add(&demux, 5, "bbbbbbbbbb");
	assert_int_equal(nr_demux_first(&demux)->dropped, 0);
	add(&demux, 5, "c");
	assert_int_equal(nr_demux_first(&demux)->dropped, 1);
	add(&demux, 5, "dddddddddddddddddddd");
	assert_int_equal(nr_demux_first(&demux)->dropped, 3);
	expect_first(&demux, 5, "dddddddddddddddddddd ");
	nr_demux_fini(&demux);
}

static void test_oldest_peer_makes_room_unless_held(void **state)
{
	const struct nr_demux_limits limits = {3, 10, 1000};
	struct nr_demux demux;

	(void)state;
	nr_demux_init(&demux, &limits);
	add(&demux, 1, "a");
	add(&demux, 1, "b");
	add(&demux, 2, "c");
	add(&demux, 3, "d");
	add(&demux, 4, "e");
	assert_int_equal(demux.count, 3);
	assert_int_equal(demux.dropped, 2);
	nr_demux_first(&demux)->held = true;
	add(&demux, 5, "f");
	assert_int_equal(demux.dropped, 3);
	expect_first(&demux, 2, "c ");
	expect_first(&demux, 4, "e ");
	expect_first(&demux, 5, "f ");
	nr_demux_fini(&demux);
}

static void test_many_peers_are_found_again(void **state)
{
	const struct nr_demux_limits limits = {5000, 2, 1000};
	struct nr_demux demux;
	char text[32];

	(void)state;
	nr_demux_init(&demux, &limits);
	for (int round = 0; round < 2; round++)
		for (unsigned i = 0; i < 5000; i++) {
			snprintf(text, sizeof(text), "%u.%d", i, round);
			add(&demux, i, text);
		}
	assert_int_equal(demux.count, 5000);
	for (unsigned i = 0; i < 4000; i++) {
		snprintf(text, sizeof(text), "%u.0 %u.1 ", i, i);
		expect_first(&demux, i, text);
	}
	/* What is left is dropped, and counted. */
	nr_demux_fini(&demux);
	assert_int_equal(demux.dropped, 2000);
}

static void test_who_has_no_address_is_dropped(void **state)
{
	struct nr_demux demux;

	(void)state;
	nr_demux_init(&demux, &nr_demux_limits_default);
	nr_demux_add(&demux, &nowhere, &nowhere, "x", 1);
	assert_int_equal(demux.count, 0);
	assert_int_equal(demux.dropped, 1);
	nr_demux_fini(&demux);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers_and_datagrams_keep_their_order),
		cmocka_unit_test(test_addresses_of_ours_tell_peers_apart),
		cmocka_unit_test(test_oldest_datagram_makes_room),
		cmocka_unit_test(test_bytes_are_limited),
		cmocka_unit_test(test_oldest_peer_makes_room_unless_held),
		cmocka_unit_test(test_many_peers_are_found_again),
		cmocka_unit_test(test_who_has_no_address_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
