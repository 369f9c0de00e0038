/* SPDX-License-Identifier: MIT */
/*
 * What all servers of the benchmarks have in common. Each one is started as
 *
 *     PROGRAM [ARGUMENTS] echo|lines
 *
 * prints its port on one line when clients can come, and ends on SIGTERM.
 *
 *     echo    every byte comes back, in order
 *     lines   each line that ends with LF is answered with the same line
 */
#ifndef BENCH_SETUP_H
#define BENCH_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of one read, but where a server is built for large messages; and of one line
 * with its LF, above which a client is dropped. */
#ifndef BENCH_READ
#define BENCH_READ 16384
#endif
#define BENCH_LINE 4096

/* As many clients as may connect at once. */
#define BENCH_BACKLOG 4096

/* Descriptors are numbers below this one. */
#define BENCH_FDS 65536

/* Says what failed, with errno's text, and ends the program. */
void bench_die(const char *what) __attribute__((noreturn));

/*
 * Raises the limit on descriptors, sees to it that the program ends some day,
 * and returns whether MODE, which may be null, is "lines". Ends the program
 * where it is neither mode.
 */
bool bench_begin(const char *program, const char *mode);

/* A listener on a port of 127.0.0.1 that the system chooses; FLAGS are those
 * of socket(2), such as SOCK_NONBLOCK. */
int bench_listen(int flags);

/* Prints the port of the listener FD. */
void bench_ready(int fd);

/*
 * Parses the LEN bytes at IN and makes the answers to all lines that are
 * complete, one after the other, at OUT, which has room for LEN bytes. Returns
 * their length; so much of IN has been used up.
 */
size_t bench_answer(char *out, const char *in, size_t len);

#ifdef __cplusplus
}
#endif

#endif
