/* SPDX-License-Identifier: MIT */
/* The watchdog: what it tells of and how often, when it rests, and whose it is.
 * The schedulers that it looks at are made up here. */
#include "fiber/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "os/os_time.h"
#include "started.h"
#include "unit.h"

#define THRESHOLD (20 * NR_NS_PER_MS)

static atomic_uint joined, timed; /* threads, and waits for a time */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker chooses these names. */
int __real_pthread_join(pthread_t id, void **ret_value);
int __wrap_pthread_join(pthread_t id, void **ret_value);
int __wrap_pthread_join(pthread_t id, void **ret_value)
{
	joined++;
	return __real_pthread_join(id, ret_value);
}

int __real_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  clockid_t clock, const struct timespec *at);
int __wrap_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  clockid_t clock, const struct timespec *at);
int __wrap_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  clockid_t clock, const struct timespec *at)
{
	timed++;
	return __real_pthread_cond_clockwait(cond, mutex, clock, at);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* A scheduler, as the watchdog sees it, and what it was told of. */
struct seen {
	struct nr_watch watch;
	_Atomic bool asleep;
	atomic_uint times;
	_Atomic uint64_t tag;
	_Atomic int64_t duration;
};
static struct seen one, two;

static struct seen *seen_of(struct nr_watch *watch)
{
	return nr_list_entry(watch, struct seen, watch);
}

static void note(struct nr_watch *watch, uint64_t tag, int64_t duration)
{
	struct seen *seen = seen_of(watch);

	seen->tag = tag;
	seen->duration = duration;
	seen->times++;
}

static void fill_in(struct seen *seen)
{
	seen->asleep = false;
	seen->times = 0;
	nr_watch_tag(&seen->watch, 0);
	nr_watch_since(&seen->watch, 0);
	seen->watch.asleep = &seen->asleep;
	seen->watch.threshold = THRESHOLD;
	seen->watch.computes = note;
	nr_list_init(&seen->watch.node);
	seen->watch.told_tag = 0;
	seen->watch.told_since = 0;
}

static int set_up(void **state)
{
	(void)state;
	no_more = false;
	started = joined = 0;
	fill_in(&one);
	fill_in(&two);
	return 0;
}

static void let_run(struct seen *seen, uint64_t tag)
{
	nr_watch_tag(&seen->watch, 0);
	nr_watch_since(&seen->watch, nr_now());
	nr_watch_tag(&seen->watch, tag);
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NR_NS_PER_MS}, NULL);
}

static void wait_told(struct seen *seen, unsigned times)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_S;

	while (seen->times < times && nr_now() < until)
		rest();
	assert_int_equal(seen->times, times);
}

/* Has the watchdog look at all of them, SEEN the last, while what ran before
 * runs on. */
static void have_looked(struct seen *last)
{
	unsigned before = last->times;

	for (unsigned i = 1; i <= 2; i++) {
		let_run(last, i);
		wait_told(last, before + i);
	}
	nr_watch_tag(&last->watch, 0);
}

static void add_both(void)
{
	nr_watchdog_add(&one.watch);
	nr_watchdog_add(&two.watch);
}

static void remove_both(void)
{
	nr_watchdog_remove(&one.watch);
	nr_watchdog_remove(&two.watch);
}

static void test_computing_is_told_once_while_it_lasts(void **state)
{
	(void)state;
	add_both();
	let_run(&one, 7);
	wait_told(&one, 1);
	assert_int_equal(one.tag, 7);
	assert_true(one.duration > THRESHOLD);
	have_looked(&two);
	assert_int_equal(one.times, 1);
	/* It waited, and does it again. */
	let_run(&one, 7);
	wait_told(&one, 2);
	have_looked(&two);
	assert_int_equal(one.times, 2);
	remove_both();
}

static void test_what_has_no_tag_is_not_told_of(void **state)
{
	(void)state;
	add_both();
	have_looked(&two);
	assert_int_equal(one.times, 0);
	remove_both();
}

static void test_shorter_threshold_counts_at_once(void **state)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_S;

	(void)state;
	one.watch.threshold = 3600 * NR_NS_PER_S;
	timed = 0;
	nr_watchdog_add(&one.watch);
	let_run(&one, 7);
	while (timed == 0 && nr_now() < until)
		rest();
	nr_watchdog_add(&two.watch);
	have_looked(&two);
	assert_int_equal(one.times, 0);
	remove_both();
}

