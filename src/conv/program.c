/* SPDX-License-Identifier: MIT */
/* A program on a connection: naru_program(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "conv/conv.h"
#include "conv/program_tls.h"
#include "net/addr.h"
#include "net/tls.h"
#include "os/os_file.h"
#include "os/os_poll.h"
#include "os/os_process.h"
#include "os/os_socket.h"
#include "os/os_time.h"

/* Between asking a program to end and ending it. */
#define TERMINATE_NS (2 * NR_NS_PER_S)

/* What UCSPI speaks of: what we do not set is not to be inherited either. */
static const char *const ucspi_names[] = {
	"PROTO",          "TCPLOCALHOST",   "TCPLOCALIP",    "TCPLOCALPORT",
	"TCPREMOTEHOST",  "TCPREMOTEINFO",  "TCPREMOTEIP",   "TCPREMOTEPORT",
	"UNIXLOCALPATH",  "UNIXREMOTEPATH", "UNIXREMOTEPID", "UNIXREMOTEEUID",
	"UNIXREMOTEEGID",
};
#define UCSPI_COUNT (sizeof(ucspi_names) / sizeof(ucspi_names[0]))

static bool is_ucspi(const char *variable)
{
	for (size_t i = 0; i < UCSPI_COUNT; i++) {
		size_t len = strlen(ucspi_names[i]);

		if (strncmp(variable, ucspi_names[i], len) == 0 &&
		    variable[len] == '=')
			return true;
	}
	return false;
}

/* An environment being made: the texts lie in the same memory. */
struct environment {
	char **vars;
	size_t count;
	char *at, *end;
};

static void add_var(struct environment *env, const char *name,
                    const char *value)
{
	size_t room = (size_t)(env->end - env->at);
	int len = snprintf(env->at, room, "%s=%s", name, value);

	nr_assert(len > 0 && (size_t)len < room);
	env->vars[env->count++] = env->at;
	env->at += len + 1;
}

static void add_number(struct environment *env, const char *name,
                       long long number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld", number);
	add_var(env, name, text);
}

static void add_host(struct environment *env, const char *name,
                     const struct naru_addr *addr)
{
	char text[NARU_ADDR_TEXT];

	if (naru_addr_kind(addr) != NARU_ADDR_NONE &&
	    naru_addr_host(addr, text, sizeof(text)) > 0)
		add_var(env, name, text);
}

static void add_tcp(struct environment *env, struct naru_conv *conv)
{
	const struct naru_addr *local = naru_local(conv);

	add_var(env, "PROTO", "TCP");
	add_host(env, "TCPLOCALIP", local);
	if (naru_addr_kind(local) != NARU_ADDR_NONE)
		add_number(env, "TCPLOCALPORT", naru_addr_port(local));
	add_host(env, "TCPREMOTEIP", naru_peer(conv));
	add_number(env, "TCPREMOTEPORT", naru_addr_port(naru_peer(conv)));
}

static void add_unix(struct environment *env, struct naru_conv *conv)
{
	struct naru_peer_process peer;

	add_var(env, "PROTO", "UNIX");
	add_host(env, "UNIXLOCALPATH", naru_local(conv));
	add_host(env, "UNIXREMOTEPATH", naru_peer(conv));
	if (naru_peer_process(conv, &peer) == 0) {
		add_number(env, "UNIXREMOTEPID", peer.pid);
		add_number(env, "UNIXREMOTEEUID", peer.uid);
		add_number(env, "UNIXREMOTEEGID", peer.gid);
	}
}

/* The most that the texts of UCSPI need. */
static const size_t texts_max = UCSPI_COUNT * 32 + (size_t)2 * NARU_ADDR_TEXT;

/* The program's environment, to be freed; null without memory. */
static char **make_environment(struct naru_conv *conv)
{
	char **inherited = nr_process_environment();
	struct environment env = {0};
	size_t count = 0, vars_size;

	while (inherited && inherited[count])
		count++;
	vars_size = (count + UCSPI_COUNT + 1) * sizeof(char *);
	env.vars = malloc(vars_size + texts_max);
	if (!env.vars)
		return NULL;
	env.at = (char *)env.vars + vars_size;
	env.end = env.at + texts_max;
	for (size_t i = 0; i < count; i++)
		if (!is_ucspi(inherited[i]))
			env.vars[env.count++] = inherited[i];
	if (naru_addr_kind(&conv->peer) == NARU_ADDR_UNIX)
		add_unix(&env, conv);
	else
		add_tcp(&env, conv);
	env.vars[env.count] = NULL;
	return env.vars;
}

/* How often one looks after a program that no descriptor tells of. */
#define LOOK_NS (50 * NR_NS_PER_MS)

/* Waits for the program's end without a descriptor for it: there may be none
 * to be had. Returns 0 when it was reaped. */
static int look_for_end(struct nr_io *io, pid_t pid, int64_t deadline,
                        int *ret_status)
{
	int err = 0;

	while (err == 0 && !nr_process_reap(pid, false, ret_status)) {
		int64_t now = nr_now();

		err = now >= deadline
		              ? -ETIMEDOUT
		              : io->ops->sleep(io, nr_time_add(now, LOOK_NS));
	}
	return err;
}

