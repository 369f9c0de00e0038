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

#include "command.h"
#include "log.h"

#define NAME  NR_TOOL_CALL_NAME

#define CHUNK 65536

/* The longest datagram of UDP over IPv4. */
#define DATAGRAM_MAX 65507

/* The strand that sends. Its fields are its own until it has ended. */
struct sender {
	int stop_fd;   /* readable when it shall stop */
	int input_err; /* standard input could not be read: a negated errno */
	int result;    /* of the sending calls */
	bool input_ended; /* all input was read and handed to the system */
	_Atomic int64_t ended_at; /* when, on naru_now()'s clock; 0 before */
	size_t chunk;             /* how much is sent at once */
	char buf[CHUNK];
};

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

static int send_input(struct naru_conv *conv, void *arg)
{
	struct sender *sender = arg;

	while (wait_for_input(sender)) {
		ssize_t n = read(STDIN_FILENO, sender->buf, sender->chunk);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			sender->input_err = n < 0 ? -errno : 0;
			sender->result = naru_finish(conv);
			sender->input_ended = true;
			atomic_store(&sender->ended_at, naru_now());
			break;
		}
		sender->result = naru_write(conv, sender->buf, (size_t)n);
		if (sender->result == 0)
			sender->result = naru_flush(conv);
		if (sender->result < 0)
			break;
	}
	return sender->result;
}

/* Writes all of DATA to standard output: 0 or a negated errno. */
static int print(const char *data, size_t len)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EAGAIN)
			(void)poll(&out, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Prints what the peer sends until it has finished: 0, or what broke; then
 * RET_OUTPUT says whether it was our output. */
static int print_answer(struct naru_conv *conv, bool *ret_output)
{
	static char buf[CHUNK];
	ssize_t n;

	while ((n = naru_read(conv, buf, sizeof(buf))) > 0) {
		int err = print(buf, (size_t)n);

		if (err < 0) {
			*ret_output = true;
			return err;
		}
	}
	return (int)n;
}

static bool is_udp(const struct nr_tool_converse *call)
{
	return strncmp(call->endpoint, "udp://", 6) == 0;
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
			err = print(msg.data, msg.len);
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
	return NR_TOOL_OK;
}

/* With --half-open the peer's end is not the end: all input is still sent.
 * What became of that is in SENDER; here returns what else went wrong. */
static int wait_for_sender(struct naru_conv *conv, const struct sender *sender)
{
	int err = naru_join(conv);

	return err < 0 && err != sender->result ? err : 0;
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
	err = is_udp(call) ? print_datagrams(call, conv, sender, &output)
	                   : print_answer(conv, &output);
	if (err == 0 && call->half_open)
		err = wait_for_sender(conv, sender);
	end = hang_up(conv, sender);
	closed = naru_close(conv);
	if (output)
		return broke(call, "standard output", err);
	if (err < 0)
		return broke(call, "the connection broke", err);
	return judge(call, sender, end < 0 ? end : closed);
}

/* A person may think, and a pipe may stand still, for as long as they like:
 * who waits here can press ^C. */
static int wait_long(struct naru_conv *conv)
{
	int err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, NARU_FOREVER);

	if (err < 0)
		return err;
	return naru_set_timeout(conv, NARU_TIMEOUT_WRITE, NARU_FOREVER);
}

int nr_tool_converse(const struct nr_tool_converse *call,
                     struct naru_conv *conv)
{
	static struct sender sender;
	int err, status;

	sender.chunk = is_udp(call) ? DATAGRAM_MAX : CHUNK;
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
	close(sender.stop_fd);
	return status;
}
