/* SPDX-License-Identifier: MIT */
/*
 * Locks that strands park for: see lock.h. Those that wait are not in the lock
 * but in one of a few queues for all locks, found by its address: nearly no
 * lock is ever waited for.
 */
#include "conv/lock.h"

#include "base/assert.h"
#include "base/list.h"
#include "conv/strand.h"
#include "os/os_thread.h"

struct waiting {
	struct nr_list node;
	struct nr_lock *lock;
	struct nr_strand *strand;
	bool granted;
};

struct queue {
	struct nr_mutex mutex;
	struct nr_list waiting; /* unset until it is first used */
};

#define QUEUE                                                                  \
	{                                                                      \
		.mutex = NR_MUTEX                                              \
	}
static struct queue queues[] = {
	QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE,
	QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE,
};
#define QUEUES (sizeof(queues) / sizeof(queues[0]))

/* The queue of LOCK, which is held by the caller afterwards. */
static struct queue *enter(const struct nr_lock *lock)
{
	/* The lower bits are the same in all, for they lie in equal structs. */
	uintptr_t key = (uintptr_t)lock >> 6;
	struct queue *queue = &queues[(key ^ key >> 8 ^ key >> 16) % QUEUES];

	nr_mutex_lock(&queue->mutex);
	if (!queue->waiting.next)
		nr_list_init(&queue->waiting);
	return queue;
}

static void leave(struct queue *queue)
{
	nr_mutex_unlock(&queue->mutex);
}

int nr_lock_until(struct nr_lock *lock, struct nr_strand *self, int64_t until)
{
	struct waiting waiting = {.lock = lock, .strand = self};
	struct queue *queue = enter(lock);
	int err = 0;

	if (atomic_exchange(&lock->state, NR_LOCK_WANTED) == NR_LOCK_FREE) {
		leave(queue);
		return 0;
	}
	nr_list_append(&queue->waiting, &waiting.node);
	while (!waiting.granted && err == 0) {
		leave(queue);
		err = self->ops->park(self, until);
		(void)enter(lock);
	}
	/* What was granted meanwhile wins. */
	if (!waiting.granted)
		nr_list_remove(&waiting.node);
	leave(queue);
	return waiting.granted ? 0 : err;
}

/* The first who waits for LOCK, or null. */
static struct waiting *first(struct queue *queue, const struct nr_lock *lock)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &queue->waiting) {
		struct waiting *waiting =
			nr_list_entry(node, struct waiting, node);

		if (waiting->lock == lock)
			return waiting;
	}
	return NULL;
}

void nr_lock_hand_on(struct nr_lock *lock)
{
	struct queue *queue = enter(lock);
	struct waiting *next = first(queue, lock);

	nr_assert(atomic_load(&lock->state) == NR_LOCK_WANTED);
	if (next) {
		nr_list_remove(&next->node);
		next->granted = true;
		/* With the queue held: once it is not, the strand may know,
		 * and be gone. */
		next->strand->ops->wake(next->strand);
	} else {
		atomic_store_explicit(&lock->state, NR_LOCK_FREE,
		                      memory_order_release);
	}
	leave(queue);
}