static void wait_for_rest(void)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_S;

	while (!nr_watchdog_rests && nr_now() < until)
		rest();
	assert_true(nr_watchdog_rests);
}

static void test_no_time_is_waited_for_while_all_are_asleep(void **state)
{
	int64_t until;
	unsigned before;

	(void)state;
	one.asleep = two.asleep = true;
	add_both();
	wait_for_rest();
	before = timed;
	until = nr_now() + 10 * THRESHOLD;
	while (nr_now() < until)
		rest();
	assert_true(nr_watchdog_rests);
	assert_int_equal(timed, before);
	/* Who goes on says so. */
	one.asleep = false;
	let_run(&one, 7);
	nr_watchdog_look_out();
	assert_false(nr_watchdog_rests);
	wait_told(&one, 1);
	one.asleep = true;
	nr_watch_tag(&one.watch, 0);
	wait_for_rest();
	remove_both();
}

static void test_thread_lasts_as_long_as_there_is_a_watch(void **state)
{
	(void)state;
	add_both();
	assert_int_equal(started, 1);
	nr_watchdog_remove(&one.watch);
	assert_int_equal(joined, 0);
	nr_watchdog_add(&one.watch);
	assert_int_equal(started, 1);
	remove_both();
	assert_int_equal(joined, 1);
	assert_false(nr_watchdog_rests);
	nr_watchdog_add(&one.watch);
	assert_int_equal(started, 2);
	let_run(&one, 7);
	wait_told(&one, 1);
	nr_watchdog_remove(&one.watch);
	assert_int_equal(joined, 2);
}

static void test_thread_that_cannot_start_is_tried_with_the_next(void **state)
{
	(void)state;
	no_more = true;
	nr_watchdog_add(&one.watch);
	nr_watchdog_remove(&one.watch);
	assert_int_equal(joined, 0);
	nr_watchdog_add(&one.watch);
	let_run(&one, 7);
	nr_watchdog_look_out();
	no_more = false;
	nr_watchdog_add(&two.watch);
	wait_told(&one, 1);
	remove_both();
	assert_int_equal(started, 1);
	assert_int_equal(joined, 1);
}

static int child_status;

/* In a child: what was its parent's is removed in vain, and what is its own is
 * looked at. */
static noreturn void be_child(void)
{
	struct seen own;

	fill_in(&own);
	alarm(20);
	nr_watchdog_look_out();
	nr_watchdog_remove(&one.watch);
	if (joined > 0)
		_exit(1);
	nr_watchdog_add(&own.watch);
	nr_watchdog_remove(&two.watch);
	let_run(&own, 9);
	while (own.times == 0)
		rest();
	nr_watchdog_remove(&own.watch);
	_exit(own.tag == 9 && joined == 1 ? 0 : 2);
}

/* On the watchdog's thread, which locks others out meanwhile. */
static void fork_and_note(struct nr_watch *watch, uint64_t tag,
                          int64_t duration)
{
	pid_t child = fork();

	if (child == 0)
		be_child();
	if (waitpid(child, &child_status, 0) != child)
		child_status = -1;
	note(watch, tag, duration);
}

static void test_child_has_a_watchdog_of_its_own(void **state)
{
	(void)state;
#if defined(__SANITIZE_THREAD__)
	/* It lets no child of a process with threads start one. */
	return;
#endif
	one.watch.computes = fork_and_note;
	child_status = -1;
	add_both();
	let_run(&one, 7);
	wait_told(&one, 1);
	assert_int_equal(child_status, 0);
	/* And its parent has its own. */
	have_looked(&two);
	remove_both();
	assert_int_equal(joined, 1);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup(test, set_up)
	const struct CMUnitTest cases[] = {
		CASE(test_computing_is_told_once_while_it_lasts),
		CASE(test_what_has_no_tag_is_not_told_of),
		CASE(test_shorter_threshold_counts_at_once),
		CASE(test_no_time_is_waited_for_while_all_are_asleep),
		CASE(test_thread_lasts_as_long_as_there_is_a_watch),
		CASE(test_thread_that_cannot_start_is_tried_with_the_next),
		CASE(test_child_has_a_watchdog_of_its_own),
	};

	return RUN("watchdog", cases);
}
