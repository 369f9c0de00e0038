/* SPDX-License-Identifier: MIT */
/* The scheduler, over both engines: how fibers begin, wait, are woken and end,
 * and what other threads may say to them. */
#include "fiber/scheduler.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "engines.h"
#include "fiber/watchdog.h"
#include "os/os_time.h"

#define MANY  200
#define STACK (64 * 1024)

static struct nr_scheduler *scheduler;
static bool over; /* ends a wait that is without a bound */
static char order[MANY * 2 + 1];
static unsigned order_len;
static unsigned stalls;
static int64_t stalled_for;

static void note(char letter)
{
	if (order_len < sizeof(order) - 1)
		order[order_len++] = letter;
}

static void count_stall(struct nr_fiber *fiber, int64_t duration)
{
	assert_ptr_equal(fiber, nr_fiber_self());
	stalls++;
	stalled_for = duration;
}

/* What the watchdog said, which is another thread. */
static struct told {
	_Atomic uint64_t tag;
	_Atomic int64_t duration, thread;
	atomic_uint times;
} told;

static void tell(void *arg, uint64_t tag, int64_t duration, int64_t thread)
{
	struct told *to = arg;

	to->tag = tag;
	to->duration = duration;
	to->thread = thread;
	to->times++;
}

static const struct nr_fiber_watcher watcher = {.stalled = count_stall,
                                                .computes = tell};

static int open_scheduler(void **state, const struct nr_engine_ops *engine)
{
	const struct nr_scheduler_options options = {
		.engine = engine,
		.stack_size = STACK,
		.max = MANY,
		.stall = 50 * NR_NS_PER_MS,
		.watcher = &watcher,
		.watcher_arg = &told,
	};

	(void)state;
	order_len = 0;
	stalls = 0;
	told.times = 0;
	for (size_t i = 0; i < sizeof(order); i++)
		order[i] = '\0';
	return nr_scheduler_open(&scheduler, &options);
}

static int set_up_epoll(void **state)
{
	return open_scheduler(state, &nr_engine_epoll);
}

static int set_up_uring(void **state)
{
	return open_scheduler(state, &nr_engine_uring);
}

static int tear_down(void **state)
{
	(void)state;
	nr_scheduler_close(scheduler);
	scheduler = NULL;
	return 0;
}

static struct nr_fiber *start(void (*fn)(void *arg), void *arg, bool joinable)
{
	const struct nr_fiber_start how = {.fn = fn,
	                                   .arg = arg,
	                                   .joinable = joinable};
	struct nr_fiber *fiber = NULL;

	assert_int_equal(nr_fiber_start(scheduler, &how, &fiber), 0);
	return fiber;
}

/* A turn whose wait is short: in it the last fiber may have ended. */
static void turn(void)
{
	int64_t until = nr_now() + 2 * NR_NS_PER_MS;

	assert_int_equal(nr_scheduler_turn(scheduler, until), 0);
}

/* Turns until every fiber has ended. */
static void run_all(void)
{
	while (nr_scheduler_count(scheduler) > 0)
		turn();
}

static void note_letter(void *arg)
{
	note(*(const char *)arg);
}

static void test_fibers_run_in_the_order_of_their_start(void **state)
{
	static char letters[] = "abc";

	(void)state;
	for (int i = 0; i < 3; i++)
		start(note_letter, &letters[i], false);
	assert_int_equal(nr_scheduler_count(scheduler), 3);
	assert_int_equal(order_len, 0);
	run_all();
	assert_string_equal(order, "abc");
	assert_null(nr_fiber_self());
}

static void test_argument_is_copied_to_the_stack(void **state)
{
	char letter = 'x';
	const struct nr_fiber_start how = {.fn = note_letter,
	                                   .arg = &letter,
	                                   .size = sizeof(letter)};
	struct nr_fiber *fiber;

	(void)state;
	assert_int_equal(nr_fiber_start(scheduler, &how, &fiber), 0);
	letter = 'y';
	run_all();
	assert_string_equal(order, "x");
}

