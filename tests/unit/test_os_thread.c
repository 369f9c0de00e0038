/* SPDX-License-Identifier: MIT */
/* Waiting for a condition until a point in time. */
#include "os/os_thread.h"

#include <errno.h>

#include "base/time.h"
#include "os/os_time.h"
#include "unit.h"

static struct nr_mutex lock = NR_MUTEX;
static struct nr_cond cond = NR_COND;
static bool told;

static void *tell(void *arg)
{
	(void)arg;
	nr_mutex_lock(&lock);
	told = true;
	nr_cond_signal(&cond);
	nr_mutex_unlock(&lock);
	return NULL;
}

/* Waits until the thread has told, or for as long as UNTIL allows. */
static int wait_until_told(int64_t until)
{
	struct nr_thread thread;
	int err = 0;

	told = false;
	nr_mutex_lock(&lock);
	assert_int_equal(nr_thread_start(&thread, 65536, tell, NULL), 0);
	while (!told && err == 0)
		err = nr_cond_wait_until(&cond, &lock, until);
	nr_mutex_unlock(&lock);
	nr_thread_join(thread);
	return err;
}

static void test_wait_ends_at_its_time_and_not_before(void **state)
{
	int64_t until = nr_now() + 20 * NR_NS_PER_MS;

	(void)state;
	nr_mutex_lock(&lock);
	while (nr_cond_wait_until(&cond, &lock, until) == 0)
		assert_true(nr_now() < until);
	assert_true(nr_now() >= until);
	nr_mutex_unlock(&lock);
}

static void test_past_time_ends_the_wait_at_once(void **state)
{
	(void)state;
	nr_mutex_lock(&lock);
	assert_int_equal(nr_cond_wait_until(&cond, &lock, 0), -ETIMEDOUT);
	nr_mutex_unlock(&lock);
}

static void test_signal_ends_the_wait(void **state)
{
	(void)state;
	assert_int_equal(wait_until_told(nr_now() + 60 * NR_NS_PER_S), 0);
	assert_int_equal(wait_until_told(NR_NEVER), 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_wait_ends_at_its_time_and_not_before),
		cmocka_unit_test(test_past_time_ends_the_wait_at_once),
		cmocka_unit_test(test_signal_ends_the_wait),
	};

	return RUN("os_thread", cases);
}
