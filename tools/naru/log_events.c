/* SPDX-License-Identifier: MIT */
/*
 * What the library tells, as lines: see log.h. Nothing here keeps state between
 * two events but what struct nr_tool_log holds: in the models of processes a
 * copy of it runs in each of them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explain.h"
#include "log.h"

/* Two addresses and what is between them. */
#define TUPLE_TEXT (2 * NARU_ADDR_TEXT + 8)

/* The four addresses that name a conversation, the client's end first. */
static const char *tuple(char *buf, const struct nr_tool_log *log,
                         const struct naru_event *event)
{
	char local[NARU_ADDR_TEXT], peer[NARU_ADDR_TEXT];

	nr_tool_addr_text(local, event->local);
	nr_tool_addr_text(peer, event->peer);
	snprintf(buf, TUPLE_TEXT, "%s -> %s", log->client ? local : peer,
	         log->client ? peer : local);
	return buf;
}

/* Which process or thread speaks, where it is not the one that began. */
static const char *where(char buf[static 48], const struct nr_tool_log *log)
{
	pid_t pid = getpid(), tid = gettid();

	buf[0] = '\0';
	if (pid != log->pid)
		snprintf(buf, 48, " (process %d)", (int)pid);
	else if (tid != pid)
		snprintf(buf, 48, " (thread %d)", (int)tid);
	return buf;
}

/* How a process ended, from a status of waitpid(2). */
static const char *ending(char buf[static 64], int status)
{
	if (WIFEXITED(status))
		snprintf(buf, 64, "exit %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		snprintf(buf, 64, "killed by signal %d (%s)", WTERMSIG(status),
		         strsignal(WTERMSIG(status)));
	else
		snprintf(buf, 64, "status %#x", (unsigned)status);
	return buf;
}

static void show_begin(const struct nr_tool_log *log,
                       const struct naru_event *event)
{
	char names[TUPLE_TEXT], speaker[48], via[NARU_ADDR_TEXT] = "";

	if (log->verbosity < NR_TOOL_LOG_CONVERSATIONS)
		return;
	if (event->via)
		nr_tool_addr_text(via, event->via);
	nr_tool_log(log, NR_TOOL_LOG_CONVERSATIONS,
	            "conversation %" PRIu64 " begins: %s%s%s%s", event->id,
	            tuple(names, log, event), event->via ? " via " : "", via,
	            where(speaker, log));
}

/* ", stack 2.1 of 128 KiB" of a fiber. */
static const char *stack_text(char buf[static 64],
                              const struct naru_event *event)
{
	size_t tenths = (event->stack_used * 10 + 1023) / 1024;

	buf[0] = '\0';
	if (event->stack_used > 0)
		snprintf(buf, 64, ", stack %zu.%zu of %zu KiB", tenths / 10,
		         tenths % 10, event->stack_size / 1024);
	return buf;
}

static void show_end(const struct nr_tool_log *log,
                     const struct naru_event *event)
{
	char names[TUPLE_TEXT], took[NR_TOOL_DURATION_TEXT], how[256] = "well";
	char stack[64], dropped[48] = "";

	if (log->verbosity < NR_TOOL_LOG_CONVERSATIONS)
		return;
	if (event->result == -ECANCELED)
		snprintf(how, sizeof(how), "cut off by the server's stop");
	else if (event->result == -ETIMEDOUT)
		snprintf(how, sizeof(how),
		         "timed out: the peer said or took nothing for too "
		         "long (ETIMEDOUT)");
	else if (event->result < 0)
		snprintf(how, sizeof(how), "failed: %s (%s)",
		         naru_strerror(event->result),
		         naru_errname(event->result));
	if (event->dropped > 0)
		snprintf(dropped, sizeof(dropped),
		         ", %" PRIu64 " datagrams dropped", event->dropped);
	nr_tool_log(log, NR_TOOL_LOG_CONVERSATIONS,
	            "conversation %" PRIu64 " ends: %s, %" PRIu64
	            " bytes received, %" PRIu64 " bytes sent%s, %s%s: %s",
	            event->id, tuple(names, log, event), event->received,
	            event->sent, dropped,
	            nr_tool_duration_text(took, event->duration_ms),
	            stack_text(stack, event), how);
}

