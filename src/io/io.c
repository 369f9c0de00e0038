/* SPDX-License-Identifier: MIT */
/* What waiters have in common: see io.h. */
#include "io/io.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/time.h"
#include "os/os_socket.h"
#include "os/os_time.h"

unsigned nr_handle_serial(void)
{
	static _Atomic unsigned last;
	unsigned serial;

	do {
		serial = atomic_fetch_add_explicit(&last, 1,
		                                   memory_order_relaxed) +
		         1;
	} while (serial == 0);
	return serial;
}

/* A unix socket whose peer's backlog is full gives no event for its having
 * room again: one has to ask. */
#define UNIX_RETRY_NS (2 * NR_NS_PER_MS)

int nr_io_connect(struct nr_io *io, struct nr_handle handle,
                  const struct naru_addr *addr, int64_t until)
{
	int err;

	while ((err = nr_socket_connect(handle.fd, addr)) == -EAGAIN) {
		int64_t next = nr_time_add(nr_now(), UNIX_RETRY_NS);

		if (next > until)
			return -ETIMEDOUT;
		err = io->ops->sleep(io, next);
		if (err < 0)
			return err;
	}
	if (err != -EINPROGRESS)
		return err;
	err = io->ops->wait(io, handle, NR_WRITABLE, until);
	return err < 0 ? err : nr_socket_error(handle.fd);
}
