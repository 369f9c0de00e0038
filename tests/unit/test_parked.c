/* SPDX-License-Identifier: MIT */
/* Two hundred thousand fibers, parked in one process on stacks of the default
 * size, as the system is out of the box: what they cost in memory and in
 * mappings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/time.h"
#include "fiber/scheduler.h"
#include "mappings.h"
#include "os/os_time.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

#define MANY       200000
#define STACK      ((size_t)128 * 1024)
#define NEEDED_KIB ((long)4 * 1024 * 1024)
/* Of the default vm.max_map_count, a sixtieth. */
#define MAPPINGS_MAX 1000

/* From Linux 6.13 on guards are no mappings (MADV_GUARD_INSTALL). */
#define GUARD_INSTALL 102

static unsigned ended;

static bool has_guards(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, page, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool has;

	assert_ptr_not_equal(at, MAP_FAILED);
	has = madvise(at, page, GUARD_INSTALL) == 0;
	munmap(at, page);
	return has;
}

static void park(void *arg)
{
	(void)arg;
	assert_int_equal(nr_fiber_park(nr_fiber_self(), NR_NEVER), 0);
	ended++;
}

/* The number behind NAME in a file of lines "NAME: NUMBER kB". */
static long number_in(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	size_t len = strlen(name);
	char line[256];
	long found = -1;

	assert_non_null(file);
	while (found < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, name, len) == 0)
			found = strtol(line + len, NULL, 10);
	(void)fclose(file);
	return found;
}

static void start_all(struct nr_scheduler *scheduler, struct nr_fiber **fibers)
{
	const struct nr_fiber_start how = {.fn = park};

	for (int i = 0; i < MANY; i++)
		assert_int_equal(nr_fiber_start(scheduler, &how, &fibers[i]),
		                 0);
	assert_int_equal(nr_scheduler_turn(scheduler, 0), 0);
}

/* Says what they cost; in mappings, next to nothing. */
static void measure(long memory, long tables, long mappings)
{
	memory = number_in("/proc/self/status", "VmRSS:") - memory;
	tables = number_in("/proc/self/status", "VmPTE:") - tables;
	mappings = count_mappings() - mappings;
	print_message("# %d parked fibers: %ld KiB, page tables %ld KiB, "
	              "%ld more mappings\n",
	              MANY, memory, tables, mappings);
	assert_true(mappings < MAPPINGS_MAX);
	/* A page of stack for each, and not much more. */
	assert_true((memory + tables) / MANY < 12);
}

static void park_all(const struct nr_engine_ops *engine)
{
	const struct nr_scheduler_options options = {.engine = engine,
	                                             .stack_size = STACK,
	                                             .max = MANY,
	                                             .stall = NR_NEVER};
	struct nr_fiber **fibers = calloc(MANY, sizeof(struct nr_fiber *));
	struct nr_scheduler *scheduler = NULL;
	long memory, tables, mappings;

	assert_non_null(fibers);
	assert_int_equal(nr_scheduler_open(&scheduler, &options), 0);
	memory = number_in("/proc/self/status", "VmRSS:");
	tables = number_in("/proc/self/status", "VmPTE:");
	mappings = count_mappings();
	ended = 0;
	start_all(scheduler, fibers);
	assert_int_equal(nr_scheduler_count(scheduler), MANY);
	measure(memory, tables, mappings);
	for (int i = 0; i < MANY; i++)
		nr_fiber_wake(fibers[i]);
	while (nr_scheduler_count(scheduler) > 0)
		assert_int_equal(nr_scheduler_turn(scheduler,
		                                   nr_now() + 2 * NR_NS_PER_MS),
		                 0);
	assert_int_equal(ended, MANY);
	nr_scheduler_close(scheduler);
	free(fibers);
}

/* Why it cannot be done here; null where it can. */
static const char *obstacle(void)
{
#ifdef NR_TOLD
	return "sanitizers have mappings of their own";
#endif
	if (RUNNING_ON_VALGRIND)
		return "valgrind has mappings of its own";
	if (number_in("/proc/meminfo", "MemAvailable:") < NEEDED_KIB)
		return "there is too little memory";
	return has_guards() ? NULL : "every guard is a mapping here";
}

static void test_two_hundred_thousand_park_in_one_process(void **state)
{
	(void)state;
	park_all(&nr_engine_epoll);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_two_hundred_thousand_park_in_one_process),
	};
	const char *why = obstacle();

	if (why) {
		/* Meson wants success beside a plan that skips all. */
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return RUN("parked", cases);
}
