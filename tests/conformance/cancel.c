/* SPDX-License-Identifier: MIT */
/* One conversation is cancelled from another strand, and no other. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

static char letters[] = {'d'};

static void note_end(void *arg)
{
	shared_note(*(char *)arg);
}

/* Cancels the conversation that it takes part in, most likely when the talk
 * waits by then; it must end either way. */
static int strand_cancel(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_sleep(20), 0);
	MUST(naru_cancel(conv), 0);
	MUST(naru_cancel(conv), 0);
	MUST(naru_sleep(WAIT_MS), -ECANCELED);
	return 0;
}

static int wait_in_recv(struct naru_conv *conv)
{
	struct naru_msg msg;

	return naru_recv(conv, &msg);
}

static int wait_in_sleep(struct naru_conv *conv)
{
	(void)conv;
	return naru_sleep(WAIT_MS * 2);
}

/* The peer reads nothing; the write timeout is far. */
static int wait_in_write(struct naru_conv *conv)
{
	static char buf[65536];
	int err;

	do
		err = naru_write(conv, buf, sizeof(buf));
	while (err == 0);
	return err;
}

typedef int waiting(struct naru_conv *conv);

static int talk_wait(struct naru_conv *conv, void *arg)
{
	waiting *const *how = arg;
	int err;

	MUST(naru_defer(conv, note_end, &letters[0]), 0);
	MUST(naru_alloc(conv, 5000) != NULL, true);
	MUST(naru_spawn(conv, strand_cancel, NULL), 0);
	err = (*how)(conv);
	MUST(err, -ECANCELED);
	/* It holds for all that follows. */
	MUST(naru_sleep(WAIT_MS), -ECANCELED);
	MUST(wait_in_recv(conv), -ECANCELED);
	return err;
}

static void test_cancel_ends_every_wait(void **state)
{
	static waiting *const all[] = {wait_in_recv, wait_in_sleep,
	                               wait_in_write};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		waiting *how = all[i];
		struct server *server;
		int fd;

		shared_clear();
		server = server_start(talk_wait, &how, NULL);
		fd = client_connect(server->endpoint[0]);
		wait_until(strlen(shared->order) > 0);
		assert_string_equal(shared->order, "d");
		client_expect_gone(fd);
		close(fd);
		server_stop(server);
	}
}

static int strand_cancel_at_once(struct naru_conv *conv, void *arg)
{
	(void)arg;
	MUST(naru_sleep(20), 0);
	MUST(naru_cancel(conv), 0);
	return 0;
}

static int talk_say_bye(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;

	(void)arg;
	MUST(naru_spawn(conv, strand_cancel_at_once, NULL), 0);
	MUST(naru_recv(conv, &msg), -ECANCELED);
	MUST(naru_send(conv, "bye", 3), 0);
	return 0;
}

