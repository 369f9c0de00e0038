/* SPDX-License-Identifier: MIT */
/*
 * Counts of times: see histogram.h. Below 2 * BENCH_FINE each bucket is 1 ns
 * wide; from there on each power of two has BENCH_FINE of them.
 */
#include "histogram.h"

#define OCTAVE_BITS 7

_Static_assert(BENCH_FINE == 1 << OCTAVE_BITS, "the two name one number");

static unsigned bucket_of(uint64_t ns)
{
	int shift = 63 - __builtin_clzll(ns | BENCH_FINE) - OCTAVE_BITS;

	if (shift >= BENCH_OCTAVES)
		return BENCH_BUCKETS - 1;
	return (unsigned)shift * BENCH_FINE + (unsigned)(ns >> shift);
}

static double middle_of(unsigned bucket)
{
	unsigned shift = bucket < BENCH_FINE ? 0 : bucket / BENCH_FINE - 1;
	uint64_t first = (uint64_t)(bucket - shift * BENCH_FINE) << shift;

	return (double)first + (double)((UINT64_C(1) << shift) - 1) / 2;
}

void bench_histogram_add(struct bench_histogram *histogram, int64_t ns)
{
	histogram->count++;
	histogram->buckets[bucket_of(ns > 0 ? (uint64_t)ns : 0)]++;
	if (ns > histogram->most)
		histogram->most = ns;
}

double bench_histogram_ns(const struct bench_histogram *histogram, double part)
{
	uint64_t wanted = (uint64_t)(part * (double)histogram->count), seen = 0;

	if (wanted >= histogram->count)
		return (double)histogram->most;
	for (unsigned i = 0; i < BENCH_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted && middle_of(i) < (double)histogram->most)
			return middle_of(i);
	}
	return (double)histogram->most;
}
