/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: see scheduler.h.
 *
 * The thread's own context, the root, turns: it runs those that are ready,
 * and then waits in the engine. Fibers that are ready switch from one to the
 * next without the root between them, as many as were ready when the turn
 * began; who is made ready meanwhile has its turn after the kernel had its.
 *
 * Timers are set lazily. A conversation waits under some timeout all the time,
 * and nearly always goes on before it: so a fiber's timer is left as it is
 * where it goes off too early, and is set anew when it does.
 */
#include "fiber/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "fiber/fetch.h"
#include "fiber/watchdog.h"
#include "os/os_fault.h"
#include "os/os_thread.h"
#include "os/os_time.h"

/* How often memory of stacks that nobody needs is given back. */
#define TRIM_NS      (2 * NR_NS_PER_S)
#define TRIM_SOON_NS (20 * NR_NS_PER_MS)

struct nr_scheduler {
	struct nr_context root;
	struct nr_fiber *first, *last; /* of those that are ready */
	unsigned ready, budget;        /* to be run before the root is again */
	struct nr_engine *engine;
	struct nr_watch watch; /* since when whose fiber runs */
	int64_t stall;
	struct nr_timers timers;
	bool watched; /* by the watchdog, too */
	const struct nr_fiber_watcher *watcher;
	void *watcher_arg;
	int64_t thread;         /* its number */
	struct nr_fiber *ended; /* to be freed by the root */
	struct nr_stacks stacks;
	bool catching; /* overflows */
	void *fault_stack;
	int64_t trim_at;
	struct nr_list fibers;
	unsigned count;

	/* What other threads say. */
	struct nr_mutex lock;
	struct nr_list posts, called; /* under the lock */
	_Atomic bool mail;            /* there is some */
	_Atomic bool asleep;          /* the engine has to be kicked */
};

_Thread_local struct nr_fiber *nr_fiber_running;

/* The queue. */

static void make_ready(struct nr_fiber *fiber, int reason)
{
	struct nr_scheduler *scheduler = fiber->scheduler;

	fiber->state = NR_FIBER_READY;
	fiber->staying = false;
	fiber->reason = reason;
	fiber->next = NULL;
	if (scheduler->first)
		scheduler->last->next = fiber;
	else
		scheduler->first = fiber;
	scheduler->last = fiber;
	scheduler->ready++;
}

static struct nr_fiber *take_ready(struct nr_scheduler *scheduler)
{
	struct nr_fiber *fiber = scheduler->first;

	if (!fiber)
		return NULL;
	scheduler->first = fiber->next;
	scheduler->ready--;
	nr_fiber_fetch(fiber->next);
	fiber->state = NR_FIBER_RUNNING;
	return fiber;
}

/* Switching. */

/* SELF has parked, or is ready again: the next one goes on. Returns when SELF
 * does. */
static void switch_away(struct nr_fiber *self)
{
	struct nr_scheduler *scheduler = self->scheduler;
	struct nr_fiber *next = NULL;

	if (scheduler->budget > 0) {
		scheduler->budget--;
		next = take_ready(scheduler);
	}
	if (next == self)
		return;
	nr_fiber_running = next;
	if (next)
		nr_watch_tag(&scheduler->watch, next->tag);
	nr_context_switch(&self->context,
	                  next ? &next->context : &scheduler->root);
}

void nr_fiber_look(struct nr_fiber *self)
{
	struct nr_scheduler *scheduler = self->scheduler;
	int64_t now, since;

	if (scheduler->stall == NR_NEVER)
		return;
	now = nr_now_coarse();
	since = atomic_load_explicit(&scheduler->watch.since,
	                             memory_order_relaxed);
	if (now - since > scheduler->stall)
		scheduler->watcher->stalled(self, now - since);
	nr_watch_since(&scheduler->watch, now);
}

/* Has the wheel go off for SELF by UNTIL. */
static void set_timer(struct nr_fiber *self, int64_t until)
{
	self->until = until;
	if (until < self->timer.at)
		nr_timers_set(&self->scheduler->timers, &self->timer, until);
}

