/* SPDX-License-Identifier: MIT */
/*
 * Stacks: see stack.h. The kernel is asked when a slot is used for the first
 * time (a guard), when a stack has been idle (its memory goes back) and about
 * a stack that is measured; else taking and giving back are a step of an
 * index.
 *
 * A measured stack is zero below what was used of it. It begins so, as fresh
 * or cleaned memory, and is cleaned when it is given back.
 */
#include "fiber/stack.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "fiber/context.h"
#include "os/os_memory.h"

#ifdef NR_TOLD_ADDRESS
#include <sanitizer/asan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_DEFINED
#define VALGRIND_MAKE_MEM_DEFINED(start, size) (void)0
#define VALGRIND_DISABLE_ERROR_REPORTING       (void)0
#define VALGRIND_ENABLE_ERROR_REPORTING        (void)0
#endif

/* How much address space is reserved at a time. */
#define SEGMENT_SIZE ((size_t)64 * 1024 * 1024)

/* A guard's share of its slot: larger than a page, since a function may step
 * over as much as its largest array without touching it. */
#define GUARD_SHARE 16

/* How many stacks one trim takes: each costs about a microsecond, for which
 * all conversations wait. */
#define TRIM_MOST 256

/* The mark on a free slot that was used and not cleaned. */
#define DIRTY (1U << 31)

/* How many pages the kernel is asked about at a time. */
#define ASK_PAGES 64

int nr_stacks_init(struct nr_stacks *stacks, size_t slot_size, unsigned max)
{
	size_t page = nr_memory_page();
	size_t guard_size, segments;

	if (max == 0 || max >= DIRTY || slot_size < 2 * page ||
	    slot_size > SEGMENT_SIZE)
		return -EINVAL;
	slot_size = (slot_size + page - 1) / page * page;
	guard_size = (slot_size / GUARD_SHARE + page - 1) / page * page;
	*stacks = (struct nr_stacks){
		.page = page,
		.slot_size = slot_size,
		.guard_size = guard_size,
		.max = max,
		.per_segment = (unsigned)(SEGMENT_SIZE / slot_size),
	};
	if (stacks->per_segment > max)
		stacks->per_segment = max;
	segments = max / stacks->per_segment + 1;
	/* Neither takes memory for what is not yet used of it. */
	stacks->segments = calloc(segments, sizeof(*stacks->segments));
	stacks->free = calloc(max, sizeof(*stacks->free));
	if (stacks->segments && stacks->free)
		return 0;
	free(stacks->segments);
	free(stacks->free);
	return -ENOMEM;
}

void nr_stacks_fini(struct nr_stacks *stacks)
{
	nr_assert(nr_stacks_in_use(stacks) == 0);
	while (stacks->segment_count > 0)
		nr_memory_release(stacks->segments[--stacks->segment_count],
		                  stacks->per_segment * stacks->slot_size);
	free(stacks->segments);
	free(stacks->free);
	*stacks = (struct nr_stacks){0};
}

unsigned nr_stacks_in_use(const struct nr_stacks *stacks)
{
	nr_assert(stacks->free_count <= stacks->made);
	return stacks->made - stacks->free_count;
}

/* The lowest address of a slot: its guard's. */
static char *slot_at(const struct nr_stacks *stacks, unsigned slot)
{
	return stacks->segments[slot / stacks->per_segment] +
	       slot % stacks->per_segment * stacks->slot_size;
}

static struct nr_stack stack_at(const struct nr_stacks *stacks, unsigned slot)
{
	return (struct nr_stack){
		.bottom = slot_at(stacks, slot) + stacks->guard_size,
		.size = stacks->slot_size - stacks->guard_size,
		.slot = slot,
	};
}

