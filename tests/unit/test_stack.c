/* SPDX-License-Identifier: MIT */
/* Stacks for fibers, and the guards between them. */
#include "fiber/stack.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fiber/context.h"
#include "unit.h"

#define KIB ((size_t)1024)

static void test_stacks_impossible_slots_are_refused(void **state)
{
	struct nr_stacks stacks;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 0), -EINVAL);
	assert_int_equal(nr_stacks_init(&stacks, 0, 1), -EINVAL);
	assert_int_equal(nr_stacks_init(&stacks, page, 1), -EINVAL);
	assert_int_equal(nr_stacks_init(&stacks, SIZE_MAX, 1), -EINVAL);
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 1U << 31), -EINVAL);
}

static void test_stacks_unused_reserve_nothing(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack stack;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 1000000), 0);
	assert_int_equal(stacks.segment_count, 0);
	assert_false(nr_stacks_find_guard(&stacks, &stacks, &stack));
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_NOTHING);
	nr_stacks_fini(&stacks);
}

/* Some sizes are no whole pages, and one segment holds few of the last. */
static void test_stacks_are_apart_and_all_usable(void **state)
{
	static const size_t sizes[] = {8192, 60000, 131072, 16777216};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct nr_stacks stacks;
		struct nr_stack taken[9];

		assert_int_equal(nr_stacks_init(&stacks, sizes[i], 100), 0);
		for (size_t k = 0; k < COUNT(taken); k++) {
			assert_int_equal(nr_stacks_take(&stacks, &taken[k]), 0);
			assert_true(taken[k].size >= sizes[i] / 2);
			memset(taken[k].bottom, (int)k + 1, taken[k].size);
		}
		for (size_t k = 0; k < COUNT(taken); k++) {
			char *end = taken[k].bottom + taken[k].size;

			assert_int_equal(taken[k].bottom[0], k + 1);
			assert_int_equal(end[-1], k + 1);
			nr_stacks_give_back(&stacks, taken[k]);
		}
		nr_stacks_fini(&stacks);
	}
}

static void test_stacks_given_back_last_is_taken_first(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack taken[10], again;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 10), 0);
	for (size_t i = 0; i < COUNT(taken); i++)
		assert_int_equal(nr_stacks_take(&stacks, &taken[i]), 0);
	for (size_t i = 0; i < COUNT(taken); i++)
		nr_stacks_give_back(&stacks, taken[i]);
	for (size_t i = COUNT(taken); i-- > 0;) {
		assert_int_equal(nr_stacks_take(&stacks, &again), 0);
		assert_ptr_equal(again.bottom, taken[i].bottom);
	}
	for (size_t i = 0; i < COUNT(taken); i++)
		nr_stacks_give_back(&stacks, taken[i]);
	nr_stacks_fini(&stacks);
}

static void test_stacks_beyond_the_most_are_refused(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack taken[3], more;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 3), 0);
	for (size_t i = 0; i < COUNT(taken); i++)
		assert_int_equal(nr_stacks_take(&stacks, &taken[i]), 0);
	assert_int_equal(nr_stacks_in_use(&stacks), 3);
	more = taken[0];
	assert_int_equal(nr_stacks_take(&stacks, &more), -EAGAIN);
	assert_ptr_equal(more.bottom, taken[0].bottom);
	nr_stacks_give_back(&stacks, taken[1]);
	assert_int_equal(nr_stacks_in_use(&stacks), 2);
	assert_int_equal(nr_stacks_take(&stacks, &more), 0);
	assert_ptr_equal(more.bottom, taken[1].bottom);
	for (size_t i = 0; i < COUNT(taken); i++)
		nr_stacks_give_back(&stacks, taken[i]);
	nr_stacks_fini(&stacks);
}

