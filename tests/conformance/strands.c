/* SPDX-License-Identifier: MIT */
/*
 * More than one strand in a conversation: full duplex, companions, relays,
 * conversations that a talk dials.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"

#define MB (1024u * 1024)

/* Pieces of an odd size, so that buffers do not fill evenly. */
#define PIECE 7919

static int strand_write_pattern(struct naru_conv *conv, void *arg)
{
	char buf[PIECE];
	size_t at, n;

	for (at = 0; at < *(size_t *)arg; at += n) {
		n = *(size_t *)arg - at;
		if (n > sizeof(buf))
			n = sizeof(buf);
		pattern_fill(buf, at, n);
		MUST(naru_write(conv, buf, n), 0);
	}
	MUST(naru_flush(conv), 0);
	return 0;
}

static int read_pattern(struct naru_conv *conv, size_t len)
{
	char buf[PIECE];
	size_t at = 0;
	ssize_t got;

	while (at < len) {
		got = naru_read(conv, buf, sizeof(buf));
		MUST(got > 0, true);
		MUST(pattern_holds(buf, at, (size_t)got), true);
		at += (size_t)got;
	}
	MUST(at, len);
	return 0;
}

static int talk_full_duplex(struct naru_conv *conv, void *arg)
{
	int err;

	MUST(naru_spawn(conv, strand_write_pattern, arg), 0);
	err = read_pattern(conv, *(size_t *)arg);
	if (err < 0)
		return err;
	MUST(naru_join(conv), 0);
	return 0;
}

