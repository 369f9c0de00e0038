/* SPDX-License-Identifier: MIT */
/* PROXY headers, whole, torn, and with each of their bytes wrong. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "net/addr.h"
#include "unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* A head of version 2, whose length is LEN's two bytes. */
#define HEAD(command, family, len) SIGNATURE command family len
/* 192.0.2.1:4711 calls 192.0.2.2:80. */
#define ADDRS4 "\xc0\0\2\1\xc0\0\2\2\x12\x67\0\x50"
#define BYTES(text)                                                            \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

struct bytes {
	const char *data;
	size_t len;
};

/* Reads exactly LEN bytes, which lie at the end of their memory: a step past
 * it is a sanitizer's. Values are not to be looked at afterwards. */
static enum nr_proxy_state read_exactly(const char *data, size_t len,
                                        struct nr_proxy *ret_proxy)
{
	char *copy = malloc(len ? len : 1);
	enum nr_proxy_state state;

	assert_non_null(copy);
	memcpy(copy, data, len);
	state = nr_proxy_read(copy, len, ret_proxy);
	free(copy);
	return state;
}

static void assert_addrs(const struct nr_proxy *proxy, const char *source,
                         const char *destination)
{
	char text[NARU_ADDR_TEXT];

	assert_true(proxy->announced);
	assert_string_equal(nr_addr_text(&proxy->source, text), source);
	assert_string_equal(nr_addr_text(&proxy->destination, text),
	                    destination);
}

