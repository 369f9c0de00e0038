/* SPDX-License-Identifier: MIT */
/*
 * How a conversation breaks: the peer is told, no orderly end pretends that
 * all has come, nobody waits for what cannot come any more, and what the peer
 * said before it went is received.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"

/* What the near talk relays to: the test's own listener. */
static char far_endpoint[NARU_ADDR_TEXT];

/* Between the relay's parties: a client, the server, the far peer. */
struct relayed {
	struct server *server;
	int listener, client, far;
};

/* Under how the relay ends: what it must return, and the idle timeout of the
 * client's conversation. */
struct relay_end {
	int result;
	int idle_ms;
};

/* Step 1: it has begun. Step 2: it is over; NUMBER is how long it took. */
static int talk_relay_until(struct naru_conv *conv, void *arg)
{
	const struct relay_end *end = arg;
	struct naru_conv *far;
	int64_t start;
	int err;

	MUST(naru_dial(&far, far_endpoint, NULL), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, end->idle_ms), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, WAIT_MS * 2), 0);
	set_step(1);
	start = naru_now();
	err = naru_relay(conv, far);
	atomic_store(&shared->number, naru_now() - start);
	EXPECT(err, end->result);
	(void)naru_close(far);
	set_step(2);
	return err;
}

static struct relayed relay_start(struct relay_end *end)
{
	struct relayed all;

	all.listener = client_listen(far_endpoint, sizeof(far_endpoint));
	all.server = server_start(talk_relay_until, end, NULL);
	all.client = client_connect(all.server->endpoint[0]);
	all.far = client_accept(all.listener);
	client_say(all.far, "some of it");
	client_expect(all.client, "some of it");
	return all;
}

static void relay_end(struct relayed *all)
{
	close(all->client);
	close(all->far);
	close(all->listener);
}

static void test_relay_that_times_out_resets_both_peers(void **state)
{
	static struct relay_end end = {-ETIMEDOUT, 200};
	struct relayed all = relay_start(&end);

	(void)state;
	client_expect_reset(all.client);
	client_expect_reset(all.far);
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), -ETIMEDOUT);
	relay_end(&all);
	server_stop(all.server);
}

static void test_relay_passes_a_reset_on(void **state)
{
	static struct relay_end end = {-ECONNRESET, WAIT_MS * 2};
	struct relayed all = relay_start(&end);

	(void)state;
	client_say(all.client, "unread");
	client_reset(all.far);
	all.far = -1;
	client_expect_reset(all.client);
	wait_step(2);
	relay_end(&all);
	server_stop(all.server);
}

static void test_relay_that_is_cancelled_resets_both_peers(void **state)
{
	static struct relay_end end = {-ECANCELED, WAIT_MS * 2};
	struct relayed all = relay_start(&end);

	(void)state;
	server_signal(all.server, 0);
	client_expect_reset(all.client);
	client_expect_reset(all.far);
	server_wait(all.server, -ECANCELED);
	relay_end(&all);
}

/* Sends until the step comes, as much as is taken. */
static void send_until_step(int fd, int step)
{
	static char buf[65536];
	int64_t limit = clock_ms() + WAIT_MS;

	while (atomic_load(&shared->step) < step) {
		if (clock_ms() > limit)
			fail_with("step %d never came", step);
		if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			rest();
	}
}

static void test_break_wakes_a_direction_that_writes(void **state)
{
	static struct relay_end end = {-ETIMEDOUT, 500};
	struct relayed all = relay_start(&end);

	(void)state;
	/* The client reads nothing more. */
	send_until_step(all.far, 2);
	assert_true(atomic_load(&shared->number) < WAIT_MS / 2);
	client_expect_reset(all.client);
	relay_end(&all);
	server_stop(all.server);
}

/* How often a flush must time out before the peer counts as stuck. */
#define LATE 10

/* Returns 0 with output left that the peer does not take. */
static int talk_end_with_output(struct naru_conv *conv, void *arg)
{
	static const char block[9000];
	long long total = 0;
	int late = 0;

	(void)arg;
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 50), 0);
	while (late < LATE) {
		MUST(naru_write(conv, block, sizeof(block)), 0);
		total += (long long)sizeof(block);
		for (late = 0; late < LATE; late++)
			if (naru_flush(conv) == 0)
				break;
	}
	atomic_store(&shared->number, total);
	return 0;
}

