/* SPDX-License-Identifier: MIT */
/* Pauses that grow: see backoff.h. */
#include "client/backoff.h"

#include "base/assert.h"

int64_t nr_backoff_pause(const struct nr_backoff *backoff, unsigned failures,
                         uint64_t random)
{
	int64_t pause = backoff->first;

	nr_assert(failures > 0 && backoff->first > 0 && backoff->most > 0);
	for (unsigned i = 1; i < failures && pause < backoff->most; i++)
		pause = pause > INT64_MAX / 2 ? INT64_MAX : pause * 2;
	if (pause > backoff->most)
		pause = backoff->most;
	return pause - (int64_t)(random % ((uint64_t)pause / 2 + 1));
}
