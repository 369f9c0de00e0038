/* SPDX-License-Identifier: MIT */
/* How many mappings the stacks of many fibers are, and what is said where
 * there are no more of them. */
#include "fiber/stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fiber/context.h"
#include "mappings.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

/* A tool that has mappings of its own for ours, or needs more of them when
 * we have taken all. */
#ifdef NR_TOLD
#define MAPPINGS_ARE_OURS false
#else
#define MAPPINGS_ARE_OURS (!RUNNING_ON_VALGRIND)
#endif

#define KIB   ((size_t)1024)

#define CROWD 200000

/* Takes stacks until there are CROWD or an error, and touches some of them in
 * each mapping: the kernel joins no touched one to another that easily. */
static int take_crowd(struct nr_stacks *stacks, struct nr_stack *crowd,
                      unsigned *ret_count)
{
	unsigned count = 0;
	int err = 0;

	while (count < CROWD) {
		err = nr_stacks_take(stacks, &crowd[count]);
		if (err < 0)
			break;
		if (count % 64 == 0)
			crowd[count].bottom[crowd[count].size - 1] = 1;
		count++;
	}
	*ret_count = count;
	return err;
}

static void give_crowd(struct nr_stacks *stacks, struct nr_stack *crowd,
                       unsigned count)
{
	while (count-- > 0)
		nr_stacks_give_back(stacks, crowd[count]);
	nr_stacks_fini(stacks);
	free(crowd);
}

static void test_stacks_two_hundred_thousand_are_few_mappings(void **state)
{
	struct nr_stack *crowd;
	unsigned before, count;
	struct nr_stacks stacks;
	int err;

	(void)state;
	crowd = calloc(CROWD, sizeof(*crowd));
	assert_non_null(crowd);
	assert_int_equal(nr_stacks_init(&stacks, 256 * KIB, CROWD), 0);
	before = count_mappings();
	err = take_crowd(&stacks, crowd, &count);
	if (stacks.no_guard_install) {
		/* This kernel's guards are mappings, of which there are not
		 * so many. */
		assert_int_equal(err, -ENOSPC);
		assert_in_range(count, 10000, CROWD);
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(nr_stacks_in_use(&stacks), CROWD);
		assert_in_range(count_mappings(), before, before + 20);
	}
	give_crowd(&stacks, crowd, count);
	assert_in_range(count_mappings(), before - 1, before + 2);
}

static void test_stacks_running_out_of_mappings_is_told(void **state)
{
	struct nr_stack *crowd, more;
	struct nr_stacks stacks;
	unsigned count;
	int err;

	(void)state;
	crowd = calloc(CROWD, sizeof(*crowd));
	assert_non_null(crowd);
	assert_int_equal(nr_stacks_init(&stacks, 16 * KIB, CROWD), 0);
	stacks.no_guard_install = true;
	err = take_crowd(&stacks, crowd, &count);
	/* Somebody may have raised vm.max_map_count. */
	if (err < 0)
		assert_int_equal(err, -ENOSPC);
	assert_in_range(count, 10000, CROWD);
	assert_int_equal(nr_stacks_in_use(&stacks), count);
	/* Nothing is spoilt: what is given back is taken again. */
	nr_stacks_give_back(&stacks, crowd[count - 1]);
	assert_int_equal(nr_stacks_take(&stacks, &more), 0);
	assert_int_equal(nr_stacks_take(&stacks, &more), err ? err : -EAGAIN);
	give_crowd(&stacks, crowd, count);
	assert_in_range(count_mappings(), 1, 1000);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(
			test_stacks_two_hundred_thousand_are_few_mappings),
		cmocka_unit_test(test_stacks_running_out_of_mappings_is_told),
	};

	if (!MAPPINGS_ARE_OURS) {
		/* Meson wants success beside a plan that skips all. */
		printf("1..0 # SKIP this tool has mappings of its own\n");
		return 0;
	}
	return RUN("stack_mappings", cases);
}