/* Reserves one more segment, next to the last one if it can be. */
static int add_segment(struct nr_stacks *stacks)
{
	size_t size = stacks->per_segment * stacks->slot_size;
	void *hint = NULL, *memory;
	int err;

	if (stacks->segment_count > 0)
		hint = stacks->segments[stacks->segment_count - 1] - size;
	err = nr_memory_reserve(hint, size, &memory);
	if (err < 0)
		return err;
	/* In this order: a signal handler may look at any time. */
	stacks->segments[stacks->segment_count] = memory;
	__atomic_signal_fence(__ATOMIC_RELEASE);
	stacks->segment_count++;
	return 0;
}

/* The first refusal of the cheap way says that the kernel does not know it.
 * A guard that is put where one is already does no harm. */
static int put_guard(struct nr_stacks *stacks, void *memory)
{
	int err = -EINVAL;

	if (!stacks->no_guard_install)
		err = nr_memory_mark_guard(memory, stacks->guard_size);
	if (err != -EINVAL)
		return err;
	stacks->no_guard_install = true;
	err = nr_memory_map_guard(memory, stacks->guard_size);
	return err == -ENOMEM ? -ENOSPC : err;
}

/* Makes a slot that was never used. */
static int make_slot(struct nr_stacks *stacks)
{
	int err;

	if (stacks->made == stacks->max)
		return -EAGAIN;
	if (stacks->made / stacks->per_segment == stacks->segment_count) {
		err = add_segment(stacks);
		if (err < 0)
			return err;
	}
	err = put_guard(stacks, slot_at(stacks, stacks->made));
	if (err < 0)
		return err;
	stacks->made++;
	return 0;
}

/* The first word from FROM that is not zero, or null. Poison is looked
 * through: the frames that are read may be dead. */
__attribute__((no_sanitize_address)) static char *first_word(char *from,
                                                             size_t size)
{
	const uint64_t *word = (const void *)from;
	size_t count = size / sizeof(*word), i = 0;

	/* A signal that is taken meanwhile leaves poison anew. */
	VALGRIND_DISABLE_ERROR_REPORTING;
	(void)VALGRIND_MAKE_MEM_DEFINED(from, size);
	while (i < count && word[i] == 0)
		i++;
	VALGRIND_ENABLE_ERROR_REPORTING;
	return i < count ? from + i * sizeof(*word) : NULL;
}

/* Makes all of a stack as clean for the tools as it is for us. */
static void lift_poison(struct nr_stack stack)
{
	(void)stack;
#ifdef NR_TOLD_ADDRESS
	__asan_unpoison_memory_region(stack.bottom, stack.size);
#endif
	(void)VALGRIND_MAKE_MEM_DEFINED(stack.bottom, stack.size);
}

/* What a walk over a stack's pages knows. */
struct walk {
	size_t page;
	struct nr_stack stack;
	bool clean;   /* what it finds */
	char *lowest; /* word that is not zero, or null so far */
};

/* Goes over PAGES pages from AT, of which RESIDENT says which are in memory:
 * the others are neither read nor written. */
static void walk_pages(struct walk *walk, char *at, size_t pages,
                       const unsigned char *resident)
{
	for (size_t i = 0; i < pages; i++, at += walk->page) {
		size_t skip = 0;

		if (!(resident[i] & 1))
			continue;
		if (!walk->lowest) {
			walk->lowest = first_word(at, walk->page);
			if (!walk->lowest)
				continue;
			skip = (size_t)(walk->lowest - at);
		}
		if (walk->clean)
			memset(at + skip, 0, walk->page - skip);
	}
}

/* Finds how deep a stack was used. A page that was swapped out counts as one
 * that was never touched. */
static size_t walk_stack(struct walk *walk)
{
	unsigned char resident[ASK_PAGES];
	char *at = walk->stack.bottom, *end = at + walk->stack.size;

	while (at < end) {
		size_t pages = (size_t)(end - at) / walk->page;

		if (pages > ASK_PAGES)
			pages = ASK_PAGES;
		/* Who does not know looks at all of them. */
		if (nr_memory_resident(at, pages * walk->page, resident) < 0)
			memset(resident, 1, pages);
		walk_pages(walk, at, pages, resident);
		at += pages * walk->page;
	}
	return walk->lowest ? (size_t)(end - walk->lowest) : 0;
}

