/* SPDX-License-Identifier: MIT */
#ifndef NARU_SERVER_H
#define NARU_SERVER_H

/*
 * The server's side: listeners, the model that runs the talks, and the life
 * cycle.
 */

#include "naru/base.h"
#include "naru/event.h"

NARU_BEGIN_DECLS

/* Who runs a talk. */
enum naru_model {
	NARU_MODEL_DEFAULT = 0, /* NARU_FIBER */
	/* One after the other, in the thread of naru_server_run(). */
	NARU_ITERATIVE,
	/* A process for each conversation. */
	NARU_PROCESS,
	/* A thread for each conversation. */
	NARU_THREAD,
	/* Processes started beforehand; an idle one is handed the accepted
	 * socket. */
	NARU_PREFORK,
	/* Threads started beforehand; an idle one is handed the accepted
	 * socket. */
	NARU_POOL,
	/* A fiber for each conversation, on one thread for each core. */
	NARU_FIBER,
};

/* How the fibers of NARU_FIBER wait for the kernel. */
enum naru_io {
	/* The faster one that works here; NARU_EVENT_WAITER tells which. */
	NARU_IO_AUTO = 0,
	/* io_uring(7); containers often forbid it, and Linux before 6.1 lacks
	 * what it takes. */
	NARU_IO_URING,
	/* epoll(7). */
	NARU_IO_EPOLL,
};

/* What one may want to know of a model. */
struct naru_model_info {
	const char *name;    /* "prefork" */
	const char *summary; /* who runs a talk, as a phrase */
	int has_workers;     /* whether naru_options.workers counts */
};

/*
 * Tells of MODEL; of the default one for NARU_MODEL_DEFAULT, and null for a
 * number that is no model's. The numbers are consecutive. What it points to is
 * static. Never fails.
 */
const struct naru_model_info *naru_model_info(enum naru_model model);

/* The most that naru_options takes of each. */
#define NARU_WORKERS_MAX       10000
#define NARU_CONVERSATIONS_MAX 1000000

/* Which IP addresses a name may stand for. */
enum naru_family {
	NARU_FAMILY_ANY = 0,
	NARU_FAMILY_IPV4,
	NARU_FAMILY_IPV6,
};

/* Who has to say, before all else, for whom it speaks (the PROXY protocol). */
enum naru_proxy {
	/* Nobody: a header would be taken for the client's own bytes. */
	NARU_PROXY_NONE = 0,
	/* All. Where there is a naru_options.proxy_from, who is not in it is
	 * refused. */
	NARU_PROXY_REQUIRED,
	/* Those in naru_options.proxy_from, always. All others speak for
	 * themselves, and a header of theirs would be their own bytes. */
	NARU_PROXY_ALLOWED,
};

/*
 * The options of a server. Write them as NARU_OPTIONS(.model = NARU_POOL,
 * .workers = 8); zero means the default, which is given behind each.
 */
struct naru_options {
	size_t size;           /* of this struct; NARU_OPTIONS fills it in */
	enum naru_model model; /* NARU_FIBER */
	unsigned workers;      /* of NARU_PREFORK and NARU_POOL, 16; of
	                          NARU_FIBER, one for each core that the
	                          program may use */
	unsigned backlog;      /* connections that may wait to be accepted; as
	                          many as the system allows (listen(2)) */
	unsigned max_conversations; /* at once, above which clients are left in
	                               the backlog; 1000, of NARU_FIBER
	                               100,000; or what the limit on
	                               descriptors leaves room for. As many
	                               again, and 64 at least, may be at what
	                               comes before a conversation */
	enum naru_family family;    /* of names and of "*"; both */
	size_t stack_size;          /* in bytes; of a thread 512 KiB, of a
	                               fiber 128 KiB, and 64 MiB at most */
	size_t memory_limit;        /* of naru_alloc() for each conversation, in
	                               bytes; 16 MiB */
	size_t message_limit;       /* naru_framing's limit at first; 65536 */
	int64_t idle_ms;            /* NARU_TIMEOUT_IDLE at first; 10 minutes,
	                               over UDP 1 minute */
	int64_t message_ms;  /* NARU_TIMEOUT_MESSAGE at first; 1 minute */
	int64_t write_ms;    /* NARU_TIMEOUT_WRITE at first; 1 minute */
	int64_t end_ms;      /* NARU_TIMEOUT_END at first; 5 seconds */
	naru_report *report; /* told what happens; nobody */
	void *report_arg;
	int report_calls;   /* also of each socket call (NARU_EVENT_CALL) */
	enum naru_io io;    /* of NARU_FIBER; NARU_IO_AUTO */
	int64_t stall_ms;   /* of NARU_FIBER: a fiber that computes for longer
	                       without waiting, which holds up all others of its
	                       thread, is told of (NARU_EVENT_STALL), while it
	                       does and afterwards; 100, NARU_FOREVER for never
	                     */
	int isolate;        /* of NARU_FIBER: nonzero for processes in place of
	                       threads, so that a crash of one costs only its
	                       own conversations; no */
	int catch_overflow; /* of NARU_FIBER: nonzero to take SIGSEGV, in order
	                       to tell of a fiber whose stack is exhausted
	                       (NARU_EVENT_OVERFLOW) before the program dies of
	                       it; no */
	const struct naru_tls *tls; /* of tls:// listeners, and of
	                               naru_start_tls(); none. Its files are
	                               read by naru_server_new() */
	int64_t handshake_ms;   /* for what comes before a conversation, a PROXY
	                           header, TLS's handshake, and the wait for the
	                           end of another one where there are
	                           max_conversations; 10 seconds */
	enum naru_proxy proxy;  /* NARU_PROXY_NONE */
	const char *proxy_from; /* networks, "192.0.2.0/24,2001:db8::/32,unix",
	                           256 at most; all with NARU_PROXY_REQUIRED.
	                           It is copied; NARU_EVENT_ERROR tells what is
	                           wrong with it */
	int64_t keepalive_ms;   /* how long a TCP connection is silent before
	                           the system asks whether the peer is there
	                           (SO_KEEPALIVE), in whole seconds; three
	                           questions in as long again without an answer
	                           break it off; it does not ask */
	int64_t user_timeout_ms; /* how long what was sent over TCP may stay
	                            unacknowledged (RFC 5482); the system's */
	unsigned fast_open; /* connections that bring their first bytes with
	                       them (RFC 7413) and may wait; none */
	unsigned reserved;  /* zero */
	const struct naru_framing *framing; /* of conversations at first, copied
	                       by naru_server_new(); where it names no limit,
	                       that is message_limit; lines */
};
#define NARU_OPTIONS(...) NARU_STRUCT(naru_options, __VA_ARGS__)