static void park_for_ever(void *arg)
{
	(void)arg;
	assert_int_equal(nr_fiber_park(nr_fiber_self(), NR_NEVER), 0);
	note('w');
}

static void wake_other(void *arg)
{
	note('a');
	nr_fiber_wake(arg);
	nr_fiber_wake(arg);
	note('b');
}

static void test_parked_fiber_goes_on_when_woken(void **state)
{
	struct nr_fiber *parked;

	(void)state;
	parked = start(park_for_ever, NULL, false);
	start(wake_other, parked, false);
	run_all();
	assert_string_equal(order, "abw");
}

static void test_wake_before_the_park_is_kept(void **state)
{
	struct nr_fiber *parked;

	(void)state;
	parked = start(park_for_ever, NULL, false);
	/* It has not run at all yet. */
	nr_fiber_wake(parked);
	run_all();
	assert_string_equal(order, "w");
}

static void park_briefly(void *arg)
{
	int64_t until = *(int64_t *)arg;

	assert_int_equal(nr_fiber_park(nr_fiber_self(), until), -ETIMEDOUT);
	assert_true(nr_now() >= until);
	note((char)('0' + (until / NR_NS_PER_MS) % 2));
}

static void test_timers_end_parks_never_early(void **state)
{
	int64_t until[MANY], now = nr_now();

	(void)state;
	for (int i = 0; i < MANY; i++) {
		until[i] = now + (i * 37 % MANY) * NR_NS_PER_MS / 4;
		start(park_briefly, &until[i], false);
	}
	run_all();
	assert_int_equal(order_len, MANY);
}

/* A timer that was set for an earlier wait does not end a later one. */
static void park_twice(void *arg)
{
	struct nr_fiber *self = nr_fiber_self();
	int64_t begun = nr_now();

	nr_fiber_wake(self);
	assert_int_equal(nr_fiber_park(self, begun + 5 * NR_NS_PER_MS), 0);
	note('1');
	assert_int_equal(nr_fiber_park(self, begun + 60 * NR_NS_PER_MS),
	                 -ETIMEDOUT);
	assert_true(nr_now() - begun >= 60 * NR_NS_PER_MS);
	note(*(const char *)arg);
}

static void test_old_timers_end_no_new_park(void **state)
{
	static char two = '2';

	(void)state;
	start(park_twice, &two, false);
	run_all();
	assert_string_equal(order, "12");
}

static void be_cancelled(void *arg)
{
	struct nr_fiber *self = nr_fiber_self();

	(void)arg;
	assert_int_equal(nr_fiber_park(self, NR_NEVER), -ECANCELED);
	assert_int_equal(nr_fiber_park(self, NR_NEVER), -ECANCELED);
	/* What goes through it does. */
	assert_int_equal(nr_fiber_park_through(self, nr_now() + 1), -ETIMEDOUT);
	note('c');
}

static void test_cancelled_fiber_parks_no_more(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		start(be_cancelled, NULL, false);
	/* One of them has parked by then, and two have not begun. */
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	start(be_cancelled, NULL, false);
	nr_scheduler_cancel(scheduler);
	run_all();
	assert_string_equal(order, "cccc");
}

static void stay_parked(void *arg)
{
	(void)arg;
	assert_int_equal(nr_fiber_park_through(nr_fiber_self(), NR_NEVER), 0);
	note('s');
}

static void test_park_through_outlasts_cancelling(void **state)
{
	struct nr_fiber *staying;

	(void)state;
	staying = start(stay_parked, NULL, false);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	nr_fiber_cancel(staying);
	nr_scheduler_cancel(scheduler);
	for (int i = 0; i < 3; i++)
		assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
	assert_int_equal(order_len, 0);
	nr_fiber_wake(staying);
	run_all();
	assert_string_equal(order, "s");
}