static int park(struct nr_fiber *self, int64_t until, bool staying)
{
	if (self->permit) {
		self->permit = false;
		return 0;
	}
	set_timer(self, until);
	nr_fiber_look(self);
	self->state = NR_FIBER_PARKED;
	self->staying = staying;
	self->io.unparked = 0;
	switch_away(self);
	return self->reason;
}

int nr_fiber_park(struct nr_fiber *self, int64_t until)
{
	nr_assert(self == nr_fiber_running);
	if (self->io.cancelled)
		return -ECANCELED;
	return park(self, until, false);
}

int nr_fiber_park_through(struct nr_fiber *self, int64_t until)
{
	nr_assert(self == nr_fiber_running);
	return park(self, until, true);
}

static int pass(struct nr_fiber *self)
{
	if (self->io.cancelled)
		return -ECANCELED;
	nr_fiber_look(self);
	make_ready(self, 0);
	switch_away(self);
	return self->io.cancelled ? -ECANCELED : 0;
}

/* Ends the wait of a parked fiber that may be cancelled. */
static void cancel(struct nr_fiber *fiber)
{
	fiber->io.cancelled = true;
	if (fiber->state == NR_FIBER_PARKED && !fiber->staying)
		make_ready(fiber, -ECANCELED);
}

static void wake(struct nr_fiber *fiber)
{
	if (fiber->state == NR_FIBER_PARKED)
		make_ready(fiber, 0);
}

/* What the engine is handed. */

static struct nr_fiber *fiber_of(struct nr_io_fiber *io)
{
	return nr_list_entry(io, struct nr_fiber, io);
}

static int parking_park(struct nr_io_fiber *self, int64_t until)
{
	return nr_fiber_park(fiber_of(self), until);
}

static void parking_stay(struct nr_io_fiber *self)
{
	(void)nr_fiber_park_through(fiber_of(self), NR_NEVER);
}

static int parking_pass(struct nr_io_fiber *self)
{
	return pass(fiber_of(self));
}

static void parking_wake(struct nr_io_fiber *other)
{
	wake(fiber_of(other));
}

static const struct nr_parking parking = {
	.park = parking_park,
	.stay = parking_stay,
	.pass = parking_pass,
	.wake = parking_wake,
};

/* Beginning and ending. */

static noreturn void fiber_main(void *arg)
{
	struct nr_fiber *self = arg;
	struct nr_scheduler *scheduler = self->scheduler;

	self->fn(self->arg);
	nr_fiber_look(self);
	nr_timers_cancel(&scheduler->timers, &self->timer);
	self->state = NR_FIBER_ENDED;
	if (self->joiner)
		wake(self->joiner);
	if (!self->joinable)
		scheduler->ended = self;
	nr_fiber_running = NULL;
	nr_context_exit_to(&self->context, &scheduler->root);
}

/* Room for SIZE bytes below AT, aligned for anything. */
static char *place_below(char *at, size_t size)
{
	uintptr_t to = (uintptr_t)at - size;

	return at - ((uintptr_t)at - to / 64 * 64);
}

int nr_fiber_start(struct nr_scheduler *scheduler,
                   const struct nr_fiber_start *start,
                   struct nr_fiber **ret_fiber)
{
	struct nr_stack stack;
	struct nr_fiber *fiber;
	char *top;
	int err = nr_stacks_take(&scheduler->stacks, &stack);

	if (err < 0)
		return err;
	top = stack.bottom + stack.size;
	fiber = (void *)place_below(top, sizeof(*fiber));
	*fiber = (struct nr_fiber){.scheduler = scheduler,
	                           .joinable = start->joinable,
	                           .until = NR_NEVER,
	                           .tag = start->tag,
	                           .fn = start->fn,
	                           .arg = (void *)(uintptr_t)start->arg,
	                           .stack = stack};
	top = (char *)fiber;
	if (start->size > 0) {
		top = place_below(top, start->size);
		fiber->arg = memcpy(top, start->arg, start->size);
	}
	nr_timer_init(&fiber->timer);
	nr_list_init(&fiber->called);
	nr_io_fiber_init(&fiber->io, scheduler->engine);
	nr_context_init(&fiber->context, stack.bottom,
	                (size_t)(top - stack.bottom), fiber_main, fiber);
	nr_list_append(&scheduler->fibers, &fiber->node);
	scheduler->count++;
	make_ready(fiber, 0);
	*ret_fiber = fiber;
	return 0;
}

