/* SPDX-License-Identifier: MIT */
/* What TLS is done with: see tls_context.h. */
#include "net/tls_context.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "naru/error.h"
#include "os/os_memory.h"
#include "os/os_time.h"

/* How many of dials' are kept. */
#define KEPT_MAX 16

/* Those that dials have in common, the newest last. */
static struct nr_mutex kept_lock = NR_MUTEX;
static struct nr_list kept = {&kept, &kept};
static unsigned kept_count;

static int report_wrong(const struct nr_report *report, const char *text,
                        int err)
{
	nr_report(report, &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                                       .call = "read TLS",
	                                       .text = text,
	                                       .result = err});
	return err;
}

static void free_tls(struct nr_tls *tls)
{
	nr_tls_set_release(tls->current);
	nr_tls_tickets_free(tls->tickets);
	if (tls->wanted)
		nr_memory_release(tls->wanted, sizeof(*tls->wanted));
	nr_mutex_fini(&tls->reading);
	nr_mutex_fini(&tls->lock);
	nr_tls_config_fini(&tls->config);
	free(tls);
}

static int make(const struct naru_tls *options, const struct nr_report *report,
                struct nr_tls **ret_tls)
{
	struct nr_tls *tls = calloc(1, sizeof(*tls));
	const char *why = NULL;
	int err;

	if (!tls)
		return -ENOMEM;
	tls->refs = 1;
	nr_mutex_init(&tls->lock);
	nr_mutex_init(&tls->reading);
	nr_list_init(&tls->node);
	err = nr_tls_config_init(&tls->config, options, &why);
	if (err < 0) {
		free_tls(tls);
		return why ? report_wrong(report, why, err) : err;
	}
	*ret_tls = tls;
	return 0;
}

/* Reads the files into a new set. */
static int read_files(struct nr_tls *tls, const struct nr_report *report,
                      struct nr_tls_set **ret_set)
{
	struct nr_tls_wrong wrong;
	int err = nr_tls_set_read(&tls->config, tls->tickets, ret_set, &wrong);

	return err < 0 ? report_wrong(report, wrong.text, err) : 0;
}

static void replace(struct nr_tls *tls, struct nr_tls_set *set)
{
	struct nr_tls_set *former;

	nr_mutex_lock(&tls->lock);
	former = tls->current;
	tls->current = set;
	nr_mutex_unlock(&tls->lock);
	nr_tls_set_release(former);
}

int nr_tls_new_server(const struct naru_tls *options,
                      const struct nr_report *report, struct nr_tls **ret_tls)
{
	struct nr_tls *tls;
	void *shared;
	int err = make(options, report, &tls);

	if (err < 0)
		return err;
	tls->server = true;
	tls->report = *report;
	if (!tls->config.as.certificate.chain)
		err = report_wrong(report, "a server needs a certificate",
		                   -EINVAL);
	if (err == 0)
		err = nr_memory_share(sizeof(*tls->wanted), &shared);
	if (err == 0) {
		tls->wanted = shared;
		err = nr_tls_tickets_new(&tls->tickets);
	}
	if (err == 0)
		err = read_files(tls, report, &tls->current);
	if (err < 0) {
		free_tls(tls);
		return err;
	}
	*ret_tls = tls;
	return 0;
}

struct nr_tls *nr_tls_hold(struct nr_tls *tls)
{
	atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
	return tls;
}

void nr_tls_release(struct nr_tls *tls)
{
	if (tls &&
	    atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) == 1)
		free_tls(tls);
}

struct nr_tls_set *nr_tls_current(struct nr_tls *tls)
{
	struct nr_tls_set *set;

	nr_mutex_lock(&tls->lock);
	set = nr_tls_set_hold(tls->current);
	nr_mutex_unlock(&tls->lock);
	return set;
}

bool nr_tls_is_stale(const struct nr_tls *tls)
{
	if (!tls->server)
		return !atomic_load_explicit(&tls->read, memory_order_acquire);
	return atomic_load_explicit(tls->wanted, memory_order_relaxed) !=
	       atomic_load_explicit(&tls->read, memory_order_relaxed);
}

