/* SPDX-License-Identifier: MIT */
/*
 * Relays that carry much: all of it, in order, in both directions at once,
 * whatever is copied and whatever is spliced; with half-closes, breaks, peers
 * that do not read, and descriptors that run out. See also strands.c and
 * breaks.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"

#define MB ((size_t)1024 * 1024)

/* What goes back is the pattern from here on. */
#define BACK 100003

/* More than sockets and pipes on the way ever hold together. */
#define WAY_MOST (64 * MB)

/* Under how the relay works. */
struct under {
	int result;      /* that it must have */
	int idle_ms;     /* of both conversations; 0: the default */
	int deadline_ms; /* of the client's; 0: none */
	bool starved;    /* without descriptors for a pipe */
};

/* Between the relay's parties: a client, the server, the far peer. */
struct across {
	struct server *server;
	int listener, client, far;
};

static char far_endpoint[NARU_ADDR_TEXT];

/* From here on this process has as many more descriptors as a strand beside
 * this one takes, and not the two of a pipe. Returns the limit that it had. */
static struct rlimit starve(void)
{
	struct rlimit before, least;
	int first = dup(STDERR_FILENO);

	getrlimit(RLIMIT_NOFILE, &before);
	close(first);
	least = before;
	least.rlim_cur = (rlim_t)first + (place.model == NARU_FIBER ? 1 : 2);
	setrlimit(RLIMIT_NOFILE, &least);
	return before;
}

/* Step 1: it has begun. Step 2: it is over. */
static int talk_relay_under(struct naru_conv *conv, void *arg)
{
	const struct under *under = arg;
	int64_t idle = under->idle_ms;
	struct rlimit limit;
	struct naru_conv *far;
	int err;

	MUST(naru_dial(&far, far_endpoint, NULL), 0);
	if (idle) {
		MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, idle), 0);
		MUST(naru_set_timeout(far, NARU_TIMEOUT_IDLE, idle), 0);
	}
	if (under->deadline_ms)
		MUST(naru_set_deadline(conv, naru_now() + under->deadline_ms),
		     0);
	if (under->starved)
		limit = starve();
	set_step(1);
	err = naru_relay(conv, far);
	if (under->starved)
		setrlimit(RLIMIT_NOFILE, &limit);
	/* Whether sending or receiving finds it out is a matter of luck; and
	 * TLS may find the stream cut. */
	if (err == -EPIPE ||
	    (err == -NARU_ECUT && place.transport == TRANSPORT_TLS))
		err = -ECONNRESET;
	EXPECT(err, under->result);
	if (err == 0) {
		EXPECT(naru_received(conv), naru_sent(far));
		EXPECT(naru_received(far), naru_sent(conv));
	}
	EXPECT(naru_close(far), 0);
	set_step(2);
	return err;
}

static struct across across_start(struct under *under)
{
	struct across all;

	all.listener = client_listen(far_endpoint, sizeof(far_endpoint));
	all.server = server_start(talk_relay_under, under, NULL);
	all.client = client_connect(all.server->endpoint[0]);
	all.far = client_accept(all.listener);
	return all;
}

static void across_end(struct across *all)
{
	close(all->client);
	close(all->far);
	close(all->listener);
	server_stop(all->server);
}

/* One direction: what goes in at one end and has to come out at the other. */
struct way {
	int in, out;
	size_t from, sent, got, len;
	unsigned chance;
};

/* A length that nobody can guess, the same in every run. */
static size_t some_length(struct way *way, size_t most)
{
	way->chance = way->chance * 1103515245 + 12345;
	return 1 + (way->chance >> 8) % most;
}