static void free_fiber(struct nr_fiber *other)
{
	struct nr_scheduler *scheduler = other->scheduler;
	struct nr_stack stack = other->stack;

	nr_assert(other->state == NR_FIBER_ENDED);
	nr_mutex_lock(&scheduler->lock);
	nr_list_remove(&other->called);
	nr_mutex_unlock(&scheduler->lock);
	nr_list_remove(&other->node);
	nr_context_fini(&other->context);
	(void)nr_stacks_give_back(&scheduler->stacks, stack);
	scheduler->count--;
	if (scheduler->trim_at == NR_NEVER)
		scheduler->trim_at =
			nr_time_add(scheduler->engine->now, TRIM_NS);
}

int nr_fiber_await_end(struct nr_fiber *self, struct nr_fiber *other,
                       int64_t until)
{
	int err = 0;

	nr_assert(other->joinable && other->scheduler == self->scheduler);
	while (err == 0 && other->state != NR_FIBER_ENDED) {
		other->joiner = self;
		err = nr_fiber_park(self, until);
		other->joiner = NULL;
	}
	return other->state == NR_FIBER_ENDED ? 0 : err;
}

void nr_fiber_join(struct nr_fiber *self, struct nr_fiber *other)
{
	nr_assert(other->joinable && other->scheduler == self->scheduler);
	while (other->state != NR_FIBER_ENDED) {
		other->joiner = self;
		(void)nr_fiber_park_through(self, NR_NEVER);
		other->joiner = NULL;
	}
	free_fiber(other);
}

/* What other threads say. */

static void deliver(struct nr_scheduler *scheduler)
{
	atomic_store(&scheduler->mail, true);
	if (atomic_exchange(&scheduler->asleep, false))
		scheduler->engine->ops->kick(scheduler->engine);
}

void nr_scheduler_post(struct nr_scheduler *scheduler, struct nr_post *post)
{
	nr_mutex_lock(&scheduler->lock);
	nr_list_append(&scheduler->posts, &post->node);
	/* Under the lock: once it is open, the scheduler may be closed. */
	deliver(scheduler);
	nr_mutex_unlock(&scheduler->lock);
}

static bool is_mine(const struct nr_fiber *fiber)
{
	return nr_fiber_running &&
	       nr_fiber_running->scheduler == fiber->scheduler;
}

static void call(struct nr_fiber *fiber, bool *what)
{
	struct nr_scheduler *scheduler = fiber->scheduler;

	nr_mutex_lock(&scheduler->lock);
	*what = true;
	if (nr_list_empty(&fiber->called))
		nr_list_append(&scheduler->called, &fiber->called);
	deliver(scheduler);
	nr_mutex_unlock(&scheduler->lock);
}

static void wake_or_permit(struct nr_fiber *fiber)
{
	if (fiber->state == NR_FIBER_PARKED)
		make_ready(fiber, 0);
	else
		fiber->permit = true;
}

void nr_fiber_wake(struct nr_fiber *other)
{
	if (is_mine(other))
		wake_or_permit(other);
	else
		call(other, &other->call_wake);
}

void nr_fiber_cancel(struct nr_fiber *other)
{
	if (is_mine(other))
		cancel(other);
	else
		call(other, &other->call_cancel);
}

static void answer_calls(struct nr_scheduler *scheduler)
{
	while (!nr_list_empty(&scheduler->called)) {
		struct nr_fiber *fiber = nr_list_entry(scheduler->called.next,
		                                       struct nr_fiber, called);
		bool woken = fiber->call_wake;
		bool cancelled = fiber->call_cancel;

		nr_list_remove(&fiber->called);
		fiber->call_wake = fiber->call_cancel = false;
		if (cancelled)
			cancel(fiber);
		if (woken)
			wake_or_permit(fiber);
	}
}