/* Headers that are right. */
static const struct {
	struct bytes bytes;
	unsigned version;
	const char *source, *destination; /* null where nobody is announced */
} right[] = {
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"), 1,
         "192.0.2.1:4711", "192.0.2.2:80"},
	{BYTES("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), 1,
         "0.0.0.0:0", "255.255.255.255:65535"},
	{BYTES("PROXY TCP6 2001:db8::1 ::1 4711 80\r\n"), 1,
         "[2001:db8::1]:4711", "[::1]:80"},
	{BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 80\r\n"), 1,
         "[::ffff:192.0.2.1]:4711", "[::1]:80"},
	{BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{BYTES("PROXY UNKNOWN\r\n"), 1, NULL, NULL},
	{BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         1, NULL, NULL}, /* the longest there is */
	{BYTES("PROXY UNKNOWN \r \0 whatever\r\n"), 1, NULL, NULL},
	{BYTES(HEAD("\x21", "\x11", "\0\x0c") ADDRS4), 2, "192.0.2.1:4711",
         "192.0.2.2:80"},
	{BYTES(HEAD("\x21", "\x12", "\0\x0c") ADDRS4), 2, "192.0.2.1:4711",
         "192.0.2.2:80"},
	{BYTES(HEAD("\x21", "\x21",
                    "\0\x24") "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                              "\x12\x67\0\x50"),
         2, "[2001:db8::1]:4711", "[::1]:80"},
	/* A health check of who stands between; and who is not known. */
	{BYTES(HEAD("\x20", "\x00", "\0\0")), 2, NULL, NULL},
	{BYTES(HEAD("\x20", "\xff", "\0\3") "abc"), 2, NULL, NULL},
	{BYTES(HEAD("\x20", "\x11", "\0\x0c") ADDRS4), 2, NULL, NULL},
	{BYTES(HEAD("\x21", "\x00", "\0\0")), 2, NULL, NULL},
	{BYTES(HEAD("\x21", "\x00", "\0\5") "abcde"), 2, NULL, NULL},
	{BYTES(HEAD("\x21", "\x10", "\0\0")), 2, NULL, NULL},
	{BYTES(HEAD("\x21", "\x01", "\0\0")), 2, NULL, NULL},
	/* Values: of no length, of TLS, that nobody knows. */
	{BYTES(HEAD("\x21", "\x11", "\0\x1f") ADDRS4
               "\4\0\2ab\xee\0\0\x20\0\x08\1\0\0\0\0\x21\0\0"),
         2, "192.0.2.1:4711", "192.0.2.2:80"},
	{BYTES(HEAD("\x21", "\x11", "\0\x13") ADDRS4 "\3\0\4\xa6\xcb\x74\x88"),
         2, "192.0.2.1:4711", "192.0.2.2:80"},
};

/* All of it or more is whole, anything less may become so. */
static void test_every_beginning_asks_for_more(void **state)
{
	struct nr_proxy proxy;
	char more[512];

	(void)state;
	for (size_t i = 0; i < COUNT(right); i++) {
		const struct bytes *bytes = &right[i].bytes;

		for (size_t len = 0; len < bytes->len; len++) {
			if (read_exactly(bytes->data, len, &proxy) !=
			    NR_PROXY_MORE)
				fail_msg("header %zu, %zu bytes: byte %zu: %s",
				         i, len, proxy.place, proxy.reason);
			assert_true(proxy.len == 0 || proxy.len == bytes->len);
		}
		memcpy(more, bytes->data, bytes->len);
		memcpy(more + bytes->len, "PROXY\r\n\r\n", 10);
		for (size_t len = bytes->len; len < bytes->len + 9; len++) {
			if (read_exactly(more, len, &proxy) != NR_PROXY_WHOLE)
				fail_msg("header %zu: byte %zu: %s", i,
				         proxy.place, proxy.reason);
			assert_int_equal(proxy.len, bytes->len);
			assert_int_equal(proxy.version, right[i].version);
			if (right[i].source)
				assert_addrs(&proxy, right[i].source,
				             right[i].destination);
			else
				assert_false(proxy.announced);
		}
	}
}

/* Headers that are wrong, and where. */
static const struct {
	struct bytes bytes;
	size_t place;
	const char *reason;
} wrong[] = {
	{BYTES("G"), 1, "no PROXY header"},
	{BYTES("\n"), 1, "no PROXY header"},
	{BYTES("\0"), 1, "no PROXY header"},
	{BYTES("\x16\3\1"), 1, "no PROXY header"},
	{BYTES("PROXX"), 5, "no PROXY header"},
	{BYTES("PROXY\r\n"), 6, "no PROXY header"},
	{BYTES("PROXY \r\n"), 7, "TCP4, TCP6 or UNKNOWN"},
	{BYTES("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"), 7, "TCP4, TCP6"},
	{BYTES("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"), 7, "TCP4, TCP6"},
	{BYTES("PROXY TCP4\r\n"), 7, "TCP4, TCP6"},
	{BYTES("PROXY TCP4 \r\n"), 12, "a space is missing"},
	{BYTES("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"), 12, "IPv4"},
	{BYTES("PROXY TCP4 ::1 192.0.2.2 1 2\r\n"), 12, "IPv4"},
	{BYTES("PROXY TCP6 192.0.2.1 ::1 1 2\r\n"), 12, "IPv6"},
	{BYTES("PROXY TCP6 ::1 192.0.2.1 1 2\r\n"), 16, "IPv6"},
	{BYTES("PROXY TCP6 fe80::1%1 ::1 1 2\r\n"), 12, "IPv6"},
	{BYTES("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n"), 12, "IPv4"},
	{BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"), 12, "address"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2\r\n"), 31, "a space"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 \r\n"), 32, "a port"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), 33, "a space"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), 32, "a port"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), 32, "a port"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"), 32, "a port"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"), 35, "nothing"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n"), 35, "nothing"},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), 35, "a CR"},
	{BYTES("PROXY UNKNOWN\n"), 14, "a CR"},
	{BYTES("PROXY UNKNOWNS\r\n"), 14, "a space"},
	{BYTES("\r\n\r\n\0\r\nQUIT\r"), 12, "no PROXY header"},
	{BYTES(HEAD("\x11", "\x11", "\0\x0c")), 13, "versions 1 and 2"},
	{BYTES(HEAD("\x31", "\x11", "\0\x0c")), 13, "versions 1 and 2"},
	{BYTES(HEAD("\x22", "\x11", "\0\x0c")), 13, "no such command"},
	{BYTES(HEAD("\x21", "\x41", "\0\x0c")), 14, "no such family"},
	{BYTES(HEAD("\x21", "\x13", "\0\x0c")), 14, "no such family"},
	{BYTES(HEAD("\x21", "\x11", "\0\x0b") "01234567890"), 15, "no room"},
	{BYTES(HEAD("\x21", "\x21", "\0\x0c") ADDRS4), 15, "no room"},
	{BYTES(HEAD("\x21", "\x31", "\0\x0c") ADDRS4), 15, "no room"},
	{BYTES(HEAD("\x21", "\x11", "\x0f\xf1")), 15, "4096"},
	{BYTES(HEAD("\x20", "\x00", "\xff\xff")), 15, "4096"},
	{BYTES(HEAD("\x21", "\x11", "\0\x0d") ADDRS4 "\1"), 29, "past"},
	{BYTES(HEAD("\x21", "\x11", "\0\x0e") ADDRS4 "\1\0"), 29, "past"},
	{BYTES(HEAD("\x21", "\x11", "\0\x0f") ADDRS4 "\1\0\1"), 29, "past"},
	{BYTES(HEAD("\x21", "\x11", "\0\x13") ADDRS4 "\4\0\1x\1\xff\xff"), 33,
         "past"},
	{BYTES(HEAD("\x21", "\x11", "\0\x13") ADDRS4 "\x20\0\4\1\0\0\0"), 29,
         "too short"},
	{BYTES(HEAD("\x21", "\x11", "\0\x17") ADDRS4
               "\x20\0\x08\1\0\0\0\0\x21\0\1"),
         37, "past"},
	{BYTES(HEAD("\x21", "\x11", "\0\x12") ADDRS4 "\3\0\3abc"), 29,
         "checksum of 4"},
	{BYTES(HEAD("\x21", "\x11", "\0\x13") ADDRS4 "\3\0\4abcd"), 32,
         "the checksum"},
	{BYTES(HEAD("\x21", "\x11", "\0\x1a") ADDRS4
               "\3\0\4\xa6\xcb\x74\x88\3\0\4\xa6\xcb\x74\x88"),
         36, "one checksum"},
};

