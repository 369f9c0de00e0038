/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_OPTIONS_H
#define NR_BASE_OPTIONS_H

#include <stddef.h>

/*
 * Takes over a struct that begins with its own size, as the public option
 * structs do, whichever version of the header the caller was built with:
 * fields that an older header lacks are zero, which means the default.
 *
 * GIVEN may be null: all is zero then. Returns 0, -EINVAL where the size is
 * impossible, or -E2BIG where a newer header's field is set that we do not
 * know.
 */
int nr_options_take(void *own, size_t own_size, const void *given);

/*
 * The other way: fills the struct RET, which begins with the size that its
 * owner knows it by. Returns 0, or -EINVAL where that is impossible.
 */
int nr_options_give(const void *own, size_t own_size, void *ret);

#endif
