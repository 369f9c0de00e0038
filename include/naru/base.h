/* SPDX-License-Identifier: MIT */
#ifndef NARU_BASE_H
#define NARU_BASE_H

/*
 * What every other header of Naru needs: versions, attributes, the names of
 * the opaque types.
 */

#include <stddef.h>
#include <stdint.h>

/* The version that this header belongs to; naru_version() names the one that
 * the program runs with. */
#define NARU_VERSION_MAJOR 0
#define NARU_VERSION_MINOR 1
#define NARU_VERSION_PATCH 0

/* What stands between these two is C, and seen from outside the library,
 * whose other symbols are hidden. */
#ifdef __cplusplus
#define NARU_BEGIN_DECLS                                                       \
	extern "C" {                                                           \
	_Pragma("GCC visibility push(default)")
#define NARU_END_DECLS                                                         \
	_Pragma("GCC visibility pop")                                          \
	}
#else
#define NARU_BEGIN_DECLS _Pragma("GCC visibility push(default)")
#define NARU_END_DECLS   _Pragma("GCC visibility pop")
#endif

/* A struct of TYPE, filled in as its fields are named, by its address; it lives
 * as long as the block, and in C++ (from C++20 on) as long as the expression
 * that it stands in. Behind NARU_OPTIONS() and the like. */
#ifdef __cplusplus
#define NARU_STRUCT(type, ...)                                                 \
	(&static_cast<const struct type &>(                                    \
		type{.size = sizeof(struct type), __VA_ARGS__}))
#else
#define NARU_STRUCT(type, ...)                                                 \
	(&(struct type){.size = sizeof(struct type), __VA_ARGS__})
#endif

/* A call whose result must not be thrown away. */
#define NARU_RESULT __attribute__((warn_unused_result))

/* A call that takes a printf(3) format at AT and its arguments from ARGS
 * on. */
#define NARU_PRINTF(at, args) __attribute__((format(printf, at, args)))

NARU_BEGIN_DECLS

/* One end of one connection, and the talk over it. */
struct naru_conv;

/* Listeners, a model, and the conversations that they bring. */
struct naru_server;

/* An address of a peer or of this machine. */
struct naru_addr;

/* How messages are found in a stream of bytes: naru/message.h. */
struct naru_framing;

/* Certificates and who is trusted: naru/tls.h. */
struct naru_tls;

/*
 * A talk: what the user writes. It converses with one peer through CONV and
 * returns when the conversation is over. ARG is what was given together with
 * the talk.
 *
 * Zero or more says that all went well; a negated error number says what did
 * not, and is reported with the conversation's end. Either way the
 * conversation then ends gracefully (see naru/conv.h).
 *
 * A talk may run at the same time for other peers, in other threads or
 * processes: what ARG points to is shared between threads, and copied into
 * processes.
 */
typedef int naru_talk(struct naru_conv *conv, void *arg);

/* The version that the program runs with, as "1.2.3". Never fails. */
const char *naru_version(void);

NARU_END_DECLS

#endif