static void test_what_is_wrong_is_told_with_its_place(void **state)
{
	struct nr_proxy proxy;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (read_exactly(wrong[i].bytes.data, wrong[i].bytes.len,
		                 &proxy) != NR_PROXY_WRONG)
			fail_msg("wrong header %zu was read", i);
		if (proxy.place != wrong[i].place ||
		    !strstr(proxy.reason, wrong[i].reason))
			fail_msg("wrong header %zu: at byte %zu: %s", i,
			         proxy.place, proxy.reason);
	}
}

static void test_line_without_an_end_is_wrong_at_its_limit(void **state)
{
	char line[200] = "PROXY UNKNOWN ";
	struct nr_proxy proxy;

	(void)state;
	memset(line + 14, 'x', sizeof(line) - 14);
	for (size_t len = 0; len < NR_PROXY_V1_MAX; len++)
		assert_int_equal(read_exactly(line, len, &proxy),
		                 NR_PROXY_MORE);
	/* Whether a line's end comes later does not matter any more. */
	line[NR_PROXY_V1_MAX - 1] = '\r';
	line[NR_PROXY_V1_MAX] = '\n';
	for (size_t len = NR_PROXY_V1_MAX; len <= sizeof(line); len++) {
		assert_int_equal(read_exactly(line, len, &proxy),
		                 NR_PROXY_WRONG);
		assert_int_equal(proxy.place, NR_PROXY_V1_MAX + 1);
	}
	line[NR_PROXY_V1_MAX - 2] = '\r';
	line[NR_PROXY_V1_MAX - 1] = '\n';
	assert_int_equal(read_exactly(line, sizeof(line), &proxy),
	                 NR_PROXY_WHOLE);
	assert_int_equal(proxy.len, NR_PROXY_V1_MAX);
}

/* Every byte of a header takes every value once. What was wrong in a part
 * stays wrong, at the same place, whatever comes behind it. */
static void try_each_value(const struct bytes *bytes, size_t at)
{
	struct nr_proxy proxy, whole;
	char changed[256];

	memcpy(changed, bytes->data, bytes->len);
	for (int value = 0; value < 256; value++) {
		enum nr_proxy_state all;

		changed[at] = (char)value;
		all = read_exactly(changed, bytes->len, &whole);
		for (size_t len = at; len < bytes->len; len++) {
			enum nr_proxy_state part =
				read_exactly(changed, len, &proxy);

			if (part == NR_PROXY_MORE)
				continue;
			assert_int_equal(part, all);
			assert_int_equal(proxy.place, whole.place);
			assert_int_equal(proxy.len, whole.len);
		}
		if (all == NR_PROXY_WRONG)
			assert_true(whole.place >= 1 &&
			            whole.place <= bytes->len + 1 &&
			            whole.reason);
		else if (all == NR_PROXY_MORE)
			assert_true(whole.len == 0 || whole.len > bytes->len);
	}
}