static void put_some(struct way *way)
{
	static unsigned char buf[100000];
	size_t len = some_length(way, sizeof(buf));
	ssize_t sent;

	if (len > way->len - way->sent)
		len = way->len - way->sent;
	pattern_fill(buf, way->from + way->sent, len);
	sent = send(way->in, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		fail_with("send after %zu: %s", way->sent, strerror(errno));
	way->sent += sent > 0 ? (size_t)sent : 0;
}

static void take_some(struct way *way)
{
	static unsigned char buf[100000];
	ssize_t got = recv(way->out, buf, some_length(way, sizeof(buf)),
	                   MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		fail_with("after %zu: %s", way->got,
		          got < 0 ? strerror(errno) : "the end");
	if (!pattern_holds(buf, way->from + way->got, (size_t)got))
		fail_with("wrong bytes after %zu", way->got);
	way->got += (size_t)got;
}

/* Carries what is left of both ways, at once. */
static void carry_both(struct way *there, struct way *back)
{
	struct pollfd fds[2] = {{.fd = there->in}, {.fd = there->out}};

	while (there->got < there->len || back->got < back->len) {
		fds[0].events = (short)((there->sent < there->len) * POLLOUT |
		                        (back->got < back->len) * POLLIN);
		fds[1].events = (short)((back->sent < back->len) * POLLOUT |
		                        (there->got < there->len) * POLLIN);
		if (poll(fds, 2, WAIT_MS) < 1)
			fail_with("stuck after %zu and %zu", there->got,
			          back->got);
		if (fds[0].revents & POLLOUT)
			put_some(there);
		if (fds[1].revents & POLLOUT)
			put_some(back);
		if (fds[0].revents & fds[0].events & POLLIN)
			take_some(back);
		if (fds[1].revents & fds[1].events & POLLIN)
			take_some(there);
	}
}

static void carry_megabytes(const struct across *all, size_t there, size_t back)
{
	struct way out = {all->client, all->far, .len = there, .chance = 1};
	struct way in = {all->far, all->client, .from = BACK, .len = back};

	carry_both(&out, &in);
}

/* What the report said, and what the conversation's end did. */
static void expect_carried(long long there, long long back)
{
	wait_seen(NARU_EVENT_END, 1);
	assert_int_equal(atomic_load(&shared->seen[NARU_EVENT_RELAY]), 1);
	assert_int_equal(atomic_load(&shared->relay_received), there);
	assert_int_equal(atomic_load(&shared->relay_sent), back);
	assert_result(atomic_load(&shared->relay_result), 0);
	assert_int_equal(atomic_load(&shared->end_received), there);
	assert_int_equal(atomic_load(&shared->end_sent), back);
}

/* The ends pass through as well: FIRST's, and then THEN's. */
static void finish_both(int first, int then)
{
	client_finish(first);
	client_expect_end(then);
	client_finish(then);
	client_expect_end(first);
}

static void test_relay_carries_much_both_ways_at_once(void **state)
{
	static struct under under;
	struct across all = across_start(&under);

	(void)state;
	carry_megabytes(&all, 12 * MB, 9 * MB);
	finish_both(all.client, all.far);
	expect_carried(12 * MB, 9 * MB);
	across_end(&all);
}

static void test_relay_goes_on_after_the_client_has_finished(void **state)
{
	static struct under under;
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};
	struct way back = {all.far, all.client, .len = 6 * MB};

	(void)state;
	carry_megabytes(&all, 2 * MB, 10);
	client_finish(all.client);
	client_expect_end(all.far);
	carry_both(&there, &back);
	client_finish(all.far);
	client_expect_end(all.client);
	expect_carried(2 * MB, 6 * MB + 10);
	across_end(&all);
}

static void test_relay_goes_on_after_the_far_peer_has_finished(void **state)
{
	static struct under under;
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 6 * MB};
	struct way back = {all.far, all.client, .len = 0};

	(void)state;
	carry_megabytes(&all, 10, 2 * MB);
	client_finish(all.far);
	client_expect_end(all.client);
	carry_both(&there, &back);
	client_finish(all.client);
	client_expect_end(all.far);
	expect_carried(6 * MB + 10, 2 * MB);
	across_end(&all);
}

/* Small messages, a bulk, small messages again: the bytes that were spliced
 * and those that were copied come in their order. */
static void test_relay_keeps_the_order_when_the_flow_changes(void **state)
{
	static struct under under;
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};
	struct way back = {all.far, all.client, .from = BACK, .len = 0};

	(void)state;
	for (int turn = 0; turn < 8; turn++) {
		for (int i = 0; i < 40; i++) {
			there.len += 100;
			back.len += 30;
			carry_both(&there, &back);
		}
		there.len += turn % 2 ? MB : 100000;
		back.len += turn % 3 ? MB : 0;
		carry_both(&there, &back);
	}
	finish_both(all.client, all.far);
	across_end(&all);
}

/* A byte out of band is no part of the stream, and ends no splicing for good;
 * what comes behind it does. */
static void test_relay_leaves_bytes_out_of_band_out(void **state)
{
	static struct under under;
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = MB};
	struct way back = {all.far, all.client, .len = 0};

	(void)state;
	while (there.sent < there.len)
		put_some(&there);
	assert_int_equal(send(all.client, "!", 1, MSG_OOB), 1);
	there.len += MB / 2;
	carry_both(&there, &back);
	finish_both(all.client, all.far);
	across_end(&all);
}

/* Sends until nothing more is taken. */
static void send_until_full(struct way *way)
{
	struct pollfd one = {.fd = way->in, .events = POLLOUT};

	way->len = WAY_MOST;
	while (poll(&one, 1, 200) == 1 && way->sent < way->len)
		put_some(way);
	assert_true(way->sent < WAY_MOST);
	way->len = way->sent;
}

static void test_relay_stops_a_sender_whose_receiver_is_slow(void **state)
{
	static struct under under;
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};
	struct way back = {all.far, all.client, .from = BACK, .len = MB};

	(void)state;
	send_until_full(&there);
	/* The other direction goes on meanwhile. */
	while (back.got < back.len) {
		if (back.sent < back.len)
			put_some(&back);
		take_some(&back);
	}
	carry_both(&there, &back);
	finish_both(all.client, all.far);
	across_end(&all);
}

