/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_FAULT_H
#define NR_OS_FAULT_H

/* Being told of a touch of memory that is not there (SIGSEGV), before the
 * program dies of it. */

#include <stddef.h>

/*
 * Calls FN(ADDRESS) in a signal handler when the program touches ADDRESS in
 * vain. Afterwards whatever was to happen before this call happens: the handler
 * that was there is called, or the program dies. As often as it is called,
 * nr_fault_ignore() has to be; FN is always the same.
 */
int nr_fault_watch(void (*fn)(const void *address));
void nr_fault_ignore(void);

/* A stack of its own for the calling thread's signal handlers, without which
 * an exhausted stack cannot be told of. Where the thread has one already, it
 * stays. Returns what nr_fault_stack_free() takes, or null. */
void *nr_fault_stack_new(void);
void nr_fault_stack_free(void *stack);

#endif
