/* SPDX-License-Identifier: MIT */
/* Option structs of other versions: see options.h. */
#include "base/options.h"

#include <errno.h>
#include <string.h>

/* Over this a size is no size, but memory that nobody filled in. */
#define SIZE_LIMIT 4096

int nr_options_take(void *own, size_t own_size, const void *given)
{
	size_t given_size;

	memset(own, 0, own_size);
	if (!given)
		return 0;
	memcpy(&given_size, given, sizeof(given_size));
	if (given_size < sizeof(given_size) || given_size > SIZE_LIMIT)
		return -EINVAL;
	for (size_t i = own_size; i < given_size; i++)
		if (((const char *)given)[i] != 0)
			return -E2BIG;
	memcpy(own, given, given_size < own_size ? given_size : own_size);
	return 0;
}

int nr_options_give(const void *own, size_t own_size, void *ret)
{
	size_t size;

	memcpy(&size, ret, sizeof(size));
	if (size < sizeof(size) || size > SIZE_LIMIT)
		return -EINVAL;
	memset(ret, 0, size);
	memcpy(ret, own, own_size < size ? own_size : size);
	memcpy(ret, &size, sizeof(size));
	return 0;
}
