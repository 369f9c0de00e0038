/* SPDX-License-Identifier: MIT */
/*
 * Carries bytes both ways at once. The main strand receives, since the peer's
 * end decides when the call ends; a second one sends what comes on standard
 * input. That one waits outside of the library, in poll(2), so it is woken
 * through a descriptor of its own.
 */

#include "call_converse.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arguments.h"
#include "call_input.h"
#include "call_output.h"
#include "command.h"
#include "log.h"

#define NAME  NR_TOOL_CALL_NAME

#define CHUNK 65536

/* The longest datagram of UDP over IPv4. */
#define DATAGRAM_MAX 65507

/* The bytes of the longest line of --hex where no framing has a limit. */
#define HEX_MAX (1 << 20)

/* The strand that sends. Its fields are its own until it has ended. */
struct sender {
	int stop_fd;   /* readable when it shall stop */
	int input_err; /* standard input could not be read: a negated errno */
	int result;    /* of the sending calls */
	bool input_ended; /* all input was read and handed to the system */
	_Atomic int64_t ended_at; /* when, on naru_now()'s clock; 0 before */
	size_t chunk;             /* how much is sent at once */
	const struct nr_tool_converse *call;
	struct nr_tool_input input; /* where lines are cut */
	bool after_cr;              /* the last byte was a CR */
	char buf[CHUNK];
	char lines[2 * CHUNK]; /* the same, with CR LF for LF */
};

static bool is_udp(const struct nr_tool_converse *call)
{
	return nr_tool_is_under(call->endpoint, "udp");
}

/* Whether a line of input or output is something whole. */
static bool has_messages(const struct nr_tool_converse *call)
{
	return call->framed || (call->hex && is_udp(call));
}

/* Waits until standard input can be read: 1; 0 when told to stop. */
static int wait_for_input(const struct sender *sender)
{
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = sender->stop_fd, .events = POLLIN},
	};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return 0;
	return fds[1].revents == 0;
}

/* Sends the message that the input has. One that the framing does not take has
 * not been sent, and the call goes on. */
static int send_message(struct naru_conv *conv, struct sender *sender)
{
	struct nr_tool_input *in = &sender->input;
	int err;

	if (!has_messages(sender->call))
		return in->len > 0 ? naru_write(conv, in->message, in->len) : 0;
	err = naru_send(conv, in->message, in->len);
	if (err != -EINVAL && err != -NARU_ETOOBIG && err != -EMSGSIZE)
		return err;
	nr_tool_input_refused(in, err);
	return 0;
}

/* Puts a CR before each LF of LEN bytes in the buffer that has none, and
 * returns how many bytes that makes. */
static size_t end_lines(struct sender *sender, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		if (sender->buf[i] == '\n' && !sender->after_cr)
			sender->lines[used++] = '\r';
		sender->lines[used++] = sender->buf[i];
		sender->after_cr = sender->buf[i] == '\r';
	}
	return used;
}

/* Sends what LEN bytes in the buffer come to. */
static int send_piece(struct naru_conv *conv, struct sender *sender, size_t len)
{
	const struct nr_tool_converse *call = sender->call;
	const char *data = sender->buf;
	int err;

	if (call->crlf)
		return naru_write(conv, sender->lines, end_lines(sender, len));
	if (!call->framed && !call->hex)
		return naru_write(conv, data, len);
	while ((err = nr_tool_input_take(&sender->input, &data, &len)) > 0) {
		err = send_message(conv, sender);
		if (err < 0)
			break;
	}
	return err;
}

/* The input has ended: sends its last line, and tells the peer, if it is to
 * know. */
static int send_end(struct naru_conv *conv, struct sender *sender)
{
	int err = 0;

	if (nr_tool_input_end(&sender->input) > 0)
		err = send_message(conv, sender);
	if (err < 0)
		return err;
	return sender->call->unfinished ? naru_flush(conv) : naru_finish(conv);
}

