/* SPDX-License-Identifier: MIT */
/* The server's side of a run: one talk that does a bit of everything. */
#include "scenario.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge.h"

#define DRAIN_MS 5000

struct scenario *scenario;
bool scenario_tls;

static struct naru_server *server;

static void run_deferred(void *arg)
{
	(void)arg;
	atomic_fetch_add(&scenario->deferred_run, 1);
}

static int talk_echo(struct naru_conv *conv)
{
	struct naru_msg msg;
	int err;

	while ((err = naru_recv(conv, &msg)) > 0) {
		err = naru_send(conv, msg.data, msg.len);
		if (err < 0)
			break;
	}
	return err;
}

static int say_aside(struct naru_conv *conv, void *arg)
{
	(void)arg;
	return naru_send(conv, "aside", 5);
}

static int talk_companion(struct naru_conv *conv)
{
	int err = naru_spawn(conv, say_aside, NULL);

	if (err == 0)
		err = naru_join(conv);
	/* Longer than what is formatted without memory of its own. */
	return err < 0 ? err : naru_sendf(conv, "joined %0600d", 7);
}

static int talk_relay(struct naru_conv *conv)
{
	struct naru_conv *other;
	const char *const alternatives[] = {scenario->relay_to, NULL};
	/* Nobody is there, and then a name of which one address is refused. */
	int err = naru_dial(&other, "unix:@naru-faults-nobody",
	                    NARU_DIAL_OPTIONS(.alternatives = alternatives,
	                                      .timeout_ms = RUN_NS / 4000000,
	                                      .tries = 2, .retry_ms = 1,
	                                      .resolution_delay_ms = 1,
	                                      .keepalive_ms = 60000,
	                                      .user_timeout_ms = 60000,
	                                      .announce = NARU_ANNOUNCE_V1));
	int end;

	if (err < 0)
		return err;
	err = naru_relay(conv, other);
	end = naru_close(other);
	return err < 0 ? err : end;
}

static int talk_program(struct naru_conv *conv)
{
	static char cat[] = "cat";
	char *const argv[] = {cat, NULL};
	int status = 0, err = naru_send(conv, "ready", 5);

	if (err == 0)
		err = naru_program(conv, argv, &status);
	return err < 0 ? err : status ? -EIO : 0;
}

static int answer_aside(void *arg)
{
	(void)arg;
	return 42;
}

/* On a helper thread, and under a timer. */
static int talk_aside(struct naru_conv *conv)
{
	int answer = naru_offload(answer_aside, NULL);
	int err = answer < 0 ? answer : naru_sleep(1);

	return err < 0 ? err : naru_sendf(conv, "answered %d", answer);
}

/* Over UDP: two answers to one question, and no end but silence. */
static int talk_datagrams(struct naru_conv *conv)
{
	struct naru_msg msg;
	int err;

	err = naru_set_timeout(conv, NARU_TIMEOUT_IDLE, 200);
	while (err == 0) {
		err = naru_recv(conv, &msg);
		if (err <= 0 || strcmp(msg.data, "question") != 0) {
			/* A datagram may be lost, and an error may be of one
			 * that is long gone. */
			err = err > 0 || err == -ECONNREFUSED ? 0 : err;
			continue;
		}
		err = naru_send(conv, "answer", 6);
		if (err == 0)
			err = naru_send(conv, "another", 7);
		break;
	}
	return err == -ETIMEDOUT ? 0 : err;
}

static const struct {
	const char *word;
	int (*talk)(struct naru_conv *conv);
} talks[] = {
	{"echo", talk_echo},   {"companion", talk_companion},
	{"relay", talk_relay}, {"program", talk_program},
	{"aside", talk_aside}, {"datagrams", talk_datagrams},
};

static int talk(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	if (!naru_alloc(conv, 3000))
		return -ENOMEM;
	err = naru_defer(conv, run_deferred, NULL);
	if (err < 0)
		return err;
	atomic_fetch_add(&scenario->deferred, 1);
	err = naru_recv(conv, &msg);
	if (err <= 0)
		return err;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++)
		if (strcmp(msg.data, talks[i].word) == 0)
			return talks[i].talk(conv);
	return -EPROTO;
}

