/* SPDX-License-Identifier: MIT */
#ifndef CONFORMANCE_CASES_H
#define CONFORMANCE_CASES_H

/*
 * The cases of the conformance suite: what a talk, or its peer, can see of
 * Naru. Each runs over every pair of a model and a transport for which its
 * behaviour exists.
 */

#include "check.h"
#include "client.h"
#include "place.h"
#include "server.h"

#define MODEL(model)         (1u << (model))
#define MODEL_ISOLATED       (1u << 31) /* fibers in processes */
#define TRANSPORT(transport) (1u << (transport))
#define MODELS_ALL           (~0u)
/* Where bytes are a stream: where the end of a line or of the peer's bytes is
 * waited for, or what a half-close or a reset brings. Over UDP there is
 * neither; what is true of datagrams stands in datagrams.c. */
#define STREAMS (~TRANSPORT(TRANSPORT_UDP))
/* Those that hold more than one conversation at a time. */
#define MODELS_MANY (MODELS_ALL & ~MODEL(NARU_ITERATIVE))
/* Those whose talks share memory. */
#define MODELS_SHARING                                                         \
	(MODEL(NARU_THREAD) | MODEL(NARU_POOL) | MODEL(NARU_FIBER))

struct conformance_case {
	const char *name;
	CMUnitTestFunction run;
	unsigned models;
	unsigned transports;
};

#define CASE_IN(models_, transports_, function)                                \
	{                                                                      \
		.name = #function, .run = (function), .models = (models_),     \
		.transports = (transports_)                                    \
	}
#define CASE(function)             CASE_IN(MODELS_ALL, STREAMS, function)
#define CASE_FOR(models, function) CASE_IN(models, STREAMS, function)
#define CASE_TCP(function)                                                     \
	CASE_IN(MODELS_ALL, STREAMS & ~TRANSPORT(TRANSPORT_UNIX), function)
#define CASE_OVER(transport, function)                                         \
	CASE_IN(MODELS_ALL, TRANSPORT(transport), function)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct conformance_list {
	const struct conformance_case *cases;
	size_t count;
};
#define LIST(array)                                                            \
	{                                                                      \
		array, COUNT(array)                                            \
	}

extern const struct conformance_list bytes_list;
extern const struct conformance_list messages_list;
extern const struct conformance_list framings_list;
extern const struct conformance_list time_list;
extern const struct conformance_list ends_list;
extern const struct conformance_list breaks_list;
extern const struct conformance_list late_list;
extern const struct conformance_list backlog_list;
extern const struct conformance_list strands_list;
extern const struct conformance_list relays_list;
extern const struct conformance_list cancel_list;
extern const struct conformance_list chat_list;
extern const struct conformance_list sharing_list;
extern const struct conformance_list program_list;
extern const struct conformance_list who_list;
extern const struct conformance_list announced_list;
extern const struct conformance_list load_list;
extern const struct conformance_list life_list;
extern const struct conformance_list isolated_list;
extern const struct conformance_list datagrams_list;
extern const struct conformance_list drains_list;

/* Talks that more than one file uses. */
naru_talk talk_echo;       /* bytes, until the peer has finished */
naru_talk talk_echo_lines; /* lines, until the peer has finished */
/* Answers each line "pid" with the number of its process, "step N" by waiting
 * for that step, "id" with the conversation's number, and each other line
 * with itself. */
naru_talk talk_obey;

#endif
