/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_THREAD_H
#define NR_OS_THREAD_H

/* Threads and what they share. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nr_thread {
	pthread_t id;
};

/* Starts a thread that runs FN(ARG) on a stack of STACK_SIZE bytes, with all
 * signals blocked, which are for the program's own threads, but for those of
 * its own faults. -EAGAIN, -ENOMEM. */
int nr_thread_start(struct nr_thread *ret_thread, size_t stack_size,
                    void *(*fn)(void *), void *arg);

/* Waits until the thread has ended, and gives back what it held. */
void nr_thread_join(struct nr_thread thread);

/* Leaves the thread to itself: what it held goes when it ends. */
void nr_thread_leave(struct nr_thread thread);

/* The number by which the system knows the thread that calls. */
int64_t nr_thread_number(void);

/* Has FN called in the child of each fork(2) from now on, where nothing else
 * runs yet. -ENOMEM. */
int nr_thread_on_fork(void (*fn)(void));

/* Around what fibers the calling thread runs, for the thread sanitizer alone:
 * it has a signal handled by whom it interrupted, after that one's next call,
 * and a fiber may rest for long before it makes any. */
#if defined(__SANITIZE_THREAD__)
void nr_thread_fibers_begin(void);
void nr_thread_fibers_end(void);
#else
static inline void nr_thread_fibers_begin(void)
{
}
static inline void nr_thread_fibers_end(void)
{
}
#endif

/* A pointer of each thread, with what is called with it when the thread ends.
 * Written as static struct nr_thread_key key = NR_THREAD_KEY(fn). */
struct nr_thread_key {
	pthread_mutex_t lock;
	pthread_key_t key;
	int made;
	void (*end)(void *pointer);
};
#define NR_THREAD_KEY(fn)                                                      \
	{                                                                      \
		.lock = PTHREAD_MUTEX_INITIALIZER, .end = (fn)                 \
	}
int nr_thread_key_set(struct nr_thread_key *key, void *pointer);

/* A lock; a static one is written as = NR_MUTEX. */
struct nr_mutex {
	pthread_mutex_t lock;
};
#define NR_MUTEX                                                               \
	{                                                                      \
		PTHREAD_MUTEX_INITIALIZER                                      \
	}
void nr_mutex_init(struct nr_mutex *mutex);
void nr_mutex_lock(struct nr_mutex *mutex);
bool nr_mutex_try(struct nr_mutex *mutex);
/* -ETIMEDOUT where it is not to be had until UNTIL (base/time.h). */
int nr_mutex_lock_until(struct nr_mutex *mutex, int64_t until);
void nr_mutex_unlock(struct nr_mutex *mutex);
void nr_mutex_fini(struct nr_mutex *mutex);

/* A condition that threads wait for under a lock; a static one is written as
 * = NR_COND. */
struct nr_cond {
	pthread_cond_t cond;
};
#define NR_COND                                                                \
	{                                                                      \
		PTHREAD_COND_INITIALIZER                                       \
	}
void nr_cond_init(struct nr_cond *cond);
void nr_cond_wait(struct nr_cond *cond, struct nr_mutex *mutex);
/* -ETIMEDOUT where nothing was signalled until UNTIL (base/time.h). */
int nr_cond_wait_until(struct nr_cond *cond, struct nr_mutex *mutex,
                       int64_t until);
void nr_cond_signal(struct nr_cond *cond);
void nr_cond_broadcast(struct nr_cond *cond);
void nr_cond_fini(struct nr_cond *cond);

#endif
