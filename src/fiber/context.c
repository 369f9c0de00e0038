/* SPDX-License-Identifier: MIT */
/*
 * The life of a context (see context.h), and all that tools must be told of
 * it: valgrind of each stack, the sanitizers of each switch as well.
 */
#include "fiber/context.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/assert.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) (0)
#define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#endif
#ifdef NR_TOLD_ADDRESS
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef NR_TOLD_THREAD
#include <sanitizer/tsan_interface.h>
#endif

#ifdef NR_TOLD

/* Just before a switch; LAST says that FROM never comes back. */
static inline void tell_before(struct nr_context *from, struct nr_context *to,
                               bool last)
{
	nr_assert(from != to);
	to->from = from;
#ifdef NR_TOLD_ADDRESS
	__sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack,
	                               to->stack, to->size);
#endif
#ifdef NR_TOLD_THREAD
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	(void)last;
}

/* Just after it, on the new stack. A thread's own stack is learnt here. */
static inline void tell_after(struct nr_context *context)
{
#ifdef NR_TOLD_ADDRESS
	struct nr_context *from = context->from;

	__sanitizer_finish_switch_fiber(context->fake_stack, &from->stack,
	                                &from->size);
#endif
	(void)context;
}

void nr_context_switch(struct nr_context *from, struct nr_context *to)
{
	tell_before(from, to, false);
	nr_switch(&from->sp, to->sp);
	tell_after(from);
}

/* Where a context begins. */
static void begin(void *arg)
{
	struct nr_context *context = arg;

	tell_after(context);
	context->entry(context->arg);
}

void nr_context_init(struct nr_context *context, void *stack, size_t size,
                     void (*entry)(void *arg), void *arg)
{
	nr_assert(stack && entry);
	*context = (struct nr_context){
		.sp = nr_switch_prepare(stack, size, begin, context),
		.valgrind_stack =
			VALGRIND_STACK_REGISTER(stack, (char *)stack + size),
		.made = true,
		.entry = entry,
		.arg = arg,
		.stack = stack,
		.size = size,
	};
#ifdef NR_TOLD_THREAD
	context->tsan_fiber = __tsan_create_fiber(0);
#endif
}

void nr_context_init_thread(struct nr_context *context)
{
	*context = (struct nr_context){0};
#ifdef NR_TOLD_THREAD
	context->tsan_fiber = __tsan_get_current_fiber();
#endif
}

void nr_context_exit_to(struct nr_context *from, struct nr_context *to)
{
	tell_before(from, to, true);
	nr_switch(&from->sp, to->sp);
	abort();
}

#else

void nr_context_init(struct nr_context *context, void *stack, size_t size,
                     void (*entry)(void *arg), void *arg)
{
	nr_assert(stack && entry);
	*context = (struct nr_context){
		.sp = nr_switch_prepare(stack, size, entry, arg),
		.valgrind_stack =
			VALGRIND_STACK_REGISTER(stack, (char *)stack + size),
		.made = true,
	};
}

void nr_context_init_thread(struct nr_context *context)
{
	*context = (struct nr_context){0};
}

void nr_context_exit_to(struct nr_context *from, struct nr_context *to)
{
	nr_switch(&from->sp, to->sp);
	abort();
}

#endif

void nr_context_fini(struct nr_context *context)
{
	if (!context->made)
		return;
#ifdef NR_TOLD_THREAD
	__tsan_destroy_fiber(context->tsan_fiber);
#endif
	VALGRIND_STACK_DEREGISTER(context->valgrind_stack);
	*context = (struct nr_context){0};
}
