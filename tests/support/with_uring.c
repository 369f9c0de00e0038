/* SPDX-License-Identifier: MIT */
/*
 * with-uring TEST [ARGUMENT ...]: runs a test that speaks TAP, or skips all of
 * it where fibers cannot wait with io_uring.
 */
#include <stdio.h>
#include <unistd.h>

#include "uring.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fprintf(stderr,
		              "usage: with-uring TEST [ARGUMENT ...]\n");
		return 2;
	}
	if (!uring_works()) {
		/* Meson wants success beside a plan that skips all. */
		printf("1..0 # SKIP there is no io_uring here\n");
		return 0;
	}
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 2;
}
