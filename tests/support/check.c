/* SPDX-License-Identifier: MIT */
/*
 * The checks of a test's own side. What a talk found wrong is nearly always
 * the cause of what its peer sees, so each failure prints both.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_fail(const char *file, int line, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (atomic_load(&shared->failure_ready))
		print_error("%s\n", shared->failure);
	print_error("%s\n", text);
	_fail(file, line);
	abort(); /* it jumps back to the runner */
}

void check_result(const char *file, int line, const char *what, long long got,
                  long long want)
{
	const char *name = got < 0 ? naru_errname((int)got) : "";

	if (got != want)
		check_fail(file, line, "%s is %lld %s, not %lld", what, got,
		           name, want);
}
