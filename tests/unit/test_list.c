/* SPDX-License-Identifier: MIT */
/* A ring of nodes. */
#include "base/list.h"

#include "unit.h"

struct item {
	int number;
	struct nr_list node;
};

static struct nr_list head;
static struct item items[4] = {{.number = 0},
                               {.number = 1},
                               {.number = 2},
                               {.number = 3}};

/* The numbers in the ring, as digits. */
static int digits(void)
{
	struct nr_list *node, *after;
	int all = 0;

	nr_list_for_each (node, after, &head)
		all = all * 10 + nr_list_entry(node, struct item, node)->number;
	return all;
}

static void test_append_keeps_order(void **state)
{
	(void)state;
	nr_list_init(&head);
	assert_true(nr_list_empty(&head));
	nr_list_append(&head, &items[1].node);
	nr_list_append(&head, &items[2].node);
	nr_list_append(&head, &items[3].node);
	assert_int_equal(digits(), 123);
	assert_false(nr_list_empty(&head));
}

static void test_removed_twice_does_no_harm(void **state)
{
	(void)state;
	nr_list_init(&head);
	for (int i = 1; i < 4; i++)
		nr_list_append(&head, &items[i].node);
	nr_list_remove(&items[2].node);
	nr_list_remove(&items[2].node);
	assert_int_equal(digits(), 13);
}

static void test_visited_node_may_be_removed(void **state)
{
	struct nr_list *node, *after;
	int seen = 0;

	(void)state;
	nr_list_init(&head);
	for (int i = 1; i < 4; i++)
		nr_list_append(&head, &items[i].node);
	nr_list_for_each (node, after, &head) {
		nr_list_remove(node);
		seen++;
	}
	assert_int_equal(seen, 3);
	assert_true(nr_list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_append_keeps_order),
		cmocka_unit_test(test_removed_twice_does_no_harm),
		cmocka_unit_test(test_visited_node_may_be_removed),
	};

	return RUN("list", cases);
}