static void show_lost(const struct nr_tool_log *log,
                      const struct naru_event *event)
{
	char peer[NARU_ADDR_TEXT], how[64];

	nr_tool_log(log, NR_TOOL_LOG_ERROR,
	            "conversation %" PRIu64 " lost: %s, its worker %" PRId64
	            " ended: %s",
	            event->id, nr_tool_addr_text(peer, event->peer), event->pid,
	            ending(how, event->status));
}

static void show_hand_over(const struct nr_tool_log *log,
                           const struct naru_event *event)
{
	char peer[NARU_ADDR_TEXT], who[48] = "an idle thread";

	if (log->verbosity < NR_TOOL_LOG_CALLS)
		return;
	if (event->pid)
		snprintf(who, sizeof(who), "worker %" PRId64 ", which was idle",
		         event->pid);
	nr_tool_log(log, NR_TOOL_LOG_CALLS,
	            "conversation %" PRIu64 ": socket %d, from %s, is handed "
	            "to %s",
	            event->id, event->fd, nr_tool_addr_text(peer, event->peer),
	            who);
}

static void show_worker_begin(const struct nr_tool_log *log,
                              const struct naru_event *event)
{
	char name[32] = "a worker, a thread,";

	if (event->pid)
		snprintf(name, sizeof(name), "worker %" PRId64, event->pid);
	nr_tool_log(log, NR_TOOL_LOG_CALLS, "%s begins; there %s %d now", name,
	            event->result == 1 ? "is" : "are", event->result);
}

static void show_worker(const struct nr_tool_log *log,
                        const struct naru_event *event)
{
	char how[64];

	if (event->kind == NARU_EVENT_WORKER_BEGIN)
		show_worker_begin(log, event);
	else if (event->result < 0)
		nr_tool_log(log, NR_TOOL_LOG_ERROR,
		            "worker %" PRId64 " died: %s", event->pid,
		            ending(how, event->status));
	else
		nr_tool_log(log, NR_TOOL_LOG_CALLS, "worker %" PRId64 " ends",
		            event->pid);
}

/* What a limit keeps out, or null. */
static const char *limit_text(int why)
{
	switch (why) {
	case -EUSERS:
		return "as many conversations as there may be";
	case -EBUSY:
		return "as many handshakes as there may be";
	default:
		return NULL;
	}
}

/* Being full is what the limits are for; anything else is a fault. */
static void show_pause(struct nr_tool_log *log, const struct naru_event *event)
{
	const char *full = limit_text(event->result);
	int level = full ? NR_TOOL_LOG_CONVERSATIONS : NR_TOOL_LOG_ERROR;

	if (log->verbosity < level)
		return;
	atomic_store(&log->paused, true);
	nr_tool_log(log, level,
	            "accepting pauses, clients wait in the backlog: %s (%s)",
	            full ? full : naru_strerror(event->result),
	            naru_errname(event->result));
}

static void show_resume(struct nr_tool_log *log)
{
	if (atomic_exchange(&log->paused, false))
		nr_tool_log(log, NR_TOOL_LOG_ERROR, "accepting resumes");
}

/* Someone who pressed ^C and sees no end should learn why. */
static void show_drain(const struct nr_tool_log *log,
                       const struct naru_event *event)
{
	char time[NR_TOOL_DURATION_TEXT];

	if (event->result <= 0) {
		nr_tool_log(log, NR_TOOL_LOG_CONVERSATIONS,
		            "drain: there are no conversations");
		return;
	}
	if (event->duration_ms == 0)
		nr_tool_log(log, NR_TOOL_LOG_ERROR,
		            "drain: %d %s cut off at once", event->result,
		            event->result == 1 ? "conversation is"
		                               : "conversations are");
	else
		nr_tool_log(log, NR_TOOL_LOG_ERROR, "drain: %d %s %s to end",
		            event->result,
		            event->result == 1 ? "conversation has"
		                               : "conversations have",
		            nr_tool_duration_text(time, event->duration_ms));
}

static void show_program(const struct nr_tool_log *log,
                         const struct naru_event *event)
{
	char how[64];

	nr_tool_log(log, NR_TOOL_LOG_CONVERSATIONS,
	            "conversation %" PRIu64 ": program %" PRId64 " ended: %s",
	            event->id, event->pid, ending(how, event->status));
}

