/* SPDX-License-Identifier: MIT */
/* That percentiles are as exact as histogram.h says, over the whole range. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "histogram.h"

#define LAST_NS 1000000000000 /* 17 minutes */

static struct bench_histogram histogram;

static bool about(double got, double wanted)
{
	return fabs(got - wanted) <= wanted / 200 + 1;
}

/* Each time alone comes back, from 1 ns on. */
static bool one_time_is_known(void)
{
	for (int64_t ns = 1; ns < LAST_NS; ns += ns / 3 + 1) {
		memset(&histogram, 0, sizeof(histogram));
		bench_histogram_add(&histogram, ns);
		/* So that the first is not the most, which is exact. */
		bench_histogram_add(&histogram, 2 * ns);
		if (!about(bench_histogram_ns(&histogram, 0.25), (double)ns) ||
		    histogram.most != 2 * ns)
			return false;
	}
	return true;
}

/* Of 1..N, the part P lies below P * N. */
static bool parts_are_known(void)
{
	static const double parts[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
	const int most = 1000000;

	memset(&histogram, 0, sizeof(histogram));
	for (int ns = 1; ns <= most; ns++)
		bench_histogram_add(&histogram, ns);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!about(bench_histogram_ns(&histogram, parts[i]),
		           parts[i] * most))
			return false;
	return histogram.count == (uint64_t)most;
}

/* What no time can be is counted, and none is lost. */
static bool ends_are_kept(void)
{
	memset(&histogram, 0, sizeof(histogram));
	bench_histogram_add(&histogram, -5);
	bench_histogram_add(&histogram, INT64_MAX);
	return histogram.count == 2 && histogram.buckets[0] == 1 &&
	       histogram.buckets[BENCH_BUCKETS - 1] == 1 &&
	       bench_histogram_ns(&histogram, 0) <= 0 &&
	       histogram.most == INT64_MAX;
}

static const struct {
	const char *name;
	bool (*holds)(void);
} cases[] = {
	{"test_histogram_one_time_is_known", one_time_is_known},
	{"test_histogram_parts_are_known", parts_are_known},
	{"test_histogram_ends_are_kept", ends_are_kept},
};

int main(void)
{
	const size_t count = sizeof(cases) / sizeof(cases[0]);

	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++)
		printf("%s %zu - %s\n", cases[i].holds() ? "ok" : "not ok",
		       i + 1, cases[i].name);
	return 0;
}