/* Which signal a child dies of that writes there; 0 where it lives. */
static int die_of_writing(char *at)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* Whatever a sanitizer does at a fault: we want the kernel's
		 * own answer. */
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)at = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void check_guards(bool no_guard_install)
{
	struct nr_stacks stacks;
	struct nr_stack taken[3], found;

	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 3), 0);
	stacks.no_guard_install = no_guard_install;
	for (size_t i = 0; i < COUNT(taken); i++)
		assert_int_equal(nr_stacks_take(&stacks, &taken[i]), 0);
	for (size_t i = 0; i < COUNT(taken); i++) {
		char *bottom = taken[i].bottom;

		assert_int_equal(die_of_writing(bottom), 0);
		assert_int_equal(die_of_writing(bottom - 1), SIGSEGV);
		assert_int_equal(die_of_writing(bottom - stacks.guard_size),
		                 SIGSEGV);
		assert_true(nr_stacks_find_guard(&stacks, bottom - 1, &found));
		assert_ptr_equal(found.bottom, bottom);
		assert_true(nr_stacks_find_guard(&stacks,
		                                 bottom - stacks.guard_size,
		                                 &found));
		assert_ptr_equal(found.bottom, bottom);
		assert_int_equal(found.slot, taken[i].slot);
		assert_false(nr_stacks_find_guard(&stacks, bottom, &found));
		assert_false(nr_stacks_find_guard(&stacks,
		                                  bottom + taken[i].size - 1,
		                                  &found));
		nr_stacks_give_back(&stacks, taken[i]);
	}
	/* Neither time nor reuse takes a guard away. */
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_LATER);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_NOTHING);
	assert_int_equal(nr_stacks_take(&stacks, &taken[2]), 0);
	assert_int_equal(die_of_writing(taken[2].bottom - 1), SIGSEGV);
	nr_stacks_give_back(&stacks, taken[2]);
	nr_stacks_fini(&stacks);
}

static void test_stacks_guard_faults(void **state)
{
	(void)state;
	check_guards(false);
}

static void test_stacks_guard_by_mapping_faults(void **state)
{
	(void)state;
	check_guards(true);
}

static void test_stacks_guard_of_nothing_is_not_found(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack stack, found;
	char here;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 3000), 0);
	assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
	assert_false(nr_stacks_find_guard(&stacks, NULL, &found));
	assert_false(nr_stacks_find_guard(&stacks, &here, &found));
	/* The next slot is reserved, but has no guard and no stack. */
	assert_false(nr_stacks_find_guard(&stacks, stack.bottom + stack.size,
	                                  &found));
	nr_stacks_give_back(&stacks, stack);
	nr_stacks_fini(&stacks);
}

/* How many pages of a stack are in memory. */
static size_t resident(struct nr_stack stack)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = stack.size / page;
	unsigned char in[1024];
	size_t count = 0;

	assert_true(pages <= sizeof(in));
	assert_int_equal(mincore(stack.bottom, stack.size, in), 0);
	for (size_t i = 0; i < pages; i++)
		count += in[i] & 1;
	return count;
}

static void take_all(struct nr_stacks *stacks, struct nr_stack *taken,
                     size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(nr_stacks_take(stacks, &taken[i]), 0);
		memset(taken[i].bottom, 1, taken[i].size);
	}
}

static void give_all(struct nr_stacks *stacks, const struct nr_stack *taken,
                     size_t count)
{
	while (count-- > 0)
		nr_stacks_give_back(stacks, taken[count]);
}

static void test_stacks_trim_takes_what_was_idle_and_no_other(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack taken[20];

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, COUNT(taken)), 0);
	take_all(&stacks, taken, COUNT(taken));
	give_all(&stacks, taken, COUNT(taken));
	/* Just given back: none of them was idle long enough. */
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_LATER);
	for (size_t i = 0; i < COUNT(taken); i++)
		assert_int_not_equal(resident(taken[i]), 0);
	/* Five are used meanwhile. */
	take_all(&stacks, taken, 5);
	give_all(&stacks, taken, 5);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_LATER);
	for (size_t i = 0; i < COUNT(taken); i++)
		assert_int_equal(resident(taken[i]) == 0, i >= 5);
	/* Then these rest as well, and nothing is left. */
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_NOTHING);
	for (size_t i = 0; i < COUNT(taken); i++)
		assert_int_equal(resident(taken[i]), 0);
	/* What is used again comes back to it. */
	take_all(&stacks, taken, 1);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_NOTHING);
	assert_int_not_equal(resident(taken[0]), 0);
	give_all(&stacks, taken, 1);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_LATER);
	assert_int_not_equal(resident(taken[0]), 0);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_NOTHING);
	assert_int_equal(resident(taken[0]), 0);
	nr_stacks_fini(&stacks);
}