/*
 * Makes a server. OPTIONS may be null. Does not wait. The caller owns the
 * server and frees it with naru_server_free().
 *
 * Returns 0, -EINVAL for an option out of its range or a proxy_from that
 * cannot be read or is missing, -E2BIG where OPTIONS
 * sets one that this library is too old to know, or -ENOMEM, -EMFILE and the
 * like.
 */
NARU_RESULT int naru_server_new(struct naru_server **ret_server,
                                const struct naru_options *options);

/*
 * Fills RET_OPTIONS, whose size the caller has filled in, with the options that
 * SERVER goes by: the defaults stand where zero was given.
 *
 * Returns 0 or -EINVAL.
 */
NARU_RESULT int naru_server_options(struct naru_server *server,
                                    struct naru_options *ret_options);

/*
 * Adds listeners: one for each address that ENDPOINT names (localhost and *
 * have two). From now on clients can connect, and wait in the backlog until
 * naru_server_run(). TALK is run with ARG for each of them. Resolving a name
 * may wait. May be called several times, before naru_server_run().
 *
 * With port 0 the system picks a port, the same for all addresses;
 * naru_server_endpoint() tells which. The socket of a unix endpoint that
 * exists is replaced where nobody answers on it, and removed at the end.
 *
 * Returns 0, or, with no listener added: -NARU_EENDPOINT, -NARU_ENONAME,
 * -NARU_ERESOLVE, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL,
 * -EEXIST (the path of a unix endpoint is no socket), -EOPNOTSUPP (PROXY
 * headers over UDP, TLS without a certificate) and others of socket(2),
 * bind(2), listen(2); -EBUSY while the server runs.
 */
NARU_RESULT int naru_server_listen(struct naru_server *server,
                                   const char *endpoint, naru_talk *talk,
                                   void *arg);

/*
 * Writes listener INDEX, counted from 0, as an endpoint with its real port:
 * "tcp://127.0.0.1:41237", "unix:/run/x".
 *
 * Returns the length without the terminator, -ENOENT where there are fewer
 * listeners, or -ENOSPC; NARU_ADDR_TEXT bytes always suffice.
 */
NARU_RESULT int naru_server_endpoint(struct naru_server *server, unsigned index,
                                     char *buf, size_t size);

/*
 * Accepts connections and has the model run their talks, until
 * naru_server_stop(). Then the listeners are closed, conversations that run
 * are let end within the drain's time, those that are left are cancelled, and
 * every process and thread has been waited for. NARU_PROCESS and NARU_PREFORK
 * fork: let the program have no other threads that hold locks then. Waits.
 *
 * A server runs once. Returns 0 after a stop in which every conversation
 * ended by itself, -ECANCELED after one in which some were cancelled; -EINVAL
 * without a listener, -EBUSY when it runs or ran already, or an error of
 * starting the workers.
 */
NARU_RESULT int naru_server_run(struct naru_server *server);

/*
 * Makes naru_server_run() return: nothing is accepted any more, and
 * conversations have DRAIN_MS milliseconds to end before they are cancelled
 * (every call that they wait in returns -ECANCELED). A later call sets the
 * time anew; 0 ends at once. Over UDP, whoever waits for a peer's datagram is
 * told at once that there will be none (naru/message.h), and a connection that
 * is no conversation yet is closed. A process that has not ended five seconds
 * after it was cancelled is killed; a thread cannot be, so a talk that computes
 * or blocks outside of Naru delays the end.
 *
 * Safe from a signal handler (signal-safety(7)), from any thread, and from
 * any process that the server forked; it does not wait.
 *
 * Returns 0, or -EINVAL for a negative time.
 */
int naru_server_stop(struct naru_server *server, int64_t drain_ms);

/* Closes what is left and frees the server. SERVER may be null; it must not
 * be running. */
void naru_server_free(struct naru_server *server);

/*
 * A whole server in one call: naru_server_new(), naru_server_listen(),
 * naru_server_run(), naru_server_free(). It returns when something fails, or
 * -EINVAL; a program that wants to stop its server uses the four calls.
 */
NARU_RESULT int naru_serve(const char *endpoint, naru_talk *talk, void *arg,
                           const struct naru_options *options);

NARU_END_DECLS

#endif
