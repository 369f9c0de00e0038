/* SPDX-License-Identifier: MIT */
/* What a program says and hears under TLS: see program_tls.h. */
#include "conv/program_tls.h"

#include <errno.h>

#include "base/time.h"
#include "conv/companion.h"
#include "conv/conv.h"
#include "naru/bytes.h"
#include "naru/error.h"
#include "os/os_file.h"
#include "os/os_socket.h"

static struct nr_handle handle_of(const struct nr_carriage *carriage)
{
	return (struct nr_handle){carriage->ours, carriage->serial, true};
}

/* What the peer says, until it has finished. The conversation's timeouts do not
 * apply: it is the program that waits. */
static int carry_to_program(struct naru_conv *conv, void *arg)
{
	struct nr_carriage *carriage = arg;
	struct nr_io *io = nr_strand_self()->io;
	struct nr_input_wait wait = {NARU_TIMEOUT_IDLE, NR_NEVER};
	ssize_t got, sent = 0;

	while ((got = nr_input_more(conv, NR_BUFFER_SIZE, &wait)) > 0) {
		while (nr_input_left(conv) > 0 && sent >= 0) {
			struct iovec iov = {conv->in.data + conv->in.begin,
			                    nr_input_left(conv)};

			sent = io->ops->send(io, handle_of(carriage), &iov, 1,
			                     NR_NEVER);
			if (sent > 0)
				nr_input_take(conv, (size_t)sent);
		}
		if (sent < 0)
			break;
	}
	/* It hears the end whatever the reason: else it would wait for ever. */
	if (nr_socket_finish(carriage->ours) < 0)
		nr_socket_abort(carriage->ours);
	/* A program that reads no more does as it likes. */
	if (sent < 0)
		return sent == -EPIPE || sent == -ECONNRESET ? 0 : (int)sent;
	return (int)got;
}

/* What the program says, until there is no more. */
static int carry_from_program(struct naru_conv *conv, void *arg)
{
	struct nr_carriage *carriage = arg;
	struct nr_io *io = nr_strand_self()->io;
	ssize_t got;
	int err = 0;

	while (err == 0) {
		struct nr_span span = {.len = NR_BUFFER_SIZE};

		got = io->ops->recv(io, handle_of(carriage), &span, false,
		                    NR_NEVER);
		if (got == 0)
			return 0;
		if (got < 0) {
			err = (int)got;
			break;
		}
		err = naru_write(conv, span.data, (size_t)got);
		io->ops->give_back(io, span.data);
		if (err == 0)
			err = naru_flush(conv);
	}
	/* The program learns that nobody hears it, as from a socket. */
	nr_socket_abort(carriage->ours);
	return err;
}

int nr_carriage_open(struct nr_carriage *carriage, struct naru_conv *conv)
{
	int fds[2];
	int err = nr_socket_stream_pair(fds);

	if (err < 0)
		return err;
	*carriage = (struct nr_carriage){.conv = conv,
	                                 .ours = fds[0],
	                                 .theirs = fds[1],
	                                 .serial = nr_handle_serial()};
	return 0;
}

void nr_carriage_close(struct nr_carriage *carriage)
{
	nr_file_close(carriage->ours);
	nr_file_close(carriage->theirs);
}

int nr_carriage_begin(struct nr_carriage *carriage)
{
	struct naru_conv *conv = carriage->conv;
	int err = nr_companion_start(conv, carry_to_program, carriage,
	                             &carriage->to);

	if (err < 0)
		return err;
	err = nr_companion_start(conv, carry_from_program, carriage,
	                         &carriage->from);
	if (err < 0) {
		nr_companion_cancel(carriage->to);
		(void)nr_companion_join(carriage->to);
		return err;
	}
	carriage->write_timeout =
		atomic_exchange(&conv->timeouts[NARU_TIMEOUT_WRITE], NR_NEVER);
	return 0;
}

int nr_carriage_end(struct nr_carriage *carriage, int err)
{
	struct naru_conv *conv = carriage->conv;
	struct nr_strand *self = nr_strand_self();
	int result, heard;

	/* An end for us, also where a process that the program left behind
	 * still has it open. */
	if (nr_socket_finish(carriage->theirs) < 0)
		nr_socket_abort(carriage->theirs);
	if (err == 0)
		err = self->ops->wait(
			self, carriage->from->strand,
			atomic_load_explicit(&conv->deadline,
		                             memory_order_relaxed));
	if (err < 0)
		nr_companion_cancel(carriage->from);
	result = nr_companion_join(carriage->from);
	nr_companion_cancel(carriage->to);
	heard = nr_companion_join(carriage->to);
	/* What the program took for an end was none. */
	if (result == 0 && heard < 0 && heard != -ECANCELED)
		result = heard;
	atomic_store(&conv->timeouts[NARU_TIMEOUT_WRITE],
	             carriage->write_timeout);
	return err < 0 ? err : result;
}
