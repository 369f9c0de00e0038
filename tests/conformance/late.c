/* SPDX-License-Identifier: MIT */
/*
 * Output that the peer does not take yet: nothing of it is lost or goes
 * twice, and nobody but its own conversation waits for it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

/* The test's own listener. */
static char far_endpoint[NARU_ADDR_TEXT];

#define BLOCK 9000

/* How often a flush must time out before a peer counts as stuck. */
#define LATE 5

/*
 * Writes the pattern until CONV is stuck, with output left; the write timeout
 * is MS from then on. NUMBER is how much was written. A peer's kernel may
 * still take a little later, when it has tidied its memory: no case may count
 * on the opposite.
 */
static int fill(struct naru_conv *conv, int64_t ms)
{
	char block[BLOCK];
	size_t total = 0;
	int late = 0;

	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 40), 0);
	while (late < LATE) {
		pattern_fill(block, total, BLOCK);
		MUST(naru_write(conv, block, BLOCK), 0);
		total += BLOCK;
		for (late = 0; late < LATE; late++)
			if (naru_flush(conv) == 0)
				break;
	}
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, ms), 0);
	atomic_store(&shared->number, (long long)total);
	return 0;
}

static size_t written(void)
{
	return (size_t)atomic_load(&shared->number);
}

/* Gives up a conversation that is stuck. */
static int give_up(struct naru_conv *conv)
{
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 0), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_END, 0), 0);
	(void)naru_close(conv);
	return 0;
}

/* Step 2: it timed out twice. Writes ten blocks more from there. */
static int strand_repeat(struct naru_conv *conv, void *arg)
{
	char block[BLOCK];
	size_t total = 0;
	int err, late = 0, more = 0;

	(void)arg;
	while (more < 10) {
		pattern_fill(block, total, BLOCK);
		while ((err = naru_write(conv, block, BLOCK)) == -ETIMEDOUT)
			set_step(++late);
		MUST(err, 0);
		total += BLOCK;
		more += late >= 2;
	}
	atomic_store(&shared->number, (long long)total);
	do
		err = naru_finish(conv);
	while (err == -ETIMEDOUT);
	MUST(err, 0);
	return 0;
}

static int talk_companion_repeats(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;

	(void)conv;
	(void)arg;
	MUST(naru_dial(&far, far_endpoint, NULL), 0);
	MUST(naru_set_timeout(far, NARU_TIMEOUT_WRITE, 60), 0);
	MUST(naru_spawn(far, strand_repeat, NULL), 0);
	MUST(naru_join(far), 0);
	MUST(naru_close(far), 0);
	return 0;
}

/* Starts a server whose talk dials the test, and is dialled. */
static struct server *start_dialling(naru_talk *talk, int *ret_client,
                                     int *ret_far)
{
	int listener = client_listen(far_endpoint, sizeof(far_endpoint));
	struct server *server = server_start(talk, NULL, NULL);

	*ret_client = client_connect(server->endpoint[0]);
	*ret_far = client_accept(listener);
	close(listener);
	return server;
}

/* Receives the pattern to its end; returns how much it was. */
static size_t receive_pattern(int fd)
{
	static char buf[65536];
	size_t total = 0;
	ssize_t got;

	while ((got = recv(fd, buf, sizeof(buf), 0)) > 0) {
		if (!pattern_holds(buf, total, (size_t)got))
			fail_with("wrong bytes after %zu", total);
		total += (size_t)got;
	}
	if (got < 0)
		fail_with("no end after %zu bytes, but %s", total,
		          strerror(errno));
	return total;
}

static void test_repeated_write_of_a_companion_goes_once(void **state)
{
	int client, far;
	struct server *server =
		start_dialling(talk_companion_repeats, &client, &far);
	size_t received;

	(void)state;
	wait_step(2);
	received = receive_pattern(far);
	assert_int_equal(received, written());
	close(far);
	client_expect_end(client);
	close(client);
	server_stop(server);
}

/* Step 1: the output of the first wait was late. */
static int send_late_output(struct naru_conv *conv)
{
	struct naru_msg msg;
	int err = fill(conv, 40);

	if (err < 0)
		return err;
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 0), 0);
	MUST(naru_recv(conv, &msg), -ETIMEDOUT);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, WAIT_MS), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, WAIT_MS / 2), 0);
	set_step(1);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "got it"), 0);
	return 0;
}

static int talk_send_late_output(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return send_late_output(conv);
}

static int talk_send_late_output_far(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;
	int err;

	(void)conv;
	(void)arg;
	MUST(naru_dial(&far, far_endpoint, NULL), 0);
	err = send_late_output(far);
	if (err < 0)
		return err;
	MUST(naru_close(far), 0);
	return 0;
}

static void take_late_output(int fd)
{
	wait_step(1);
	client_expect_pattern(fd, 0, written());
	client_say(fd, "got it\n");
	client_expect_end(fd);
	close(fd);
}

static void test_late_output_goes_with_the_next_wait(void **state)
{
	struct server *server = server_start(talk_send_late_output, NULL, NULL);
	int client, far;

	(void)state;
	take_late_output(client_connect(server->endpoint[0]));
	server_stop(server);
	shared_clear();
	server = start_dialling(talk_send_late_output_far, &client, &far);
	take_late_output(far);
	client_expect_end(client);
	close(client);
	server_stop(server);
}

/* Whether less than a quarter of what a hang would take has passed. */
static bool soon_after(int64_t start)
{
	return naru_now() - start < WAIT_MS / 4;
}

