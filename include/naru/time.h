/* SPDX-License-Identifier: MIT */
#ifndef NARU_TIME_H
#define NARU_TIME_H

#include "naru/base.h"

NARU_BEGIN_DECLS

/* A duration or a point in time that never comes. It must be asked for: no
 * default of Naru waits without a bound. */
#define NARU_FOREVER INT64_MAX

/* Milliseconds since some fixed moment, on a clock that never jumps
 * (CLOCK_MONOTONIC). Never fails. */
int64_t naru_now(void);

/*
 * Lets the calling strand wait for MS milliseconds, never less. What the
 * strand has written to its conversations is sent first.
 *
 * Returns 0, -EINVAL where MS is negative, or -ECANCELED where the
 * conversation was cancelled meanwhile.
 */
NARU_RESULT int naru_sleep(int64_t ms);

/*
 * Runs FN(ARG), which may block in ways that Naru does not know of, and
 * returns its result. The calling strand waits. In the models that give each
 * conversation a process or a thread, FN runs in the calling strand itself.
 * What the strand has written to its conversations is sent first.
 *
 * Returns what FN returned, -EINVAL where FN is null, or -ECANCELED, without
 * calling FN, where the conversation was cancelled before.
 */
NARU_RESULT int naru_offload(int (*fn)(void *arg), void *arg);

NARU_END_DECLS

#endif
