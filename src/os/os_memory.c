/* SPDX-License-Identifier: MIT */
/* Pages: see os_memory.h. */
#include "os/os_memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Newer than the C library's headers may be. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

size_t nr_memory_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int nr_memory_reserve(void *hint, size_t size, void **ret_memory)
{
	void *memory =
		mmap(hint, size, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
	             -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	/* A kernel without huge pages refuses, and means the same. */
	(void)madvise(memory, size, MADV_NOHUGEPAGE);
	*ret_memory = memory;
	return 0;
}

void nr_memory_release(void *memory, size_t size)
{
	(void)munmap(memory, size);
}

int nr_memory_mark_guard(void *memory, size_t size)
{
	return madvise(memory, size, MADV_GUARD_INSTALL) < 0 ? -errno : 0;
}

int nr_memory_map_guard(void *memory, size_t size)
{
	return mprotect(memory, size, PROT_NONE) < 0 ? -errno : 0;
}

int nr_memory_share(size_t size, void **ret_memory)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	return 0;
}

int nr_memory_drop(void *memory, size_t size)
{
	return madvise(memory, size, MADV_DONTNEED) < 0 ? -errno : 0;
}

int nr_memory_resident(const void *memory, size_t size,
                       unsigned char *ret_pages)
{
	/* The kernel only looks; its prototype does not say so. */
	void *start = (void *)(uintptr_t)memory;

	return mincore(start, size, ret_pages) < 0 ? -errno : 0;
}
