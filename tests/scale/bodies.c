/* SPDX-License-Identifier: MIT */
/* What is said in each conversation, and how it is found wrong: see scale.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "scale.h"

struct page *page;

int wrong(const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&page->failures, 1) > 0)
		return -EPROTO;
	va_start(args, format);
	(void)vsnprintf(page->failure, sizeof(page->failure), format, args);
	va_end(args);
	atomic_store(&page->failure_ready, 1);
	return -EPROTO;
}

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* One step of splitmix64: every bit of X counts in every bit that comes. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t start_of(const struct head *head, uint64_t seed)
{
	return mix(seed ^ mix((uint64_t)head->number << 32 | head->round));
}

uint32_t body_len(const struct head *head, uint64_t seed)
{
	return (uint32_t)(start_of(head, seed) % (BODY_MAX + 1));
}

void body_fill(unsigned char *body, const struct head *head, uint64_t seed)
{
	uint64_t x = start_of(head, seed);
	size_t n;

	for (uint32_t at = 0; at < head->len; at += (uint32_t)n) {
		x = mix(x);
		n = head->len - at < sizeof(x) ? head->len - at : sizeof(x);
		memcpy(body + at, &x, n);
	}
}

uint64_t body_seed(uint64_t before, const unsigned char *body, uint32_t len)
{
	uint64_t seed = mix(before ^ len);

	for (uint32_t i = 0; i < len; i++)
		seed = (seed ^ body[i]) * 0x100000001b3;
	return mix(seed);
}
