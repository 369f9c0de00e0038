/* SPDX-License-Identifier: MIT */
/* Helper threads: how many there are, in which order they take jobs, and what
 * becomes of jobs that come, go and end at the same time. */
#include "fiber/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "started.h"
#include "unit.h"

#define STACK  65536
#define JOBS   64
#define ADDERS 4
#define ROUNDS 1500

static struct nr_helpers helpers;

/* What the jobs and the test share: how far they are. */
static struct nr_mutex lock = NR_MUTEX;
static struct nr_cond changed = NR_COND;
static unsigned begun, finished, order[JOBS];
static bool open_gate; /* jobs that wait may go on */

struct job {
	struct nr_job job;
	unsigned number;
	unsigned ran;
	bool done;
	pthread_t thread;
};
static struct job jobs[JOBS];

static struct job *job_of(struct nr_job *job)
{
	return nr_list_entry(job, struct job, job);
}

static void run_at_once(struct nr_job *job)
{
	struct job *self = job_of(job);

	nr_mutex_lock(&lock);
	self->thread = pthread_self();
	self->ran++;
	order[begun++ % JOBS] = self->number;
	nr_cond_broadcast(&changed);
	nr_mutex_unlock(&lock);
}

static void run_behind_gate(struct nr_job *job)
{
	run_at_once(job);
	nr_mutex_lock(&lock);
	while (!open_gate)
		nr_cond_wait(&changed, &lock);
	nr_mutex_unlock(&lock);
}

static void done(struct nr_job *job)
{
	nr_mutex_lock(&lock);
	job_of(job)->done = true;
	finished++;
	nr_cond_broadcast(&changed);
	nr_mutex_unlock(&lock);
}

static int set_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < JOBS; i++)
		jobs[i] = (struct job){
			.job = {.run = run_at_once, .done = done},
			.number = i,
		};
	begun = finished = 0;
	open_gate = false;
	started = 0;
	no_more = false;
	return 0;
}

static void run(unsigned number, void (*fn)(struct nr_job *job))
{
	jobs[number].job.run = fn;
	assert_int_equal(nr_helpers_run(&helpers, &jobs[number].job), 0);
}

static void wait_for(const unsigned *count, unsigned wanted)
{
	nr_mutex_lock(&lock);
	while (*count < wanted)
		nr_cond_wait(&changed, &lock);
	nr_mutex_unlock(&lock);
}

static void pass_gate(void)
{
	nr_mutex_lock(&lock);
	open_gate = true;
	nr_cond_broadcast(&changed);
	nr_mutex_unlock(&lock);
}

/* Waits until every helper has ended for want of work. */
static void wait_for_end(void)
{
	nr_mutex_lock(&helpers.lock);
	while (helpers.running > 0)
		nr_cond_wait(&helpers.none_left, &helpers.lock);
	nr_mutex_unlock(&helpers.lock);
}

static void test_helpers_without_jobs_start_no_thread(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 4, STACK);
	nr_helpers_fini(&helpers);
	assert_int_equal(started, 0);
}

static void test_jobs_one_after_another_share_a_helper(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 4, STACK);
	for (unsigned i = 0; i < JOBS; i++) {
		run(i, run_at_once);
		wait_for(&finished, i + 1);
		assert_false(pthread_equal(jobs[i].thread, pthread_self()));
	}
	nr_helpers_fini(&helpers);
	assert_int_equal(started, 1);
	for (unsigned i = 0; i < JOBS; i++)
		assert_true(jobs[i].ran == 1 && jobs[i].done);
}

static void test_jobs_at_once_have_a_helper_each_up_to_the_most(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 4, STACK);
	for (unsigned i = 0; i < 6; i++)
		run(i, run_behind_gate);
	wait_for(&begun, 4);
	assert_int_equal(started, 4);
	/* The others wait: they can still be taken back. */
	assert_true(nr_helpers_withdraw(&helpers, &jobs[4].job));
	assert_true(nr_helpers_withdraw(&helpers, &jobs[5].job));
	pass_gate();
	nr_helpers_fini(&helpers);
	assert_int_equal(begun, 4);
	assert_int_equal(finished, 4);
}

static void test_queued_jobs_are_begun_in_order(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 1, STACK);
	run(0, run_behind_gate);
	for (unsigned i = 1; i < JOBS; i++)
		run(i, run_at_once);
	pass_gate();
	wait_for(&finished, JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(order[i], i);
	nr_helpers_fini(&helpers);
}

static void test_job_begun_is_not_taken_back(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 1, STACK);
	run(0, run_behind_gate);
	run(1, run_at_once);
	wait_for(&begun, 1);
	assert_false(nr_helpers_withdraw(&helpers, &jobs[0].job));
	assert_true(nr_helpers_withdraw(&helpers, &jobs[1].job));
	assert_false(nr_helpers_withdraw(&helpers, &jobs[1].job));
	/* What was taken back may be queued anew. */
	run(1, run_at_once);
	pass_gate();
	wait_for(&finished, 2);
	assert_false(nr_helpers_withdraw(&helpers, &jobs[0].job));
	nr_helpers_fini(&helpers);
	assert_int_equal(jobs[1].ran, 1);
}

static void test_end_waits_for_jobs_that_run_and_are_queued(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 2, STACK);
	for (unsigned i = 0; i < JOBS; i++)
		run(i, i < 2 ? run_behind_gate : run_at_once);
	wait_for(&begun, 2);
	pass_gate();
	nr_helpers_fini(&helpers);
	assert_int_equal(finished, JOBS);
	assert_int_equal(started, 2);
}

