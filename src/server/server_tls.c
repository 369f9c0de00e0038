/* SPDX-License-Identifier: MIT */
/* A server's certificates: read when it is made, and read anew. */
#include <errno.h>

#include "base/time.h"
#include "naru/tls.h"
#include "net/tls_context.h"
#include "server/server.h"

static void reload_asked(struct nr_source *source)
{
	struct naru_server *server =
		nr_list_entry(source, struct naru_server, reload);
	int result;

	nr_event_clear(source->fd);
	result = nr_tls_reload(server->settings.tls);
	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = NARU_EVENT_RELOAD,
	                               .result = result});
}

int nr_server_open_tls(struct naru_server *server)
{
	struct naru_options *options = &server->options;
	struct nr_tls **tls = &server->settings.tls;
	int err;

	if (!options->tls)
		return 0;
	err = nr_tls_new_server(options->tls, &server->settings.report, tls);
	/* The caller's need not outlive this call; ours is what is shown. */
	options->tls = err < 0 ? NULL : &(*tls)->config.as;
	if (err == 0)
		err = server->reload.fd = nr_event_open();
	server->reload.ready = reload_asked;
	return err < 0 ? err : nr_loop_add(&server->loop, &server->reload);
}

void nr_server_close_tls(struct naru_server *server)
{
	nr_file_close(server->reload.fd);
	nr_tls_release(server->settings.tls);
}

int64_t nr_server_tend_tls(struct naru_server *server)
{
	struct nr_tls *tls = server->settings.tls;

	return tls ? nr_tls_tend(tls) : NR_NEVER;
}

int naru_server_reload_tls(struct naru_server *server)
{
	if (!nr_is_server(server))
		return -EINVAL;
	if (!server->settings.tls)
		return -EOPNOTSUPP;
	return nr_tls_reload(server->settings.tls);
}

int naru_server_reload_tls_later(struct naru_server *server)
{
	if (!nr_is_server(server))
		return -EINVAL;
	if (!server->settings.tls)
		return -EOPNOTSUPP;
	nr_event_set(server->reload.fd);
	return 0;
}