static void test_stacks_trim_takes_many_in_several_calls(void **state)
{
	enum {
		MANY = 1000
	};
	struct nr_stack *taken = calloc(MANY, sizeof(*taken));
	struct nr_stacks stacks;
	size_t calls = 0, left = 0;

	(void)state;
	assert_non_null(taken);
	assert_int_equal(nr_stacks_init(&stacks, 16 * KIB, MANY), 0);
	take_all(&stacks, taken, MANY);
	give_all(&stacks, taken, MANY);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_LATER);
	while (nr_stacks_trim(&stacks) == NR_TRIM_SOON)
		calls++;
	assert_in_range(calls, 1, MANY / 10);
	for (size_t i = 0; i < MANY; i++)
		left += resident(taken[i]);
	assert_int_equal(left, 0);
	nr_stacks_fini(&stacks);
	free(taken);
}

static void test_stacks_used_is_exact_to_the_word(void **state)
{
	static const size_t depths[] = {8, 16, 4088, 4096, 4104, 9000, 57344};
	struct nr_stacks stacks;
	struct nr_stack stack;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 1), 0);
	stacks.measured = true;
	assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
	assert_int_equal(nr_stacks_used(&stacks, stack), 0);
	assert_int_equal(nr_stacks_give_back(&stacks, stack), 0);
	/* Deep ones before shallow ones as well. */
	for (size_t i = 0; i < 2 * COUNT(depths); i++) {
		size_t depth = depths[i * 5 % COUNT(depths)];
		char *end;

		assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
		end = stack.bottom + stack.size;
		assert_int_equal(nr_stacks_used(&stacks, stack), 0);
		end[-(ptrdiff_t)depth] = 1;
		end[-1] = 1;
		assert_int_equal(nr_stacks_used(&stacks, stack), depth);
		assert_int_equal(nr_stacks_used(&stacks, stack), depth);
		assert_int_equal(nr_stacks_give_back(&stacks, stack), depth);
	}
	nr_stacks_fini(&stacks);
}

/* More pages than are asked about at a time, most of them never touched. */
static void test_stacks_used_touches_no_untouched_page(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack stack;
	char *end;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 2048 * KIB, 1), 0);
	stacks.measured = true;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
		end = stack.bottom + stack.size;
		end[-8] = 1;
		end[-(ptrdiff_t)(1000 * KIB)] = 1;
		assert_int_equal(nr_stacks_used(&stacks, stack), 1000 * KIB);
		assert_int_equal(resident(stack), 2);
		assert_int_equal(nr_stacks_give_back(&stacks, stack),
		                 1000 * KIB);
		assert_int_equal(resident(stack), 2);
	}
	nr_stacks_fini(&stacks);
}

static void test_stacks_dirty_one_is_measured_alone(void **state)
{
	struct nr_stacks stacks;
	struct nr_stack stack;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 1), 0);
	assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
	assert_false(stack.dirty);
	memset(stack.bottom, 1, stack.size);
	assert_int_equal(nr_stacks_give_back(&stacks, stack), 0);
	/* What its last user left is not counted. */
	assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
	assert_true(stack.dirty);
	nr_stacks_measure(&stacks, &stack);
	assert_int_equal(nr_stacks_used(&stacks, stack), 0);
	stack.bottom[stack.size - 100] = 1;
	assert_int_equal(nr_stacks_give_back(&stacks, stack), 104);
	/* Now it is clean, until somebody uses it unmeasured. */
	assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
	assert_false(stack.dirty);
	stack.bottom[0] = 1;
	assert_int_equal(nr_stacks_give_back(&stacks, stack), 0);
	/* The kernel cleans as well. */
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_LATER);
	assert_int_equal(nr_stacks_trim(&stacks), NR_TRIM_NOTHING);
	assert_int_equal(nr_stacks_take(&stacks, &stack), 0);
	assert_false(stack.dirty);
	assert_int_equal(stack.bottom[0], 0);
	nr_stacks_give_back(&stacks, stack);
	nr_stacks_fini(&stacks);
}

/* A context that goes as deep as it is told. */
struct diver {
	struct nr_context outer, inner;
	int depth;
	unsigned found;
};

/* Its frames lie on the stack even where a sanitizer likes the heap. */
__attribute__((noinline, no_sanitize_address)) static unsigned dive(
	int depth, const volatile char *above)
{
	volatile char room[512];

	room[0] = (char)depth;
	return depth > 0 ? dive(depth - 1, room) * 3 + (unsigned)room[0]
	                 : (unsigned)*above;
}

