/* SPDX-License-Identifier: MIT */
/*
 * The page that a test shares with the talks of its server. Talks of one
 * server may run at the same time in threads and in processes, so every field
 * that more than one may write is atomic.
 */
#include "shared.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct shared *shared;

void shared_open(void)
{
	void *page = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	shared = page;
}

void shared_clear(void)
{
	memset(shared, 0, sizeof(*shared));
}

static void report_end(const struct naru_event *event)
{
	atomic_store(&shared->end_id, (long long)event->id);
	atomic_store(&shared->end_received, (long long)event->received);
	atomic_store(&shared->end_sent, (long long)event->sent);
	atomic_store(&shared->end_duration_ms, event->duration_ms);
	atomic_store(&shared->end_dropped, (long long)event->dropped);
	atomic_store(&shared->end_result, event->result);
	atomic_store(&shared->end_named, event->local && event->peer);
}

/* Threads may report at the same time. */
static void keep_text(char *to, size_t size, const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	snprintf(to, size, "%s", text);
	pthread_mutex_unlock(&lock);
}

/* The longest of each, for a busy machine makes stalls of its own. */
static void raise(atomic_llong *most, long long to)
{
	long long was = atomic_load(most);

	while (was < to && !atomic_compare_exchange_weak(most, &was, to))
		;
}

static void report_over(const struct naru_event *event)
{
	atomic_store(&shared->stall_id, (long long)event->id);
	atomic_store(&shared->stall_ms, event->duration_ms);
	keep_text(shared->stall_text, sizeof(shared->stall_text), event->text);
	if (event->id < SHARED_CONVERSATIONS)
		raise(&shared->computed_ms[event->id], event->duration_ms);
}

static void report_computing(const struct naru_event *event)
{
	if (event->id == 1)
		keep_text(shared->computes_text, sizeof(shared->computes_text),
		          event->text);
	if (event->id < SHARED_CONVERSATIONS)
		raise(&shared->computes_ms[event->id], event->duration_ms);
}

void shared_report(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_BEGIN) {
		atomic_store(&shared->begin_fd, event->fd);
		atomic_store(&shared->begin_named, event->local && event->peer);
	} else if (event->kind == NARU_EVENT_END) {
		report_end(event);
	} else if (event->kind == NARU_EVENT_RELAY) {
		atomic_store(&shared->relay_received,
		             (long long)event->received);
		atomic_store(&shared->relay_sent, (long long)event->sent);
		atomic_store(&shared->relay_result, event->result);
	} else if (event->kind == NARU_EVENT_LISTEN) {
		atomic_store(&shared->listen_backlog, (int)event->backlog);
	} else if (event->kind == NARU_EVENT_PAUSE) {
		atomic_store(&shared->pause_result, event->result);
	} else if (event->kind == NARU_EVENT_STALL) {
		if (event->result == -EINPROGRESS) {
			report_computing(event);
			return; /* it is counted when it is over */
		}
		report_over(event);
	} else if (event->kind == NARU_EVENT_HANDSHAKE) {
		atomic_store(&shared->handshake_result, event->result);
		keep_text(shared->handshake_text,
		          sizeof(shared->handshake_text), event->text);
	}
	/* Last, so that whoever sees the count also sees the rest. */
	if ((unsigned)event->kind < SHARED_EVENTS)
		atomic_fetch_add(&shared->seen[event->kind], 1);
}

void shared_note(char letter)
{
	int at = atomic_fetch_add(&shared->order_len, 1);

	if (at < (int)sizeof(shared->order) - 1)
		shared->order[at] = letter;
}

int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

bool await_step(int step)
{
	int64_t limit = clock_ms() + WAIT_MS;

	while (atomic_load(&shared->step) < step) {
		if (clock_ms() > limit)
			return false;
		rest();
	}
	return true;
}

static int wait_for_step(void *arg)
{
	return await_step(*(int *)arg) ? 0 : -ETIMEDOUT;
}

int await_step_aside(int step)
{
	return naru_offload(wait_for_step, &step);
}

void set_step(int step)
{
	atomic_store(&shared->step, step);
}

bool expect_at(const char *file, int line, const char *what, long long got,
               long long want)
{
	const char *name = "";

	if (got == want)
		return true;
	if (atomic_fetch_add(&shared->failures, 1) > 0)
		return false;
	if (got < 0 && got > -20000)
		name = naru_errname((int)got);
	snprintf(shared->failure, sizeof(shared->failure),
	         "%s:%d: in the talk: %s is %lld %s, not %lld", file, line,
	         what, got, name, want);
	atomic_store(&shared->failure_ready, 1);
	return false;
}

unsigned char pattern_at(size_t at)
{
	return (unsigned char)(at * 7 + (at >> 8) * 13 + (at >> 16) * 5);
}

unsigned char letter_at(size_t at)
{
	return (unsigned char)('a' + (at * 7 + (at >> 8) + (at >> 16)) % 26);
}

void pattern_fill(void *buf, size_t from, size_t len)
{
	unsigned char *to = buf;
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = pattern_at(from + i);
}

void letters_fill(void *buf, size_t from, size_t len)
{
	unsigned char *to = buf;
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = letter_at(from + i);
}

bool pattern_holds(const void *buf, size_t from, size_t len)
{
	const unsigned char *at = buf;
	size_t i;

	for (i = 0; i < len; i++)
		if (at[i] != pattern_at(from + i))
			return false;
	return true;
}
