/* SPDX-License-Identifier: MIT */
/* What is asked of TCP: see tuning.h. */
#include "net/tuning.h"

#include <errno.h>

#include "base/time.h"
#include "os/os_socket.h"

bool nr_tuning_read(struct nr_tuning *tuning, int64_t keep_alive_ms,
                    int64_t user_timeout_ms, unsigned fast_open)
{
	if (keep_alive_ms < 0 || user_timeout_ms < 0)
		return false;
	*tuning = (struct nr_tuning){
		.keep_alive = nr_ns_from_ms(keep_alive_ms),
		.user_timeout = nr_ns_from_ms(user_timeout_ms),
		.fast_open = fast_open,
	};
	return true;
}

/* What sockets say that know of no such thing. */
static int unless_foreign(int err)
{
	return err == -ENOPROTOOPT || err == -EOPNOTSUPP ? 0 : err;
}

static int set_both(int fd, const struct nr_tuning *tuning)
{
	int err = 0;

	if (tuning->keep_alive > 0)
		err = nr_socket_keep_alive(fd, tuning->keep_alive);
	if (err == 0 && tuning->user_timeout > 0)
		err = nr_socket_user_timeout(fd, tuning->user_timeout);
	return unless_foreign(err);
}

int nr_tuning_listen(int fd, const struct nr_tuning *tuning)
{
	int err = set_both(fd, tuning);

	/* Without it everything works; the first bytes take a way more. */
	if (err == 0 && tuning->fast_open > 0)
		(void)nr_socket_fast_listen(fd, tuning->fast_open);
	return err;
}

int nr_tuning_dial(int fd, const struct nr_tuning *tuning)
{
	int err = set_both(fd, tuning);

	if (err == 0 && tuning->fast_open > 0)
		(void)nr_socket_fast_open(fd);
	return err;
}