static void join_other(void *arg)
{
	struct nr_fiber *self = nr_fiber_self();

	assert_int_equal(nr_fiber_await_end(self, arg, nr_now() + NR_NS_PER_MS),
	                 -ETIMEDOUT);
	note('t');
	nr_fiber_wake(arg);
	assert_int_equal(nr_fiber_await_end(self, arg, NR_NEVER), 0);
	note('j');
	/* It has ended: asking again costs no wait, also when cancelled. */
	nr_fiber_cancel(self);
	assert_int_equal(nr_fiber_await_end(self, arg, NR_NEVER), 0);
	nr_fiber_join(self, arg);
}

static void test_join_waits_for_the_end(void **state)
{
	struct nr_fiber *other;

	(void)state;
	other = start(park_for_ever, NULL, true);
	start(join_other, other, false);
	run_all();
	assert_string_equal(order, "twj");
}

static void test_more_fibers_than_allowed_are_refused(void **state)
{
	const struct nr_fiber_start how = {.fn = park_for_ever};
	struct nr_fiber *fibers[MANY], *more = NULL;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			fibers[i] = start(park_for_ever, NULL, false);
		assert_int_equal(nr_fiber_start(scheduler, &how, &more),
		                 -EAGAIN);
		assert_null(more);
		assert_int_equal(nr_scheduler_count(scheduler), MANY);
		for (int i = 0; i < MANY; i++)
			nr_fiber_wake(fibers[i]);
		run_all();
	}
	assert_int_equal(order_len, 2 * MANY);
}

static void pass_and_note(void *arg)
{
	struct nr_fiber *self = nr_fiber_self();

	for (int i = 0; i < 3; i++) {
		note(*(const char *)arg);
		assert_int_equal(self->io.engine->parking->pass(&self->io), 0);
	}
}

static void test_passing_lets_the_others_run(void **state)
{
	static char letters[] = "abc";

	(void)state;
	for (int i = 0; i < 3; i++)
		start(pass_and_note, &letters[i], false);
	run_all();
	assert_string_equal(order, "abcabcabc");
}

static void compute(void *arg)
{
	int64_t until = nr_now() + *(int64_t *)arg;

	while (nr_now() < until)
		;
	(void)nr_fiber_park(nr_fiber_self(), nr_now() + 1);
}

static void test_only_long_computing_is_a_stall(void **state)
{
	int64_t brief = NR_NS_PER_MS, lengthy = 120 * NR_NS_PER_MS;
	unsigned before;

	(void)state;
	start(compute, &lengthy, false);
	run_all();
	assert_int_equal(stalls, 1);
	/* The clock of it is coarse. */
	assert_true(stalled_for >= 100 * NR_NS_PER_MS);
	/* A wait of the whole thread is nobody's stall. A busy machine may make
	 * one of anything, but not each time. */
	for (int tries = 0; tries < 20; tries++) {
		before = stalls;
		(void)nr_scheduler_turn(scheduler,
		                        nr_now() + 60 * NR_NS_PER_MS);
		start(compute, &brief, false);
		run_all();
		if (stalls == before)
			return;
	}
	fail_msg("%u stalls", stalls);
}

#define TAG 4711

static void compute_until_told(void *arg)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_S, told_for;

	(void)arg;
	while (told.times == 0 && nr_now() < until)
		;
	assert_int_equal(told.times, 1);
	assert_int_equal(told.tag, TAG);
	assert_int_equal(told.thread, gettid());
	told_for = told.duration;
	assert_true(told_for > 50 * NR_NS_PER_MS);
	/* What is told when it waits comes then. */
	assert_int_equal(stalls, 0);
	(void)nr_fiber_park(nr_fiber_self(), nr_now() + 1);
	assert_int_equal(stalls, 1);
	assert_true(stalled_for >= told_for);
	note('c');
}

