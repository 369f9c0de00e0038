/* SPDX-License-Identifier: MIT */
/*
 * Conversations that speak into each other, as in a chat: a talk may send to
 * another's peer, where they share memory, and each message is whole.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

#define MEMBERS 4
#define LINES   30 /* few enough for the smallest buffers */

/* The members that are here, in the server's memory. */
static struct {
	pthread_mutex_t lock;
	struct naru_conv *convs[MEMBERS];
} room = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Who has the lock may wait for the network: a fiber that blocked here would
 * hold its thread up, and with it perhaps who has the lock. */
static void enter_room(void)
{
	while (pthread_mutex_trylock(&room.lock) != 0)
		if (naru_sleep(1) < 0)
			rest();
}

static void seat(struct naru_conv *from, struct naru_conv *to)
{
	enter_room();
	for (int i = 0; i < MEMBERS; i++)
		if (room.convs[i] == from) {
			room.convs[i] = to;
			break;
		}
	pthread_mutex_unlock(&room.lock);
}

/* Sends a line to everybody, its own peer too. */
static int tell_all(const struct naru_msg *msg)
{
	int result = 0;

	enter_room();
	for (int i = 0; i < MEMBERS; i++) {
		int err = room.convs[i] ? naru_send(room.convs[i], msg->data,
		                                    msg->len)
		                        : 0;

		if (err < 0)
			result = err;
	}
	pthread_mutex_unlock(&room.lock);
	return result;
}

static int talk_chat(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	seat(NULL, conv);
	err = naru_send(conv, "seated", 6);
	while (err == 0 && (err = naru_recv(conv, &msg)) > 0)
		err = tell_all(&msg);
	seat(conv, NULL);
	return err;
}

/* Reads what one member hears: from each member every line, in its order. */
static void hear_all(int fd)
{
	int next[MEMBERS] = {0}, who, number;
	char line[64], end;

	for (int i = 0; i < MEMBERS * LINES; i++) {
		client_line(fd, line, sizeof(line));
		assert_int_equal(sscanf(line, "%d says %d%c", &who, &number,
		                        &end),
		                 2);
		assert_true(who >= 0 && who < MEMBERS);
		assert_int_equal(number, next[who]++);
	}
}

static void test_talks_speak_into_each_other(void **state)
{
	struct server *server =
		server_start(talk_chat, NULL, NARU_OPTIONS(.workers = MEMBERS));
	int fd[MEMBERS];
	char line[64];

	(void)state;
	for (int i = 0; i < MEMBERS; i++) {
		fd[i] = client_connect(server->endpoint[0]);
		client_expect(fd[i], "seated\n");
	}
	for (int number = 0; number < LINES; number++)
		for (int i = 0; i < MEMBERS; i++) {
			snprintf(line, sizeof(line), "%d says %d\n", i, number);
			client_say(fd[i], line);
		}
	for (int i = 0; i < MEMBERS; i++)
		hear_all(fd[i]);
	for (int i = 0; i < MEMBERS; i++)
		close(fd[i]);
	server_stop(server);
}

static int talk_try(struct naru_conv *conv, void *arg)
{
	static char block[NARU_WRITE_WHOLE];
	int err, taken = 0;

	(void)arg;
	memset(block, 'x', sizeof(block));
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 0), 0);
	while ((err = naru_write(conv, block, sizeof(block))) == 0)
		taken++;
	MUST(err, -ETIMEDOUT);
	atomic_store(&shared->number, taken);
	set_step(1);
	/* It was not taken in part: another write is no -EBUSY. */
	MUST(naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 10000), 0);
	return naru_write(conv, "z", 1);
}

/* With a timeout of 0 a small write is a try: taken as a whole or not. */
static void test_small_write_is_whole_or_not_at_all(void **state)
{
	struct server *server = server_start(talk_try, NULL, NULL);
	int fd = client_connect(server->endpoint[0]);
	size_t taken;
	char last;

	(void)state;
	wait_step(1);
	taken = (size_t)atomic_load(&shared->number) * NARU_WRITE_WHOLE;
	client_skip(fd, taken);
	assert_int_equal(recv(fd, &last, 1, 0), 1);
	assert_int_equal(last, 'z');
	client_expect_end(fd);
	close(fd);
	server_stop(server);
}

static const struct conformance_case cases[] = {
	CASE_FOR(MODELS_SHARING, test_talks_speak_into_each_other),
	CASE(test_small_write_is_whole_or_not_at_all),
};
const struct conformance_list chat_list = LIST(cases);
