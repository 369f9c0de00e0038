/* SPDX-License-Identifier: MIT */
/*
 * faults MODEL: runs the same scenario again and again. In each run another
 * one of the library's calls fails, until a run makes fewer calls than the
 * one that was to fail; with each error number that the call may fail with.
 * Whatever fails, the server must not crash, leak or hang; at most the
 * conversation that it hit is lost, and that is reported.
 *
 * faults MODEL tls: the same with TLS, as far as that makes a difference.
 *
 * faults MODEL [tls] AT VARIANT: that one run alone, to look into a failure;
 * with AT as c1, c2 and so on it is OpenSSL that has no memory.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "scenario.h"

/* After so many failures of one call the others are more worth knowing. */
#define FAILURES_MAX 5

static enum naru_model model;
static enum naru_io io; /* of fibers */
/* What OpenSSL asks for in a run in which nothing fails: until the server is
 * made, until the first conversation is over, and in all. */
static int crypto_early, crypto_first, crypto_all;
static long crypto_left = LONG_MAX; /* by a run in which nothing fails */
static char dir[] = "/tmp/naru-faults-XXXXXX";

/* What came of the runs in which one call failed. */
static struct tally {
	int runs, failures;
} tallies[CALL_COUNT];

/* One run. */
struct run {
	struct client client;
	pid_t pid;
	int status;
	int held, lost;
	int crypto_first;
	bool lost_early; /* before anything was made to fail */
	bool lost_late;  /* when the failing was over */
	char wrong[256];
};

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* The file of a server that was killed: it has to be replaced. */
static void leave_stale_socket(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	unlink(at.sun_path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		abort();
	close(fd);
	snprintf(scenario->local, sizeof(scenario->local), "unix:%s",
	         at.sun_path);
}

/* Waits until the server can be connected to, or cannot any more. */
static void await_ready(struct run *run)
{
	while (atomic_load(&scenario->state) == STARTING &&
	       clock_ns() < run->client.until &&
	       waitid(P_PID, (id_t)run->pid, &(siginfo_t){0},
	              WEXITED | WNOHANG | WNOWAIT) == 0)
		rest();
}

static bool is_over(struct run *run)
{
	return waitpid(run->pid, &run->status, WNOHANG) == run->pid;
}

static void await_end(struct run *run)
{
	while (!is_over(run)) {
		if (clock_ns() > run->client.until) {
			snprintf(run->wrong, sizeof(run->wrong),
			         "the server does not end");
			kill(-run->pid, SIGKILL);
			kill(run->pid, SIGKILL);
			waitpid(run->pid, &run->status, 0);
			return;
		}
		rest();
	}
}

static bool faults_done(void)
{
	return atomic_load(&faults->fired) > 0 &&
	       (faults->plan.mode == FAULT_ONCE || faults_over());
}

static void count(struct run *run, bool fired_before, bool done_before,
                  bool held)
{
	if (held) {
		run->held++;
		return;
	}
	run->lost++;
	if (!fired_before && atomic_load(&faults->fired) == 0)
		run->lost_early = true;
	/* A worker's receive is counted when it begins to wait; what fails is
	 * noticed when something comes, which may be much later. */
	if (done_before && atomic_load(&faults->fired_call) != CALL_recvmsg)
		run->lost_late = true;
}

static void converse(struct run *run)
{
	static bool (*const plain[])(struct client * client) = {
		client_echo,  client_companion, client_relay, client_program,
		client_aside, client_datagrams, client_echo,
	};
	/* Over TLS: what is not the same as without. */
	static bool (*const over_tls[])(struct client * client) = {
		client_echo,
		client_program,
		client_echo,
	};
	bool (*const *all)(struct client * client) = plain;
	size_t many = sizeof(plain) / sizeof(plain[0]);
	bool fired, done;

	if (scenario_tls) {
		all = over_tls;
		many = sizeof(over_tls) / sizeof(over_tls[0]);
	}
	for (size_t i = 0; i < many; i++) {
		fired = atomic_load(&faults->fired) > 0;
		done = faults_done();
		count(run, fired, done, all[i](&run->client));
		if (i == 0)
			run->crypto_first = atomic_load(&faults->crypto);
		atomic_store(&faults->armed, true);
	}
	/* What was going to fail has failed by now, or will not. */
	while (faults->plan.mode == FAULT_WINDOW &&
	       atomic_load(&faults->fired) > 0 && !faults_over())
		rest();
	fired = atomic_load(&faults->fired) > 0;
	done = faults_done();
	count(run, fired, done, client_stop(&run->client, run->pid));
}

static _Noreturn void enter_server(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	scenario_serve(model, io);
}

/* Whether the fault hit before the server could serve anybody, so that it had
 * to give up. */
static bool gave_up(const struct run *run)
{
	return atomic_load(&faults->fired) > 0 &&
	       atomic_load(&scenario->result) < 0 && run->held == 0 &&
	       atomic_load(&scenario->begun) == 0;
}

/* An interruption, a call that has nothing to do just now, or a pipe that is
 * not to be had, is nobody's loss. */
static bool is_harmless(void)
{
	int error = atomic_load(&faults->fired_error);
	int call = atomic_load(&faults->fired_call);

	return call != CALL_fork && call != CALL_pthread_create &&
	       call != CALL_posix_spawnp && call != CALL_mincore &&
	       (error == EINTR || error == EAGAIN || error == EBUSY ||
	        call == CALL_accept4 || call == CALL_pipe2);
}

/* Whether OpenSSL had no memory at its allocation FROM or later, before UNTIL.
 */
static bool hit_crypto(int from, int until)
{
	const struct fault_plan *plan = &faults->plan;

	return plan->call == CALL_crypto && plan->at > from &&
	       plan->at <= until;
}

/* OpenSSL's own loss: where it looks for an algorithm and has no memory, up to
 * two pieces of what it has found by then are left (seen in EVP_RAND_fetch(),
 * of which nobody holds anything yet). */
static long spilt(void)
{
	return hit_crypto(0, crypto_early) ? 2 : 0;
}

/* And what it did not find the first time, because it had no memory just then,
 * it never finds again: all later handshakes fail, too, and say so (seen in
 * EVP_KDF_fetch(), from within SSL_do_handshake()). */
static bool is_crippled(void)
{
	return hit_crypto(crypto_early, crypto_first);
}

/* A program whose input is said to be closed has closed it, as far as anybody
 * can tell; and a peer that is said to be gone, when all has arrived that was
 * said to it, misses nothing. */
static bool is_said_gone(void)
{
	int error = atomic_load(&faults->fired_error);

	return scenario_tls && atomic_load(&faults->fired_call) == CALL_send &&
	       (error == EPIPE || error == ECONNRESET);
}

static void judge_process(struct run *run)
{
	if (run->wrong[0])
		return;
	if (run->client.wrong[0])
		snprintf(run->wrong, sizeof(run->wrong), "%.200s",
		         run->client.wrong);
	else if (run->status != 0)
		snprintf(run->wrong, sizeof(run->wrong),
		         "the server crashed, status %#x", run->status);
	else if (scenario->crash)
		snprintf(run->wrong, sizeof(run->wrong),
		         "a worker crashed, status %#x", scenario->crash);
	else if (scenario->live != 0)
		snprintf(run->wrong, sizeof(run->wrong),
		         "%ld pieces of memory are left", scenario->live);
	else if (scenario->crypto_live > crypto_left + spilt())
		snprintf(run->wrong, sizeof(run->wrong),
		         "%ld pieces of OpenSSL's memory are left",
		         scenario->crypto_live);
	else if (scenario->descriptors != 0)
		snprintf(run->wrong, sizeof(run->wrong),
		         "%d descriptors are left", scenario->descriptors);
	else if (scenario->children != 0)
		snprintf(run->wrong, sizeof(run->wrong), "children are left");
	else if (faults->leaks || faults->descriptors)
		snprintf(run->wrong, sizeof(run->wrong),
		         "workers left %d memory, %d descriptors",
		         faults->leaks, faults->descriptors);
}

static void judge_conversations(struct run *run)
{
	bool once = faults->plan.mode == FAULT_ONCE;
	int told = scenario->bad_ends + scenario->lost + scenario->refused;

	if (run->wrong[0] || gave_up(run))
		return;
	if (scenario->result != 0)
		snprintf(run->wrong, sizeof(run->wrong),
		         "naru_server_run() returned %s",
		         naru_errname(scenario->result));
	else if (run->lost_early)
		snprintf(run->wrong, sizeof(run->wrong),
		         "a conversation was lost without a fault");
	else if (run->lost_late && !is_crippled())
		snprintf(run->wrong, sizeof(run->wrong),
		         "a conversation was lost when the fault was over");
	else if (once && run->lost > 1 && !is_crippled())
		snprintf(run->wrong, sizeof(run->wrong),
		         "%d conversations were lost", run->lost);
	else if (once && run->lost > 0 && is_harmless())
		snprintf(run->wrong, sizeof(run->wrong),
		         "a conversation was lost needlessly");
	else if (run->lost > told && !is_said_gone())
		snprintf(run->wrong, sizeof(run->wrong), "%d lost, %d reported",
		         run->lost, told);
	else if (scenario->deferred != scenario->deferred_run &&
	         scenario->lost == 0)
		snprintf(run->wrong, sizeof(run->wrong),
		         "%d calls deferred, %d made", scenario->deferred,
		         scenario->deferred_run);
	else if (scenario->begun != scenario->ended && scenario->lost == 0)
		snprintf(run->wrong, sizeof(run->wrong),
		         "%d conversations begun, %d ended", scenario->begun,
		         scenario->ended);
}

/* One run of PLAN. Returns whether anything was made to fail, and notes how
 * it went. */
static bool run_plan(const struct fault_plan *plan)
{
	struct run run = {0};
	struct tally *tally;
	int fired;

	memset(faults, 0, sizeof(*faults));
	memset(scenario, 0, sizeof(*scenario));
	faults->plan = *plan;
	atomic_store(&faults->armed, plan->at == 0);
	client_open(&run.client);
	leave_stale_socket();
	fflush(stdout);
	run.pid = fork();
	if (run.pid == 0)
		enter_server();
	setpgid(run.pid, run.pid);
	await_ready(&run);
	if (atomic_load(&scenario->state) == READY)
		converse(&run);
	await_end(&run);
	client_close(&run.client);
	if (plan->mode == FAULT_NONE)
		crypto_first = run.crypto_first;
	judge_process(&run);
	judge_conversations(&run);
	fired = atomic_load(&faults->fired);
	if (fired == 0 && run.wrong[0] == '\0')
		return false;
	tally = &tallies[atomic_load(&faults->fired_call)];
	tally->runs++;
	if (run.wrong[0] == '\0')
		return true;
	tally->failures++;
	printf("# call %d, variant %d, armed %d: %s fails with %s: %s\n",
	       plan->mode == FAULT_ONCE ? plan->at : 0, plan->variant,
	       plan->mode == FAULT_WINDOW ? 1 + plan->at : 0,
	       fault_kinds[faults->fired_call].name,
	       faults->fired_error == FAULT_STRIPPED
	               ? "MSG_CTRUNC"
	               : naru_errname(faults->fired_error),
	       run.wrong);
	return fired > 0;
}

static int count_errors(int call)
{
	int n = 0;

	while (fault_kinds[call].errors[n])
		n++;
	return n;
}

static void fail_each_once(void)
{
	int at = 1;

	for (;;) {
		struct fault_plan plan = {.mode = FAULT_ONCE, .at = at};
		int call;

		if (!run_plan(&plan))
			return;
		call = atomic_load(&faults->fired_call);
		for (int v = 1; v < count_errors(call); v++) {
			plan.variant = v;
			if (tallies[call].failures < FAILURES_MAX)
				(void)run_plan(&plan);
		}
		at++;
	}
}

/* From the start, and from after the first conversation. */
static void fail_for_a_while(void)
{
	for (int call = 0; call < CALL_COUNT; call++) {
		/* ENOTCONN says that the connection is gone. That it is said
		 * of one that lasts may not happen to every call. */
		if (call == CALL_shutdown)
			continue;
		for (int v = 0; v < count_errors(call); v++) {
			for (int late = 0; late < 2; late++)
				(void)run_plan(&(struct fault_plan){
					.mode = FAULT_WINDOW,
					.at = late,
					.variant = v,
					.call = (enum fault_call)call});
		}
	}
}

/* How often OpenSSL's memory fails while the server is made, and later: far
 * from each time, which would take hours. */
#define CRYPTO_EARLY 20
#define CRYPTO_LATER 60

/* Each model has its own third of the calls, so that all of them fail. */
#define CALLS_STEP 3

static void fail_crypto(int from, int to, int times)
{
	int step = 1 + (to - from) / times;

	for (int at = from + 1; at <= to; at += step)
		(void)run_plan(&(struct fault_plan){.mode = FAULT_ONCE,
		                                    .at = at,
		                                    .call = CALL_crypto});
}

static void measure_crypto(void)
{
	(void)run_plan(&(struct fault_plan){.mode = FAULT_NONE});
	crypto_left = scenario->crypto_live;
	crypto_early = scenario->crypto_ready;
	crypto_all = faults->crypto;
}

/* What is different over TLS: each call fails with one of its errors, in turn,
 * for the others are tried without TLS; and OpenSSL has no memory. */
static void fail_over_tls(void)
{
	int at = 1 + (int)(model + io) % CALLS_STEP;

	measure_crypto();
	while (run_plan(&(struct fault_plan){.mode = FAULT_ONCE,
	                                     .at = at,
	                                     .variant = at}))
		at += CALLS_STEP;
	fail_crypto(0, crypto_early, CRYPTO_EARLY);
	fail_crypto(crypto_early, crypto_all, CRYPTO_LATER);
}

/* Prints a case for each call that ever failed. Returns how many are bad. */
static int print_tallies(const char *how, int *number)
{
	int bad = 0;

	for (int call = 0; call < CALL_COUNT; call++) {
		struct tally *tally = &tallies[call];

		if (tally->runs == 0)
			continue;
		printf("%sok %d - %s fails %s, in %d runs\n",
		       tally->failures ? "not " : "", ++*number,
		       fault_kinds[call].name, how, tally->runs);
		bad += tally->failures > 0;
	}
	memset(tallies, 0, sizeof(tallies));
	fflush(stdout);
	return bad;
}

static void *share(size_t size)
{
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		abort();
	return page;
}

static bool set_model(const char *name)
{
	static const struct {
		const char *name;
		enum naru_model model;
		enum naru_io io;
	} models[] = {
		{"iterative", NARU_ITERATIVE, 0},
		{"process", NARU_PROCESS, 0},
		{"thread", NARU_THREAD, 0},
		{"prefork", NARU_PREFORK, 0},
		{"pool", NARU_POOL, 0},
		{"fiber-uring", NARU_FIBER, NARU_IO_URING},
		{"fiber-epoll", NARU_FIBER, NARU_IO_EPOLL},
	};

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcmp(name, models[i].name) == 0) {
			model = models[i].model;
			io = models[i].io;
			return true;
		}
	}
	return false;
}

