/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STARTED_H
#define TESTS_UNIT_STARTED_H

/* Counts the threads that are started, and lets none be; for a test that is
 * linked with --wrap=pthread_create. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_uint started;
static atomic_bool no_more; /* threads can be started */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker chooses these names. */
int __real_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*fn)(void *), void *arg)
{
	if (no_more)
		return EAGAIN;
	started++;
	return __real_pthread_create(id, attr, fn, arg);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#endif
