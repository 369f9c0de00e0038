/* SPDX-License-Identifier: MIT */
/*
 * A program for each connection. How it ended is told by an event; what is
 * left to say here is that it could not be started.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

bool nr_tool_program_is_there(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	if (strchr(name, '/'))
		return access(name, X_OK) == 0;
	for (const char *at = path ? path : "/bin:/usr/bin"; at;) {
		int len = (int)strcspn(at, ":");

		/* An empty part of PATH is the working directory. */
		snprintf(file, sizeof(file), "%.*s/%s", len ? len : 1,
		         len ? at : ".", name);
		if (access(file, X_OK) == 0)
			return true;
		at = at[len] == ':' ? at + len + 1 : NULL;
	}
	return false;
}

const struct nr_tool_talk nr_tool_program = {
	.name = "program",
	.run = program,
	.summary = "run a program whose input and output are the connection",
};