static void diver_run(void *arg)
{
	struct diver *diver = arg;

	diver->found = dive(diver->depth, "");
	nr_context_exit_to(&diver->inner, &diver->outer);
}

static size_t dive_on(struct nr_stacks *stacks, int depth)
{
	struct diver diver = {.depth = depth};
	struct nr_stack stack;
	size_t used;

	assert_int_equal(nr_stacks_take(stacks, &stack), 0);
	nr_context_init_thread(&diver.outer);
	nr_context_init(&diver.inner, stack.bottom, stack.size, diver_run,
	                &diver);
	nr_context_switch(&diver.outer, &diver.inner);
	used = nr_stacks_used(stacks, stack);
	nr_context_fini(&diver.inner);
	nr_context_fini(&diver.outer);
	assert_int_equal(nr_stacks_give_back(stacks, stack), used);
	return used;
}

static void test_stacks_used_shows_how_deep_a_context_was(void **state)
{
	struct nr_stacks stacks;
	size_t shallow, deep;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 256 * KIB, 1), 0);
	stacks.measured = true;
	/* What happens once only, such as finding functions, is done. */
	(void)dive_on(&stacks, 1);
	shallow = dive_on(&stacks, 1);
	deep = dive_on(&stacks, 100);
	assert_in_range(shallow, 512, 16 * KIB);
	assert_in_range(deep - shallow, 90 * 512, 100 * 2048);
	assert_int_equal(dive_on(&stacks, 1), shallow);
	nr_stacks_fini(&stacks);
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker's names. What stands in for the kernel refuses where a test says so.
 */
int __real_nr_memory_map_guard(void *memory, size_t size);
int __wrap_nr_memory_map_guard(void *memory, size_t size);
static bool mappings_are_out;

int __wrap_nr_memory_map_guard(void *memory, size_t size)
{
	return mappings_are_out ? -ENOMEM
	                        : __real_nr_memory_map_guard(memory, size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void test_stacks_refused_guard_is_told_and_tried_again(void **state)
{
	struct nr_stack first, more;
	struct nr_stacks stacks;

	(void)state;
	assert_int_equal(nr_stacks_init(&stacks, 64 * KIB, 3), 0);
	stacks.no_guard_install = true;
	assert_int_equal(nr_stacks_take(&stacks, &first), 0);
	mappings_are_out = true;
	assert_int_equal(nr_stacks_take(&stacks, &more), -ENOSPC);
	assert_int_equal(nr_stacks_in_use(&stacks), 1);
	/* Those that have a guard are as good as ever. */
	nr_stacks_give_back(&stacks, first);
	assert_int_equal(nr_stacks_take(&stacks, &first), 0);
	assert_int_equal(nr_stacks_take(&stacks, &more), -ENOSPC);
	mappings_are_out = false;
	assert_int_equal(nr_stacks_take(&stacks, &more), 0);
	assert_int_equal(die_of_writing(more.bottom - 1), SIGSEGV);
	nr_stacks_give_back(&stacks, more);
	nr_stacks_give_back(&stacks, first);
	nr_stacks_fini(&stacks);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_stacks_impossible_slots_are_refused),
		cmocka_unit_test(test_stacks_unused_reserve_nothing),
		cmocka_unit_test(test_stacks_are_apart_and_all_usable),
		cmocka_unit_test(test_stacks_given_back_last_is_taken_first),
		cmocka_unit_test(test_stacks_beyond_the_most_are_refused),
		cmocka_unit_test(test_stacks_guard_faults),
		cmocka_unit_test(test_stacks_guard_by_mapping_faults),
		cmocka_unit_test(test_stacks_guard_of_nothing_is_not_found),
		cmocka_unit_test(
			test_stacks_trim_takes_what_was_idle_and_no_other),
		cmocka_unit_test(test_stacks_trim_takes_many_in_several_calls),
		cmocka_unit_test(test_stacks_used_is_exact_to_the_word),
		cmocka_unit_test(test_stacks_used_touches_no_untouched_page),
		cmocka_unit_test(test_stacks_dirty_one_is_measured_alone),
		cmocka_unit_test(test_stacks_used_shows_how_deep_a_context_was),
		cmocka_unit_test(
			test_stacks_refused_guard_is_told_and_tried_again),
	};

	return RUN("stack", cases);
}
