/* SPDX-License-Identifier: MIT */
#ifndef NR_OS_CALLER_H
#define NR_OS_CALLER_H

/* Who called us: for telling a user of the place in his program. */

#include <stddef.h>

#define NR_CALLER_TEXT 256

/* A stack on which one can find that out: unwinding takes some of it. */
#define NR_CALLER_STACK ((size_t)32 * 1024 - 4096)

/* Where in the program the innermost call into this library was made, as
 * "program(function+0x1f)", or "program(+0x11a3)" where the function's name is
 * not known; addr2line(1) takes the latter. Where no function of the program's
 * is in a call, "its end". */
void nr_caller_text(char ret_text[NR_CALLER_TEXT]);

/* Has what that takes loaded, which needs a large stack for once. */
void nr_caller_prepare(void);

#endif
