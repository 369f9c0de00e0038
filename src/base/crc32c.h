/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_CRC32C_H
#define NR_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum CRC-32C (Castagnoli; RFC 9260, appendix A) of LEN more bytes,
 * where CRC is that of those before them, 0 at first. */
uint32_t nr_crc32c(uint32_t crc, const void *data, size_t len);

#endif
