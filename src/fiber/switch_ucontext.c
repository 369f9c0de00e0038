/* SPDX-License-Identifier: MIT */
/*
 * The switch (see context.h) by what the C library offers, for architectures
 * that have none by hand. Each switch costs a system call or two, which save
 * and restore the signal mask.
 *
 * A resting context is a ucontext_t that lies on its own stack, so that one
 * pointer brings it back here as well.
 */
#include "fiber/context.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#include "base/assert.h"

/* What makecontext() hands on: pointers do not fit into its int arguments. */
struct first {
	ucontext_t context;
	void (*entry)(void *arg);
	void *arg;
};

static void start(unsigned high, unsigned low)
{
	uintptr_t at = (uintptr_t)(((uint64_t)high << 32) | low);
	struct first *first = (void *)at;

	first->entry(first->arg);
	abort();
}

void *nr_switch_prepare(void *stack, size_t size, void (*entry)(void *arg),
                        void *arg)
{
	uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)63;
	struct first *first = (void *)(top - (sizeof(*first) + 63) / 64 * 64);
	uint64_t at = (uintptr_t)first;

	nr_assert(size > 2 * sizeof(*first));
	/* It cannot fail: it only asks for the signal mask. */
	(void)getcontext(&first->context);
	first->context.uc_link = NULL;
	first->context.uc_stack.ss_sp = stack;
	first->context.uc_stack.ss_size =
		(size_t)((char *)first - (char *)stack);
	first->entry = entry;
	first->arg = arg;
	/* That is how its argument is declared. */
	makecontext(&first->context, (void (*)(void))start, 2,
	            (unsigned)(at >> 32), (unsigned)(at & UINT_MAX));
	return first;
}

/* The thread sanitizer's own account of calls changes with the stack. */
__attribute__((no_sanitize("thread"))) void nr_switch(void **ret_sp, void *sp)
{
	ucontext_t own;

	/* It lives as long as this call, which ends when it is switched to. */
	/* cppcheck-suppress autoVariables */
	*ret_sp = &own;
	(void)swapcontext(&own, sp);
}
