/* SPDX-License-Identifier: MIT */
/* Threads and what they share: see os_thread.h. */
#include "os/os_thread.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#include "base/assert.h"
#include "base/time.h"

/* A stack size that pthread_attr_setstacksize(3) takes: whole pages, and not
 * below the system's least. */
static size_t fit_stack(size_t size)
{
	size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size < least)
		size = least;
	return (size + page - 1) / page * page;
}

/* All signals but those of a thread's own faults; blocked, one of these would
 * end the program without any handler's being asked. */
static void fill_foreign(sigset_t *ret_set)
{
	sigfillset(ret_set);
	sigdelset(ret_set, SIGSEGV);
	sigdelset(ret_set, SIGBUS);
	sigdelset(ret_set, SIGFPE);
	sigdelset(ret_set, SIGILL);
}

#if defined(__SANITIZE_THREAD__)
static _Thread_local sigset_t held;

void nr_thread_fibers_begin(void)
{
	sigset_t foreign;

	fill_foreign(&foreign);
	(void)pthread_sigmask(SIG_BLOCK, &foreign, &held);
}

void nr_thread_fibers_end(void)
{
	(void)pthread_sigmask(SIG_SETMASK, &held, NULL);
}
#endif

int nr_thread_start(struct nr_thread *ret_thread, size_t stack_size,
                    void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	err = pthread_attr_setstacksize(&attr, fit_stack(stack_size));
	if (!err) {
		fill_foreign(&all);
		err = pthread_attr_setsigmask_np(&attr, &all);
	}
	if (!err)
		err = pthread_create(&ret_thread->id, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

void nr_thread_join(struct nr_thread thread)
{
	int err = pthread_join(thread.id, NULL);

	nr_assert(err == 0);
}

void nr_thread_leave(struct nr_thread thread)
{
	int err = pthread_detach(thread.id);

	nr_assert(err == 0);
}

int64_t nr_thread_number(void)
{
	return gettid();
}

int nr_thread_on_fork(void (*fn)(void))
{
	return -pthread_atfork(NULL, NULL, fn);
}

int nr_thread_key_set(struct nr_thread_key *key, void *pointer)
{
	int err = pthread_mutex_lock(&key->lock);

	nr_assert(err == 0);
	if (!key->made)
		err = pthread_key_create(&key->key, key->end);
	key->made = err == 0;
	pthread_mutex_unlock(&key->lock);
	if (err == 0)
		err = pthread_setspecific(key->key, pointer);
	return -err;
}

void nr_mutex_init(struct nr_mutex *mutex)
{
	int err = pthread_mutex_init(&mutex->lock, NULL);

	nr_assert(err == 0);
}

void nr_mutex_lock(struct nr_mutex *mutex)
{
	int err = pthread_mutex_lock(&mutex->lock);

	nr_assert(err == 0);
}

bool nr_mutex_try(struct nr_mutex *mutex)
{
	return pthread_mutex_trylock(&mutex->lock) == 0;
}

/* gcc 12's thread sanitizer does not know pthread_mutex_clocklock(3): it has to
 * be told that the lock is ours. */
static void tell_locked(pthread_mutex_t *lock)
{
#if defined(__SANITIZE_THREAD__)
	__tsan_mutex_pre_lock(lock, __tsan_mutex_try_lock);
	__tsan_mutex_post_lock(lock, __tsan_mutex_try_lock, 0);
#else
	(void)lock;
#endif
}

int nr_mutex_lock_until(struct nr_mutex *mutex, int64_t until)
{
	const struct timespec at = {until / NR_NS_PER_S, until % NR_NS_PER_S};
	int err;

	if (until == NR_NEVER) {
		nr_mutex_lock(mutex);
		return 0;
	}
	err = pthread_mutex_clocklock(&mutex->lock, CLOCK_MONOTONIC, &at);
	nr_assert(err == 0 || err == ETIMEDOUT);
	if (err == 0)
		tell_locked(&mutex->lock);
	return -err;
}

void nr_mutex_unlock(struct nr_mutex *mutex)
{
	int err = pthread_mutex_unlock(&mutex->lock);

	nr_assert(err == 0);
}

void nr_mutex_fini(struct nr_mutex *mutex)
{
	int err = pthread_mutex_destroy(&mutex->lock);

	nr_assert(err == 0);
}

void nr_cond_init(struct nr_cond *cond)
{
	int err = pthread_cond_init(&cond->cond, NULL);

	nr_assert(err == 0);
}

void nr_cond_wait(struct nr_cond *cond, struct nr_mutex *mutex)
{
	int err = pthread_cond_wait(&cond->cond, &mutex->lock);

	nr_assert(err == 0);
}

int nr_cond_wait_until(struct nr_cond *cond, struct nr_mutex *mutex,
                       int64_t until)
{
	const struct timespec at = {until / NR_NS_PER_S, until % NR_NS_PER_S};
	int err;

	if (until == NR_NEVER) {
		nr_cond_wait(cond, mutex);
		return 0;
	}
	err = pthread_cond_clockwait(&cond->cond, &mutex->lock, CLOCK_MONOTONIC,
	                             &at);
	nr_assert(err == 0 || err == ETIMEDOUT);
	return -err;
}

void nr_cond_signal(struct nr_cond *cond)
{
	int err = pthread_cond_signal(&cond->cond);

	nr_assert(err == 0);
}

void nr_cond_broadcast(struct nr_cond *cond)
{
	int err = pthread_cond_broadcast(&cond->cond);

	nr_assert(err == 0);
}

void nr_cond_fini(struct nr_cond *cond)
{
	int err = pthread_cond_destroy(&cond->cond);

	nr_assert(err == 0);
}
