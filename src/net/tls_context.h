/* SPDX-License-Identifier: MIT */
#ifndef NR_NET_TLS_CONTEXT_H
#define NR_NET_TLS_CONTEXT_H

/*
 * What TLS is done with, a server's or a dial's: options, and what the files
 * that they name held when they were last read. Any thread.
 */

#include <stdatomic.h>

#include "base/list.h"
#include "base/report.h"
#include "net/tls_set.h"
#include "os/os_file.h"
#include "os/os_thread.h"

struct nr_tls {
	atomic_uint refs;
	bool server;
	struct nr_tls_config config;
	struct nr_mutex lock; /* of the current set */
	struct nr_tls_set *current;
	/* Of a server: */
	struct nr_report report;
	struct nr_tls_tickets *tickets;
	struct nr_mutex reading; /* one strand reads the files */
	atomic_uint *wanted;     /* shared by its processes: how often the files
	                            were to be read anew */
	atomic_uint read;        /* how often they have been, here */
	/* Of dials, in the list of those that are kept: */
	struct nr_list node;
	struct nr_file_stamp stamps[3];
};

/*
 * Of a server: reads its files, which blocks. What is wrong with them is
 * reported, and REPORT is kept for later. OPTIONS name a certificate.
 * -EINVAL, -ENOENT and the like, -NARU_ETLS.
 */
int nr_tls_new_server(const struct naru_tls *options,
                      const struct nr_report *report, struct nr_tls **ret_tls);

/*
 * Of dials, OPTIONS being null for the defaults: one that was made before,
 * where the options and the files are still the same, for the sake of its
 * sessions, and of the system's certificates, which are many; or a new one,
 * whose files nr_tls_refresh() has to read yet. -EINVAL, told to REPORT.
 */
int nr_tls_get_client(const struct naru_tls *options,
                      const struct nr_report *report, struct nr_tls **ret_tls);

struct nr_tls *nr_tls_hold(struct nr_tls *tls);
void nr_tls_release(struct nr_tls *tls);

/* The files as they were last read; the caller releases it. */
struct nr_tls_set *nr_tls_current(struct nr_tls *tls);

/* Reads the files anew and, where all is well with them, has every process and
 * thread do so before its next handshake. Blocks. */
int nr_tls_reload(struct nr_tls *tls);

/* Whether somebody wants the files read anew, or nobody has read them yet. */
bool nr_tls_is_stale(const struct nr_tls *tls);

/* Reads them, or waits for who does. What cannot be read, by a process that
 * has given up its privileges, is told to REPORT, and a server goes on with
 * what it has. Blocks. 0, or why there is nothing to go on with. */
int nr_tls_refresh(struct nr_tls *tls, const struct nr_report *report);

/* Forgets which keys tickets had in former times. Returns when to do so again,
 * at the latest (base/time.h). Of a server. */
int64_t nr_tls_tend(struct nr_tls *tls);

/* Around fork(2), in both processes: a child shall not inherit a lock that
 * another thread of its parent's holds. TLS may be null. */
void nr_tls_before_fork(struct nr_tls *tls);
void nr_tls_after_fork(struct nr_tls *tls);

#endif
