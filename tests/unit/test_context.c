/* SPDX-License-Identifier: MIT */
/* Threads of control on stacks of their own. */
#include "fiber/context.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>

#include "unit.h"

#define STACK_SIZE ((size_t)256 * 1024)

/* One context and whoever resumes it. */
struct pair {
	struct nr_context outer, inner;
	char *stack;
	int steps;
	int mode;
	long half;
};

static void pair_open(struct pair *pair, void (*entry)(void *arg))
{
	*pair = (struct pair){.stack = malloc(STACK_SIZE)};
	assert_non_null(pair->stack);
	nr_context_init_thread(&pair->outer);
	nr_context_init(&pair->inner, pair->stack, STACK_SIZE, entry, pair);
}

static void pair_resume(struct pair *pair)
{
	nr_context_switch(&pair->outer, &pair->inner);
}

static void pair_rest(struct pair *pair)
{
	nr_context_switch(&pair->inner, &pair->outer);
}

static void pair_close(struct pair *pair)
{
	nr_context_fini(&pair->inner);
	nr_context_fini(&pair->outer);
	free(pair->stack);
}

static void count_to_five(void *arg)
{
	struct pair *pair = arg;

	while (++pair->steps < 5)
		pair_rest(pair);
	nr_context_exit_to(&pair->inner, &pair->outer);
}

static void test_context_switches_back_and_forth_until_it_ends(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair, count_to_five);
	assert_int_equal(pair.steps, 0);
	for (int i = 1; i <= 5; i++) {
		pair_resume(&pair);
		assert_int_equal(pair.steps, i);
	}
	pair_close(&pair);
}

static void test_context_that_never_ran_is_forgotten(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair, count_to_five);
	pair_close(&pair);
	assert_int_equal(pair.steps, 0);
}

static void test_context_stack_is_used_anew(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair, count_to_five);
	for (int round = 0; round < 100; round++) {
		pair.steps = 0;
		for (int i = 0; i < 5; i++)
			pair_resume(&pair);
		assert_int_equal(pair.steps, 5);
		nr_context_fini(&pair.inner);
		nr_context_init(&pair.inner, pair.stack, STACK_SIZE,
		                count_to_five, &pair);
	}
	pair_close(&pair);
}

/* Rests at the bottom of a recursion, so that every frame on the way back is
 * one that lay on the stack meanwhile. */
__attribute__((noinline)) static int descend(struct pair *pair, int depth)
{
	volatile char room[100];
	int below = 0;

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (char)(depth & 0x7f);
	if (depth > 0)
		below = descend(pair, depth - 1);
	else
		pair_rest(pair);
	for (size_t i = 0; i < sizeof(room); i++)
		assert_int_equal(room[i], depth & 0x7f);
	return below + 1;
}

static void recurse(void *arg)
{
	struct pair *pair = arg;

	pair->steps = descend(pair, 300);
	nr_context_exit_to(&pair->inner, &pair->outer);
}

static void test_context_rests_deep_in_a_recursion(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair, recurse);
	pair_resume(&pair);
	assert_int_equal(pair.steps, 0);
	pair_resume(&pair);
	assert_int_equal(pair.steps, 301);
	pair_close(&pair);
}

/* How this context rounds a half, in either of the processor's ways. */
static long rounded_half(void)
{
	volatile double half = 0.5;
	volatile long double long_half = 0.5L;

	/* Both units round alike, else this is neither 0 nor 1. */
	return lrint(half) == lrintl(long_half) ? lrint(half) : -1;
}

static void round_up(void *arg)
{
	struct pair *pair = arg;

	pair->mode = fegetround();
	fesetround(FE_UPWARD);
	for (;;) {
		pair->half = rounded_half();
		pair_rest(pair);
	}
}

