/* SPDX-License-Identifier: MIT */
/* Programs: what they find, and how their end is noticed. */
#include "os/os_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os_file.h"
#include "unit.h"

/* Runs COMMAND in a shell on a socket, and returns what it wrote there. */
static const char *output_of(const char *command, char *const env[])
{
	static char buf[1024];
	char shell[] = "sh", flag[] = "-c", *text = strdup(command);
	char *argv[] = {shell, flag, text, NULL};
	int ends[2], status;
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid = nr_process_spawn(ends[1], argv, env);
	assert_true(pid > 0);
	close(ends[1]);
	while ((got = read(ends[0], buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)got;
	buf[len] = '\0';
	close(ends[0]);
	assert_int_equal(nr_process_reap(pid, true, &status), 1);
	assert_int_equal(status, 0);
	free(text);
	return buf;
}

static void test_program_has_three_descriptors(void **state)
{
	int inherited[2];

	(void)state;
	/* Born without close-on-exec, as others in the program may do. */
	assert_int_equal(pipe(inherited), 0);
	assert_string_equal(
		output_of("for n in 0 1 2 3 4 5 6 7 8 9 10 11 12; do "
	                  "[ -e /proc/$$/fd/$n ] && echo $n; done; true",
	                  nr_process_environment()),
		"0\n1\n2\n");
	close(inherited[0]);
	close(inherited[1]);
}

static void test_program_has_the_environment_given(void **state)
{
	char one[] = "ONE=1", path[] = "PATH=/bin:/usr/bin";
	char *env[] = {one, path, NULL};

	(void)state;
	assert_string_equal(output_of("echo $ONE; echo x$HOME", env), "1\nx\n");
}

static void test_program_has_no_signal_blocked(void **state)
{
	sigset_t all, before;
	const char *text;

	(void)state;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	text = output_of("grep SigBlk /proc/self/status",
	                 nr_process_environment());
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(text, "SigBlk:\t0000000000000000\n");
}

static void test_missing_program_is_told_at_once(void **state)
{
	char name[] = "naru-no-such-program", *argv[] = {name, NULL};
	char folder[] = "/", *argv2[] = {folder, NULL};

	(void)state;
	assert_int_equal(nr_process_spawn(1, argv, nr_process_environment()),
	                 -ENOENT);
	assert_int_equal(nr_process_spawn(1, argv2, nr_process_environment()),
	                 -EACCES);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_end_is_watched_and_reaped(void **state)
{
	int ends[2], watch, status = -1;
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = nr_process_fork();
	if (pid == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 7 : 8);
	}
	assert_true(pid > 0);
	close(ends[0]);
	watch = nr_process_watch(pid);
	assert_true(watch >= 0);
	assert_false(nr_file_is_readable(watch));
	assert_int_equal(nr_process_reap(pid, false, &status), 0);
	close(ends[1]);
	assert_int_equal(nr_process_reap(pid, true, &status), 1);
	assert_int_equal(WEXITSTATUS(status), 7);
	/* Somebody else has reaped it. */
	assert_int_equal(nr_process_reap(pid, true, &status), 1);
	assert_int_equal(status, 0);
	nr_file_close(watch);
}

static void test_forked_process_prints_only_its_own(void **state)
{
	char buf[64] = "";
	FILE *before = stdout;
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	stdout = fdopen(ends[1], "w");
	fputs("parent's ", stdout);
	pid = nr_process_fork();
	if (pid == 0) {
		fputs("child's ", stdout);
		nr_process_exit(0);
	}
	assert_int_equal(nr_process_reap(pid, true, &status), 1);
	fclose(stdout);
	stdout = before;
	assert_true(read(ends[0], buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, "child's parent's ");
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_program_has_three_descriptors),
		cmocka_unit_test(test_program_has_the_environment_given),
		cmocka_unit_test(test_program_has_no_signal_blocked),
		cmocka_unit_test(test_missing_program_is_told_at_once),
		cmocka_unit_test(test_end_is_watched_and_reaped),
		cmocka_unit_test(test_forked_process_prints_only_its_own),
	};

	return RUN("os_process", cases);
}
