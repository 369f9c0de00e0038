/* SPDX-License-Identifier: MIT */
#ifndef NARU_EVENT_H
#define NARU_EVENT_H

/*
 * What happens, told as it happens. Naru prints nothing: who wants a log, a
 * count or an explanation gives a report function with the options of a
 * server or a dial.
 */

#include "naru/addr.h"
#include "naru/base.h"

NARU_BEGIN_DECLS

enum naru_event_kind {
	/* A listener has begun to listen: local, backlog (0 over UDP). */
	NARU_EVENT_LISTEN = 1,
	/* A conversation has begun: id, fd, local, peer, via. */
	NARU_EVENT_BEGIN,
	/* A conversation has ended: id, local, peer, received, sent,
	 * duration_ms, result; of a fiber also stack_used, stack_size; over
	 * UDP also dropped. */
	NARU_EVENT_END,
	/* A conversation was lost with its worker: id, peer, pid, status. */
	NARU_EVENT_LOST,
	/* An accepted socket was handed to an idle worker: id, peer, fd, pid
	 * (0 where the worker is a thread). */
	NARU_EVENT_HAND_OVER,
	/* A worker has begun: pid (0 for a thread), result (how many there
	 * are). */
	NARU_EVENT_WORKER_BEGIN,
	/* A worker has ended, unasked where result is negative: pid, status,
	 * result. */
	NARU_EVENT_WORKER_END,
	/* Nothing is accepted for a while, clients wait in the backlog:
	 * result says why (-EMFILE, -ENOMEM, -EAGAIN: no conversation can be
	 * started; -EUSERS: every worker is busy, or the limit on
	 * conversations is reached; -EBUSY: as many connections as may be are
	 * at what comes before a conversation). */
	NARU_EVENT_PAUSE,
	/* Connections are accepted again. */
	NARU_EVENT_RESUME,
	/* A drain has begun: duration_ms is how long it may take, result how
	 * many conversations there are. */
	NARU_EVENT_DRAIN,
	/* A socket call was made (only with report_calls): call, text, fd,
	 * result, state, local, peer, queued, backlog, id where it belongs to
	 * a conversation. */
	NARU_EVENT_CALL,
	/* Something is wrong with an endpoint or a file: call says what could
	 * not be done ("read", "read source", "read proxy_from", "resolve",
	 * "listen", "announce", "read TLS"), text with what, and where and why;
	 * result. Or TLS broke in the midst of a conversation: id, call
	 * ("TLS"), text, result. */
	NARU_EVENT_ERROR,
	/* A program of naru_program() has ended: id, pid, status. */
	NARU_EVENT_PROGRAM,
	/* NARU_FIBER has chosen how its fibers wait: call says it ("uring" or
	 * "epoll"), result why it is not io_uring where that was wanted
	 * (-EPERM: it is forbidden here; -ENOSYS: the kernel lacks it), or 0.
	 */
	NARU_EVENT_WAITER,
	/* A fiber has computed for long without waiting: id, peer,
	 * duration_ms, text (the place where it waits now, before which it
	 * computed, as "program(function+0x1f)"; "?" where stacks are
	 * smaller than 32 KiB).
	 * Or it computes still, and may never wait again: result is
	 * -EINPROGRESS, id, duration_ms (until now), text (where a debugger
	 * finds it, as "thread 1234 of process 1200"). Told once, by a thread
	 * of Naru's own; when the fiber waits after all, the other one
	 * comes. */
	NARU_EVENT_STALL,
	/* A fiber's stack is exhausted and the program is about to die of it:
	 * id, peer, stack_size, stack_used (how far below the stack's upper
	 * end the fault lies). Told from a signal handler: only what
	 * signal-safety(7) lists may be called. */
	NARU_EVENT_OVERFLOW,
	/* What comes before a conversation is over: id, local, peer (the ends
	 * of the connection itself), call ("PROXY", "TLS"), text (what was
	 * agreed; or what is wrong), result. Where that is negative, there is
	 * no conversation; of one that was opened already, because no other
	 * ended in time (-ETIMEDOUT) or the server stops (-ECANCELED). */
	NARU_EVENT_HANDSHAKE,
	/* naru_server_reload_tls_later() has been done: result. */
	NARU_EVENT_RELOAD,
	/* Datagrams were dropped that belonged to no conversation yet: local,
	 * dropped. At most once a second for each listener. */
	NARU_EVENT_DROPPED,
	/* A relay is over, told to whom naru_relay()'s first conversation is:
	 * its id, peer (the second one's), received (bytes that were carried
	 * from the first to the second), sent (those from the second to the
	 * first), duration_ms, result. */
	NARU_EVENT_RELAY,
};

/*
 * One event. Fields that the kind does not name are zero. Pointers are valid
 * until the report function returns.
 */
struct naru_event {
	enum naru_event_kind kind;
	uint64_t id;                   /* of the conversation */
	int fd;                        /* the socket's descriptor */
	int result;                    /* of a call or a talk */
	const struct naru_addr *local; /* this end */
	const struct naru_addr *peer;  /* the other end */
	uint64_t received;             /* bytes from the peer */
	uint64_t sent;                 /* bytes to the peer */
	int64_t duration_ms;
	const char *call;  /* "bind" */
	const char *text;  /* the call's arguments; what is wrong and where */
	const char *state; /* a TCP state as in RFC 9293, "LISTEN"; found after
	                      the call, and before a close; or null */
	unsigned queued;   /* how many connections wait to be accepted */
	unsigned backlog;  /* how many may */
	int64_t pid;
	int status;        /* as waitpid(2) gives it */
	size_t stack_used; /* the deepest that a fiber's stack was used */
	size_t stack_size;
	const struct naru_addr *via; /* who stands between and announced the
	                                peer (naru/proxy.h), or null */
	uint64_t dropped; /* datagrams that came, or were about to, and for
	                     which there was no room */
};

/*
 * A report function. It is called by whichever strand the event happens in:
 * in a model of processes, BEGIN and END come from the process that holds the
 * conversation; in a model of threads, and under NARU_FIBER, several threads
 * may call at once, of one conversation, too (NARU_EVENT_STALL). It must not
 * wait, and must not call Naru but for naru_addr_*(),
 * naru_strerror(), naru_errname(), naru_now() and naru_server_stop().
 */
typedef void naru_report(const struct naru_event *event, void *arg);

NARU_END_DECLS

#endif