static void test_one_strand_reads_while_another_writes(void **state)
{
	static size_t len = 4 * MB;
	struct server *server = server_start(talk_full_duplex, &len, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_exchange(fd, len, len);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* Does not read before it has written all: only a companion's reading lets
 * the peer write on. */
static int strand_read_pattern(struct naru_conv *conv, void *arg)
{
	return read_pattern(conv, *(size_t *)arg);
}

static int talk_companion_reads(struct naru_conv *conv, void *arg)
{
	MUST(naru_spawn(conv, strand_read_pattern, arg), 0);
	MUST(strand_write_pattern(conv, arg), 0);
	MUST(naru_join(conv), 0);
	return 0;
}

static void test_companion_reads_while_talk_writes(void **state)
{
	static size_t len = 4 * MB;
	struct server *server = server_start(talk_companion_reads, &len, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_exchange(fd, len, len);
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int strand_sleep_long(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	atomic_fetch_add(&shared->step, 1);
	EXPECT(naru_sleep(WAIT_MS * 2), -ECANCELED);
	shared_note('s');
	return 0;
}

static int strand_receive_long(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	atomic_fetch_add(&shared->step, 1);
	EXPECT(naru_recv(conv, &msg), -ECANCELED);
	shared_note('r');
	return 0;
}

/* The peer reads nothing; the write timeout is far. */
static int strand_write_long(struct naru_conv *conv, void *arg)
{
	static char buf[65536];
	int err;

	(void)arg;
	atomic_fetch_add(&shared->step, 1);
	do
		err = naru_write(conv, buf, sizeof(buf));
	while (err == 0);
	EXPECT(err, -ECANCELED);
	shared_note('w');
	return 0;
}

static int hold_on(void *arg)
{
	(void)arg;
	atomic_fetch_add(&shared->number, 1);
	return await_step(3);
}

/* Holds on, outside of Naru, until another companion was cancelled. */
static int strand_hold_on(struct naru_conv *conv, void *arg)
{
	(void)conv;
	EXPECT(naru_offload(hold_on, arg), true);
	return 0;
}

static int strand_let_go(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	EXPECT(naru_sleep(WAIT_MS * 2), -ECANCELED);
	set_step(3);
	return 0;
}

static int see_both_hold_on(void *arg)
{
	int64_t limit = clock_ms() + WAIT_MS;

	(void)arg;
	while (atomic_load(&shared->number) < 2 && clock_ms() < limit)
		rest();
	return (int)atomic_load(&shared->number);
}

static int talk_leave_pair(struct naru_conv *conv, void *arg)
{
	MUST(naru_spawn(conv, strand_hold_on, NULL), 0);
	MUST(naru_spawn(conv, strand_let_go, NULL), 0);
	MUST(naru_spawn(conv, strand_hold_on, NULL), 0);
	MUST(naru_offload(see_both_hold_on, arg), 2);
	return 0;
}

static void test_companions_are_all_cancelled_at_once(void **state)
{
	struct server *server = server_start(talk_leave_pair, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int talk_leave_companions(struct naru_conv *conv, void *arg)
{
	naru_talk *companion = *(naru_talk **)arg;

	MUST(naru_spawn(conv, companion, NULL), 0);
	MUST(await_step_aside(1), 0);
	/* Most likely it waits by now; it must end either way. */
	MUST(naru_sleep(30), 0);
	return 0;
}

static void leave(naru_talk *companion, const char *note)
{
	struct server *server;
	int fd;

	shared_clear();
	server = server_start(talk_leave_companions, &companion, NULL);
	fd = client_connect(server->endpoint[0]);
	wait_until(strlen(shared->order) > 0);
	assert_string_equal(shared->order, note);
	client_expect_gone(fd);
	close(fd);
	server_stop(server);
}

static void test_companions_end_with_the_conversation(void **state)
{
	(void)state;
	leave(strand_sleep_long, "s");
	leave(strand_receive_long, "r");
	leave(strand_write_long, "w");
}

#define LINES 800

/* Lines of one letter, each longer than the one before, up to a limit. */
static size_t letter_line(char *line, char letter, int number)
{
	size_t len = 1 + (size_t)number % 700;

	memset(line, letter, len);
	return len;
}

static int strand_send_letters(struct naru_conv *conv, void *arg)
{
	char line[700];
	int i;

	for (i = 0; i < LINES; i++)
		MUST(naru_send(conv, line, letter_line(line, *(char *)arg, i)),
		     0);
	return 0;
}

static int talk_send_together(struct naru_conv *conv, void *arg)
{
	static char letters[] = {'a', 'b', 'c'};

	(void)arg;
	MUST(naru_spawn(conv, strand_send_letters, &letters[0]), 0);
	MUST(naru_spawn(conv, strand_send_letters, &letters[1]), 0);
	MUST(strand_send_letters(conv, &letters[2]), 0);
	MUST(naru_join(conv), 0);
	return naru_send(conv, ".", 1);
}

static void check_letter_line(const char *line, int counts[3])
{
	char want[701];
	size_t which = (size_t)(line[0] - 'a'), len;

	assert_in_range(which, 0, 2);
	len = letter_line(want, line[0], counts[which]++);
	want[len] = '\0';
	if (strcmp(line, want) != 0)
		fail_with("lines were mixed: %s", line);
}

static void test_messages_of_two_strands_stay_whole(void **state)
{
	struct server *server = server_start(talk_send_together, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	int counts[3] = {0}, i;
	char line[2048];

	(void)state;
	for (i = 0; i < 3 * LINES; i++) {
		client_line(fd, line, sizeof(line));
		check_letter_line(line, counts);
	}
	client_expect(fd, ".\n");
	client_expect_end(fd);
	assert_int_equal(counts[0], LINES);
	assert_int_equal(counts[1], LINES);
	assert_int_equal(counts[2], LINES);
	close(fd);
	server_stop(server);
}

static int talk_spawn_most(struct naru_conv *conv, void *arg)
{
	int i;

	(void)arg;
	MUST(naru_spawn(conv, NULL, NULL), -EINVAL);
	for (i = 0; i < NARU_STRANDS_MAX; i++)
		MUST(naru_spawn(conv, strand_sleep_long, NULL), 0);
	MUST(naru_spawn(conv, strand_sleep_long, NULL), -EAGAIN);
	MUST(await_step_aside(NARU_STRANDS_MAX), 0);
	return 0;
}

static void test_strands_have_a_limit(void **state)
{
	struct server *server = server_start(talk_spawn_most, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect_end(fd);
	close(fd);
	wait_seen(NARU_EVENT_END, 1);
	assert_int_equal(atomic_load(&shared->order_len), NARU_STRANDS_MAX);
	server_stop(server);
}

static int strand_fail_first(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	return -EPROTO;
}

static int strand_fail_later(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	/* Far behind the first, which does not wait at all. */
	MUST(naru_sleep(60), 0);
	set_step(1);
	return -EIO;
}

static int strand_write_after(struct naru_conv *conv, void *arg)
{
	MUST(naru_sleep(60), 0);
	return naru_write(conv, arg, strlen(arg));
}

static int strand_spawn(struct naru_conv *conv, void *arg)
{
	MUST(naru_spawn(conv, strand_write_after, arg), 0);
	return 0;
}

static int talk_join(struct naru_conv *conv, void *arg)
{
	static char text[] = "from afar";

	(void)arg;
	if (naru_id(conv) == 1) {
		MUST(naru_join(conv), 0); /* nobody is there */
		MUST(naru_spawn(conv, strand_spawn, text), 0);
		MUST(naru_join(conv), 0);
		return naru_write(conv, ".", 1);
	}
	MUST(naru_spawn(conv, strand_fail_later, NULL), 0);
	MUST(naru_spawn(conv, strand_fail_first, NULL), 0);
	MUST(naru_join(conv), -EPROTO);
	MUST(atomic_load(&shared->step), 1);
	return naru_write(conv, "ok", 2);
}

static void test_join_waits_and_gives_the_first_error(void **state)
{
	struct server *server = server_start(talk_join, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "from afar.");
	client_expect_end(fd);
	close(fd);
	fd = client_connect(server->endpoint[0]);
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* ARG is the endpoint of a second server. */
static int talk_relay(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other;

	MUST(naru_dial(&other, arg, NULL), 0);
	MUST(naru_relay(conv, other), 0);
	MUST(naru_close(other), 0);
	return 0;
}

static void test_relay_carries_both_directions_to_their_ends(void **state)
{
	struct server *far = server_start(talk_echo, NULL, NULL);
	struct server *near = server_start(talk_relay, far->endpoint[0], NULL);
	int fd = client_connect(near->endpoint[0]);

	(void)state;
	client_say(fd, "hello");
	client_expect(fd, "hello");
	client_exchange(fd, 3 * MB, 3 * MB);
	client_finish(fd);
	client_expect_end(fd);
	close(fd);
	server_stop(near);
	server_stop(far);
}

/* The far server answers once and ends; the near client may still send. */
static int talk_answer_once(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	MUST(naru_send(conv, msg.data, msg.len), 0);
	MUST(naru_finish(conv), 0);
	while (naru_recv(conv, &msg) > 0)
		shared_note(msg.data[0]);
	return 0;
}

static void test_relay_passes_a_half_close_on(void **state)
{
	struct server *far = server_start(talk_answer_once, NULL, NULL);
	struct server *near = server_start(talk_relay, far->endpoint[0], NULL);
	int fd = client_connect(near->endpoint[0]);

	(void)state;
	client_say(fd, "once\n");
	client_expect(fd, "once\n");
	client_expect_end(fd);
	client_say(fd, "a\nb\nc\n");
	client_finish(fd);
	wait_until(strlen(shared->order) == 3);
	assert_string_equal(shared->order, "abc");
	close(fd);
	server_stop(near);
	server_stop(far);
}

static int talk_ask_another(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other = NULL;
	struct naru_msg msg;

	MUST(naru_dial(&other, arg, NULL), 0);
	MUST(naru_id(other), 0);
	while (naru_recv(conv, &msg) > 0) {
		MUST(naru_send(other, msg.data, msg.len), 0);
		MUST(naru_recv(other, &msg), 1);
		MUST(naru_send(conv, msg.data, msg.len), 0);
	}
	MUST(naru_close(conv), -EINVAL);
	MUST(naru_close(other), 0);
	MUST(naru_close(NULL), 0);
	return naru_write(conv, "ok", 2);
}

static void test_talk_dials_another_server(void **state)
{
	struct server *far = server_start(talk_echo_lines, NULL, NULL);
	struct server *near =
		server_start(talk_ask_another, far->endpoint[0], NULL);
	int fd = client_connect(near->endpoint[0]);
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		client_say(fd, "pass it on\n");
		client_expect(fd, "pass it on\n");
	}
	client_finish(fd);
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(near);
	server_stop(far);
}

static int return_seven(void *arg)
{
	shared_note('o');
	return *(int *)arg;
}

static int talk_offload(struct naru_conv *conv, void *arg)
{
	int seven = 7, bad = -EDOM;

	(void)arg;
	MUST(naru_offload(return_seven, &seven), 7);
	MUST(naru_offload(return_seven, &bad), -EDOM);
	MUST(naru_offload(NULL, NULL), -EINVAL);
	return naru_write(conv, "ok", 2);
}

static void test_offload_gives_the_result(void **state)
{
	struct server *server = server_start(talk_offload, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "ok");
	client_expect_end(fd);
	assert_string_equal(shared->order, "oo");
	close(fd);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_one_strand_reads_while_another_writes),
	CASE(test_companion_reads_while_talk_writes),
	CASE(test_companions_end_with_the_conversation),
	CASE(test_companions_are_all_cancelled_at_once),
	CASE(test_messages_of_two_strands_stay_whole),
	CASE(test_strands_have_a_limit),
	CASE(test_join_waits_and_gives_the_first_error),
	CASE(test_relay_carries_both_directions_to_their_ends),
	CASE(test_relay_passes_a_half_close_on),
	CASE(test_talk_dials_another_server),
	CASE(test_offload_gives_the_result),
};
const struct conformance_list strands_list = LIST(cases);