static int send_input(struct naru_conv *conv, void *arg)
{
	struct sender *sender = arg;

	while (wait_for_input(sender)) {
		ssize_t n = read(STDIN_FILENO, sender->buf, sender->chunk);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			sender->input_err = n < 0 ? -errno : 0;
			sender->result = send_end(conv, sender);
			sender->input_ended = true;
			atomic_store(&sender->ended_at, naru_now());
			break;
		}
		sender->result = send_piece(conv, sender, (size_t)n);
		if (sender->result == 0)
			sender->result = naru_flush(conv);
		if (sender->result < 0)
			break;
	}
	return sender->result;
}

/* Prints what the peer sends until it has finished: 0, or what broke; then
 * RET_OUTPUT says whether it was our output. */
static int print_answer(const struct nr_tool_converse *call,
                        struct naru_conv *conv, bool *ret_output)
{
	static char buf[CHUNK];
	ssize_t n;

	while ((n = naru_read(conv, buf, sizeof(buf))) > 0) {
		int err = nr_tool_print_bytes(buf, (size_t)n, call->hex);

		if (err < 0) {
			*ret_output = true;
			return err;
		}
	}
	return (int)n;
}

/* The same message by message. */
static int print_messages(const struct nr_tool_converse *call,
                          struct naru_conv *conv, bool *ret_output)
{
	struct naru_msg msg;
	int n;

	while ((n = naru_recv(conv, &msg)) > 0) {
		int err = nr_tool_print_message(msg.data, msg.len, call->hex);

		if (err < 0) {
			*ret_output = true;
			return err;
		}
	}
	return n;
}

/* How often one looks whether the input has ended. */
#define LOOK_MS 20

/* The same over UDP, where a datagram may be empty and silence is the only
 * end: once the input has ended, as long as it was asked for. */
static int print_datagrams(const struct nr_tool_converse *call,
                           struct naru_conv *conv, struct sender *sender,
                           bool *ret_output)
{
	int64_t heard = naru_now(), ended;
	struct naru_msg msg;
	int err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, LOOK_MS);

	while (err == 0) {
		err = naru_recv(conv, &msg);
		if (err > 0) {
			heard = naru_now();
			err = has_messages(call)
			              ? nr_tool_print_message(msg.data, msg.len,
			                                      call->hex)
			              : nr_tool_print_bytes(msg.data, msg.len,
			                                    false);
			*ret_output = err < 0;
			continue;
		}
		ended = atomic_load(&sender->ended_at);
		if (err != -ETIMEDOUT)
			break;
		if (ended > 0 && naru_now() - (ended > heard ? ended : heard) >=
		                         call->wait_ms)
			return 0;
		err = 0;
	}
	return err;
}

/* How long a program that feeds us may take to show that it has more. */
#define INPUT_MORE_MS 50

/* Whether standard input holds bytes now. A pipe that was just emptied tells
 * only after a moment; a person at a terminal is not waited for. */
static bool input_waits(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	int ms = isatty(STDIN_FILENO) ? 0 : INPUT_MORE_MS;
	char byte;

	return poll(&in, 1, ms) > 0 && read(STDIN_FILENO, &byte, 1) > 0;
}

