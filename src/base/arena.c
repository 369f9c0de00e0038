/* SPDX-License-Identifier: MIT */
/* A conversation's memory: see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* The first block's size; each further one doubles, up to the largest. */
#define FIRST_BLOCK   1024
#define LARGEST_BLOCK ((size_t)64 * 1024)

struct nr_arena_block {
	struct nr_arena_block *older;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) char data[];
};

void nr_arena_init(struct nr_arena *arena, size_t limit)
{
	*arena = (struct nr_arena){.limit = limit};
}

/* Adds a block that holds at least NEED bytes. */
static struct nr_arena_block *add_block(struct nr_arena *arena, size_t need)
{
	size_t size = arena->newest ? arena->newest->size * 2 : FIRST_BLOCK;
	size_t room = arena->limit - arena->held;
	struct nr_arena_block *block;

	if (need > room)
		return NULL;
	if (size > LARGEST_BLOCK)
		size = LARGEST_BLOCK;
	if (size < need)
		size = need;
	if (size > room)
		size = room;
	block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	*block = (struct nr_arena_block){.older = arena->newest, .size = size};
	arena->newest = block;
	arena->held += size;
	return block;
}

void *nr_arena_alloc(struct nr_arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct nr_arena_block *block = arena->newest;
	void *piece;

	nr_assert(arena->held <= arena->limit);
	if (size > SIZE_MAX / 2)
		return NULL;
	size = size ? (size + align - 1) / align * align : align;
	if (!block || block->size - block->used < size)
		block = add_block(arena, size);
	if (!block)
		return NULL;
	piece = block->data + block->used;
	block->used += size;
	return memset(piece, 0, size);
}

void nr_arena_fini(struct nr_arena *arena)
{
	struct nr_arena_block *block = arena->newest;

	while (block) {
		struct nr_arena_block *older = block->older;

		free(block);
		block = older;
	}
	nr_arena_init(arena, arena->limit);
}