static void test_each_byte_with_each_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(right); i++)
		for (size_t at = 0; at < right[i].bytes.len; at++)
			try_each_value(&right[i].bytes, at);
}

/* No byte of what a checksum covers may be another. */
static void test_checksum_covers_each_byte(void **state)
{
	static const struct bytes bytes = BYTES(
		HEAD("\x21", "\x11", "\0\x17") ADDRS4 "\3\0\4\0\0\0\0\5\0\1u");
	struct nr_proxy proxy;
	char sealed[64];
	uint32_t sum = htonl(nr_crc32c(0, bytes.data, bytes.len));

	(void)state;
	memcpy(sealed, bytes.data, bytes.len);
	memcpy(sealed + 31, &sum, 4);
	assert_int_equal(read_exactly(sealed, bytes.len, &proxy),
	                 NR_PROXY_WHOLE);
	/* Addresses, value and the checksum itself. */
	for (size_t at = 16; at < bytes.len; at++) {
		if (at >= 28 && at < 31)
			continue; /* says that there is one */
		sealed[at] ^= 0x10;
		assert_int_equal(read_exactly(sealed, bytes.len, &proxy),
		                 NR_PROXY_WRONG);
		sealed[at] ^= 0x10;
	}
}

static void assert_value(struct nr_cursor values, unsigned type,
                         const char *text)
{
	struct nr_cursor value;

	if (!text) {
		assert_false(nr_proxy_value(values, type, &value));
		return;
	}
	assert_true(nr_proxy_value(values, type, &value));
	assert_int_equal(nr_cursor_left(&value), strlen(text));
	assert_memory_equal(value.at, text, strlen(text));
}

static void test_values_are_found(void **state)
{
	static const struct bytes bytes =
		BYTES(HEAD("\x21", "\x11", "\0\x32") ADDRS4
	              "\1\0\2h2\5\0\1u\x20\0\x13\1\0\0\0\0\x21\0\7TLSv1.3"
	              "\x22\0\1n\xee\0\0\5\0\1v");
	struct nr_proxy proxy;

	(void)state;
	assert_int_equal(nr_proxy_read(bytes.data, bytes.len, &proxy),
	                 NR_PROXY_WHOLE);
	assert_value(proxy.values, 0x01, "h2");
	assert_value(proxy.values, 0x05, "u");
	assert_value(proxy.values, 0x21, "TLSv1.3");
	assert_value(proxy.values, 0x22, "n");
	assert_value(proxy.values, 0xee, "");
	assert_value(proxy.values, 0x02, NULL);
	assert_value(proxy.values, 0x23, NULL);
	assert_value(proxy.values, 0x100, NULL);
	assert_value((struct nr_cursor){0}, 0x01, NULL);
}

/* A name of 108 bytes on the wire. */
static void unix_header(char buf[static 232], const char *name, size_t len)
{
	memset(buf, 0, 232);
	memcpy(buf, HEAD("\x21", "\x31", "\0\xd8"), 17);
	memcpy(buf + 16, name, len);
	memcpy(buf + 124, "/run/to", 8);
}