static void test_cancelled_conversation_says_what_it_can(void **state)
{
	struct server *server = server_start(talk_say_bye, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);

	(void)state;
	client_expect(fd, "bye\n");
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

/* However many calls before it went on without waiting. */
static int talk_flush_and_cancel(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int i, count;

	(void)arg;
	MUST(naru_recv(conv, &msg), 1);
	count = atoi(msg.data);
	for (i = 0; i < count; i++) {
		MUST(naru_write(conv, ".", 1), 0);
		MUST(naru_flush(conv), 0);
	}
	MUST(naru_cancel(conv), 0);
	return naru_write(conv, "bye", 3);
}

#define FLUSHES 40

static void test_nothing_is_lost_by_cancelling(void **state)
{
	struct server *server = server_start(talk_flush_and_cancel, NULL, NULL);
	char dots[FLUSHES + 1] = "", text[16];
	int i, fd;

	(void)state;
	for (i = 0; i < FLUSHES; i++) {
		fd = client_connect(server->endpoint[0]);
		snprintf(text, sizeof(text), "%d\n", i);
		client_say(fd, text);
		client_expect(fd, dots);
		client_expect(fd, "bye");
		close(fd);
		dots[i] = '.';
		dots[i + 1] = '\0';
	}
	server_stop(server);
}

static _Atomic(struct naru_conv *) victim;

/* The first waits; each other one cancels it, and goes on. */
static int talk_victim_or_not(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other = NULL;
	struct naru_msg msg;

	(void)arg;
	if (atomic_compare_exchange_strong(&victim, &other, conv)) {
		set_step(1);
		MUST(naru_recv(conv, &msg), -ECANCELED);
		atomic_store(&victim, NULL);
		return -ECANCELED;
	}
	MUST(naru_cancel(other), 0);
	while (naru_recv(conv, &msg) > 0)
		MUST(naru_send(conv, msg.data, msg.len), 0);
	return 0;
}

static void test_other_conversation_cancels_one_alone(void **state)
{
	struct server *server = server_start(talk_victim_or_not, NULL,
	                                     NARU_OPTIONS(.workers = 2));
	int i, fd[2];

	(void)state;
	/* Again and again: nobody inherits it. */
	for (i = 0; i < 20; i++) {
		set_step(0);
		fd[0] = client_connect(server->endpoint[0]);
		wait_step(1);
		fd[1] = client_connect(server->endpoint[0]);
		client_expect_end(fd[0]);
		client_say(fd[1], "still here\n");
		client_expect(fd[1], "still here\n");
		client_finish(fd[1]);
		client_expect_end(fd[1]);
		close(fd[0]);
		close(fd[1]);
	}
	server_stop(server);
}

static int talk_dial_and_cancel(struct naru_conv *conv, void *arg)
{
	struct naru_conv *other;

	MUST(naru_cancel(NULL), -EINVAL);
	MUST(naru_dial(&other, arg, NULL), 0);
	MUST(naru_cancel(other), -EINVAL);
	MUST(naru_close(other), 0);
	return naru_write(conv, "ok", 2);
}

static void test_dialled_conversation_is_not_cancelled(void **state)
{
	struct server *far = server_start(talk_echo, NULL, NULL);
	struct server *near =
		server_start(talk_dial_and_cancel, far->endpoint[0], NULL);
	int fd = client_connect(near->endpoint[0]);

	(void)state;
	client_expect(fd, "ok");
	client_expect_end(fd);
	close(fd);
	server_stop(near);
	server_stop(far);
}

#define DEEP 20000

static __attribute__((noinline)) size_t go_deep(void)
{
	volatile char buf[DEEP];

	memset((char *)(uintptr_t)buf, 'x', sizeof(buf));
	return buf[DEEP / 2] == 'x' ? naru_stack_used(NULL) : 0;
}

static int talk_go_deep(struct naru_conv *conv, void *arg)
{
	const bool fiber = *(bool *)arg;
	size_t size, before = naru_stack_used(&size), deep = go_deep();

	if (fiber) {
		MUST(before > 0 && before < DEEP, true);
		MUST(deep > DEEP && deep < size, true);
		MUST(size > 100000 && size < 131072, true);
	} else {
		MUST(before == 0 && deep == 0 && size == 0, true);
	}
	return naru_write(conv, "ok", 2);
}

static void test_stack_tells_how_deep_it_was(void **state)
{
	bool fiber = place.model == NARU_FIBER;
	struct server *server = server_start(talk_go_deep, &fiber, NULL);
	int i, fd;

	(void)state;
	/* A stack that was used before is as new. */
	for (i = 0; i < 10; i++) {
		fd = client_connect(server->endpoint[0]);
		client_expect(fd, "ok");
		client_expect_end(fd);
		close(fd);
	}
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE(test_cancel_ends_every_wait),
	CASE(test_cancelled_conversation_says_what_it_can),
	CASE(test_nothing_is_lost_by_cancelling),
	CASE_FOR(MODELS_SHARING, test_other_conversation_cancels_one_alone),
	CASE(test_dialled_conversation_is_not_cancelled),
	CASE(test_stack_tells_how_deep_it_was),
};
const struct conformance_list cancel_list = LIST(cases);
