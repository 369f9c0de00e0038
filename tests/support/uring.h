/* SPDX-License-Identifier: MIT */
#ifndef TESTS_URING_H
#define TESTS_URING_H

#include <stdbool.h>

/* Whether fibers can wait with io_uring here: containers often forbid it, and
 * older kernels lack what it takes. */
bool uring_works(void);

#endif