/* Adds the job after it. */
static void run_and_add(struct nr_job *job)
{
	run_behind_gate(job);
	(void)nr_helpers_run(&helpers, &jobs[job_of(job)->number + 1].job);
}

static void test_job_may_add_a_job_at_the_end(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 1, STACK);
	run(0, run_and_add);
	wait_for(&begun, 1);
	pass_gate();
	nr_helpers_fini(&helpers);
	assert_true(jobs[1].done);
}

static void test_idle_helper_ends_and_is_replaced(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 4, STACK);
	helpers.idle_time = NR_NS_PER_MS;
	for (unsigned round = 1; round <= 3; round++) {
		begun = 0;
		open_gate = false;
		for (unsigned i = 0; i < 4; i++)
			run(i, run_behind_gate);
		wait_for(&begun, 4);
		pass_gate();
		wait_for_end();
		assert_int_equal(finished, 4 * round);
		assert_int_equal(started, 4 * round);
	}
	nr_helpers_fini(&helpers);
}

static void test_no_thread_and_none_there_is_an_error(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 4, STACK);
	no_more = true;
	assert_int_equal(nr_helpers_run(&helpers, &jobs[0].job), -EAGAIN);
	no_more = false;
	run(1, run_at_once);
	wait_for(&finished, 1);
	nr_helpers_fini(&helpers);
	assert_int_equal(jobs[0].ran, 0);
	assert_int_equal(jobs[1].ran, 1);
}

static void test_no_thread_where_one_is_there_is_a_wait(void **state)
{
	(void)state;
	nr_helpers_init(&helpers, 4, STACK);
	run(0, run_behind_gate);
	wait_for(&begun, 1);
	no_more = true;
	run(1, run_at_once);
	run(2, run_at_once);
	pass_gate();
	wait_for(&finished, 3);
	nr_helpers_fini(&helpers);
	assert_int_equal(started, 1);
	assert_true(pthread_equal(jobs[0].thread, jobs[2].thread));
}

/* Jobs that are gone as soon as they are done. */
static atomic_uint freed;

static void run_nothing(struct nr_job *job)
{
	job_of(job)->ran++;
}

static void done_free(struct nr_job *job)
{
	free(job_of(job));
	freed++;
}

/* Adds jobs, and takes every third of them back where it still can. */
static void *add_many(void *arg)
{
	const struct nr_job kind = {.run = run_nothing, .done = done_free};

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct job *gone = calloc(1, sizeof(*gone));
		struct job kept = {.job = {.run = run_nothing, .done = done}};

		if (!gone)
			abort();
		gone->job = kind;
		if (nr_helpers_run(&helpers, &gone->job) < 0)
			abort();
		if (i % 3)
			continue;
		if (nr_helpers_run(&helpers, &kept.job) < 0)
			abort();
		if (nr_helpers_withdraw(&helpers, &kept.job))
			continue;
		nr_mutex_lock(&lock);
		while (!kept.done)
			nr_cond_wait(&changed, &lock);
		nr_mutex_unlock(&lock);
	}
	return NULL;
}

static void add_from_many_threads(int64_t idle_time)
{
	struct nr_thread adders[ADDERS];

	freed = 0;
	nr_helpers_init(&helpers, 3, STACK);
	helpers.idle_time = idle_time;
	for (int i = 0; i < ADDERS; i++)
		assert_int_equal(nr_thread_start(&adders[i], STACK, add_many,
		                                 NULL),
		                 0);
	for (int i = 0; i < ADDERS; i++)
		nr_thread_join(adders[i]);
	nr_helpers_fini(&helpers);
	assert_int_equal(freed, ADDERS * ROUNDS);
}

static void test_many_threads_add_and_withdraw(void **state)
{
	(void)state;
	add_from_many_threads(NR_HELPER_IDLE);
	assert_in_range(started, ADDERS + 1, ADDERS + 3);
}

static void test_many_threads_add_while_helpers_end(void **state)
{
	(void)state;
	add_from_many_threads(0);
	assert_true(started > ADDERS);
}

static void test_unused_helpers_survive_fork(void **state)
{
	int status;
	pid_t child;

	(void)state;
	nr_helpers_init(&helpers, 2, STACK);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (nr_helpers_run(&helpers, &jobs[0].job) < 0)
			_exit(1);
		wait_for(&finished, 1);
		nr_helpers_fini(&helpers);
		_exit(jobs[0].ran == 1 ? 0 : 2);
	}
	assert_true(waitpid(child, &status, 0) == child);
	assert_int_equal(status, 0);
	run(0, run_at_once);
	nr_helpers_fini(&helpers);
	assert_int_equal(finished, 1);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup(test, set_up)
	const struct CMUnitTest cases[] = {
		CASE(test_helpers_without_jobs_start_no_thread),
		CASE(test_jobs_one_after_another_share_a_helper),
		CASE(test_jobs_at_once_have_a_helper_each_up_to_the_most),
		CASE(test_queued_jobs_are_begun_in_order),
		CASE(test_job_begun_is_not_taken_back),
		CASE(test_end_waits_for_jobs_that_run_and_are_queued),
		CASE(test_job_may_add_a_job_at_the_end),
		CASE(test_idle_helper_ends_and_is_replaced),
		CASE(test_no_thread_and_none_there_is_an_error),
		CASE(test_no_thread_where_one_is_there_is_a_wait),
		CASE(test_many_threads_add_and_withdraw),
		CASE(test_many_threads_add_while_helpers_end),
		CASE(test_unused_helpers_survive_fork),
	};

	return RUN("helpers", cases);
}
