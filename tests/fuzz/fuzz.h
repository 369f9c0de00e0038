/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What libFuzzer calls with each input, and corpus.c with each file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process where CONDITION does not hold, so that the input that did
 * it is kept. */
#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
			        __LINE__, #condition);                         \
			abort();                                               \
		}                                                              \
	} while (0)

#endif