int64_t nr_tls_tend(struct nr_tls *tls)
{
	return nr_time_add(nr_now(), nr_tls_tickets_tend(tls->tickets));
}

void nr_tls_before_fork(struct nr_tls *tls)
{
	if (!tls)
		return;
	nr_mutex_lock(&tls->reading);
	nr_mutex_lock(&tls->lock);
}

void nr_tls_after_fork(struct nr_tls *tls)
{
	if (!tls)
		return;
	nr_mutex_unlock(&tls->lock);
	nr_mutex_unlock(&tls->reading);
}

int nr_tls_reload(struct nr_tls *tls)
{
	struct nr_tls_set *set;
	int err;

	nr_mutex_lock(&tls->reading);
	err = read_files(tls, &tls->report, &set);
	if (err == 0) {
		replace(tls, set);
		/* Here it is done already; others have it to do. */
		atomic_store(&tls->read, atomic_fetch_add(tls->wanted, 1) + 1);
	}
	nr_mutex_unlock(&tls->reading);
	return err;
}

static int refresh_server(struct nr_tls *tls, const struct nr_report *report)
{
	struct nr_tls_set *set;
	unsigned wanted;

	/* Who comes second waits for what the first one reads. */
	nr_mutex_lock(&tls->reading);
	wanted = atomic_load(tls->wanted);
	if (wanted != atomic_load(&tls->read)) {
		if (read_files(tls, report, &set) == 0)
			replace(tls, set);
		atomic_store(&tls->read, wanted);
	}
	nr_mutex_unlock(&tls->reading);
	return 0;
}

static void keep(struct nr_tls *tls)
{
	struct nr_tls *oldest = NULL;

	nr_mutex_lock(&kept_lock);
	if (kept_count == KEPT_MAX) {
		oldest = nr_list_entry(kept.next, struct nr_tls, node);
		nr_list_remove(&oldest->node);
	} else {
		kept_count++;
	}
	nr_list_append(&kept, &nr_tls_hold(tls)->node);
	nr_mutex_unlock(&kept_lock);
	nr_tls_release(oldest);
}

int nr_tls_refresh(struct nr_tls *tls, const struct nr_report *report)
{
	int err;

	if (tls->server)
		return refresh_server(tls, report);
	/* Nobody else knows of it yet. */
	err = read_files(tls, report, &tls->current);
	if (err < 0)
		return err;
	atomic_store(&tls->read, 1);
	keep(tls);
	return 0;
}

/* Which files TLS of dials was read from, as they are now. */
static void stamp(const struct naru_tls *options,
                  struct nr_file_stamp ret_stamps[static 3])
{
	const struct naru_tls_certificate *own = &options->certificate;

	nr_file_stamp(options->ca ? options->ca : X509_get_default_cert_file(),
	              &ret_stamps[0]);
	nr_file_stamp(own->chain, &ret_stamps[1]);
	nr_file_stamp(own->key, &ret_stamps[2]);
}

/* Whether A, which is kept, is what B asks for. */
static bool is_same(const struct nr_tls *a, const struct nr_tls *b)
{
	return a->config.key_len == b->config.key_len &&
	       memcmp(a->config.key, b->config.key, b->config.key_len) == 0 &&
	       memcmp(a->stamps, b->stamps, sizeof(b->stamps)) == 0;
}

static struct nr_tls *find_kept(const struct nr_tls *wanted)
{
	struct nr_list *node, *after;
	struct nr_tls *found = NULL;

	nr_mutex_lock(&kept_lock);
	nr_list_for_each (node, after, &kept) {
		struct nr_tls *tls = nr_list_entry(node, struct nr_tls, node);

		if (!found && is_same(tls, wanted))
			found = nr_tls_hold(tls);
	}
	nr_mutex_unlock(&kept_lock);
	return found;
}

int nr_tls_get_client(const struct naru_tls *options,
                      const struct nr_report *report, struct nr_tls **ret_tls)
{
	struct nr_tls *tls, *found;
	int err = make(options, report, &tls);

	if (err < 0)
		return err;
	stamp(&tls->config.as, tls->stamps);
	found = find_kept(tls);
	if (found) {
		nr_tls_release(tls);
		tls = found;
	}
	*ret_tls = tls;
	return 0;
}
