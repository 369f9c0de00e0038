/* SPDX-License-Identifier: MIT */
#ifndef NR_TOOL_COMMAND_H
#define NR_TOOL_COMMAND_H

/*
 * A subcommand of naru: one const struct at the end of cmd_<name>.c, listed
 * in main.c.
 */

#include <stdio.h>

/* How the command exits. */
enum nr_tool_exit {
	NR_TOOL_OK = 0,
	NR_TOOL_FAILURE = 1, /* what was asked for could not be done */
	NR_TOOL_USAGE = 2,   /* what was asked for cannot be understood */
};

struct nr_tool_command {
	const char *name;
	/* ARGV[0] is the subcommand's name. Returns the exit code. */
	int (*run)(int argc, char **argv);
	void (*usage)(FILE *out);
	const char *summary;
};

extern const struct nr_tool_command nr_tool_call;
extern const struct nr_tool_command nr_tool_serve;

/* Prints the usage of COMMAND on standard output and returns the exit code. */
int nr_tool_help(const struct nr_tool_command *command);

#endif