static void test_end_that_cannot_send_is_a_reset(void **state)
{
	struct server *server = server_start(talk_end_with_output, NULL, NULL);
	int fd = client_connect_small(server->endpoint[0]);

	(void)state;
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), -ETIMEDOUT);
	assert_true(atomic_load(&shared->end_sent) <
	            atomic_load(&shared->number));
	client_expect_reset(fd);
	close(fd);
	server_stop(server);
}

/* Step 1: the peer has answered, unasked, and gone. */
static int receive_after_failing(struct naru_conv *conv)
{
	int64_t limit = naru_now() + WAIT_MS;
	struct naru_msg msg;
	int err;

	MUST(await_step(1), true);
	do {
		err = naru_write(conv, "x", 1);
		if (err == 0)
			err = naru_flush(conv);
	} while (err == 0 && naru_now() < limit);
	MUST(err == -EPIPE || err == -ECONNRESET, true);
	MUST(naru_recv(conv, &msg), 1);
	MUST(strcmp(msg.data, "too busy"), 0);
	MUST(naru_recv(conv, &msg) <= 0, true);
	set_step(2);
	return 0;
}

static int talk_receive_after_failing(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return receive_after_failing(conv);
}

static int talk_dial_who_is_busy(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;
	int err;

	(void)conv;
	(void)arg;
	MUST(naru_dial(&far, far_endpoint, NULL), 0);
	err = receive_after_failing(far);
	(void)naru_close(far);
	return err;
}

static void answer_and_go(int fd)
{
	client_say(fd, "too busy\n");
	close(fd);
	set_step(1);
	wait_step(2);
}

static void test_answer_is_received_before_the_error(void **state)
{
	struct server *server =
		server_start(talk_receive_after_failing, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	int listener;

	(void)state;
	answer_and_go(fd);
	server_stop(server);
	shared_clear();
	listener = client_listen(far_endpoint, sizeof(far_endpoint));
	server = server_start(talk_dial_who_is_busy, NULL, NULL);
	fd = client_connect(server->endpoint[0]);
	answer_and_go(client_accept(listener));
	client_expect_end(fd);
	close(fd);
	close(listener);
	server_stop(server);
}

/* Breaks off what an orderly end would make look whole. */
static int talk_aborts(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	EXPECT(naru_send(conv, "never sent", 10), 0);
	EXPECT(naru_abort(conv), 0);
	EXPECT(naru_abort(conv), 0);
	EXPECT(naru_abort(NULL), -EINVAL);
	if (naru_recv(conv, &msg) > 0)
		EXPECT(0, -ECANCELED);
	if (naru_send(conv, "nor this", 8) == 0 && naru_flush(conv) == 0)
		EXPECT(0, -EPIPE);
	return -EIO;
}

static void test_abort_resets_the_peer(void **state)
{
	struct server *server = server_start(talk_aborts, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_say(fd, "begin\nunread");
	client_expect_reset(fd);
	wait_seen(NARU_EVENT_END, 1);
	assert_result(atomic_load(&shared->end_result), -EIO);
	close(fd);
	server_stop(server);
}

static int talk_aborts_far(struct naru_conv *conv, void *arg)
{
	struct naru_conv *far;
	char byte;

	(void)arg;
	MUST(naru_dial(&far, far_endpoint, NULL), 0);
	MUST(naru_read(far, &byte, 1), 1);
	EXPECT(naru_abort(far), 0);
	EXPECT(naru_close(far), 0);
	return naru_write(conv, "done", 4);
}

static void test_abort_resets_who_was_dialled(void **state)
{
	int listener = client_listen(far_endpoint, sizeof(far_endpoint));
	struct server *server = server_start(talk_aborts_far, NULL, NULL);
	int client = client_connect(server->endpoint[0]), far;

	(void)state;
	far = client_accept(listener);
	client_say(far, "x");
	client_expect_reset(far);
	client_expect(client, "done");
	client_expect_end(client);
	close(client);
	close(far);
	close(listener);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_abort_resets_the_peer),
	CASE(test_abort_resets_who_was_dialled),
	CASE(test_relay_that_times_out_resets_both_peers),
	CASE(test_relay_passes_a_reset_on),
	CASE(test_relay_that_is_cancelled_resets_both_peers),
	CASE(test_break_wakes_a_direction_that_writes),
	CASE(test_end_that_cannot_send_is_a_reset),
	CASE(test_answer_is_received_before_the_error),
};
const struct conformance_list breaks_list = LIST(cases);
