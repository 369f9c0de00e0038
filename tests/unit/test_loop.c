/* SPDX-License-Identifier: MIT */
/* The accepting strand's loop. */
#include "io/loop.h"

#include "base/time.h"
#include "os/os_file.h"
#include "os/os_time.h"
#include "unit.h"

#define SOURCES 5

/* Events, each of which counts how often it is ready, and may take another
 * out when it is. */
struct counted {
	struct nr_source source;
	int count;
	int takes_out; /* or -1 */
};

static struct nr_loop loop;
static struct counted all[SOURCES];

static void ready(struct nr_source *source)
{
	struct counted *one = nr_list_entry(source, struct counted, source);

	one->count++;
	if (one->takes_out >= 0)
		nr_loop_remove(&loop, &all[one->takes_out].source);
}

static int set_up(void **state)
{
	(void)state;
	if (nr_loop_init(&loop) < 0)
		return -1;
	for (int i = 0; i < SOURCES; i++) {
		all[i] = (struct counted){.takes_out = -1};
		all[i].source.fd = nr_event_open();
		all[i].source.ready = ready;
		if (nr_loop_add(&loop, &all[i].source) < 0)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < SOURCES; i++)
		nr_file_close(all[i].source.fd);
	nr_loop_fini(&loop);
	return 0;
}

static int total(void)
{
	int sum = 0;

	for (int i = 0; i < SOURCES; i++)
		sum += all[i].count;
	return sum;
}

static void test_only_what_is_ready_is_called(void **state)
{
	(void)state;
	assert_int_equal(nr_loop_turn(&loop, 0), 0);
	assert_int_equal(total(), 0);
	nr_event_set(all[1].source.fd);
	nr_event_set(all[3].source.fd);
	assert_int_equal(nr_loop_turn(&loop, NR_NEVER), 0);
	assert_int_equal(all[1].count, 1);
	assert_int_equal(all[3].count, 1);
	assert_int_equal(total(), 2);
}

static void test_turn_ends_at_its_time_and_not_before(void **state)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_MS;

	(void)state;
	assert_int_equal(nr_loop_turn(&loop, until), 0);
	assert_true(nr_now() >= until);
	assert_int_equal(total(), 0);
}

static void test_deaf_source_waits(void **state)
{
	(void)state;
	nr_event_set(all[0].source.fd);
	assert_int_equal(nr_loop_listen(&loop, &all[0].source, false), 0);
	assert_int_equal(nr_loop_listen(&loop, &all[0].source, false), 0);
	assert_int_equal(nr_loop_turn(&loop, 0), 0);
	assert_int_equal(total(), 0);
	assert_int_equal(nr_loop_listen(&loop, &all[0].source, true), 0);
	assert_int_equal(nr_loop_turn(&loop, 0), 0);
	assert_int_equal(total(), 1);
}

/* Two that take each other out, both ready: whichever comes first, the other
 * is not called. */
static void test_removed_in_a_turn_is_not_called_in_it(void **state)
{
	(void)state;
	nr_event_set(all[1].source.fd);
	nr_event_set(all[3].source.fd);
	all[1].takes_out = 3;
	all[3].takes_out = 1;
	assert_int_equal(nr_loop_turn(&loop, NR_NEVER), 0);
	assert_int_equal(all[1].count + all[3].count, 1);
}

static void test_source_may_remove_itself(void **state)
{
	(void)state;
	all[2].takes_out = 2;
	nr_event_set(all[2].source.fd);
	assert_int_equal(nr_loop_turn(&loop, NR_NEVER), 0);
	assert_int_equal(nr_loop_turn(&loop, 0), 0);
	assert_int_equal(total(), 1);
}

static void test_source_without_descriptor_is_no_harm(void **state)
{
	struct nr_source none = {.fd = -1};

	(void)state;
	nr_loop_remove(&loop, &none);
	nr_loop_remove(&loop, &all[0].source);
	nr_loop_remove(&loop, &all[0].source);
	nr_event_set(all[0].source.fd);
	assert_int_equal(nr_loop_turn(&loop, 0), 0);
	assert_int_equal(total(), 0);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(test_only_what_is_ready_is_called),
		CASE(test_turn_ends_at_its_time_and_not_before),
		CASE(test_deaf_source_waits),
		CASE(test_removed_in_a_turn_is_not_called_in_it),
		CASE(test_source_may_remove_itself),
		CASE(test_source_without_descriptor_is_no_harm),
	};

	return RUN("loop", cases);
}
