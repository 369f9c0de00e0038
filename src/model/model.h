/* SPDX-License-Identifier: MIT */
#ifndef NR_MODEL_MODEL_H
#define NR_MODEL_MODEL_H

/*
 * A model: who runs a talk. This is the contract that each model keeps; a
 * model is one file that ends in one const struct nr_model_ops, and a line in
 * the table of models.c.
 *
 * The server accepts connections, one strand doing so, and offers each to its
 * model; the model has a conversation held with it, somewhere, and says when
 * it is over. Every call but wake() is made by the accepting strand.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/report.h"
#include "conv/conv.h"
#include "io/loop.h"
#include "naru/server.h"

struct nr_model;
struct nr_tls;

/* As what the server counts a connection (server/admission.c). */
enum nr_stage {
	NR_STAGE_UNCOUNTED, /* the model does */
	NR_STAGE_OPENING,
	NR_STAGE_CONVERSING, /* it has a place among the conversations */
};

/* An accepted socket on its way to whoever will converse on it. */
struct nr_accepted {
	int fd;
	unsigned listener; /* its number; says which talk */
	uint64_t id;
	unsigned slot; /* the model's own number for it */
	enum nr_stage stage;
	struct naru_addr peer;
	/* Of datagrams, those that came already (net/transport.h), and where
	 * they came to. */
	struct naru_addr local;
	char *first;
	size_t first_len;
	unsigned dropped;
};

/* Frees what came already, which somebody else has now or nobody will. */
static inline void nr_accepted_forget(struct nr_accepted *accepted)
{
	free(accepted->first);
	accepted->first = NULL;
}

/* What the server is to its model. */
struct nr_host {
	struct nr_loop *loop;
	const struct nr_report *report;
	struct nr_tls *tls; /* of the conversations, or null */
	unsigned workers;
	unsigned max_conversations;
	unsigned max_openings; /* connections beside them, being opened */
	size_t stack_size;
	enum naru_io io;
	int64_t stall; /* in nanoseconds */
	bool catch_overflow;
	const char *waiter; /* how fibers wait, once the first could */
	int no_uring;       /* why they do not on io_uring, where they should */
	int stop;   /* turns readable when the server is asked to stop */
	int cancel; /* turns readable when all conversations are cancelled */
	_Atomic bool cut; /* set where that found a conversation running */

	struct nr_places *places; /* among the conversations */

	/* Holds a whole conversation on the calling strand, once the connection
	 * has been opened and admitted. Takes the socket. Any strand, in any
	 * process that the model made. */
	void (*converse)(struct nr_host *host, struct nr_accepted *accepted);

	/* ACCEPTED, which was being opened, has got a place: for a model that
	 * admits. Any thread of the accepting process. */
	void (*begun)(struct nr_host *host, struct nr_accepted *accepted);

	/* ACCEPTED, which was taken, is over, however far it came: what was
	 * counted of it is given back, and wake() called. For models without
	 * has_room(). Any thread of the accepting process. */
	void (*over)(struct nr_host *host, struct nr_accepted *accepted);

	/* In a process that the model forked: gives up what only the accepting
	 * process may hold, the listeners among them. */
	void (*leave)(struct nr_host *host);

	/* Something has changed that the accepting strand may be waiting for:
	 * a conversation is over, a worker idle. Any thread. */
	void (*wake)(struct nr_host *host);
};

struct nr_model_ops {
	enum naru_model id;
	struct naru_model_info info;
	bool in_place; /* the accepting strand itself converses, and sees
	                     nothing else meanwhile */

	/* Starts what is started beforehand. */
	int (*start)(struct nr_host *host, struct nr_model **ret_model);

	/* Whether a connection could be taken now. Does not wait. Such a model
	 * counts connections from their acceptance on, opened or not: they take
	 * a worker. Null where nothing runs short but places: then the server
	 * counts, and only those that have been opened. */
	bool (*has_room)(struct nr_model *model);

	/*
	 * Takes an accepted socket. 0: it is the model's now. -errno: it is
	 * still the caller's, who offers it again a little later; then
	 * nothing has begun. The iterative model returns when the
	 * conversation is over.
	 */
	int (*take)(struct nr_model *model, const struct nr_accepted *accepted);

	/* Waits until ACCEPTED, which the calling strand has opened, has got a
	 * place; see struct nr_connection. Null where all strands share the
	 * server's memory, or has_room() is all there is. */
	int (*admit)(struct nr_model *model, struct nr_accepted *accepted,
	             int64_t until);

	/* How many connections it has taken that are not over. */
	unsigned (*running)(struct nr_model *model);

	/* When something has to be done that no descriptor tells of, and does
	 * it: a worker to be started anew after a pause. NR_NEVER for
	 * nothing. */
	int64_t (*tend)(struct nr_model *model);

	/* In place of nr_loop_turn(), where the accepting strand has more to do
	 * than the server's loop; null where it has not. */
	int (*turn)(struct nr_model *model, int64_t until);

	/* All conversations are cancelled: for those that do not look at the
	 * host's descriptor. Null where all do. */
	void (*cancel)(struct nr_model *model);

	/* No more connections will come: idle workers are let go, and waits
	 * that heed the stop (io/io.h) end, where they do not look at the
	 * host's descriptor. */
	void (*stop)(struct nr_model *model);

	/* Ends by force what was cancelled and did not end by itself; only
	 * processes can be. */
	void (*kill)(struct nr_model *model);

	/* Waits for what is left, and frees the model. */
	void (*free)(struct nr_model *model);
};

extern const struct nr_model_ops nr_model_iterative;
extern const struct nr_model_ops nr_model_process;
extern const struct nr_model_ops nr_model_thread;
extern const struct nr_model_ops nr_model_prefork;
extern const struct nr_model_ops nr_model_pool;
extern const struct nr_model_ops nr_model_fiber;
extern const struct nr_model_ops nr_model_isolated;

/* fork(2), with nothing locked in the child. The child's process number, 0 in
 * the child, or -errno. */
pid_t nr_model_fork(const struct nr_host *host);

/* Tells that ACCEPTED was handed to the worker PID, or a thread (0). */
void nr_model_report_hand_over(const struct nr_host *host,
                               const struct nr_accepted *accepted, pid_t pid);

/* Tells that the conversation on ACCEPTED was lost with the process PID, which
 * ended with STATUS. */
void nr_model_report_lost(const struct nr_host *host,
                          const struct nr_accepted *accepted, pid_t pid,
                          int status);

/* The model of that name in the API, ISOLATED into processes where there is
 * that choice; null for none. */
const struct nr_model_ops *nr_model_find(enum naru_model id, bool isolated);

#endif