/* What one may do beside a stuck conversation, each bounded by itself. */
static int wait_beside(struct naru_conv *other)
{
	struct naru_conv *third;
	struct naru_msg msg;
	int64_t start = naru_now();
	int err;

	MUST(naru_set_deadline(other, start + 200), 0);
	MUST(naru_recv(other, &msg), -ETIMEDOUT);
	MUST(soon_after(start), true);
	start = naru_now();
	MUST(naru_sleep(50), 0);
	MUST(soon_after(start), true);
	start = naru_now();
	err = naru_dial(&third, far_endpoint,
	                NARU_DIAL_OPTIONS(.timeout_ms = 200));
	MUST(soon_after(start), true);
	/* The dial's time may have gone by. */
	MUST(err == 0 || err == -ETIMEDOUT, true);
	if (err == 0) {
		MUST(naru_set_timeout(third, NARU_TIMEOUT_END, 100), 0);
		MUST(naru_close(third), 0);
	}
	MUST(naru_set_timeout(other, NARU_TIMEOUT_END, 100), 0);
	start = naru_now();
	MUST(naru_close(other), 0);
	MUST(soon_after(start), true);
	return 0;
}

static int talk_beside_the_stuck(struct naru_conv *conv, void *arg)
{
	struct naru_conv *stuck, *other;
	int err;

	(void)arg;
	MUST(naru_dial(&stuck, far_endpoint, NULL), 0);
	MUST(naru_dial(&other, far_endpoint, NULL), 0);
	err = fill(stuck, WAIT_MS * 2);
	if (err == 0)
		err = wait_beside(other);
	if (give_up(stuck) < 0 || err < 0)
		return -EPROTO;
	return naru_write(conv, "ok", 2);
}

static void test_stuck_conversation_holds_up_no_other(void **state)
{
	int listener = client_listen(far_endpoint, sizeof(far_endpoint));
	struct server *server = server_start(talk_beside_the_stuck, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	close(listener);
	server_stop(server);
}

/* What a talk has left behind, in whichever process that was. */
static struct naru_conv *left_behind;

static int talk_leave_stuck(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	MUST(naru_dial(&left_behind, far_endpoint, NULL), 0);
	return fill(left_behind, WAIT_MS * 2);
}

static void close_left_behind(void)
{
	if (left_behind)
		EXPECT(give_up(left_behind), 0);
}

/* Its strand sends for it at its end. */
static void test_stop_cancels_a_strand_that_ends_with_output(void **state)
{
	struct setup setup = {
		.listener = {{.talk = talk_leave_stuck}},
		.options = NARU_OPTIONS(.end_ms = 200),
		.after_run = close_left_behind,
	};
	int listener = client_listen(far_endpoint, sizeof(far_endpoint));
	struct server *server = server_start_setup(&setup);
	int fd = client_connect(server->endpoint[0]), err;
	int64_t start;

	(void)state;
	client_expect_end(fd);
	close(fd);
	wait_seen(NARU_EVENT_END, 1);
	start = clock_ms();
	server_signal(server, 0);
	/* The conversation has ended, and what ran it may not have. */
	err = server_wait_any(server);
	assert_true(err == 0 || err == -ECANCELED);
	assert_true(clock_ms() - start < WAIT_MS / 4);
	close(listener);
}

/* Step 1: the output waits. Step 2: the peer reads at last, later than the
 * idle timeout after step 1. */
static int talk_idle_after_output(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err = fill(conv, WAIT_MS);

	(void)arg;
	if (err < 0)
		return err;
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 500), 0);
	set_step(1);
	err = naru_recv(conv, &msg);
	/* All had gone before the peer read, and the time with it. */
	if (err == -ETIMEDOUT && atomic_load(&shared->step) < 2) {
		MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, WAIT_MS), 0);
		err = naru_recv(conv, &msg);
	}
	MUST(err, 1);
	return 0;
}

static void test_idle_time_begins_when_output_has_gone(void **state)
{
	struct server *server =
		server_start(talk_idle_after_output, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	int64_t start;

	(void)state;
	wait_step(1);
	start = clock_ms();
	wait_until(clock_ms() - start > 800);
	set_step(2);
	client_skip(fd, written());
	client_say(fd, "answer\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static int strand_take_its_time(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	MUST(naru_sleep(100), 0);
	shared_note('c');
	return 0;
}

static int join_late(struct naru_conv *conv)
{
	MUST(naru_spawn(conv, strand_take_its_time, NULL), 0);
	MUST(naru_join(conv), 0);
	MUST(strcmp(shared->order, "c"), 0);
	set_step(2);
	return 0;
}

static int talk_join_beside_stuck_output(struct naru_conv *conv, void *arg)
{
	int err = fill(conv, 40);

	(void)arg;
	return err < 0 ? err : join_late(conv);
}

/* Step 1: the peer is gone. */
static int talk_join_after_failing(struct naru_conv *conv, void *arg)
{
	int err;

	(void)arg;
	MUST(await_step(1), true);
	do {
		err = naru_write(conv, "x", 1);
		if (err == 0)
			err = naru_flush(conv);
	} while (err == 0);
	return join_late(conv);
}

static void test_join_waits_whatever_happens_to_output(void **state)
{
	struct server *server =
		server_start(talk_join_beside_stuck_output, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	wait_step(2);
	close(fd);
	server_stop(server);
	shared_clear();
	server = server_start(talk_join_after_failing, NULL, NULL);
	close(client_connect(server->endpoint[0]));
	set_step(1);
	wait_step(2);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_repeated_write_of_a_companion_goes_once),
	CASE(test_late_output_goes_with_the_next_wait),
	CASE(test_stuck_conversation_holds_up_no_other),
	CASE(test_stop_cancels_a_strand_that_ends_with_output),
	CASE(test_idle_time_begins_when_output_has_gone),
	CASE(test_join_waits_whatever_happens_to_output),
};
const struct conformance_list late_list = LIST(cases);