static void test_context_keeps_its_rounding_mode(void **state)
{
	struct pair pair;

	(void)state;
	assert_int_equal(fegetround(), FE_TONEAREST);
	pair_open(&pair, round_up);
	for (int i = 0; i < 3; i++) {
		pair_resume(&pair);
		assert_int_equal(pair.mode, FE_TONEAREST);
		assert_int_equal(pair.half, 1);
		assert_int_equal(fegetround(), FE_TONEAREST);
		assert_int_equal(rounded_half(), 0);
	}
	fesetround(FE_DOWNWARD);
	pair_resume(&pair);
	assert_int_equal(pair.half, 1);
	assert_int_equal(fegetround(), FE_DOWNWARD);
	assert_int_equal(rounded_half(), 0);
	fesetround(FE_TONEAREST);
	pair_close(&pair);
}

static void test_context_begins_with_its_makers_rounding_mode(void **state)
{
	struct pair pair;

	(void)state;
	fesetround(FE_TOWARDZERO);
	pair_open(&pair, round_up);
	fesetround(FE_TONEAREST);
	pair_resume(&pair);
	assert_int_equal(pair.mode, FE_TOWARDZERO);
	assert_int_equal(fegetround(), FE_TONEAREST);
	pair_close(&pair);
}

/* The entry finds its stack aligned as a called function does. */
static void align(void *arg)
{
	struct pair *pair = arg;
	__attribute__((aligned(16))) char room[64];
	volatile uintptr_t at = (uintptr_t)room;

	pair->steps = (int)(at % 16);
	pair->half = lrint(strtod("2.5", NULL));
	nr_context_exit_to(&pair->inner, &pair->outer);
}

static void test_context_of_any_size_begins_aligned(void **state)
{
	struct pair pair;

	(void)state;
	for (size_t less = 0; less < 32; less++) {
		pair_open(&pair, align);
		nr_context_fini(&pair.inner);
		nr_context_init(&pair.inner, pair.stack, STACK_SIZE - less,
		                align, &pair);
		pair_resume(&pair);
		assert_int_equal(pair.steps, 0);
		assert_int_equal(pair.half, 2);
		pair_close(&pair);
	}
}

/* A ring in which each switches straight to the next. */
#define RING 1000
struct ring {
	struct nr_context thread;
	struct nr_context member[RING];
	int rounds[RING];
	int turn;
};

static struct ring *ring;

static void ring_member(void *arg)
{
	int self = (int)(intptr_t)arg;
	int after = (self + 1) % RING;

	for (;;) {
		ring->rounds[self]++;
		/* The last one goes back, so that the test goes on. */
		if (self == RING - 1)
			nr_context_switch(&ring->member[self], &ring->thread);
		else
			nr_context_switch(&ring->member[self],
			                  &ring->member[after]);
	}
}

static void test_context_many_hand_on_to_each_other(void **state)
{
	const size_t size = (size_t)32 * 1024;
	char *stacks = malloc(RING * size);

	(void)state;
	ring = calloc(1, sizeof(*ring));
	assert_non_null(stacks);
	assert_non_null(ring);
	nr_context_init_thread(&ring->thread);
	for (int i = 0; i < RING; i++)
		nr_context_init(&ring->member[i], stacks + (size_t)i * size,
		                size, ring_member, (void *)(intptr_t)i);
	for (int round = 1; round <= 10; round++) {
		nr_context_switch(&ring->thread, &ring->member[0]);
		for (int i = 0; i < RING; i++)
			assert_int_equal(ring->rounds[i], round);
	}
	for (int i = 0; i < RING; i++)
		nr_context_fini(&ring->member[i]);
	nr_context_fini(&ring->thread);
	free(ring);
	free(stacks);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(
			test_context_switches_back_and_forth_until_it_ends),
		cmocka_unit_test(test_context_that_never_ran_is_forgotten),
		cmocka_unit_test(test_context_stack_is_used_anew),
		cmocka_unit_test(test_context_rests_deep_in_a_recursion),
		cmocka_unit_test(test_context_keeps_its_rounding_mode),
		cmocka_unit_test(
			test_context_begins_with_its_makers_rounding_mode),
		cmocka_unit_test(test_context_of_any_size_begins_aligned),
		cmocka_unit_test(test_context_many_hand_on_to_each_other),
	};

	return RUN("context", cases);
}
