/* SPDX-License-Identifier: MIT */
/*
 * The server's side: talks that do what they are asked, in fibers of two
 * threads, until the drain cancels them somewhere.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "server.h"
#include "stress.h"

/* Enough, so that not all of them wait for what the server dials itself. */
#define CONVERSATIONS 1000
#define CHUNK         3000
#define HOUR_MS       3600000

static struct naru_server *served;
static atomic_int begun, ended, deferred, deferred_run;

static int write_pattern(struct naru_conv *conv, unsigned seed, size_t len)
{
	unsigned char buf[CHUNK];
	int err = 0;

	for (size_t at = 0, n; at < len && err == 0; at += n) {
		n = len - at < CHUNK ? len - at : CHUNK;
		fill(buf, seed, at, n);
		err = naru_write(conv, buf, n);
	}
	return err;
}

static int read_pattern(struct naru_conv *conv, unsigned seed, size_t len)
{
	unsigned char buf[CHUNK];

	for (size_t at = 0, n; at < len; at += n) {
		ssize_t got;

		n = len - at < CHUNK ? len - at : CHUNK;
		got = naru_read_exact(conv, buf, n);
		if (got <= 0)
			return got < 0 ? (int)got : -NARU_ECUT;
		MUST(holds(buf, seed, at, n), true);
	}
	return 0;
}

/* Each wait may be over before the next byte comes: none is lost by it. */
static int read_trickle(struct naru_conv *conv, const struct request *request)
{
	unsigned char buf[TRICKLE_MAX];
	ssize_t got;

	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, request->ms), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, request->ms), 0);
	while ((got = naru_read_exact(conv, buf, request->len)) == -ETIMEDOUT)
		atomic_fetch_add(&page->timed_out, 1);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_IDLE, WAIT_MS), 0);
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE, WAIT_MS), 0);
	if (got <= 0)
		return got < 0 ? (int)got : -NARU_ECUT;
	MUST(holds(buf, request->seed, 0, request->len), true);
	return 0;
}

static int block(void *arg)
{
	const unsigned *us = arg;

	nanosleep(&(struct timespec){.tv_nsec = *us * 1000L}, NULL);
	return 17;
}

static int offload(unsigned us)
{
	int got = naru_offload(block, &us);

	if (got >= 0)
		MUST(got, 17);
	return got < 0 ? got : 0;
}

static int dial_and_echo(unsigned seed, size_t len)
{
	char endpoint[64];
	struct naru_conv *other;
	int err, end;

	(void)snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d",
	               atomic_load(&page->ports[1]));
	err = naru_dial(&other, endpoint, NULL);
	if (err < 0)
		return err;
	err = write_pattern(other, seed, len);
	if (err == 0)
		err = read_pattern(other, seed, len);
	end = naru_close(other);
	return err < 0 ? err : end;
}

static int do_a_bit(struct naru_conv *conv, void *arg)
{
	unsigned seed = *(unsigned *)arg;
	int err;

	(void)conv;
	err = naru_sleep(seed % 3);
	if (err == 0)
		err = offload(seed % 500);
	if (err == 0 && seed % 4 == 0)
		err = dial_and_echo(seed, seed % 5000);
	return err;
}

static int do_all_at_once(struct naru_conv *conv, struct request *request)
{
	int err = 0;

	for (unsigned i = 0; i < request->ms && err == 0; i++)
		err = naru_spawn(conv, do_a_bit, &request->seed);
	/* There may be room for no more: those that are there suffice. */
	if (err == -EAGAIN)
		err = 0;
	return err < 0 ? err : naru_join(conv);
}

static int hang(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	MUST(naru_sleep(HOUR_MS), -ECANCELED);
	return 0;
}

static int write_beside(struct naru_conv *conv, void *arg)
{
	const struct request *request = arg;

	return write_pattern(conv, request->seed + 1, request->len);
}

static int do_both(struct naru_conv *conv, struct request *request)
{
	int err = naru_spawn(conv, write_beside, request);

	if (err == 0)
		err = read_pattern(conv, request->seed, request->len);
	return err < 0 ? err : naru_join(conv);
}

static int relay(struct naru_conv *conv)
{
	struct naru_conv *other;
	char endpoint[64];
	int err, end;

	(void)snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d",
	               atomic_load(&page->ports[1]));
	err = naru_dial(&other, endpoint, NULL);
	if (err < 0)
		return err;
	err = naru_relay(conv, other);
	end = naru_close(other);
	return err < 0 ? err : end;
}

/* What comes before the answer. */
static int prepare_answer(struct naru_conv *conv, struct request *request)
{
	switch (request->kind) {
	case ECHO:
		return read_pattern(conv, request->seed, request->len);
	case SLEEP:
		return naru_sleep(request->ms);
	case OFFLOAD:
		return offload(request->ms * 100);
	case SPAWN:
		return do_all_at_once(conv, request);
	case HANG:
		return naru_spawn(conv, hang, NULL);
	case TRICKLE:
		return read_trickle(conv, request);
	case DIAL:
		return dial_and_echo(request->seed, request->len);
	case BOTH:
		return do_both(conv, request);
	default:
		return relay(conv);
	}
}

