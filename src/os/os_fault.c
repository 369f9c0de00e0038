/* SPDX-License-Identifier: MIT */
/* Touches of memory that is not there: see os_fault.h. */
#include "os/os_fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os_thread.h"

/* Over what the kernel needs to save the registers, which may be a lot. */
#define STACK_EXTRA ((size_t)64 * 1024)

static struct nr_mutex lock = NR_MUTEX;
static unsigned watchers; /* under the lock */
static struct sigaction before;
static void (*told)(const void *address);

/* What was to happen without us happens when the touch is repeated, which it
 * is when the handler returns. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	(void)context;
	told(info->si_addr);
	(void)sigaction(signo, &before, NULL);
	/* One that somebody sent is not repeated by itself. */
	if (info->si_code <= 0)
		(void)raise(signo);
}

int nr_fault_watch(void (*fn)(const void *address))
{
	struct sigaction action = {.sa_sigaction = on_fault,
	                           .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int err = 0;

	sigemptyset(&action.sa_mask);
	nr_mutex_lock(&lock);
	told = fn;
	if (watchers == 0 && sigaction(SIGSEGV, &action, &before) < 0)
		err = -errno;
	if (err == 0)
		watchers++;
	nr_mutex_unlock(&lock);
	return err;
}

void nr_fault_ignore(void)
{
	struct sigaction now;

	nr_mutex_lock(&lock);
	/* Somebody else's, set meanwhile, is not ours to take away. */
	if (--watchers == 0 && sigaction(SIGSEGV, NULL, &now) == 0 &&
	    now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault)
		(void)sigaction(SIGSEGV, &before, NULL);
	nr_mutex_unlock(&lock);
}

void *nr_fault_stack_new(void)
{
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + STACK_EXTRA;
	stack_t stack = {.ss_size = size}, present;

	if (sigaltstack(NULL, &present) < 0 || !(present.ss_flags & SS_DISABLE))
		return NULL;
	stack.ss_sp = malloc(size);
	if (stack.ss_sp && sigaltstack(&stack, NULL) < 0) {
		free(stack.ss_sp);
		stack.ss_sp = NULL;
	}
	return stack.ss_sp;
}

void nr_fault_stack_free(void *stack)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	if (!stack)
		return;
	(void)sigaltstack(&none, NULL);
	free(stack);
}
