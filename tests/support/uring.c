/* SPDX-License-Identifier: MIT */
/* Whether io_uring is to be had, as Naru itself finds out: see uring.h. */
#include "uring.h"

#include "naru.h"

static int talk_nothing(struct naru_conv *conv, void *arg)
{
	(void)conv;
	(void)arg;
	return 0;
}

bool uring_works(void)
{
	struct naru_server *server;
	int err = naru_server_new(&server, NARU_OPTIONS(.model = NARU_FIBER,
	                                                .io = NARU_IO_URING,
	                                                .workers = 1));

	if (err < 0)
		return false;
	err = naru_server_listen(server, "tcp://127.0.0.1:0", talk_nothing,
	                         NULL);
	/* Stopped before it begins, it begins all the same. */
	if (err == 0)
		err = naru_server_stop(server, 0);
	if (err == 0)
		err = naru_server_run(server);
	naru_server_free(server);
	return err == 0;
}
