/* SPDX-License-Identifier: MIT */
/*
 * dialler MODEL [epoll|isolate]: a server whose talk dials as it is told, for
 * the tests of dialling: under a model, and with times that the command has no
 * option for. It prints its endpoint. A line of words tells a conversation what
 * to do: "timeout=MS", "attempt=MS", "resolution=MS", "tries=N", "retry=MS",
 * "family=4|6", "source=ADDR", "cancel=MS" (the talk's own cancellation), and
 * endpoints, the first one and its alternatives. It answers with "NAME MS
 * LEFT": what the dial came to, how long it took, and how many descriptors it
 * has left open. On standard error it has a line for each socket call.
 */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <naru.h>

#define ENDPOINTS_MAX 8
#define SETTLE_MS     20000

static struct naru_server *server;

/* What a line asks for. */
struct order {
	struct naru_dial_options options;
	const char *endpoints[ENDPOINTS_MAX + 1];
	int count;
	int64_t cancel_ms; /* or 0 */
};

static void on_stop(int number)
{
	(void)number;
	(void)naru_server_stop(server, SETTLE_MS);
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static int set_number(struct order *order, const char *name, int64_t value)
{
	struct naru_dial_options *o = &order->options;
	const struct {
		const char *name;
		int64_t *to;
	} numbers[] = {
		{"timeout", &o->timeout_ms},
		{"attempt", &o->attempt_delay_ms},
		{"resolution", &o->resolution_delay_ms},
		{"retry", &o->retry_ms},
		{"cancel", &order->cancel_ms},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(numbers[i].name, name) == 0) {
			*numbers[i].to = value;
			return 0;
		}
	}
	if (strcmp(name, "tries") == 0)
		o->tries = (unsigned)value;
	else if (strcmp(name, "family") == 0)
		o->family = value == 4 ? NARU_FAMILY_IPV4 : NARU_FAMILY_IPV6;
	else
		return -1;
	return 0;
}

/* Reads LINE, which stays as long as ORDER. 0 or -1. */
static int read_order(struct order *order, char *line)
{
	char *rest = line, *word, *equals;

	*order = (struct order){.options = {.size = sizeof(order->options)}};
	while ((word = strsep(&rest, " ")) != NULL) {
		equals = strchr(word, '=');
		if (!equals && order->count < ENDPOINTS_MAX) {
			order->endpoints[order->count++] = word;
			continue;
		}
		if (!equals)
			return -1;
		*equals = '\0';
		if (strcmp(word, "source") == 0)
			order->options.source = equals + 1;
		else if (set_number(order, word, atoll(equals + 1)) < 0)
			return -1;
	}
	order->options.alternatives = order->endpoints + 1;
	return order->count > 0 ? 0 : -1;
}

static void tell(const struct naru_event *event, void *arg)
{
	(void)arg;
	if (event->kind == NARU_EVENT_CALL)
		dprintf(STDERR_FILENO, "call %s %s %s\n", event->call,
		        event->text,
		        event->result < 0 ? naru_errname(event->result) : "0");
	else if (event->kind == NARU_EVENT_ERROR)
		dprintf(STDERR_FILENO, "error %s %s\n", event->call,
		        event->text);
}

static int cancel_later(struct naru_conv *conv, void *arg)
{
	int err = naru_sleep(*(int64_t *)arg);

	return err < 0 ? err : naru_cancel(conv);
}

/* The descriptors that there are when nothing changes them any more: workers
 * begin beside us, and a resolver that was left behind ends by itself. Waits
 * for MOST at the most, where that is not 0. */
static int count_settled(int most)
{
	int64_t end = naru_now() + SETTLE_MS;
	int seen = 0, last = -1, now;

	do {
		now = count_descriptors();
		seen = now == last ? seen + 1 : 0;
		last = now;
	} while ((seen < 5 || (most && now > most)) && naru_now() < end &&
	         naru_sleep(5) == 0);
	return last;
}

/* Closes at once: nobody at the other end reads. */
static int hang_up(struct naru_conv *conv)
{
	int err = naru_set_timeout(conv, NARU_TIMEOUT_END, 0), end;

	end = naru_close(conv);
	return err < 0 ? err : end == -ETIMEDOUT ? 0 : end;
}

static int dial(struct naru_conv *conv, struct order *order)
{
	int before = count_settled(0), err, end = 0;
	struct naru_conv *other;
	int64_t began = naru_now(), took;

	err = naru_dial(&other, order->endpoints[0], &order->options);
	took = naru_now() - began;
	if (err == 0)
		end = hang_up(other);
	if (end < 0)
		return end;
	return naru_sendf(conv, "%s %lld %d", err < 0 ? naru_errname(err) : "0",
	                  (long long)took, count_settled(before) - before);
}

static int talk(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	struct order order;
	char line[1024];
	int err;

	(void)arg;
	err = naru_recv(conv, &msg);
	if (err <= 0 || msg.len >= sizeof(line))
		return err;
	memcpy(line, msg.data, msg.len + 1);
	if (read_order(&order, line) < 0)
		return naru_sendf(conv, "what?");
	order.options.report = tell;
	order.options.report_calls = 1;
	if (order.cancel_ms) {
		err = naru_spawn(conv, cancel_later, &order.cancel_ms);
		if (err < 0)
			return err;
	}
	return dial(conv, &order);
}

static int set_model(struct naru_options *options, char **argv)
{
	const struct naru_model_info *info;

	for (int i = 1; (info = naru_model_info(i)) != NULL; i++)
		if (strcmp(info->name, argv[1]) == 0)
			options->model = (enum naru_model)i;
	if (argv[2] && strcmp(argv[2], "epoll") == 0)
		options->io = NARU_IO_EPOLL;
	if (argv[2] && strcmp(argv[2], "isolate") == 0)
		options->isolate = 1;
	return options->model ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct naru_options options = {.size = sizeof(options)};
	char endpoint[NARU_ADDR_TEXT];
	int err;

	if (argc < 2 || set_model(&options, argv) < 0) {
		fprintf(stderr, "usage: dialler MODEL [epoll|isolate]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	err = naru_server_new(&server, &options);
	if (err == 0)
		err = naru_server_listen(server, "127.0.0.1:0", talk, NULL);
	if (err == 0)
		err = naru_server_endpoint(server, 0, endpoint,
		                           sizeof(endpoint));
	if (err > 0) {
		signal(SIGTERM, on_stop);
		printf("%s\n", endpoint);
		fflush(stdout);
		err = naru_server_run(server);
	}
	naru_server_free(server);
	if (err < 0)
		fprintf(stderr, "dialler: %s\n", naru_strerror(err));
	return err < 0;
}
