/* SPDX-License-Identifier: MIT */
#ifndef NR_FIBER_CONTEXT_H
#define NR_FIBER_CONTEXT_H

/*
 * A thread of control of its own on a stack of its own. Switching saves what
 * a called function must preserve on the stack that is left, and takes it
 * from the stack that is entered; it makes no system call (but in the
 * portable form). A context stays on the thread that first runs it.
 *
 * What the thread and address sanitizers must be told of every switch is
 * compiled in where they are; everybody who includes this file must then be
 * built with them too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>

#if defined(__SANITIZE_ADDRESS__)
#define NR_TOLD_ADDRESS
#endif
#if defined(__SANITIZE_THREAD__)
#define NR_TOLD_THREAD
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NR_TOLD_ADDRESS
#endif
#if __has_feature(thread_sanitizer)
#define NR_TOLD_THREAD
#endif
#endif
#if defined(NR_TOLD_ADDRESS) || defined(NR_TOLD_THREAD)
#define NR_TOLD
#endif

struct nr_context {
	void *sp; /* below which its registers are saved while it rests */
	unsigned valgrind_stack;
	bool made; /* with a stack of its own; false in a thread's */
#ifdef NR_TOLD
	void (*entry)(void *arg);
	void *arg;
	struct nr_context *from; /* whence it was last entered */
	const void *stack;
	size_t size;
	void *fake_stack;
	void *tsan_fiber;
#endif
};

/*
 * Lays out a context that calls ENTRY(ARG) when it is first switched to, on
 * the SIZE bytes from STACK upwards. ENTRY must not return: it ends with
 * nr_context_exit_to(). The floating-point control state is the caller's, as
 * a new thread's would be.
 */
void nr_context_init(struct nr_context *context, void *stack, size_t size,
                     void (*entry)(void *arg), void *arg);

/* The calling thread's own, to switch back to. */
void nr_context_init_thread(struct nr_context *context);

/* The last switch away from FROM, which ends. */
noreturn void nr_context_exit_to(struct nr_context *from,
                                 struct nr_context *to);

/* Forgets a context that has ended or never ran, and not the one that runs;
 * its stack may then be used anew. Harmless to a thread's own. */
void nr_context_fini(struct nr_context *context);

/* What each architecture supplies (switch_<arch>): a stack made ready to be
 * entered, and the switch itself, which saves in *RET_SP what brings it back.
 */
void *nr_switch_prepare(void *stack, size_t size, void (*entry)(void *arg),
                        void *arg);
void nr_switch(void **ret_sp, void *sp);

#ifdef NR_TOLD
void nr_context_switch(struct nr_context *from, struct nr_context *to);
#else
/* Rests FROM, which runs, and goes on with TO, on the same thread. Returns
 * when something switches to FROM. */
static inline void nr_context_switch(struct nr_context *from,
                                     struct nr_context *to)
{
	nr_switch(&from->sp, to->sp);
}
#endif

#endif
