/* SPDX-License-Identifier: MIT */
/* Randomness: see os_random.h. */
#include "os/os_random.h"

#include <sys/random.h>
#include <unistd.h>

#include "os/os_time.h"

uint64_t nr_random(void)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) ==
	    (ssize_t)sizeof(number))
		return number;
	/* The finalizer of MurmurHash3 spreads what differs in few bits. */
	number = (uint64_t)nr_now() ^ (uint64_t)getpid() << 40;
	number = (number ^ number >> 33) * UINT64_C(0xff51afd7ed558ccd);
	number = (number ^ number >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return number ^ number >> 33;
}
