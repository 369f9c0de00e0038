/* SPDX-License-Identifier: MIT */
#ifndef NR_CONV_CONV_H
#define NR_CONV_CONV_H

/*
 * The conversation: one end of one connection, and the talk over it. It never
 * knows what it runs on: it asks its strand's waiter to receive, send and
 * sleep, each with a point in time at which to give up.
 */

#include <stdatomic.h>

#include "base/arena.h"
#include "base/report.h"
#include "conv/input.h"
#include "conv/output.h"
#include "conv/strand.h"
#include "frame/frame.h"
#include "naru/conv.h"
#include "naru/message.h"
#include "net/transport.h"
#include "os/os_addr.h"
#include "os/os_thread.h"

#define NR_TIMEOUTS (NARU_TIMEOUT_END + 1)

/* What conversations begin with, their server's or dial's options. */
struct nr_settings {
	int64_t timeouts[NR_TIMEOUTS]; /* in nanoseconds */
	size_t memory_limit;
	struct nr_framing framing; /* that they begin with */
	int64_t idle_datagram;     /* NARU_TIMEOUT_IDLE over datagrams */
	int64_t handshake;         /* in nanoseconds */
	struct nr_tls *tls;        /* of TLS, or null */
	const char *host;          /* that was dialled, or null */
	unsigned port;
	struct nr_proxies *proxies; /* who sends PROXY headers, or null */
	struct nr_report report;
};

/* The defaults that the public headers state. */
extern const struct nr_settings nr_settings_default;

#define NR_CONV_MAGIC 0x4e617275u

struct nr_companion;
struct nr_deferred;
struct nr_via;

struct naru_conv {
	/* What nearly every message needs comes first, close together: among
	 * thousands of conversations, each line of it is a miss. */
	unsigned magic;
	_Atomic bool ending; /* the deadline holds no more */
	_Atomic bool broken; /* its end is a reset */
	bool local_known;    /* under the lock */
	bool cancelled;      /* by naru_cancel(); under the lock */
	struct nr_link link;
	_Atomic int64_t timeouts[NR_TIMEOUTS]; /* in nanoseconds */
	_Atomic int64_t deadline;
	struct nr_input in;
	struct nr_output out;
	struct nr_framing framing;
	struct nr_scan scan; /* of the message that begins with what is
	                        unread; begins anew where in.scanned is 0 */

	const struct nr_settings *settings;
	uint64_t id;
	int64_t began;
	struct nr_arena arena;
	struct nr_deferred *deferred; /* the newest */
	struct nr_list companions;    /* strands beside the first */
	struct nr_mutex lock; /* for what more than one strand uses of this,
	                         but for output, which has its own */
	unsigned companion_count;
	int companion_err;       /* the first negative result */
	struct nr_strand *first; /* of an accepted one, the strand that it began
	                            on; under the lock */
	uint64_t program_received, program_sent;
	uint64_t dropped; /* datagrams */
	struct naru_addr peer, local;
	struct nr_via *via; /* who announced them, or null */
};

/* An accepted or dialled connection that is to become a conversation. */
struct nr_connection {
	const struct nr_transport *transport;
	int fd;
	bool dialled;
	bool late; /* as in net/transport.h */
	uint64_t id;
	struct naru_addr peer;
	struct naru_addr local; /* of length 0 where it is to be asked for */

	/* Of datagrams, those that came before it: packed, from malloc(3) or
	 * null. The conversation takes them. */
	char *first;
	size_t first_len;
	unsigned dropped;

	/* Of an accepted one, called on its strand once it has been opened:
	 * waits until it may be a conversation, until UNTIL at the longest.
	 * -ETIMEDOUT, -ECANCELED, NR_STOPPED. Null where it may at once. */
	int (*admit)(void *arg, int64_t until);
	void *admit_arg;
};

/* Begins a conversation. SETTINGS outlive it. */
void nr_conv_begin(struct naru_conv *conv,
                   const struct nr_connection *connection,
                   const struct nr_settings *settings);

/* Ends it gracefully (naru/conv.h says how) and gives back all that it held.
 * Returns 0, or why bytes were lost. */
int nr_conv_end(struct naru_conv *conv);

/* Closes one that could not be opened, and gives back all that it held. */
void nr_conv_drop(struct naru_conv *conv);

/* Breaks the connection off: receiving ends now, and the conversation's end
 * will be a reset. Any strand may call this. */
void nr_conv_break(struct naru_conv *conv);

/* A whole conversation: begins, reports, talks, ends, reports. Returns the
 * result that was reported. */
int nr_conv_converse(const struct nr_connection *connection,
                     const struct nr_settings *settings, naru_talk *talk,
                     void *arg);

/* Whether CONV can be used by the public calls. */
static inline bool nr_conv_is(const struct naru_conv *conv)
{
	return conv && conv->magic == NR_CONV_MAGIC;
}

/* The last message's view is over: what it covered has been read. */
static inline void nr_input_end_view(struct naru_conv *conv)
{
	struct nr_input *in = &conv->in;
	size_t viewed = in->viewed;

	in->viewed = 0;
	if (viewed == 0)
		return;
	if (viewed == nr_input_unread(in)) {
		nr_input_take(conv, viewed);
	} else {
		in->begin += viewed;
		in->scanned = 0;
	}
}

/* When a wait that begins now has to end: by timeout WHICH, or by the
 * conversation's deadline. */
int64_t nr_conv_until(struct naru_conv *conv, enum naru_timeout which);

/* Cancels the conversation's companions. Under its lock. */
void nr_companions_cancel(struct naru_conv *conv);

/* Cancels the conversation's companions and waits for them; nothing is left
 * of them. */
void nr_companions_end(struct naru_conv *conv);

/* Runs what was deferred, the newest first. */
void nr_deferred_run(struct naru_conv *conv);

#endif