void nr_stacks_measure(const struct nr_stacks *stacks, struct nr_stack *stack)
{
	struct walk walk = {
		.page = stacks->page,
		.stack = *stack,
		.clean = true,
	};

	nr_assert(!stack->measured);
	if (stack->dirty)
		(void)walk_stack(&walk);
	stack->dirty = false;
	stack->measured = true;
}

/* Takes the slot that was given back last. */
static struct nr_stack take_free(struct nr_stacks *stacks)
{
	unsigned entry = stacks->free[--stacks->free_count];
	struct nr_stack stack = stack_at(stacks, entry & ~DIRTY);

	stack.dirty = (entry & DIRTY) != 0;
	if (stacks->idle > stacks->free_count)
		stacks->idle = stacks->free_count;
	if (stacks->trimmed > stacks->free_count)
		stacks->trimmed = stacks->free_count;
	return stack;
}

int nr_stacks_take(struct nr_stacks *stacks, struct nr_stack *ret_stack)
{
	struct nr_stack stack;
	int err;

	if (stacks->free_count > 0) {
		stack = take_free(stacks);
	} else {
		err = make_slot(stacks);
		if (err < 0)
			return err;
		stack = stack_at(stacks, stacks->made - 1);
	}
	if (stacks->measured)
		nr_stacks_measure(stacks, &stack);
	*ret_stack = stack;
	return 0;
}

size_t nr_stacks_used(const struct nr_stacks *stacks, struct nr_stack stack)
{
	struct walk walk = {.page = stacks->page, .stack = stack};

	nr_assert(stack.measured);
	return walk_stack(&walk);
}

size_t nr_stacks_give_back(struct nr_stacks *stacks, struct nr_stack stack)
{
	struct walk walk = {
		.page = stacks->page,
		.stack = stack,
		.clean = true,
	};

	nr_assert(stacks->free_count < stacks->made);
	nr_assert(stack.slot < stacks->made);
	nr_assert(stack.bottom ==
	          slot_at(stacks, stack.slot) + stacks->guard_size);
	lift_poison(stack);
	stacks->free[stacks->free_count++] =
		stack.measured ? stack.slot : stack.slot | DIRTY;
	return stack.measured ? walk_stack(&walk) : 0;
}

enum nr_trim nr_stacks_trim(struct nr_stacks *stacks)
{
	unsigned until = stacks->trimmed + TRIM_MOST;

	nr_assert(stacks->trimmed <= stacks->idle);
	nr_assert(stacks->idle <= stacks->free_count);
	if (until > stacks->idle)
		until = stacks->idle;
	for (; stacks->trimmed < until; stacks->trimmed++) {
		unsigned *entry = &stacks->free[stacks->trimmed];
		struct nr_stack stack = stack_at(stacks, *entry & ~DIRTY);

		/* The kernel refuses where pages are locked: they stay. */
		if (nr_memory_drop(stack.bottom, stack.size) == 0)
			*entry &= ~DIRTY;
	}
	if (stacks->trimmed < stacks->idle)
		return NR_TRIM_SOON;
	stacks->idle = stacks->free_count;
	return stacks->trimmed < stacks->idle ? NR_TRIM_LATER : NR_TRIM_NOTHING;
}

bool nr_stacks_find_guard(const struct nr_stacks *stacks, const void *address,
                          struct nr_stack *ret_stack)
{
	size_t segment_size = stacks->per_segment * stacks->slot_size;
	uintptr_t at = (uintptr_t)address;

	for (unsigned i = 0; i < stacks->segment_count; i++) {
		size_t offset = at - (uintptr_t)stacks->segments[i];
		size_t slot = offset / stacks->slot_size +
		              (size_t)i * stacks->per_segment;

		if (offset >= segment_size || slot >= stacks->made)
			continue;
		if (offset % stacks->slot_size >= stacks->guard_size)
			return false;
		*ret_stack = stack_at(stacks, (unsigned)slot);
		return true;
	}
	return false;
}
