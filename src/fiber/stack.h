/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_STACK_H
#define NR_FIBER_STACK_H

/*
 * Stacks for the fibers of one thread: slots of one size, cut from segments
 * of address space that are reserved as they are needed, next to each other,
 * so that the kernel keeps all of them as few mappings. Each stack lies above
 * a guard, whose touch is a fault. What is given back is taken next, while it
 * is warm.
 */

#include <stdbool.h>
#include <stddef.h>

/* The usable bytes of one slot, from its lowest address upwards. */
struct nr_stack {
	char *bottom;
	size_t size;
	unsigned slot;
	bool dirty;    /* its last user's words may still be there */
	bool measured; /* nr_stacks_used() may be asked */
};

struct nr_stacks {
	/* What may be changed between nr_stacks_init() and the first stack. */
	bool measured;         /* each stack is, from the first */
	bool no_guard_install; /* guards are mappings, as in old kernels */

	size_t page, slot_size, guard_size;
	unsigned max;
	unsigned made;        /* slots that have a guard: the first ones */
	unsigned per_segment; /* slots */
	unsigned segment_count;
	char **segments;

	/* The slots that are free, with a mark on those that are dirty. Those
	 * that were given back last are at the end; the first TRIMMED hold no
	 * memory, and the first IDLE were not taken since the last trim. */
	unsigned *free;
	unsigned free_count, idle, trimmed;
};

/*
 * An arena for MAX stacks. A slot has SLOT_SIZE bytes, rounded up to whole
 * pages, of which a sixteenth, at least a page, is guard. Takes no address
 * space for stacks before the first is taken. -EINVAL where a slot would hold
 * no stack or MAX is impossible, -ENOMEM.
 */
int nr_stacks_init(struct nr_stacks *stacks, size_t slot_size, unsigned max);

/* Gives all back; no stack may be in use. */
void nr_stacks_fini(struct nr_stacks *stacks);

/*
 * Takes a stack. -EAGAIN where MAX are in use, -ENOMEM where there is no
 * memory, -ENOSPC where the process has all the mappings that it may
 * (vm.max_map_count), because guards are mappings here.
 */
int nr_stacks_take(struct nr_stacks *stacks, struct nr_stack *ret_stack);

/*
 * Has a stack measured that was just taken and not yet used. Being measured
 * costs about a microsecond when the stack is given back, and as much again
 * here where it is dirty; whoever finds that too dear measures some of them.
 */
void nr_stacks_measure(const struct nr_stacks *stacks, struct nr_stack *stack);

/* Gives one back, and returns how deep it was used where that was measured,
 * else 0. */
size_t nr_stacks_give_back(struct nr_stacks *stacks, struct nr_stack stack);

/* How deep a measured stack was used since it was taken, in bytes: down to
 * the lowest word that is not zero. It may be in use. */
size_t nr_stacks_used(const struct nr_stacks *stacks, struct nr_stack stack);

/* What is left to trim. */
enum nr_trim {
	NR_TRIM_NOTHING, /* until a stack is given back */
	NR_TRIM_LATER,   /* once more time has passed */
	NR_TRIM_SOON,    /* now already, but for those who wait meanwhile */
};

/*
 * Gives back the memory of stacks that nobody took since the last call that
 * did not answer NR_TRIM_SOON. A call takes a few hundred of them at most,
 * which is some hundred microseconds.
 */
enum nr_trim nr_stacks_trim(struct nr_stacks *stacks);

/* Which stack's guard ADDRESS lies in, if any. Safe in a signal handler, even
 * in one that interrupts the calls above. */
bool nr_stacks_find_guard(const struct nr_stacks *stacks, const void *address,
                          struct nr_stack *ret_stack);

/* How many are taken. */
unsigned nr_stacks_in_use(const struct nr_stacks *stacks);

#endif