/* A worker may end, may be killed by the server, and may give up where it is
 * not handed what it waits for; it may not crash. */
static void note_status(int status)
{
	bool killed = WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL ||
	                                      WTERMSIG(status) == SIGTERM);
	bool gave_up = WIFEXITED(status) &&
	               atomic_load(&faults->fired_call) == CALL_recvmsg;

	if (status != 0 && !killed && !gave_up)
		atomic_store(&scenario->crash, status);
}

static void report(const struct naru_event *event, void *arg)
{
	(void)arg;
	switch (event->kind) {
	case NARU_EVENT_BEGIN:
		atomic_fetch_add(&scenario->begun, 1);
		break;
	case NARU_EVENT_END:
		atomic_fetch_add(&scenario->ended, 1);
		if (event->result < 0)
			atomic_fetch_add(&scenario->bad_ends, 1);
		break;
	case NARU_EVENT_HANDSHAKE:
		if (event->id > 0 && event->result < 0)
			atomic_fetch_add(&scenario->refused, 1);
		break;
	case NARU_EVENT_LOST:
		atomic_fetch_add(&scenario->lost, 1);
		note_status(event->status);
		break;
	case NARU_EVENT_WORKER_END:
		note_status(event->status);
		break;
	case NARU_EVENT_ERROR:
		atomic_fetch_add(&scenario->errors, 1);
		if (strcmp(event->call, "start") == 0)
			atomic_fetch_add(&scenario->refused, 1);
		break;
	default:
		break;
	}
}

static void on_signal(int number)
{
	(void)number;
	/* What it cannot do then, nobody could do better. */
	if (server)
		(void)naru_server_stop(server, DRAIN_MS);
}

static int prepare(enum naru_model model, enum naru_io io)
{
	int err = naru_server_new(
		&server, NARU_OPTIONS(.model = model, .io = io, .workers = 2,
	                              .report = report,
	                              .tls = scenario_tls ? bridge_tls() : NULL,
	                              .proxy = NARU_PROXY_ALLOWED,
	                              .proxy_from = "unix"));

	if (err == 0)
		err = naru_server_listen(server,
		                         scenario_tls ? "tls://127.0.0.1:0"
		                                      : "tcp://127.0.0.1:0",
		                         talk, NULL);
	if (err == 0)
		err = naru_server_listen(server, scenario->local, talk, NULL);
	if (err == 0)
		err = naru_server_listen(server, "udp://127.0.0.1:0", talk,
		                         NULL);
	if (err < 0)
		return err;
	err = naru_server_endpoint(server, 2, scenario->udp,
	                           sizeof(scenario->udp));
	if (err < 0)
		return err;
	err = naru_server_endpoint(server, 0, scenario->tcp,
	                           sizeof(scenario->tcp));
	return err < 0 ? err : 0;
}

_Noreturn void scenario_serve(enum naru_model model, enum naru_io io)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct naru_server *made;
	int before = count_descriptors(), err;

	sigaction(SIGTERM, &action, NULL);
	faults_live = 0;
	faults_inside = true;
	err = prepare(model, io);
	if (err == 0) {
		atomic_store(&scenario->crypto_ready,
		             atomic_load(&faults->crypto));
		atomic_store(&scenario->state, READY);
		err = naru_server_run(server);
		atomic_store(&scenario->result, err);
		atomic_store(&scenario->state, OVER);
	} else {
		atomic_store(&scenario->result, err);
		atomic_store(&scenario->state, FAILED);
	}
	made = server;
	server = NULL;
	naru_server_free(made);
	faults_inside = false;
	faults_settle(0);
	atomic_store(&scenario->live, atomic_load(&faults_live));
	/* What it keeps for its next use is none that was lost. */
	if (scenario_tls)
		OPENSSL_cleanup();
	atomic_store(&scenario->crypto_live, atomic_load(&faults_crypto_live));
	atomic_store(&scenario->descriptors, count_descriptors() - before);
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		atomic_store(&scenario->children, 1);
	_exit(0);
}
