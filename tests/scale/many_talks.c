/* SPDX-License-Identifier: MIT */
/*
 * A server of thousands of conversations, in a process of its own. What a talk
 * knows of its conversation lies on its fiber's stack: the seed of all that it
 * was asked.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "scale.h"

static struct naru_server *server;

static void on_signal(int number)
{
	(void)number;
	naru_server_stop(server, WAIT_MS);
}

static void report(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_BEGIN) {
		atomic_fetch_add(&page->begun, 1);
	} else if (event->kind == NARU_EVENT_END) {
		atomic_fetch_add(&page->ended, 1);
		if (event->result < 0 &&
		    atomic_fetch_add(&page->ended_badly, 1) == 0)
			(void)wrong("a conversation ended with %s after "
			            "%llu bytes",
			            naru_errname(event->result),
			            (unsigned long long)event->received);
	} else if (event->kind == NARU_EVENT_ERROR) {
		(void)wrong("reported: %s %s: %s", event->call, event->text,
		            naru_errname(event->result));
	}
}

/* Receives the body that HEAD speaks of into BODY, and compares it. */
static int hear_body(struct naru_conv *conv, const struct head *head,
                     unsigned char *body)
{
	unsigned char want[BODY_MAX];
	ssize_t got = head->len;

	if (head->len != body_len(head, 0))
		return wrong("request %u of %u has %u bytes", head->round,
		             head->number, head->len);
	if (head->len > 0)
		got = naru_read_exact(conv, body, head->len);
	if (got != (ssize_t)head->len)
		return got < 0 ? (int)got : -NARU_ECUT;
	body_fill(want, head, 0);
	if (memcmp(body, want, head->len) != 0)
		return wrong("wrong bytes in request %u of %u", head->round,
		             head->number);
	return 0;
}

static int answer(struct naru_conv *conv, struct head head, uint64_t seed)
{
	unsigned char body[BODY_MAX];
	int err;

	head.len = body_len(&head, seed);
	body_fill(body, &head, seed);
	err = naru_write(conv, &head, sizeof(head));
	return err < 0 ? err : naru_write(conv, body, head.len);
}

static int converse(struct naru_conv *conv)
{
	unsigned char body[BODY_MAX];
	uint32_t number = 0, round = 0;
	uint64_t seed = 0;
	struct head head;
	ssize_t err;

	while ((err = naru_read_exact(conv, &head, sizeof(head))) > 0) {
		if (round == 0)
			number = head.number;
		if (head.number != number || head.round != round)
			return wrong("request %u of %u in place of %u of %u",
			             head.round, head.number, round, number);
		err = hear_body(conv, &head, body);
		if (err < 0)
			break;
		seed = body_seed(seed, body, head.len);
		err = answer(conv, head, seed);
		if (err < 0)
			break;
		atomic_fetch_add(&page->bytes, sizeof(head) + head.len);
		round++;
	}
	if (err == 0 && round != ROUNDS + 1)
		return wrong("%u ended after %u requests", number, round);
	return (int)err;
}

static int talk(struct naru_conv *conv, void *arg)
{
	int err;

	(void)arg;
	atomic_fetch_add(&page->talking, 1);
	err = converse(conv);
	atomic_fetch_sub(&page->talking, 1);
	return err;
}

static int prepare(const struct plan *plan, int which)
{
	/* They are not spread quite evenly. */
	int own = plan->connections / plan->servers + plan->servers;
	struct naru_options options = {
		.size = sizeof(options),
		.model = NARU_FIBER,
		.io = plan->io,
		.report = report,
		.max_conversations = (unsigned)own,
	};
	char endpoint[NARU_ADDR_TEXT];
	int err = naru_server_new(&server, &options);

	if (err == 0)
		err = naru_server_listen(server, "tcp://127.0.0.1:0", talk,
		                         NULL);
	if (err == 0)
		err = naru_server_endpoint(server, 0, endpoint,
		                           sizeof(endpoint));
	if (err < 0)
		return wrong("server %d: %s", which, naru_errname(err));
	atomic_store(&page->ports[which], atoi(strrchr(endpoint, ':') + 1));
	return 0;
}

int serve_many(const struct plan *plan, int which)
{
	struct sigaction action = {.sa_handler = on_signal};
	int err = prepare(plan, which);

	if (err < 0)
		return 1;
	sigaction(SIGTERM, &action, NULL);
	err = naru_server_run(server);
	naru_server_free(server);
	if (err < 0)
		(void)wrong("server %d: naru_server_run() returned %s", which,
		            naru_errname(err));
	return err < 0;
}