static void read_mail(struct nr_scheduler *scheduler)
{
	struct nr_list posts;

	atomic_store(&scheduler->mail, false);
	nr_list_init(&posts);
	nr_mutex_lock(&scheduler->lock);
	answer_calls(scheduler);
	while (!nr_list_empty(&scheduler->posts)) {
		struct nr_list *node = scheduler->posts.next;

		nr_list_remove(node);
		nr_list_append(&posts, node);
	}
	nr_mutex_unlock(&scheduler->lock);
	while (!nr_list_empty(&posts)) {
		struct nr_post *post =
			nr_list_entry(posts.next, struct nr_post, node);

		nr_list_remove(&post->node);
		post->fn(post);
	}
}

/* Turns. */

static void run_ready(struct nr_scheduler *scheduler)
{
	scheduler->budget = scheduler->ready;
	if (scheduler->budget > 0 && scheduler->stall != NR_NEVER) {
		nr_watch_since(&scheduler->watch, nr_now_coarse());
		nr_watchdog_look_out();
	}
	nr_thread_fibers_begin();
	while (scheduler->budget > 0) {
		struct nr_fiber *next = take_ready(scheduler);

		scheduler->budget--;
		nr_fiber_running = next;
		nr_watch_tag(&scheduler->watch, next->tag);
		nr_context_switch(&scheduler->root, &next->context);
		if (scheduler->ended) {
			free_fiber(scheduler->ended);
			scheduler->ended = NULL;
		}
	}
	/* What the thread does from here on is no fiber's stall. */
	nr_watch_tag(&scheduler->watch, 0);
	nr_thread_fibers_end();
}

static void run_timers(struct nr_scheduler *scheduler)
{
	struct nr_timer *timer;
	int64_t now = scheduler->engine->now;

	while ((timer = nr_timers_expire(&scheduler->timers, now)) != NULL) {
		struct nr_fiber *fiber =
			nr_list_entry(timer, struct nr_fiber, timer);

		timer->at = NR_NEVER;
		if (fiber->state != NR_FIBER_PARKED || fiber->until == NR_NEVER)
			continue;
		if (fiber->until > now)
			set_timer(fiber, fiber->until);
		else
			make_ready(fiber, -ETIMEDOUT);
	}
}

static void trim(struct nr_scheduler *scheduler)
{
	int64_t now = scheduler->engine->now;

	if (now < scheduler->trim_at)
		return;
	switch (nr_stacks_trim(&scheduler->stacks)) {
	case NR_TRIM_NOTHING:
		scheduler->trim_at = NR_NEVER;
		break;
	case NR_TRIM_SOON:
		scheduler->trim_at = nr_time_add(now, TRIM_SOON_NS);
		break;
	case NR_TRIM_LATER:
		scheduler->trim_at = nr_time_add(now, TRIM_NS);
		break;
	}
}

int nr_scheduler_turn(struct nr_scheduler *scheduler, int64_t until)
{
	struct nr_engine *engine = scheduler->engine;
	int err;

	nr_assert(!nr_fiber_running);
	run_ready(scheduler);
	until = nr_time_min(until, nr_timers_next(&scheduler->timers));
	until = nr_time_min(until, scheduler->trim_at);
	atomic_store(&scheduler->asleep, true);
	if (scheduler->ready > 0 || atomic_load(&scheduler->mail))
		until = 0;
	err = engine->ops->turn(engine, until);
	atomic_store(&scheduler->asleep, false);
	run_timers(scheduler);
	trim(scheduler);
	if (atomic_load(&scheduler->mail))
		read_mail(scheduler);
	return err;
}

void nr_scheduler_settle(struct nr_scheduler *scheduler)
{
	read_mail(scheduler);
}

unsigned nr_scheduler_count(const struct nr_scheduler *scheduler)
{
	return scheduler->count;
}

void nr_scheduler_cancel(struct nr_scheduler *scheduler)
{
	struct nr_list *node, *after;

	nr_list_for_each (node, after, &scheduler->fibers)
		cancel(nr_list_entry(node, struct nr_fiber, node));
}

void nr_scheduler_stop(struct nr_scheduler *scheduler)
{
	struct nr_list *node, *after;

	scheduler->engine->stopped = true;
	nr_list_for_each (node, after, &scheduler->fibers) {
		struct nr_fiber *fiber =
			nr_list_entry(node, struct nr_fiber, node);

		if (fiber->io.io.heeds_stop && !fiber->staying &&
		    fiber->state == NR_FIBER_PARKED)
			make_ready(fiber, NR_STOPPED);
	}
}

