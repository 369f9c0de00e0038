/* SPDX-License-Identifier: MIT */
/* Unix listeners, and the files that killed servers leave. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/transport.h"
#include "os/os_file.h"
#include "unit.h"

static char dir[32], path[64];
static struct naru_addr addr;
static const struct nr_report nobody;
static const struct nr_listen options = {.report = &nobody};

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/naru-unit-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", dir);
	return !nr_addr_unix(path, strlen(path), false, &addr);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int listen_there(void)
{
	return nr_transport_unix.listen(&addr, &options);
}

/* Whether somebody answers. */
static bool is_answered(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool answered = connect(fd, &addr.as.any, addr.len) == 0;

	close(fd);
	return answered;
}

static void test_stale_socket_is_replaced(void **state)
{
	int fd = listen_there();

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_false(is_answered());
	fd = listen_there();
	assert_true(fd >= 0);
	assert_true(is_answered());
	close(fd);
}

static void test_answered_socket_is_left(void **state)
{
	int fd = listen_there();

	(void)state;
	assert_int_equal(listen_there(), -EADDRINUSE);
	assert_true(is_answered());
	close(fd);
}

static void test_full_backlog_is_an_answer(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client[8];

	(void)state;
	assert_int_equal(bind(fd, &addr.as.any, addr.len), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (size_t i = 0; i < COUNT(client); i++) {
		client[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(client[i], &addr.as.any, addr.len);
	}
	assert_int_equal(listen_there(), -EADDRINUSE);
	for (size_t i = 0; i < COUNT(client); i++)
		close(client[i]);
	close(fd);
}

static void test_what_is_no_socket_is_left(void **state)
{
	struct nr_file_id id;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	close(fd);
	assert_int_equal(listen_there(), -EEXIST);
	assert_int_equal(nr_file_identify(path, &id), 0);
	/* A link to a socket that nobody answers on is no socket either. */
	unlink(path);
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(listen_there(), -EEXIST);
	assert_int_equal(nr_file_identify(path, &id), 0);
}

static void test_failed_listener_leaves_no_descriptor(void **state)
{
	int before = dup(0), after, fd;

	(void)state;
	close(before);
	fd = listen_there();
	assert_int_equal(listen_there(), -EADDRINUSE);
	close(fd);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

static void test_abstract_name_is_nobodys_to_replace(void **state)
{
	char name[32];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "naru-unit-%d", (int)getpid());
	assert_true(nr_addr_unix(name, strlen(name), true, &addr));
	fd = listen_there();
	assert_true(fd >= 0);
	assert_int_equal(listen_there(), -EADDRINUSE);
	close(fd);
	fd = listen_there();
	assert_true(fd >= 0);
	close(fd);
}

static void test_socket_has_no_source(void **state)
{
	(void)state;
	assert_int_equal(nr_transport_unix.open(&addr, &addr, &nobody),
	                 -EINVAL);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(test_stale_socket_is_replaced),
		CASE(test_answered_socket_is_left),
		CASE(test_full_backlog_is_an_answer),
		CASE(test_what_is_no_socket_is_left),
		CASE(test_failed_listener_leaves_no_descriptor),
		CASE(test_abstract_name_is_nobodys_to_replace),
		CASE(test_socket_has_no_source),
	};

	return RUN("unix", cases);
}
