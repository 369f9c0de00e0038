/* SPDX-License-Identifier: MIT */
/* The checksum, beside what others publish of it and the plain division. */
#include "base/crc32c.h"

#include <string.h>

#include "unit.h"

/* RFC 3720, appendix B.4, has these sums. */
static void test_published_sums(void **state)
{
	unsigned char bytes[32] = {0};

	(void)state;
	assert_int_equal(nr_crc32c(0, "", 0), 0);
	assert_int_equal(nr_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(nr_crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(nr_crc32c(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (unsigned char)i;
	assert_int_equal(nr_crc32c(0, bytes, 32), 0x46dd794e);
}

/* Bit by bit, as the definition has it. */
static uint32_t divide(const unsigned char *data, size_t len)
{
	uint32_t crc = ~(uint32_t)0;

	for (size_t i = 0; i < len * 8; i++) {
		uint32_t bit = (data[i / 8] >> i % 8 ^ crc) & 1;

		crc = crc >> 1 ^ (bit ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void test_every_byte_and_every_split(void **state)
{
	unsigned char bytes[256];

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (unsigned char)(i * 167);
	for (size_t i = 0; i <= sizeof(bytes); i++) {
		uint32_t crc = nr_crc32c(0, bytes, i);

		assert_int_equal(crc, divide(bytes, i));
		assert_int_equal(nr_crc32c(crc, bytes + i, sizeof(bytes) - i),
		                 divide(bytes, sizeof(bytes)));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_published_sums),
		cmocka_unit_test(test_every_byte_and_every_split),
	};

	return RUN("crc32c", cases);
}
