/* SPDX-License-Identifier: MIT */
/* Memory that is freed all at once. */
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#include "unit.h"

static void test_arena_unused_holds_nothing(void **state)
{
	struct nr_arena arena;

	(void)state;
	nr_arena_init(&arena, 1000);
	assert_null(arena.newest);
	assert_int_equal(arena.held, 0);
	nr_arena_fini(&arena);
}

static void test_arena_pieces_are_zero_aligned_and_apart(void **state)
{
	struct nr_arena arena;
	char *piece[50];

	(void)state;
	nr_arena_init(&arena, SIZE_MAX);
	for (size_t i = 0; i < COUNT(piece); i++) {
		size_t size = i * 97;

		piece[i] = nr_arena_alloc(&arena, size);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(piece[i][k], 0);
		memset(piece[i], (int)i + 1, size);
	}
	for (size_t i = 0; i < COUNT(piece); i++)
		for (size_t k = 0; k < i * 97; k++)
			assert_int_equal(piece[i][k], (char)(i + 1));
	nr_arena_fini(&arena);
}

static void test_arena_empty_piece_is_not_null(void **state)
{
	struct nr_arena arena;
	void *first, *second;

	(void)state;
	nr_arena_init(&arena, 1000);
	first = nr_arena_alloc(&arena, 0);
	second = nr_arena_alloc(&arena, 0);
	assert_non_null(first);
	assert_non_null(second);
	assert_ptr_not_equal(first, second);
	nr_arena_fini(&arena);
}

static void test_arena_limit_is_kept(void **state)
{
	struct nr_arena arena;
	size_t got = 0;

	(void)state;
	nr_arena_init(&arena, 10000);
	while (nr_arena_alloc(&arena, 100))
		got += 100;
	assert_in_range(got, 8000, 10000);
	assert_true(arena.held <= 10000);
	assert_null(nr_arena_alloc(&arena, 10000));
	nr_arena_fini(&arena);
	/* It is empty, and as good as new. */
	assert_non_null(nr_arena_alloc(&arena, 10000));
	nr_arena_fini(&arena);
}

static void test_arena_impossible_size_gives_null(void **state)
{
	struct nr_arena arena;

	(void)state;
	nr_arena_init(&arena, SIZE_MAX);
	assert_null(nr_arena_alloc(&arena, SIZE_MAX));
	assert_null(nr_arena_alloc(&arena, SIZE_MAX - 15));
	assert_null(nr_arena_alloc(&arena, SIZE_MAX / 2 + 1));
	nr_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_arena_unused_holds_nothing),
		cmocka_unit_test(test_arena_pieces_are_zero_aligned_and_apart),
		cmocka_unit_test(test_arena_empty_piece_is_not_null),
		cmocka_unit_test(test_arena_limit_is_kept),
		cmocka_unit_test(test_arena_impossible_size_gives_null),
	};

	return RUN("arena", cases);
}