/* At any verbosity: the others of its thread have felt it. */
static void show_stall(const struct nr_tool_log *log,
                       const struct naru_event *event)
{
	char peer[NARU_ADDR_TEXT];

	/* Nobody can ask whoever computes with whom. */
	if (event->result == -EINPROGRESS) {
		nr_tool_log(log, NR_TOOL_LOG_ERROR,
		            "conversation %" PRIu64 " has computed for %" PRId64
		            " ms and goes on without waiting, in %s: the "
		            "others of its thread have to wait",
		            event->id, event->duration_ms,
		            event->text ? event->text : "?");
		return;
	}
	nr_tool_log(log, NR_TOOL_LOG_ERROR,
	            "conversation %" PRIu64 " with %s computed for %" PRId64
	            " ms without waiting, before %s: the others of its thread "
	            "had to wait",
	            event->id, nr_tool_addr_text(peer, event->peer),
	            event->duration_ms, event->text ? event->text : "?");
}

/* A line that is put together by hand: in a signal handler there is no
 * snprintf(3). */
struct plain_line {
	char bytes[512];
	size_t len;
};

static void add_text(struct plain_line *line, const char *text)
{
	while (*text && line->len < sizeof(line->bytes))
		line->bytes[line->len++] = *text++;
}

static void add_number(struct plain_line *line, uint64_t number)
{
	char digits[24], *at = digits + sizeof(digits);

	*--at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	add_text(line, at);
}

/* Told by the handler of SIGSEGV, on a stack of its own. */
static void show_overflow(const struct nr_tool_log *log,
                          const struct naru_event *event)
{
	struct plain_line line = {.len = 0};

	if (log->verbosity < NR_TOOL_LOG_ERROR)
		return;
	add_text(&line, "naru: conversation ");
	add_number(&line, event->id);
	add_text(&line, " has exhausted its stack of ");
	add_number(&line, event->stack_size / 1024);
	add_text(&line, " KiB: it wrote ");
	add_number(&line, event->stack_used);
	add_text(&line, " bytes deep; its process dies of it; --stack SIZE "
	                "gives more\n");
	nr_tool_put(line.bytes, line.len);
}

/* What the call has done; the one thing that the event alone does not tell is
 * that a socket is closed which never was connected. */
static const char *explained(char why[static 256], struct nr_tool_log *log,
                             const struct naru_event *event)
{
	struct naru_event known = *event;

	if (event->call && strcmp(event->call, "close") == 0 &&
	    atomic_load(&log->refused) == event->fd) {
		atomic_store(&log->refused, -1);
		known.state = NR_TOOL_NEVER_CONNECTED;
	}
	return nr_tool_explain(why, 256, &known);
}

/* "bind(4, 127.0.0.1:1060) = 0   [CLOSED]  what it means" */
static void show_call(struct nr_tool_log *log, const struct naru_event *event)
{
	char call[NARU_ADDR_TEXT + 128], state[32] = "", why[256];
	char whose[48] = "";
	bool is_connect = event->call && strcmp(event->call, "connect") == 0;
	char names[TUPLE_TEXT] = "", result[32], speaker[48];
	const char *gap = "";

	if (log->verbosity < NR_TOOL_LOG_CALLS)
		return;
	snprintf(result, sizeof(result), "%d", event->result);
	if (event->result < 0)
		snprintf(result, sizeof(result), "-%s",
		         naru_errname(event->result));
	snprintf(call, sizeof(call), "%s(%s) = %s",
	         event->call ? event->call : "?",
	         event->text ? event->text : "", result);
	if (event->state)
		snprintf(state, sizeof(state), "[%s]", event->state);
	if (event->peer && naru_addr_kind(event->peer) != NARU_ADDR_NONE) {
		tuple(names, log, event);
		gap = "  ";
	}
	if (is_connect && event->result < 0)
		atomic_store(&log->refused, event->fd);
	/* Descriptors are used again and again: numbers of conversations are
	 * not. */
	if (event->id)
		snprintf(whose, sizeof(whose), " (conversation %" PRIu64 ")",
		         event->id);
	nr_tool_log(log, NR_TOOL_LOG_CALLS, "%-46s %-13s  %s%s%s%s%s", call,
	            state, names, gap, explained(why, log, event), whose,
	            where(speaker, log));
}

/* Keeps what went wrong, for whoever waits to hear of it. */
static void capture(struct nr_tool_log *log, const struct naru_event *event)
{
	snprintf(log->why, sizeof(log->why), "%s",
	         event->text ? event->text : "");
	snprintf(log->what, sizeof(log->what), "%s",
	         event->call ? event->call : "");
}

