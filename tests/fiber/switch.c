/* SPDX-License-Identifier: MIT */
/*
 * What a switch must keep, tried without any library but C's own, so that it
 * can be built for an architecture that is not this one and run in an
 * emulator. With an argument it only rests in innermost(), for a debugger to
 * look at. Ends with 0 where all is well; else it says what is not.
 */
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "fiber/context.h"

#define STACK_SIZE ((size_t)256 * 1024)
#define CONTEXTS   3

/* One of several that switch to each other in all orders. */
struct runner {
	struct nr_context context;
	char *stack;
	int number;
};

static struct nr_context thread;
static struct runner runners[CONTEXTS];
static int faults;

static void complain(const char *what)
{
	(void)fprintf(stderr, "switch: %s\n", what);
	faults++;
}

/* Some other one than SELF, or the thread's own (-1): always another way. */
static int next_of(int self)
{
	static unsigned turn;
	int next = (int)(++turn * 2654435761U >> 16) % (CONTEXTS + 1) - 1;

	return next == self ? (self + 2) % (CONTEXTS + 1) - 1 : next;
}

static struct nr_context *context_of(int number)
{
	return number < 0 ? &thread : &runners[number].context;
}

static void hop(int self)
{
	nr_context_switch(context_of(self), context_of(next_of(self)));
}

/* Numbers that no compiler can foresee. */
static volatile int64_t factor = 1000003;

__attribute__((noinline)) static int64_t whole(int64_t seed, int which)
{
	return seed * factor + which;
}

__attribute__((noinline)) static double broken(int64_t seed, int which)
{
	return (double)seed / (double)factor + which;
}

/* Holds more whole numbers at a time than there are registers that a call
 * keeps, and finds all of them again after others ran. */
static void keep_whole(int self, int64_t seed)
{
	int64_t a = whole(seed, 1), b = whole(seed, 2), c = whole(seed, 3),
		d = whole(seed, 4), e = whole(seed, 5), f = whole(seed, 6),
		g = whole(seed, 7), h = whole(seed, 8), i = whole(seed, 9),
		j = whole(seed, 10), k = whole(seed, 11), l = whole(seed, 12);

	hop(self);
	if (a != whole(seed, 1) || b != whole(seed, 2) || c != whole(seed, 3) ||
	    d != whole(seed, 4) || e != whole(seed, 5) || f != whole(seed, 6) ||
	    g != whole(seed, 7) || h != whole(seed, 8) || i != whole(seed, 9) ||
	    j != whole(seed, 10) || k != whole(seed, 11) ||
	    l != whole(seed, 12))
		complain("a whole number changed");
}

/* The same with floating-point numbers. */
static void keep_broken(int self, int64_t seed)
{
	double a = broken(seed, 1), b = broken(seed, 2), c = broken(seed, 3),
	       d = broken(seed, 4), e = broken(seed, 5), f = broken(seed, 6),
	       g = broken(seed, 7), h = broken(seed, 8), i = broken(seed, 9);

	hop(self);
	if (a != broken(seed, 1) || b != broken(seed, 2) ||
	    c != broken(seed, 3) || d != broken(seed, 4) ||
	    e != broken(seed, 5) || f != broken(seed, 6) ||
	    g != broken(seed, 7) || h != broken(seed, 8) ||
	    i != broken(seed, 9))
		complain("a floating-point number changed");
}

/* How a half is rounded in each mode that is tried. */
static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD,
                            FE_TOWARDZERO};
static const long halves[] = {0, 1, 0, 0};

static void keep_rounding(int self, int mode)
{
	volatile double half = 0.5, minus = -0.5;

	(void)fesetround(modes[mode]);
	hop(self);
	if (fegetround() != modes[mode] || lrint(half) != halves[mode] ||
	    lrint(minus) != (modes[mode] == FE_DOWNWARD ? -1 : 0))
		complain("the rounding mode changed");
	(void)fesetround(FE_TONEAREST);
}

static void run(void *arg)
{
	struct runner *runner = arg;

	for (int64_t round = 1;; round++) {
		keep_whole(runner->number, round * 1000 + runner->number);
		keep_broken(runner->number, round * 1000 + runner->number);
		keep_rounding(runner->number,
		              (int)(round + runner->number) % 4);
	}
}

static void try_values(void)
{
	for (int i = 0; i < CONTEXTS; i++) {
		runners[i].number = i;
		runners[i].stack = malloc(STACK_SIZE);
		if (!runners[i].stack)
			abort();
		nr_context_init(&runners[i].context, runners[i].stack,
		                STACK_SIZE, run, &runners[i]);
	}
	for (int round = 0; round < 1000; round++) {
		keep_whole(-1, round);
		keep_broken(-1, round);
		keep_rounding(-1, round % 4);
	}
	for (int i = 0; i < CONTEXTS; i++) {
		nr_context_fini(&runners[i].context);
		free(runners[i].stack);
	}
}

/* A chain of calls, and whoever looks at it from its end. */
struct chain {
	struct nr_context context;
	int frames;
	_Unwind_Reason_Code end;
};

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *frame, void *arg)
{
	struct chain *chain = arg;

	(void)frame;
	return ++chain->frames > 100 ? _URC_FATAL_PHASE1_ERROR : _URC_NO_REASON;
}

__attribute__((noinline)) static void innermost(struct chain *chain)
{
	chain->end = _Unwind_Backtrace(count_frame, chain);
}

__attribute__((noinline)) static void middle(struct chain *chain)
{
	innermost(chain);
	chain->frames++;
}

static void outermost(void *arg)
{
	struct chain *chain = arg;

	middle(chain);
	nr_context_exit_to(&chain->context, &thread);
}

static void try_chain(void)
{
	struct chain chain = {0};
	char *stack = malloc(STACK_SIZE);

	if (!stack)
		abort();
	/* What lies above the stack is nobody's frame. */
	memset(stack, 0x5a, STACK_SIZE);
	nr_context_init(&chain.context, stack, STACK_SIZE - 256, outermost,
	                &chain);
	nr_context_switch(&thread, &chain.context);
	nr_context_fini(&chain.context);
	free(stack);
	if (chain.end != _URC_END_OF_STACK)
		complain("unwinding does not come to an end");
	/* The three above and where every context starts; a sanitizer has one
	 * or two more; and one was counted on the way back. */
	if (chain.frames < 5 || chain.frames > 7)
		complain("unwinding meets too few frames or too many");
}

int main(int argc, char **argv)
{
	(void)argv;
	nr_context_init_thread(&thread);
	try_chain();
	if (argc == 1)
		try_values();
	nr_context_fini(&thread);
	return faults > 0;
}
