/* SPDX-License-Identifier: MIT */
/* An accepted socket on its way to another process: see hand_over.h. */
#include "model/hand_over.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/packed.h"
#include "model/model.h"
#include "net/demux.h"
#include "os/os_file.h"
#include "os/os_socket.h"

_Static_assert(NR_HAND_OVER_ROOM >= NR_DEMUX_BYTES_MAX,
               "what waited at a door can be handed over");

int nr_hand_over(int channel, struct nr_accepted *accepted)
{
	const struct iovec pieces[] = {
		{accepted, sizeof(*accepted)},
		{accepted->first, accepted->first_len},
	};
	int err = nr_socket_send_pieces(channel, pieces, accepted->fd);

	if (err == 0)
		nr_accepted_forget(accepted);
	return err;
}

/* Whether the LEN bytes at DATA are messages, packed. */
static bool is_packed(const char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (len - at < NR_PACKED_EXTRA ||
		    nr_packed_len(data + at) > len - at - NR_PACKED_EXTRA)
			return false;
		at += nr_packed_size(nr_packed_len(data + at));
	}
	return true;
}

static unsigned count_packed(const char *data, size_t len)
{
	unsigned count = 0;

	for (size_t at = 0; at < len; count++)
		at += nr_packed_size(nr_packed_len(data + at));
	return count;
}

/* Takes over the LEN bytes at ROOM that came behind ACCEPTED. */
static bool keep_first(struct nr_accepted *accepted, const char *room,
                       size_t len)
{
	accepted->first = NULL;
	if (accepted->first_len != len || !is_packed(room, len))
		return false;
	if (len == 0)
		return true;
	accepted->first = malloc(len);
	if (accepted->first) {
		memcpy(accepted->first, room, len);
	} else {
		accepted->dropped += count_packed(room, len);
		accepted->first_len = 0;
	}
	return true;
}

ssize_t nr_hand_over_take(int channel, bool wait, char *room,
                          struct nr_accepted *ret_accepted)
{
	struct nr_accepted accepted;
	const struct iovec pieces[] = {
		{&accepted, sizeof(accepted)},
		{room, NR_HAND_OVER_ROOM},
	};
	int fd;
	ssize_t got = nr_socket_recv_pieces(channel, pieces, wait, &fd);

	if (got <= 0)
		return got;
	if ((size_t)got < sizeof(accepted) ||
	    !keep_first(&accepted, room, (size_t)got - sizeof(accepted))) {
		nr_file_close(fd);
		return -EBADMSG;
	}
	accepted.fd = fd;
	*ret_accepted = accepted;
	return got;
}