struct ending {
	pid_t pid;
	int64_t until; /* when it has had its time */
	int *ret_status;
};

/* Waits until a program that was asked to end has ended or had its time, and
 * ends what is left of its group. */
static void end_program(void *arg)
{
	struct ending *ending = arg;
	pid_t pid = ending->pid;

	while (!nr_process_has_ended(pid) && nr_now() < ending->until)
		(void)nr_poll(NULL, 0, nr_time_add(nr_now(), NR_NS_PER_MS));
	nr_process_kill_group(pid);
	(void)nr_process_reap(pid, true, ending->ret_status);
}

/* Waits for the program's end, and reaps it. Where it had to be ended, why. */
static int await_end(struct naru_conv *conv, struct nr_strand *self, pid_t pid,
                     int *ret_status)
{
	struct ending ending = {.pid = pid, .ret_status = ret_status};
	struct nr_io *io = self->io;
	int watch = nr_process_watch(pid), err;
	int64_t deadline =
		atomic_load_explicit(&conv->deadline, memory_order_relaxed);

	if (watch < 0) {
		err = look_for_end(io, pid, deadline, ret_status);
	} else {
		err = io->ops->wait(io, (struct nr_handle){.fd = watch},
		                    NR_READABLE, deadline);
		nr_file_close(watch);
		if (err == 0)
			(void)nr_process_reap(pid, true, ret_status);
	}
	if (err == 0)
		return 0;
	/* Asked at once, whenever somebody comes to wait for it. */
	ending.until = nr_time_add(nr_now(), TERMINATE_NS);
	nr_process_terminate_group(pid);
	/* Where nobody can do it for us, we do it. */
	if (self->ops->offload(self, end_program, &ending) < 0)
		end_program(&ending);
	return err;
}

/* The kernel counted what we have not seen. */
static void count_bytes(struct naru_conv *conv)
{
	struct nr_tcp_info info;

	if (nr_socket_tcp_info(conv->link.fd, &info) < 0)
		return;
	if (info.received > conv->in.total)
		conv->program_received = info.received - conv->in.total;
	if (info.written > conv->out.total)
		conv->program_sent = info.written - conv->out.total;
}

/* Runs the program until its end, on the socket itself. */
static int run_on_socket(struct naru_conv *conv, char *const argv[],
                         pid_t *ret_pid, int *ret_status)
{
	char **env = make_environment(conv);
	int err;

	if (!env)
		return -ENOMEM;
	/* A program that reads first would wait for a peer that has not been
	 * called (RFC 7413). */
	if (atomic_exchange(&conv->link.unsaid, false))
		nr_socket_knock(conv->link.fd);
	*ret_pid = nr_process_spawn(conv->link.fd, argv, env);
	free(env);
	if (*ret_pid < 0)
		return (int)*ret_pid;
	err = await_end(conv, nr_strand_self(), *ret_pid, ret_status);
	count_bytes(conv);
	return err;
}

/* The same where the socket's bytes are under TLS. */
static int run_beside(struct naru_conv *conv, char *const argv[],
                      pid_t *ret_pid, int *ret_status)
{
	struct nr_strand *self = nr_strand_self();
	struct nr_carriage carriage;
	char **env = make_environment(conv);
	int err = env ? nr_carriage_open(&carriage, conv) : -ENOMEM;

	if (err == 0) {
		*ret_pid = nr_process_spawn(carriage.theirs, argv, env);
		err = *ret_pid < 0 ? (int)*ret_pid : 0;
		if (err == 0)
			err = nr_carriage_begin(&carriage);
		if (err == 0) {
			err = await_end(conv, self, *ret_pid, ret_status);
			err = nr_carriage_end(&carriage, err);
		} else if (*ret_pid > 0) {
			nr_process_kill_group(*ret_pid);
			(void)nr_process_reap(*ret_pid, true, ret_status);
		}
		nr_carriage_close(&carriage);
	}
	free(env);
	return err;
}

int naru_program(struct naru_conv *conv, char *const argv[], int *ret_status)
{
	struct nr_strand *self = nr_strand_self();
	pid_t pid = -1;
	int err;

	if (!nr_conv_is(conv) || !argv || !argv[0] || !ret_status)
		return -EINVAL;
	if (conv->link.keeps_messages)
		return -EOPNOTSUPP;
	nr_input_end_view(conv);
	if (nr_input_left(conv) > 0)
		return -EBUSY;
	err = nr_output_flush(conv);
	if (err < 0)
		return err;
	(void)nr_output_settle(self, conv, NR_NEVER);
	err = nr_tls_is(&conv->link)
	              ? run_beside(conv, argv, &pid, ret_status)
	              : run_on_socket(conv, argv, &pid, ret_status);
	if (pid < 0)
		return err;
	nr_report(&conv->settings->report,
	          &(struct naru_event){.kind = NARU_EVENT_PROGRAM,
	                               .id = conv->id,
	                               .pid = pid,
	                               .status = *ret_status});
	return err;
}
