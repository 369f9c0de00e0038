/* SPDX-License-Identifier: MIT */
/* Looking a name up: see look_up.h. */
#include "client/look_up.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "client/order.h"
#include "conv/strand.h"
#include "naru/error.h"
#include "net/endpoint.h"
#include "os/os_file.h"
#include "os/os_thread.h"
#include "os/os_time.h"

/* What the resolver was asked for: both families, or one. */
#define ANSWERS (NARU_FAMILY_IPV6 + 1)

struct answer {
	struct nr_aside aside;
	struct nr_look_up *up;
	enum naru_family family;
	bool begun, taken; /* by the strand */
	bool over;         /* under the lock */
	int count;         /* of addresses, or why there are none */
	struct naru_addr addrs[NR_RESOLVE_MAX];
};

struct nr_look_up {
	struct nr_strand *self;
	struct nr_endpoint endpoint;
	int64_t apart_at; /* each family is asked for alone; or NR_NEVER */
	int error;
	struct answer answers[ANSWERS];

	struct nr_mutex lock; /* for all below */
	int event;            /* an answer is over */
	unsigned running;     /* answers that are not */
	bool left;            /* nobody waits */
};

static void free_look_up(struct nr_look_up *up)
{
	nr_mutex_fini(&up->lock);
	free(up);
}

static void ask(struct nr_job *job)
{
	struct answer *answer = nr_list_entry(job, struct answer, aside.job);

	answer->count = nr_endpoint_addrs(&answer->up->endpoint, answer->family,
	                                  answer->addrs);
}

/* The last one frees all. */
static void answered(struct nr_job *job)
{
	struct answer *answer = nr_list_entry(job, struct answer, aside.job);
	struct nr_look_up *up = answer->up;
	bool last;

	nr_mutex_lock(&up->lock);
	nr_assert(up->running > 0);
	answer->over = true;
	up->running--;
	if (!up->left)
		nr_event_set(up->event);
	last = up->left && up->running == 0;
	nr_mutex_unlock(&up->lock);
	if (last)
		free_look_up(up);
}

/* Has the resolver asked for FAMILY. To ask for one alone is a help that can be
 * done without: names that nobody answers for shall not keep others waiting. */
static int begin(struct nr_look_up *up, enum naru_family family)
{
	struct answer *answer = &up->answers[family];
	int err;

	nr_assert(!answer->begun);
	answer->aside.job = (struct nr_job){
		.run = ask,
		.done = answered,
		.dispensable = up->answers[NARU_FAMILY_ANY].begun,
	};
	nr_list_init(&answer->aside.job.node);
	answer->up = up;
	answer->family = family;
	nr_mutex_lock(&up->lock);
	up->running++;
	nr_mutex_unlock(&up->lock);
	err = up->self->ops->begin(up->self, &answer->aside);
	answer->begun = err == 0;
	if (err < 0) {
		nr_mutex_lock(&up->lock);
		up->running--;
		nr_mutex_unlock(&up->lock);
	}
	return err;
}

int nr_look_up_begin(struct nr_look_up **ret_up, struct nr_strand *self,
                     const struct nr_endpoint *endpoint,
                     enum naru_family family, int64_t delay)
{
	struct nr_look_up *up = calloc(1, sizeof(*up));
	int err;

	if (!up)
		return -ENOMEM;
	up->self = self;
	up->endpoint = *endpoint;
	up->apart_at = family == NARU_FAMILY_ANY ? nr_time_add(nr_now(), delay)
	                                         : NR_NEVER;
	nr_mutex_init(&up->lock);
	err = up->event = nr_event_open();
	if (err >= 0)
		err = begin(up, family);
	if (err < 0) {
		nr_file_close(up->event);
		free_look_up(up);
		return err;
	}
	*ret_up = up;
	return 0;
}

int nr_look_up_fd(const struct nr_look_up *up)
{
	return up->event;
}

/* Whether ANSWER has come and is new. */
static bool take(struct answer *answer)
{
	struct nr_look_up *up = answer->up;
	bool over;

	if (!answer->begun || answer->taken)
		return false;
	nr_mutex_lock(&up->lock);
	over = answer->over;
	nr_mutex_unlock(&up->lock);
	if (!over)
		return false;
	(void)up->self->ops->leave(up->self, &answer->aside, true);
	answer->taken = true;
	return true;
}

/* Asks for each family alone. Where that cannot be, what is under way has to
 * do. */
static void ask_apart(struct nr_look_up *up)
{
	up->apart_at = NR_NEVER;
	(void)begin(up, NARU_FAMILY_IPV6);
	(void)begin(up, NARU_FAMILY_IPV4);
}

int64_t nr_look_up_attend(struct nr_look_up *up, struct nr_order *order)
{
	struct answer *whole = &up->answers[NARU_FAMILY_ANY];

	nr_event_clear(up->event);
	/* All addresses first: their order is the better one. */
	for (int i = 0; i < ANSWERS; i++) {
		struct answer *answer = &up->answers[i];

		if (!take(answer))
			continue;
		if (answer->count >= 0)
			nr_order_add(order, answer->addrs, answer->count);
		else if (up->error == 0 || up->error == -NARU_ENONAME)
			up->error = answer->count;
	}
	/* A server that fails for one family may yet answer for the other. */
	if (up->apart_at != NR_NEVER && whole->taken) {
		if (whole->count == -NARU_ERESOLVE)
			ask_apart(up);
		up->apart_at = NR_NEVER;
	} else if (up->apart_at != NR_NEVER && nr_now() >= up->apart_at) {
		ask_apart(up);
	}
	return up->apart_at;
}

bool nr_look_up_is_over(const struct nr_look_up *up)
{
	for (int i = 0; i < ANSWERS; i++)
		if (up->answers[i].begun && !up->answers[i].taken)
			return false;
	return true;
}

int nr_look_up_error(const struct nr_look_up *up)
{
	return up->error ? up->error : -NARU_ENONAME;
}

/* Leaves ANSWER. Returns whether it was taken back. */
static bool leave(struct answer *answer)
{
	struct nr_look_up *up = answer->up;
	bool over;

	if (!answer->begun || answer->taken)
		return false;
	nr_mutex_lock(&up->lock);
	over = answer->over;
	nr_mutex_unlock(&up->lock);
	return up->self->ops->leave(up->self, &answer->aside, over);
}

void nr_look_up_end(struct nr_look_up *up)
{
	unsigned taken_back = 0;
	bool last;

	if (!up)
		return;
	for (int i = 0; i < ANSWERS; i++)
		taken_back += leave(&up->answers[i]);
	nr_mutex_lock(&up->lock);
	nr_assert(up->running >= taken_back);
	up->running -= taken_back;
	up->left = true;
	nr_file_close(up->event);
	last = up->running == 0;
	nr_mutex_unlock(&up->lock);
	if (last)
		free_look_up(up);
}