static void start_tagged(void (*fn)(void *arg))
{
	const struct nr_fiber_start how = {.fn = fn, .tag = TAG};
	struct nr_fiber *fiber;

	assert_int_equal(nr_fiber_start(scheduler, &how, &fiber), 0);
}

static void test_computing_is_told_of_before_its_end(void **state)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_S;

	(void)state;
	start_tagged(compute_until_told);
	run_all();
	/* And where the watchdog has come to rest. */
	while (!nr_watchdog_rests && nr_now() < until)
		assert_int_equal(nr_scheduler_turn(scheduler,
		                                   nr_now() +
		                                           100 * NR_NS_PER_MS),
		                 0);
	assert_true(nr_watchdog_rests);
	told.times = stalls = 0;
	start_tagged(compute_until_told);
	run_all();
	assert_string_equal(order, "cc");
}

/* Another scheduler, at which the watchdog looks in the same go. */
static struct nr_watch beside;
static _Atomic bool beside_asleep;
static atomic_uint looks;

static void count_look(struct nr_watch *watch, uint64_t tag, int64_t duration)
{
	(void)tag;
	(void)duration;
	nr_watch_since(watch, nr_now());
	looks++;
}

static void note_nothing(void *arg)
{
	(void)arg;
}

static void outlast_looks(struct nr_post *post)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_S;

	(void)post;
	looks = 0;
	while (looks < 2 && nr_now() < until)
		;
	assert_true(looks >= 2);
	over = true;
}

static void post_behind_fiber(void)
{
	static struct nr_post post = {.fn = outlast_looks};

	over = false;
	told.times = 0;
	nr_list_init(&post.node);
	start_tagged(note_nothing);
	nr_scheduler_post(scheduler, &post);
	while (!over)
		assert_int_equal(nr_scheduler_turn(scheduler, NR_NEVER), 0);
	run_all();
}

/* What the scheduler itself is busy with is no fiber's stall. */
static void test_post_is_not_told_of(void **state)
{
	(void)state;
	beside = (struct nr_watch){.asleep = &beside_asleep,
	                           .threshold = 60 * NR_NS_PER_MS,
	                           .computes = count_look};
	nr_watch_since(&beside, nr_now());
	nr_watch_tag(&beside, 1);
	nr_watchdog_add(&beside);
	/* On a busy machine the fiber may take long, but not each time. */
	for (int tries = 0; tries < 20; tries++) {
		post_behind_fiber();
		if (told.times == 0)
			break;
	}
	nr_watchdog_remove(&beside);
	assert_int_equal(told.times, 0);
}

/* What other threads say. */

#define WAKES 20000

static _Atomic unsigned pings, pongs;

static void be_over(struct nr_post *post)
{
	(void)post;
	over = true;
}
static struct nr_post last = {.fn = be_over};

static void answer_pings(void *arg)
{
	struct nr_fiber *self = nr_fiber_self();

	(void)arg;
	while (pongs < WAKES) {
		while (pongs == pings)
			assert_int_equal(nr_fiber_park(self, NR_NEVER), 0);
		pongs++;
	}
}

static void *send_pings(void *arg)
{
	for (unsigned i = 1; i <= WAKES; i++) {
		pings = i;
		nr_fiber_wake(arg);
		while (pongs < i)
			sched_yield();
		/* It may have ended when it knows of the last one. */
	}
	nr_scheduler_post(scheduler, &last);
	return NULL;
}

static void join_ended(void *arg)
{
	nr_fiber_join(nr_fiber_self(), arg);
}

static void test_no_wake_from_another_thread_is_lost(void **state)
{
	struct nr_fiber *fiber;
	pthread_t thread;

	(void)state;
	pings = pongs = 0;
	over = false;
	nr_list_init(&last.node);
	fiber = start(answer_pings, NULL, true);
	assert_int_equal(pthread_create(&thread, NULL, send_pings, fiber), 0);
	while (!over)
		assert_int_equal(nr_scheduler_turn(scheduler, NR_NEVER), 0);
	assert_int_equal(pongs, WAKES);
	assert_int_equal(pthread_join(thread, NULL), 0);
	start(join_ended, fiber, false);
	run_all();
}

