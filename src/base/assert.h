/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_ASSERT_H
#define NR_BASE_ASSERT_H

/*
 * Assertions are for our own mistakes, and stay on in release builds. What
 * the kernel answers, what a peer sends and what a caller passes is handled,
 * never asserted.
 */

#include <assert.h>

#ifdef NDEBUG
#error "naru keeps its assertions: build with b_ndebug=false"
#endif

#define nr_assert(condition) assert(condition)

/* Long-lived structs begin with a magic number, so that a stale or foreign
 * pointer is caught where it enters. */
#define nr_assert_is(object, wanted) assert((object)->magic == (wanted))

#endif