int nr_scheduler_attend(struct nr_scheduler *scheduler, struct nr_loop *loop)
{
	return scheduler->engine->ops->attend(scheduler->engine, loop);
}

/* Whether that was the guard of the stack of the fiber that runs. */
static void on_fault(const void *address)
{
	struct nr_fiber *self = nr_fiber_running;
	struct nr_stack stack;

	if (self && self->scheduler->catching &&
	    nr_stacks_find_guard(&self->scheduler->stacks, address, &stack) &&
	    stack.bottom == self->stack.bottom)
		self->scheduler->watcher->overflowed(
			self, (size_t)(stack.bottom + stack.size -
		                       (const char *)address));
}

static void catch_overflow(struct nr_scheduler *scheduler)
{
	scheduler->fault_stack = nr_fault_stack_new();
	scheduler->catching = nr_fault_watch(on_fault) == 0;
}

static void computes(struct nr_watch *watch, uint64_t tag, int64_t duration)
{
	struct nr_scheduler *scheduler =
		nr_list_entry(watch, struct nr_scheduler, watch);

	scheduler->watcher->computes(scheduler->watcher_arg, tag, duration,
	                             scheduler->thread);
}

static void have_watched(struct nr_scheduler *scheduler)
{
	scheduler->thread = nr_thread_number();
	scheduler->watch.asleep = &scheduler->asleep;
	scheduler->watch.threshold = scheduler->stall;
	scheduler->watch.computes = computes;
	scheduler->watched = true;
	nr_watchdog_add(&scheduler->watch);
}

int nr_scheduler_open(struct nr_scheduler **ret_scheduler,
                      const struct nr_scheduler_options *options)
{
	struct nr_scheduler *scheduler = calloc(1, sizeof(*scheduler));
	int err;

	if (!scheduler)
		return -ENOMEM;
	err = nr_stacks_init(&scheduler->stacks, options->stack_size,
	                     options->max);
	if (err < 0) {
		free(scheduler);
		return err;
	}
	scheduler->stacks.measured = options->measure;
	err = options->engine->open(&scheduler->engine, &parking,
	                            &options->engine_size);
	if (err < 0) {
		nr_stacks_fini(&scheduler->stacks);
		free(scheduler);
		return err;
	}
	nr_context_init_thread(&scheduler->root);
	nr_timers_init(&scheduler->timers, scheduler->engine->now);
	scheduler->stall = options->watcher ? options->stall : NR_NEVER;
	scheduler->watcher = options->watcher;
	scheduler->watcher_arg = options->watcher_arg;
	if (options->watcher && options->catch_overflow)
		catch_overflow(scheduler);
	scheduler->trim_at = NR_NEVER;
	nr_list_init(&scheduler->fibers);
	nr_list_init(&scheduler->posts);
	nr_list_init(&scheduler->called);
	nr_mutex_init(&scheduler->lock);
	if (scheduler->stall != NR_NEVER && scheduler->watcher->computes)
		have_watched(scheduler);
	*ret_scheduler = scheduler;
	return 0;
}

void nr_scheduler_close(struct nr_scheduler *scheduler)
{
	if (!scheduler)
		return;
	nr_assert(scheduler->count == 0 && !nr_fiber_running);
	nr_assert(nr_list_empty(&scheduler->posts));
	if (scheduler->watched)
		nr_watchdog_remove(&scheduler->watch);
	if (scheduler->catching)
		nr_fault_ignore();
	nr_fault_stack_free(scheduler->fault_stack);
	scheduler->engine->ops->close(scheduler->engine);
	nr_context_fini(&scheduler->root);
	nr_stacks_fini(&scheduler->stacks);
	nr_mutex_fini(&scheduler->lock);
	free(scheduler);
}

size_t nr_fiber_stack_used(struct nr_fiber *fiber)
{
	const struct nr_stacks *stacks = &fiber->scheduler->stacks;

	return stacks->measured ? nr_stacks_used(stacks, fiber->stack) : 0;
}

size_t nr_fiber_stack_size(const struct nr_fiber *fiber)
{
	return fiber->stack.size;
}
