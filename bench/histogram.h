/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

/*
 * How long things took: counts in buckets whose width is at most 1/128 of what
 * they hold, so that any percentile is known to within half a per cent, from
 * 1 ns to 18 minutes, in room that does not grow.
 */

#include <stdint.h>

#define BENCH_FINE    128 /* buckets per power of two */
#define BENCH_OCTAVES 33
#define BENCH_BUCKETS (BENCH_FINE * (BENCH_OCTAVES + 1))

struct bench_histogram {
	uint64_t count;
	int64_t most; /* exactly */
	uint64_t buckets[BENCH_BUCKETS];
};

/* Counts one. What is below 0 counts as 0, what is above the range as its end.
 */
void bench_histogram_add(struct bench_histogram *histogram, int64_t ns);

/* The middle of the bucket below whose end PART (0..1) of all lie; 0 if none.
 */
double bench_histogram_ns(const struct bench_histogram *histogram, double part);

#endif