static void test_unix_names_are_read(void **state)
{
	struct nr_proxy proxy;
	char buf[232], longest[108], text[NARU_ADDR_TEXT];

	(void)state;
	unix_header(buf, "/run/from", 9);
	assert_int_equal(read_exactly(buf, 232, &proxy), NR_PROXY_WHOLE);
	assert_addrs(&proxy, "unix:/run/from", "unix:/run/to");
	unix_header(buf, "/run\0from", 9);
	assert_int_equal(read_exactly(buf, 232, &proxy), NR_PROXY_WHOLE);
	assert_addrs(&proxy, "unix:/run", "unix:/run/to");
	unix_header(buf, "\0a\0b", 4);
	assert_int_equal(read_exactly(buf, 232, &proxy), NR_PROXY_WHOLE);
	assert_addrs(&proxy, "unix:@a\\x00b", "unix:/run/to");
	unix_header(buf, "", 0);
	assert_int_equal(read_exactly(buf, 232, &proxy), NR_PROXY_WHOLE);
	assert_addrs(&proxy, "unix:", "unix:/run/to");
	memset(longest, 'x', sizeof(longest));
	unix_header(buf, longest, sizeof(longest));
	assert_int_equal(read_exactly(buf, 232, &proxy), NR_PROXY_WHOLE);
	assert_int_equal(strlen(nr_addr_text(&proxy.source, text)), 5 + 108);
}

/* What is written is read as the same. */
static void test_written_headers_are_read(void **state)
{
	char buf[NR_PROXY_WRITE_MAX], source[NARU_ADDR_TEXT];
	struct nr_proxy proxy, again;

	(void)state;
	for (size_t i = 0; i < COUNT(right); i++) {
		if (read_exactly(right[i].bytes.data, right[i].bytes.len,
		                 &proxy) != NR_PROXY_WHOLE)
			fail_msg("header %zu", i);
		for (unsigned version = 1; version <= 2; version++) {
			size_t len;

			proxy.version = version;
			len = nr_proxy_write(&proxy, buf);
			assert_int_equal(read_exactly(buf, len, &again),
			                 NR_PROXY_WHOLE);
			assert_int_equal(again.len, len);
			assert_int_equal(again.version, version);
			assert_int_equal(again.announced, proxy.announced);
			if (proxy.announced)
				assert_addrs(&again,
				             nr_addr_text(&proxy.source,
				                          source),
				             right[i].destination);
		}
	}
}

static void test_what_has_no_form_is_left_out(void **state)
{
	struct nr_proxy proxy = {.version = 1, .announced = true};
	char buf[NR_PROXY_WRITE_MAX];

	(void)state;
	assert_true(nr_addr_unix("/run/x", 6, false, &proxy.source));
	proxy.destination = proxy.source;
	assert_int_equal(nr_proxy_write(&proxy, buf), 15);
	assert_memory_equal(buf, "PROXY UNKNOWN\r\n", 15);
	proxy.version = 2;
	assert_int_equal(nr_proxy_write(&proxy, buf), 16);
	assert_memory_equal(buf, HEAD("\x20", "\x00", "\0\0"), 16);
	/* A scope is this machine's own. */
	assert_true(nr_addr_parse_ip("fe80::1", 7, &proxy.source));
	proxy.source.as.ipv6.sin6_scope_id = 3;
	proxy.destination = proxy.source;
	proxy.version = 1;
	assert_int_equal(nr_proxy_write(&proxy, buf), 32);
	assert_memory_equal(buf, "PROXY TCP6 fe80::1 fe80::1 7 7\r\n", 32);
	proxy.version = 2;
	assert_true(nr_addr_unix("/run/x", 6, false, &proxy.source));
	/* Two families do not go together. */
	assert_true(nr_addr_parse_ip("::1", 1, &proxy.destination));
	assert_int_equal(nr_proxy_write(&proxy, buf), 16);
	assert_memory_equal(buf, HEAD("\x20", "\x00", "\0\0"), 16);
	proxy.announced = false;
	assert_int_equal(nr_proxy_write(&proxy, buf), 16);
	assert_memory_equal(buf, HEAD("\x20", "\x00", "\0\0"), 16);
	proxy.version = 1;
	assert_int_equal(nr_proxy_write(&proxy, buf), 15);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_every_beginning_asks_for_more),
		cmocka_unit_test(test_what_is_wrong_is_told_with_its_place),
		cmocka_unit_test(
			test_line_without_an_end_is_wrong_at_its_limit),
		cmocka_unit_test(test_each_byte_with_each_value),
		cmocka_unit_test(test_checksum_covers_each_byte),
		cmocka_unit_test(test_values_are_found),
		cmocka_unit_test(test_unix_names_are_read),
		cmocka_unit_test(test_written_headers_are_read),
		cmocka_unit_test(test_what_has_no_form_is_left_out),
	};

	return RUN("proxy", cases);
}
