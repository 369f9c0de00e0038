/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_MEMORY_H
#define NR_OS_MEMORY_H

/* Pages: address space that is reserved, guarded, and given back. */

#include <stddef.h>

/* What all addresses and sizes below are multiples of. */
size_t nr_memory_page(void);

/*
 * Reserves SIZE bytes that read as zeros and take memory only where they are
 * touched, in small pages even where the system likes huge ones: at HINT
 * where that is free (null: anywhere), else elsewhere. -ENOMEM.
 */
int nr_memory_reserve(void *hint, size_t size, void **ret_memory);

/* Gives back what was reserved. */
void nr_memory_release(void *memory, size_t size);

/*
 * Makes every touch of these bytes a fault: by marks in the page table, which
 * cost no mapping (-EINVAL where the kernel has none, before Linux 6.13), or
 * by a mapping of their own (-ENOMEM where the process has all that it may).
 */
int nr_memory_mark_guard(void *memory, size_t size);
int nr_memory_map_guard(void *memory, size_t size);

/* SIZE bytes that read as zeros, and that processes forked later have in
 * common with this one. Given back by nr_memory_release(). -ENOMEM. */
int nr_memory_share(size_t size, void **ret_memory);

/* Frees the pages, which read as zeros again. Guards stay. */
int nr_memory_drop(void *memory, size_t size);

/* Fills RET_PAGES, an octet for each page, whose lowest bit says whether the
 * page is in memory. */
int nr_memory_resident(const void *memory, size_t size,
                       unsigned char *ret_pages);

#endif
