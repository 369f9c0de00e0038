/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

/* cmocka with what it needs before it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Runs the cases of one file, under its name. */
#define RUN(name, cases)                                                       \
	_cmocka_run_group_tests(name, cases, COUNT(cases), NULL, NULL)

#endif
