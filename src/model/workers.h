/* SPDX-License-Identifier: MIT */
#ifndef NR_MODEL_WORKERS_H
#define NR_MODEL_WORKERS_H

/*
 * Workers that are processes: started beforehand, watched, and replaced when
 * they die, at once where one had lived for a while, and after a growing pause
 * where it had not: what kills every worker at its start must not become a
 * fork bomb.
 *
 * Between the accepting process and each worker there is a channel. What is
 * said over it is the model's; this is what the models have in common that
 * have such workers. All but a worker's own life happens in the accepting
 * strand.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "io/loop.h"

struct nr_host;
struct nr_worker;

/* What the model knows and does; the functions may be null but for LIVE and
 * HEAR. */
struct nr_workers_ops {
	/* A worker's whole life, in its own process: host->leave() has been
	 * called there. It is over when CHANNEL has ended, and what it returns
	 * is the process' exit status. */
	int (*live)(struct nr_worker *worker, int channel);

	/* WORKER has begun: something can be said to it. */
	void (*begun)(struct nr_worker *worker);

	/* Takes one thing that WORKER has said, without waiting. More than 0;
	 * -EAGAIN where it has said nothing; 0 where it never will again, or
	 * nothing that makes sense. */
	ssize_t (*hear)(struct nr_worker *worker);

	/* Nothing can be said to WORKER any more. */
	void (*leaving)(struct nr_worker *worker);

	/* The process of WORKER has ended with STATUS, and what it had said
	 * has been heard. */
	void (*ended)(struct nr_worker *worker, int status);

	/* More is said to a worker before it has answered. Then one that was
	 * let go is heard until it ends, and its end of the channel is kept:
	 * what it never took can be taken back. */
	bool says_ahead;
};

enum nr_worker_state {
	NR_WORKER_ABSENT, /* to be started at START_AT */
	NR_WORKER_PRESENT,
	NR_WORKER_LEAVING /* nothing is said to it any more, its end not seen */
};

/* Embedded in what the model knows of the worker. */
struct nr_worker {
	struct nr_list node;
	struct nr_workers *workers;
	enum nr_worker_state state;
	struct nr_source channel; /* our end of it */
	int far;                  /* its own end, where that is kept, or -1 */
	struct nr_source end;     /* of its process */
	pid_t pid;
	int64_t started, start_at, pause;
};

struct nr_workers {
	struct nr_host *host;
	const struct nr_workers_ops *ops;
	struct nr_list all;
	unsigned count;
	unsigned present;
	bool stopped;
};

void nr_workers_init(struct nr_workers *workers, struct nr_host *host,
                     const struct nr_workers_ops *ops);

/* Waits for those that are left, which have been stopped. */
void nr_workers_fini(struct nr_workers *workers);

/* Adds WORKER, and starts its process. */
int nr_workers_start(struct nr_workers *workers, struct nr_worker *worker);

/* Nothing more will be said to WORKER: it has turned out to be dead, or ends by
 * itself when it notices. */
void nr_workers_let_go(struct nr_worker *worker);

/* What nr_model_ops want of the same name. */
int64_t nr_workers_tend(struct nr_workers *workers);
void nr_workers_stop(struct nr_workers *workers);
void nr_workers_kill(struct nr_workers *workers);

#endif
