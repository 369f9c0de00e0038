/* SPDX-License-Identifier: MIT */
/* The accepting strand's loop: see loop.h. */
#include "io/loop.h"

#include <stddef.h>

#include "base/assert.h"
#include "os/os_file.h"
#include "os/os_poll.h"

int nr_loop_init(struct nr_loop *loop)
{
	int watch = nr_watch_open();

	if (watch < 0)
		return watch;
	*loop = (struct nr_loop){.watch = watch};
	return 0;
}

void nr_loop_fini(struct nr_loop *loop)
{
	nr_file_close(loop->watch);
	loop->watch = -1;
}

int nr_loop_add(struct nr_loop *loop, struct nr_source *source)
{
	nr_assert(source->fd >= 0 && source->ready);
	source->listening = true;
	return nr_watch_add(loop->watch, source->fd, source);
}

int nr_loop_listen(struct nr_loop *loop, struct nr_source *source, bool on)
{
	int err;

	if (source->listening == on)
		return 0;
	/* Taken out, not masked: an end or an error would be told still. */
	err = on ? nr_watch_add(loop->watch, source->fd, source)
	         : nr_watch_remove(loop->watch, source->fd);
	if (err == 0)
		source->listening = on;
	return err;
}

void nr_loop_remove(struct nr_loop *loop, struct nr_source *source)
{
	if (source->fd < 0)
		return;
	(void)nr_watch_remove(loop->watch, source->fd);
	for (unsigned i = loop->at; i < loop->ready; i++)
		if (loop->batch[i] == source)
			loop->batch[i] = NULL;
}

int nr_loop_turn(struct nr_loop *loop, int64_t until)
{
	int ready =
		nr_watch_wait(loop->watch, loop->batch, NR_LOOP_BATCH, until);

	if (ready < 0)
		return ready;
	loop->ready = (unsigned)ready;
	for (loop->at = 0; loop->at < loop->ready;) {
		struct nr_source *source = loop->batch[loop->at++];

		if (source)
			source->ready(source);
	}
	loop->at = loop->ready = 0;
	return 0;
}