/* Ends the call without waiting for the peer any more. */
static int hang_up(struct naru_conv *conv, const struct sender *sender)
{
	const uint64_t one = 1;
	ssize_t n;
	int err;

	do
		n = write(sender->stop_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	err = naru_set_timeout(conv, NARU_TIMEOUT_WRITE, 0);
	if (err == 0)
		err = naru_set_timeout(conv, NARU_TIMEOUT_END, 0);
	return err;
}

static int broke(const struct nr_tool_converse *call, const char *what, int err)
{
	nr_tool_say(NAME, "%s: %s: %s", call->endpoint, what,
	            naru_strerror(err));
	return NR_TOOL_FAILURE;
}

/* What the sender has to tell, once it has ended. CLOSED is naru_close()'s
 * result. */
static int judge(const struct nr_tool_converse *call,
                 const struct sender *sender, int closed)
{
	int result = sender->result;
	/* It was stopped half-way by us, or by the peer's end. */
	bool unsent = result == -ECANCELED || result == -ETIMEDOUT ||
	              result == -EPIPE;

	if (sender->input_err < 0)
		return broke(call, "standard input", sender->input_err);
	if (result < 0 && !unsent)
		return broke(call, "the connection broke", result);
	if (unsent || (!sender->input_ended && input_waits())) {
		nr_tool_say(NAME,
		            "%s: the peer finished before all input was sent",
		            call->endpoint);
		return NR_TOOL_FAILURE;
	}
	if (closed < 0)
		return broke(call, "the connection broke", closed);
	/* Each line that was left out has been told of. */
	return sender->input.faulty ? NR_TOOL_FAILURE : NR_TOOL_OK;
}

/* With --half-open the peer's end is not the end: all input is still sent.
 * What became of that is in SENDER; here returns what else went wrong. */
static int wait_for_sender(struct naru_conv *conv, const struct sender *sender)
{
	int err = naru_join(conv);

	return err < 0 && err != sender->result ? err : 0;
}

static int receive(const struct nr_tool_converse *call, struct naru_conv *conv,
                   struct sender *sender, bool *ret_output)
{
	if (is_udp(call))
		return print_datagrams(call, conv, sender, ret_output);
	return call->framed ? print_messages(call, conv, ret_output)
	                    : print_answer(call, conv, ret_output);
}

/* What came is at fault, or how it came. */
static const char *fault(int err)
{
	return err == -NARU_EFRAME || err == -NARU_ETOOBIG
	               ? "what the peer sent"
	               : "the connection broke";
}

static int converse(const struct nr_tool_converse *call, struct naru_conv *conv,
                    struct sender *sender)
{
	bool output = false;
	int err, end, closed;

	err = naru_spawn(conv, send_input, sender);
	if (err < 0) {
		(void)naru_close(conv);
		return broke(call, "a second strand", err);
	}
	err = receive(call, conv, sender, &output);
	if (err == 0 && call->half_open)
		err = wait_for_sender(conv, sender);
	end = hang_up(conv, sender);
	closed = naru_close(conv);
	if (output)
		return broke(call, "standard output", err);
	if (err < 0)
		return broke(call, fault(err), err);
	return judge(call, sender, end < 0 ? end : closed);
}

/* A person may think, and a pipe may stand still, for as long as they like:
 * who waits here can press ^C. */
static int wait_long(struct naru_conv *conv)
{
	int err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER);

	if (err == 0)
		err = naru_set_timeout(conv, NARU_TIMEOUT_MESSAGE,
		                       NARU_FOREVER);
	if (err == 0)
		err = naru_set_timeout(conv, NARU_TIMEOUT_WRITE, NARU_FOREVER);
	return err;
}

int nr_tool_converse(const struct nr_tool_converse *call,
                     struct naru_conv *conv)
{
	static struct sender sender;
	int err, status;

	sender.call = call;
	sender.chunk = is_udp(call) ? DATAGRAM_MAX : CHUNK;
	sender.input.hex = call->hex;
	sender.input.limit = call->framed   ? call->limit
	                     : is_udp(call) ? DATAGRAM_MAX
	                                    : HEX_MAX;
	err = wait_long(conv);
	if (err < 0) {
		(void)naru_close(conv);
		return broke(call, "timeouts", err);
	}
	sender.stop_fd = eventfd(0, EFD_CLOEXEC);
	if (sender.stop_fd < 0) {
		err = -errno;
		(void)naru_close(conv);
		return broke(call, "eventfd", err);
	}
	status = converse(call, conv, &sender);
	nr_tool_input_fini(&sender.input);
	close(sender.stop_fd);
	return status;
}