static int run_all(void)
{
	int number = 0, bad;

	bad = run_plan(&(struct fault_plan){.mode = FAULT_TRICKLE});
	bad += tallies[0].failures;
	printf("%sok %d - a few bytes at a time\n", bad ? "not " : "",
	       ++number);
	memset(tallies, 0, sizeof(tallies));
	if (scenario_tls) {
		fail_over_tls();
		bad += print_tallies("once", &number);
	} else {
		fail_each_once();
		bad += print_tallies("once", &number);
		fail_for_a_while();
		bad += print_tallies("for a while", &number);
	}
	printf("1..%d\n", number);
	return bad;
}

static void run_one(const char *at, const char *variant)
{
	bool crypto = at[0] == 'c';

	if (scenario_tls)
		measure_crypto();
	(void)run_plan(&(struct fault_plan){.mode = FAULT_ONCE,
	                                    .at = atoi(at + crypto),
	                                    .variant = atoi(variant),
	                                    .call = crypto ? CALL_crypto
	                                                   : CALL_accept4});
}

int main(int argc, char **argv)
{
	char path[sizeof(dir) + 16];
	int bad = 0;

	scenario_tls = argc > 2 && strcmp(argv[2], "tls") == 0;
	argc -= scenario_tls;
	if ((argc != 2 && argc != 4) || !set_model(argv[1])) {
		fprintf(stderr, "usage: faults MODEL [tls] [AT VARIANT]\n");
		return 2;
	}
	faults = share(sizeof(*faults));
	scenario = share(sizeof(*scenario));
	if (!mkdtemp(dir))
		return 2;
	if (scenario_tls) {
		faults_take_crypto();
		bridge_open_apart();
	}
	if (argc == 4)
		run_one(argv[2 + scenario_tls], argv[3 + scenario_tls]);
	else
		bad = run_all();
	bridge_close();
	snprintf(path, sizeof(path), "%s/socket", dir);
	unlink(path);
	rmdir(dir);
	return bad > 0;
}