static void show_error(struct nr_tool_log *log, const struct naru_event *event)
{
	/* What a peer may bring about again and again is not for everybody. */
	int level = event->id ? NR_TOOL_LOG_CONVERSATIONS : NR_TOOL_LOG_ERROR;
	char whose[48] = "";

	if (event->id)
		snprintf(whose, sizeof(whose), "conversation %" PRIu64 ": ",
		         event->id);
	if (log->capture)
		capture(log, event);
	else
		nr_tool_log(log, level, "%s%s: %s", whose,
		            event->text ? event->text : "",
		            naru_strerror(event->result));
}

static void show_handshake(struct nr_tool_log *log,
                           const struct naru_event *event)
{
	char peer[NARU_ADDR_TEXT] = "?";

	if (event->peer)
		nr_tool_addr_text(peer, event->peer);
	if (log->capture && event->result < 0)
		capture(log, event);
	else
		nr_tool_log(log, NR_TOOL_LOG_CONVERSATIONS,
		            "%s with %s: %s%s%s",
		            event->call ? event->call : "?", peer,
		            event->text ? event->text : "",
		            event->result < 0 ? ": " : "",
		            event->result < 0 ? naru_strerror(event->result)
		                              : "");
}

static void show_reload(const struct nr_tool_log *log,
                        const struct naru_event *event)
{
	nr_tool_log(log, NR_TOOL_LOG_ERROR,
	            event->result < 0 ? "the certificates stay as they were"
	                              : "the certificates were read anew");
}

static void show_dropped(const struct nr_tool_log *log,
                         const struct naru_event *event)
{
	char local[NARU_ADDR_TEXT];

	nr_tool_log(log, NR_TOOL_LOG_ERROR,
	            "%s: %" PRIu64 " datagrams dropped: they came faster than "
	            "conversations could begin",
	            nr_tool_addr_text(local, event->local), event->dropped);
}

static void show_relay(const struct nr_tool_log *log,
                       const struct naru_event *event)
{
	char peer[NARU_ADDR_TEXT], time[NR_TOOL_DURATION_TEXT];

	if (log->verbosity < NR_TOOL_LOG_CONVERSATIONS)
		return;
	nr_tool_log(log, NR_TOOL_LOG_CONVERSATIONS,
	            "conversation %" PRIu64 ": relayed %" PRIu64
	            " bytes to %s and %" PRIu64 " back in %s%s%s",
	            event->id, event->received,
	            nr_tool_addr_text(peer, event->peer), event->sent,
	            nr_tool_duration_text(time, event->duration_ms),
	            event->result < 0 ? ": " : "",
	            event->result < 0 ? naru_strerror(event->result) : "");
}

void nr_tool_log_event(const struct naru_event *event, void *arg)
{
	struct nr_tool_log *log = arg;

	switch (event->kind) {
	case NARU_EVENT_LISTEN:
		atomic_store(&log->backlog, event->backlog);
		return;
	case NARU_EVENT_BEGIN:
		show_begin(log, event);
		return;
	case NARU_EVENT_END:
		show_end(log, event);
		return;
	case NARU_EVENT_LOST:
		show_lost(log, event);
		return;
	case NARU_EVENT_HAND_OVER:
		show_hand_over(log, event);
		return;
	case NARU_EVENT_WORKER_BEGIN:
	case NARU_EVENT_WORKER_END:
		show_worker(log, event);
		return;
	case NARU_EVENT_PAUSE:
		show_pause(log, event);
		return;
	case NARU_EVENT_RESUME:
		show_resume(log);
		return;
	case NARU_EVENT_DRAIN:
		show_drain(log, event);
		return;
	case NARU_EVENT_CALL:
		show_call(log, event);
		return;
	case NARU_EVENT_ERROR:
		show_error(log, event);
		return;
	case NARU_EVENT_PROGRAM:
		show_program(log, event);
		return;
	case NARU_EVENT_STALL:
		show_stall(log, event);
		return;
	case NARU_EVENT_OVERFLOW:
		show_overflow(log, event);
		return;
	case NARU_EVENT_HANDSHAKE:
		show_handshake(log, event);
		return;
	case NARU_EVENT_RELOAD:
		show_reload(log, event);
		return;
	case NARU_EVENT_DROPPED:
		show_dropped(log, event);
		return;
	case NARU_EVENT_RELAY:
		show_relay(log, event);
		return;
	case NARU_EVENT_WAITER: /* for the line that says who is ready */
		return;
	}
}
