/* SPDX-License-Identifier: MIT */
/*
 * stress uring|epoll SECONDS [SEED]: rounds of a server and its clients, in
 * which everything that fibers can do happens at random, until the server is
 * stopped in the middle of it. Nothing is lost, nothing is left, no byte is
 * wrong. The seed is printed; what clients do follows from it, what the
 * kernel makes of it does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

/* How long a round goes on before it is to end, and how many there are in any
 * case, so that everything has its turn. */
#define ROUND_MS_MIN 200
#define ROUND_MS     1300
#define ROUNDS_MIN   4

struct page *page;

unsigned char byte_at(unsigned seed, size_t at)
{
	return (unsigned char)(seed * 31 + at * 7 + (at >> 8) * 13 +
	                       (at >> 16) * 5);
}

void fill(void *buf, unsigned seed, size_t from, size_t len)
{
	unsigned char *to = buf;

	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(seed, from + i);
}

bool holds(const void *buf, unsigned seed, size_t from, size_t len)
{
	const unsigned char *at = buf;

	for (size_t i = 0; i < len; i++)
		if (at[i] != byte_at(seed, from + i))
			return false;
	return true;
}

unsigned pick(uint64_t *stream, unsigned limit)
{
	uint64_t x = *stream += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (unsigned)((x ^ x >> 31) >> 32) % limit;
}

static bool has_started(pid_t pid)
{
	while (atomic_load(&page->ports[1]) == 0) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return false;
		rest();
	}
	return true;
}

static bool run_round(uint64_t *stream, int number)
{
	static const int drains[] = {0, 1, 20, 200};
	int ms = ROUND_MS_MIN + (int)pick(stream, ROUND_MS);
	int ends[2];
	bool right;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
	atomic_store(&page->ports[0], 0);
	atomic_store(&page->ports[1], 0);
	atomic_store(&page->drain_ms, drains[number / 2 % 4]);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		serve_wildly(ends[0]);
	}
	close(ends[0]);
	if (pid < 0 || !has_started(pid)) {
		EXPECT(pid > 0 && atomic_load(&page->ports[1]) > 0, true);
		return false;
	}
	/* Every other one is let come to its end first. */
	right = ask_wildly(stream, number % 2 ? ms : -ms, pid, ends[1]);
	if (!right) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return right && atomic_load(&shared->failures) == 0;
}

/* Says how often each thing happened. Returns whether everything did. */
static bool print_counts(void)
{
#define REQUEST_NAME(name) #name,
	static const char *const names[] = {REQUESTS(REQUEST_NAME)};
	const struct {
		const char *name;
		int count;
	} others[] = {
		{"timed out", atomic_load(&page->timed_out)},
		{"finished", atomic_load(&page->finished)},
		{"reset", atomic_load(&page->reset)},
		{"urgent", atomic_load(&page->urgent)},
		{"ended well", atomic_load(&page->well)},
		{"broken", atomic_load(&page->broken)},
		{"cancelled", atomic_load(&page->cancelled)},
	};
	bool all = true;

	printf("# %d rounds, %lld MiB;", atomic_load(&page->drained),
	       atomic_load(&page->bytes) >> 20);
	for (int i = 0; i < REQUEST_KINDS; i++) {
		int count = atomic_load(&page->answered[i]);

		printf(" %s %d", names[i], count);
		all = all && count > 0;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		printf(", %s %d", others[i].name, others[i].count);
		all = all && others[i].count > 0;
	}
	printf("\n");
	return all;
}

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

int main(int argc, char **argv)
{
	uint64_t seed = (uint64_t)clock_ns() ^ (uint64_t)getpid() << 32;
	int64_t until;
	bool right = true, all;
	int number = 0;

	if (argc < 3 || argc > 4) {
		(void)fprintf(stderr,
		              "usage: stress uring|epoll SECONDS [SEED]\n");
		return 2;
	}
	if (argc == 4)
		seed = strtoull(argv[3], NULL, 10);
	shared_open();
	page = share(sizeof(*page));
	page->io =
		strcmp(argv[1], "epoll") == 0 ? NARU_IO_EPOLL : NARU_IO_URING;
	printf("1..2\n# seed %llu\n", (unsigned long long)seed);
	until = clock_ms() + strtol(argv[2], NULL, 10) * 1000;
	while (right && (clock_ms() < until || number < ROUNDS_MIN))
		right = run_round(&seed, number++);
	all = print_counts();
	if (!right)
		printf("# %s\n", shared->failure);
	printf("%sok 1 - whatever happens, nothing is lost or left\n",
	       right ? "" : "not ");
	printf("%sok 2 - everything has happened\n", all ? "" : "not ");
	return !right || !all;
}