static void *cancel_other(void *arg)
{
	nr_fiber_cancel(arg);
	return NULL;
}

static void test_another_thread_cancels(void **state)
{
	struct nr_fiber *fiber;
	pthread_t thread;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		fiber = start(be_cancelled, NULL, true);
		/* Half of them have parked by then. */
		if (i % 2)
			assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
		assert_int_equal(pthread_create(&thread, NULL, cancel_other,
		                                fiber),
		                 0);
		while (fiber->state != NR_FIBER_ENDED)
			turn();
		assert_int_equal(pthread_join(thread, NULL), 0);
		start(join_ended, fiber, false);
		run_all();
	}
	assert_int_equal(order_len, MANY);
}

#define POSTERS 3
#define POSTS   3000

struct posted {
	struct nr_post post;
	unsigned poster, number;
};

static struct posted posted[POSTERS][POSTS];
static unsigned arrived[POSTERS];

static void arrive(struct nr_post *post)
{
	struct posted *one = nr_list_entry(post, struct posted, post);

	assert_null(nr_fiber_self());
	assert_int_equal(one->number, arrived[one->poster]);
	arrived[one->poster]++;
}

static void *post_all(void *arg)
{
	struct posted *mine = arg;

	for (int i = 0; i < POSTS; i++)
		nr_scheduler_post(scheduler, &mine[i].post);
	return NULL;
}

static void test_posts_arrive_once_and_in_order(void **state)
{
	pthread_t threads[POSTERS];

	(void)state;
	for (unsigned k = 0; k < POSTERS; k++) {
		arrived[k] = 0;
		for (unsigned i = 0; i < POSTS; i++) {
			posted[k][i] = (struct posted){{.fn = arrive}, k, i};
			nr_list_init(&posted[k][i].post.node);
		}
		assert_int_equal(pthread_create(&threads[k], NULL, post_all,
		                                posted[k]),
		                 0);
	}
	while (arrived[0] + arrived[1] + arrived[2] < POSTERS * POSTS)
		assert_int_equal(nr_scheduler_turn(scheduler, NR_NEVER), 0);
	for (unsigned k = 0; k < POSTERS; k++)
		assert_int_equal(pthread_join(threads[k], NULL), 0);
}

#define BOTH(test)                                                             \
	{#test " (epoll)", test, set_up_epoll, tear_down, NULL},               \
	{                                                                      \
#test " (uring)", test, set_up_uring, tear_down, NULL          \
	}

int main(void)
{
	struct CMUnitTest cases[] = {
		BOTH(test_fibers_run_in_the_order_of_their_start),
		BOTH(test_argument_is_copied_to_the_stack),
		BOTH(test_parked_fiber_goes_on_when_woken),
		BOTH(test_wake_before_the_park_is_kept),
		BOTH(test_timers_end_parks_never_early),
		BOTH(test_old_timers_end_no_new_park),
		BOTH(test_cancelled_fiber_parks_no_more),
		BOTH(test_park_through_outlasts_cancelling),
		BOTH(test_join_waits_for_the_end),
		BOTH(test_more_fibers_than_allowed_are_refused),
		BOTH(test_passing_lets_the_others_run),
		BOTH(test_only_long_computing_is_a_stall),
		BOTH(test_computing_is_told_of_before_its_end),
		BOTH(test_post_is_not_told_of),
		BOTH(test_no_wake_from_another_thread_is_lost),
		BOTH(test_another_thread_cancels),
		BOTH(test_posts_arrive_once_and_in_order),
	};

	return _cmocka_run_group_tests("scheduler", cases,
	                               keep_possible(cases, COUNT(cases)), NULL,
	                               NULL);
}
