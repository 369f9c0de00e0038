/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_ARENA_H
#define NR_BASE_ARENA_H

/*
 * Memory that is freed all at once: blocks of growing size, from which pieces
 * are cut one behind the other. It takes nothing before it is first used.
 */

#include <stddef.h>

struct nr_arena_block;

struct nr_arena {
	struct nr_arena_block *newest;
	size_t held;  /* bytes in all blocks */
	size_t limit; /* that held never exceeds */
};

void nr_arena_init(struct nr_arena *arena, size_t limit);

/* SIZE bytes of zeros, aligned for any type; null where there is no memory
 * or the limit is reached. SIZE 0 gives a pointer that is not null. */
void *nr_arena_alloc(struct nr_arena *arena, size_t size);

/* Frees all that was cut, and leaves an empty arena. */
void nr_arena_fini(struct nr_arena *arena);

#endif