static void test_relay_passes_on_that_the_client_broke_off(void **state)
{
	static struct under under = {.result = -ECONNRESET};
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};

	(void)state;
	client_say(all.far, "unread");
	send_until_full(&there);
	client_reset(all.client);
	client_expect_reset(all.far);
	wait_step(2);
	all.client = -1;
	across_end(&all);
}

static void test_relay_passes_on_that_the_far_peer_broke_off(void **state)
{
	static struct under under = {.result = -ECONNRESET};
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};

	(void)state;
	send_until_full(&there);
	client_reset(all.far);
	client_expect_reset(all.client);
	wait_step(2);
	all.far = -1;
	across_end(&all);
}

static void test_relay_is_not_idle_while_one_side_speaks(void **state)
{
	static struct under under = {.idle_ms = 600};
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};
	struct way back = {all.far, all.client, .len = 0};
	int64_t end = clock_ms() + 3 * under.idle_ms;

	(void)state;
	while (clock_ms() < end) {
		back.len += 50000;
		carry_both(&there, &back);
		/* The client says nothing. */
		assert_false(client_hears(all.far, 10));
	}
	finish_both(all.far, all.client);
	across_end(&all);
}

static void test_relay_of_a_bulk_can_be_cancelled(void **state)
{
	static struct under under = {.result = -ECANCELED};
	struct across all = across_start(&under);
	struct way there = {all.client, all.far, .len = 0};

	(void)state;
	send_until_full(&there);
	server_signal(all.server, 0);
	client_expect_reset(all.far);
	server_wait(all.server, -ECANCELED);
	close(all.client);
	close(all.far);
	close(all.listener);
}

static void test_relay_of_a_bulk_has_a_deadline(void **state)
{
	static struct under under = {.result = -ETIMEDOUT, .deadline_ms = 500};
	struct across all = across_start(&under);
	static char bytes[65536];
	int64_t limit = clock_ms() + WAIT_MS;

	(void)state;
	/* The client reads nothing. */
	while (atomic_load(&shared->step) < 2) {
		assert_true(clock_ms() < limit);
		if (send(all.far, bytes, sizeof(bytes),
		         MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			rest();
	}
	client_expect_reset(all.client);
	across_end(&all);
}

static void test_relay_without_descriptors_copies(void **state)
{
	static struct under under = {.starved = true};
	struct across all = across_start(&under);

	(void)state;
	wait_step(1);
	carry_megabytes(&all, 4 * MB, 4 * MB);
	finish_both(all.client, all.far);
	expect_carried(4 * MB, 4 * MB);
	across_end(&all);
}

#define RELAYS 80

/* How many descriptors the server's own process has. */
static int server_descriptors(const struct server *server)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)server->pid);
	return count_entries(path);
}

static void test_relays_give_their_pipes_back(void **state)
{
	static struct under under;
	struct across all = across_start(&under);
	int before = server_descriptors(all.server);

	(void)state;
	for (int i = 1;; i++) {
		carry_megabytes(&all, MB / 2, MB / 4);
		finish_both(all.client, all.far);
		wait_seen(NARU_EVENT_END, i);
		close(all.client);
		close(all.far);
		if (i == RELAYS)
			break;
		all.client = client_connect(all.server->endpoint[0]);
		all.far = client_accept(all.listener);
	}
	/* But for a few that wait for the next, on each thread. */
	assert_true(server_descriptors(all.server) < before + 100);
	close(all.listener);
	server_stop(all.server);
}

/* The near conversation is over a unix socket, the far one over TCP. */
static void test_relay_carries_between_transports(void **state)
{
	static struct under under;
	struct across all;

	(void)state;
	place.transport = TRANSPORT_TCP4;
	all.listener = client_listen(far_endpoint, sizeof(far_endpoint));
	place.transport = TRANSPORT_UNIX;
	all.server = server_start(talk_relay_under, &under, NULL);
	all.client = client_connect(all.server->endpoint[0]);
	all.far = client_accept(all.listener);
	carry_megabytes(&all, 5 * MB, 5 * MB);
	finish_both(all.client, all.far);
	across_end(&all);
}

static const struct conformance_case cases[] = {
	CASE(test_relay_carries_much_both_ways_at_once),
	CASE(test_relay_goes_on_after_the_client_has_finished),
	CASE(test_relay_goes_on_after_the_far_peer_has_finished),
	CASE(test_relay_keeps_the_order_when_the_flow_changes),
	CASE_TCP(test_relay_leaves_bytes_out_of_band_out),
	CASE(test_relay_stops_a_sender_whose_receiver_is_slow),
	CASE(test_relay_passes_on_that_the_client_broke_off),
	CASE(test_relay_passes_on_that_the_far_peer_broke_off),
	CASE(test_relay_is_not_idle_while_one_side_speaks),
	CASE(test_relay_of_a_bulk_can_be_cancelled),
	CASE(test_relay_of_a_bulk_has_a_deadline),
	CASE(test_relay_without_descriptors_copies),
	CASE(test_relays_give_their_pipes_back),
	CASE_OVER(TRANSPORT_UNIX, test_relay_carries_between_transports),
};
const struct conformance_list relays_list = LIST(cases);
