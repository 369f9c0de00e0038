/* SPDX-License-Identifier: MIT */
/*
 * The command naru: a table of subcommands, and the help that is made from
 * it. What a subcommand does is in cmd_<name>.c.
 */

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "log.h"
#include "naru.h"

static int help(int argc, char **argv);
static void help_usage(FILE *out);

static const struct nr_tool_command help_command = {
	.name = "help",
	.run = help,
	.usage = help_usage,
	.summary = "say how a command is used",
};

static const struct nr_tool_command *const commands[] = {
	&nr_tool_serve,
	&nr_tool_call,
	&help_command,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct nr_tool_command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void usage(FILE *out)
{
	fputs("usage: naru COMMAND [ARG...]\n"
	      "       naru help [COMMAND]\n"
	      "       naru --version\n"
	      "\n"
	      "Servers and clients whose conversations are plain functions.\n"
	      "\n"
	      "commands:\n",
	      out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name,
		        commands[i]->summary);
}

static void help_usage(FILE *out)
{
	fputs("usage: naru help [COMMAND]\n", out);
}

/* Text that was asked for and could not be written is a failure. */
static int written(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return NR_TOOL_OK;
	nr_tool_say("naru", "standard output cannot be written");
	return NR_TOOL_FAILURE;
}

int nr_tool_help(const struct nr_tool_command *command)
{
	command->usage(stdout);
	return written();
}

static int unknown(const char *name)
{
	nr_tool_say("naru", "there is no command '%s'; see: naru help", name);
	return NR_TOOL_USAGE;
}

static int help(int argc, char **argv)
{
	const struct nr_tool_command *command;

	if (argc > 2) {
		nr_tool_say("naru help", "one command at a time");
		return NR_TOOL_USAGE;
	}
	if (argc < 2) {
		usage(stdout);
		return written();
	}
	command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	return nr_tool_help(command);
}

/*
 * Descriptors 0 to 2 are open from here on: a socket that landed on one of
 * them would be taken for input, output or the log. They give nothing, and
 * take nothing: a result that cannot be written is to be noticed.
 */
static int open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	const struct nr_tool_command *command;

	/* Whoever started us may have ignored it, and then nobody could wait
	 * for a child. */
	signal(SIGCHLD, SIG_DFL);
	if (open_standard() < 0) {
		nr_tool_say("naru", "/dev/null cannot be opened");
		return NR_TOOL_FAILURE;
	}
	if (argc < 2) {
		usage(stderr);
		return NR_TOOL_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("naru %s\n", naru_version());
		return written();
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return written();
	}
	command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	return command->run(argc - 1, argv + 1);
}
