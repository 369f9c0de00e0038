/* SPDX-License-Identifier: MIT */
/* Arithmetic on times that cannot overflow: see time.h. */
#include "base/time.h"

#include "base/assert.h"

int64_t nr_ns_from_ms(int64_t ms)
{
	nr_assert(ms >= 0);
	return ms > NR_NEVER / NR_NS_PER_MS ? NR_NEVER : ms * NR_NS_PER_MS;
}

int64_t nr_ms_from_ns(int64_t ns)
{
	nr_assert(ns >= 0);
	if (ns == NR_NEVER)
		return NR_NEVER;
	return ns / NR_NS_PER_MS + (ns % NR_NS_PER_MS != 0);
}
