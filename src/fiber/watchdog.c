/* SPDX-License-Identifier: MIT */
/*
 * The watchdog: see watchdog.h. It looks once in the shortest threshold, so
 * that who computes without an end is told of between one and two thresholds
 * after it went on.
 *
 * Whoever adds or removes a watch does it under LIFE, also while the thread is
 * started or joined. The thread itself goes by LOCK alone, and keeps it while
 * it tells: what it tells of is not removed meanwhile.
 *
 * A child of fork(2) has neither the thread nor the schedulers of its parent:
 * there all begins anew, as another era, also what was locked.
 */
#include "fiber/watchdog.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/time.h"
#include "os/os_thread.h"
#include "os/os_time.h"

/* The user's report function runs on it. */
#define STACK_SIZE ((size_t)512 * 1024)

static struct {
	struct nr_mutex life, lock;
	struct nr_cond changed;
	struct nr_list watches;
	struct nr_thread thread;
	bool prepared; /* for a fork */
	bool started, ending;
	unsigned era;
} dog = {
	.life = NR_MUTEX,
	.lock = NR_MUTEX,
	.changed = NR_COND,
	.watches = {&dog.watches, &dog.watches},
};

_Atomic bool nr_watchdog_rests;

void nr_watchdog_wake(void)
{
	nr_mutex_lock(&dog.lock);
	if (atomic_exchange(&nr_watchdog_rests, false))
		nr_cond_signal(&dog.changed);
	nr_mutex_unlock(&dog.lock);
}

/* The thread. */

static struct nr_watch *watch_at(struct nr_list *node)
{
	return nr_list_entry(node, struct nr_watch, node);
}

static bool all_asleep(void)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &dog.watches)
		if (!atomic_load(watch_at(node)->asleep))
			return false;
	return true;
}

static int64_t shortest_threshold(void)
{
	int64_t shortest = NR_NEVER;
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &dog.watches)
		shortest = nr_time_min(shortest, watch_at(node)->threshold);
	return shortest;
}

/* Waits for as long as nobody runs. Where somebody goes on right behind the
 * first look, the second one sees it, or that one sees that we rest. */
static void rest(void)
{
	if (!all_asleep())
		return;
	atomic_store(&nr_watchdog_rests, true);
	while (!dog.ending && atomic_load(&nr_watchdog_rests) && all_asleep())
		nr_cond_wait(&dog.changed, &dog.lock);
	atomic_store(&nr_watchdog_rests, false);
}

/* Waits for a threshold; a shorter one may come meanwhile. */
static void wait_threshold(void)
{
	int64_t begun = nr_now();
	int err = 0;

	while (!dog.ending && err == 0)
		err = nr_cond_wait_until(&dog.changed, &dog.lock,
		                         nr_time_add(begun,
		                                     shortest_threshold()));
}

static void look_at(struct nr_watch *watch, int64_t now)
{
	int64_t since =
		atomic_load_explicit(&watch->since, memory_order_relaxed);
	uint64_t tag = atomic_load_explicit(&watch->tag, memory_order_acquire);

	/* Where another one has gone on meanwhile, neither counts. */
	if (tag == 0 || now - since <= watch->threshold ||
	    atomic_load_explicit(&watch->since, memory_order_relaxed) != since)
		return;
	if (watch->told_tag == tag && watch->told_since == since)
		return;
	watch->told_tag = tag;
	watch->told_since = since;
	watch->computes(watch, tag, now - since);
}

static void look(void)
{
	int64_t now = nr_now_coarse();
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &dog.watches)
		look_at(watch_at(node), now);
}

static void *watchdog_main(void *arg)
{
	(void)arg;
	nr_mutex_lock(&dog.lock);
	while (!dog.ending) {
		rest();
		wait_threshold();
		if (!dog.ending)
			look();
	}
	nr_mutex_unlock(&dog.lock);
	return NULL;
}

/* Its life. */

static void begin_anew(void)
{
	nr_mutex_init(&dog.life);
	nr_mutex_init(&dog.lock);
	nr_cond_init(&dog.changed);
	nr_list_init(&dog.watches);
	dog.started = dog.ending = false;
	dog.era++;
	atomic_store(&nr_watchdog_rests, false);
}

/* Under LIFE. */
static void start(void)
{
	if (!dog.prepared)
		dog.prepared = nr_thread_on_fork(begin_anew) == 0;
	if (dog.prepared && !dog.started)
		dog.started = nr_thread_start(&dog.thread, STACK_SIZE,
		                              watchdog_main, NULL) == 0;
}

/* Under LIFE. */
static void end(void)
{
	if (dog.started)
		nr_thread_join(dog.thread);
	dog.started = dog.ending = false;
}

void nr_watchdog_add(struct nr_watch *watch)
{
	nr_assert(watch->asleep && watch->computes && watch->threshold > 0);
	nr_mutex_lock(&dog.life);
	nr_mutex_lock(&dog.lock);
	watch->era = dog.era;
	nr_list_append(&dog.watches, &watch->node);
	nr_cond_signal(&dog.changed);
	nr_mutex_unlock(&dog.lock);
	start();
	nr_mutex_unlock(&dog.life);
}

void nr_watchdog_remove(struct nr_watch *watch)
{
	nr_mutex_lock(&dog.life);
	/* Else it is the parent's, and so are its neighbours in the list. */
	if (watch->era == dog.era) {
		nr_mutex_lock(&dog.lock);
		nr_list_remove(&watch->node);
		dog.ending = nr_list_empty(&dog.watches);
		nr_cond_signal(&dog.changed);
		nr_mutex_unlock(&dog.lock);
		if (dog.ending)
			end();
	}
	nr_mutex_unlock(&dog.life);
}