static int answer(struct naru_conv *conv, struct request *request)
{
	enum request_kind kind = request->kind;
	int err = prepare_answer(conv, request);

	if (err == 0 && kind != HANG && kind != BOTH && kind != RELAY)
		err = write_pattern(conv, request->seed + 1, request->len);
	if (err == 0)
		atomic_fetch_add(&page->answered[kind], 1);
	return err;
}

static void run_deferred(void *arg)
{
	/* What naru_alloc() gave is still there. */
	EXPECT(*(int *)arg, 4711);
	atomic_fetch_add(&deferred_run, 1);
}

/* What each conversation brings to its end. */
static int leave_something(struct naru_conv *conv)
{
	int *piece = naru_alloc(conv, 100), err;

	if (!piece)
		return -ENOMEM;
	*piece = 4711;
	err = naru_defer(conv, run_deferred, piece);
	if (err == 0)
		atomic_fetch_add(&deferred, 1);
	return err;
}

static int read_request(const char *line, struct request *ret_request)
{
	int kind;

	MUST(sscanf(line, "%d %u %zu %u", &kind, &ret_request->ms,
	            &ret_request->len, &ret_request->seed),
	     4);
	MUST(kind >= 0 && kind < REQUEST_KINDS, true);
	ret_request->kind = (enum request_kind)kind;
	return 0;
}

static int talk(struct naru_conv *conv, void *arg)
{
	/* Strands that outlive the talk look at it. */
	struct request *request = naru_alloc(conv, sizeof(*request));
	struct naru_msg msg;
	int err = leave_something(conv);

	(void)arg;
	while (err == 0 && (err = naru_recv(conv, &msg)) > 0) {
		err = read_request(msg.data, request);
		if (err == 0)
			err = answer(conv, request);
	}
	return err;
}

static int talk_echo(struct naru_conv *conv, void *arg)
{
	char buf[2000];
	ssize_t got;
	int err = leave_something(conv);

	(void)arg;
	while (err == 0 && (got = naru_read(conv, buf, sizeof(buf))) != 0)
		err = got < 0 ? (int)got : naru_write(conv, buf, (size_t)got);
	return err;
}

static void count_end(int result)
{
	if (result == -ECANCELED)
		atomic_fetch_add(&page->cancelled, 1);
	else if (result < 0)
		atomic_fetch_add(&page->broken, 1);
	else
		atomic_fetch_add(&page->well, 1);
}

static void report(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_BEGIN) {
		atomic_fetch_add(&begun, 1);
	} else if (event->kind == NARU_EVENT_END) {
		atomic_fetch_add(&ended, 1);
		count_end(event->result);
	}
}

/* Stops the server when the other end of the pipe is closed. A thread and no
 * signal: the thread sanitizer keeps one that comes while a fiber runs for that
 * fiber, which may have ended by then. */
static void *await_stop(void *arg)
{
	const int *pipe = arg;
	char byte;

	while (read(*pipe, &byte, 1) < 0 && errno == EINTR)
		continue;
	EXPECT(naru_server_stop(served, atomic_load(&page->drain_ms)), 0);
	return NULL;
}

static bool listen_both(void)
{
	static naru_talk *const talks[] = {talk, talk_echo};
	char endpoint[NARU_ADDR_TEXT];

	for (unsigned i = 0; i < 2; i++) {
		if (!EXPECT(naru_server_listen(served, "tcp://127.0.0.1:0",
		                               talks[i], NULL),
		            0) ||
		    naru_server_endpoint(served, i, endpoint,
		                         sizeof(endpoint)) < 0)
			return false;
		atomic_store(&page->ports[i], atoi(strrchr(endpoint, ':') + 1));
	}
	return true;
}

/* Everything has been given back. */
static void expect_nothing_left(int fds, int threads)
{
	int64_t limit = clock_ms() + 2000;

	/* A thread that was joined is in /proc for a moment longer. */
	while (count_entries("/proc/self/task") > threads && clock_ms() < limit)
		rest();
	EXPECT(count_entries("/proc/self/task") <= threads, true);
	EXPECT(count_entries("/proc/self/fd"), fds);
	EXPECT(atomic_load(&ended), atomic_load(&begun));
	EXPECT(atomic_load(&deferred_run), atomic_load(&deferred));
}

_Noreturn void serve_wildly(int pipe)
{
	pthread_t stopper;
	int fds = count_entries("/proc/self/fd"), result;
	int threads = count_entries("/proc/self/task") + SANITIZER_THREADS;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!EXPECT(naru_server_new(
			    &served,
			    NARU_OPTIONS(.model = NARU_FIBER, .io = page->io,
	                                 .workers = 2, .report = report,
	                                 .max_conversations = CONVERSATIONS,
	                                 .stall_ms = NARU_FOREVER)),
	            0))
		exit(1);
	if (!listen_both() ||
	    pthread_create(&stopper, NULL, await_stop, &pipe) != 0)
		exit(1);
	result = naru_server_run(served);
	EXPECT(result == 0 || result == -ECANCELED, true);
	pthread_join(stopper, NULL);
	naru_server_free(served);
	expect_nothing_left(fds, threads);
	/* And not _exit(): the leak sanitizer has its say. */
	exit(0);
}
