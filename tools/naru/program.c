/* SPDX-License-Identifier: MIT */
/*
 * A program for each connection. How it ended is told by an event; what is
 * left to say here is that it could not be started.
 */

#include <errno.h>
#include <inttypes.h>

#include "talks.h"

static int program(struct naru_conv *conv, void *arg)
{
	const struct nr_tool_talk_arg *given = arg;
	int status;
	int err = naru_program(conv, given->argv, &status);

	if (err < 0 && err != -ECANCELED && err != -ETIMEDOUT)
		nr_tool_log(given->log, NR_TOOL_LOG_ERROR,
		            "conversation %" PRIu64
		            ": the program '%s' does not start: %s",
		            naru_id(conv), given->argv[0], naru_strerror(err));
	return err;
}

const struct nr_tool_talk nr_tool_program = {
	.name = "program",
	.run = program,
	.summary = "run a program whose input and output are the connection",
};
