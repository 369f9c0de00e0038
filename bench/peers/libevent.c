/* SPDX-License-Identifier: MIT */
/*
 * libevent with bufferevents, in the form of its book: the input is moved to
 * the output, which libevent sends when the socket takes it. Without locks,
 * and with changes to the epoll set collected, as its manual advises for speed.
 *
 *     libevent echo|lines
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <bench_setup.h>

static bool lines;

static void on_echo(struct bufferevent *client, void *arg)
{
	(void)arg;
	if (evbuffer_add_buffer(bufferevent_get_output(client),
	                        bufferevent_get_input(client)) < 0)
		bench_die("evbuffer_add_buffer");
}

static void on_lines(struct bufferevent *client, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(client);
	struct evbuffer *output = bufferevent_get_output(client);
	size_t len;
	char *line;

	(void)arg;
	while ((line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF))) {
		/* readln() put a NUL in place of the LF. */
		line[len] = '\n';
		if (evbuffer_add(output, line, len + 1) < 0)
			bench_die("evbuffer_add");
		free(line);
	}
	if (evbuffer_get_length(input) >= BENCH_LINE)
		bufferevent_free(client);
}

static void on_sent(struct bufferevent *client, void *arg)
{
	(void)arg;
	bufferevent_free(client);
}

static void on_event(struct bufferevent *client, short what, void *arg)
{
	(void)arg;
	if ((what & BEV_EVENT_EOF) &&
	    evbuffer_get_length(bufferevent_get_output(client)) > 0)
		bufferevent_setcb(client, NULL, on_sent, on_event, NULL);
	else
		bufferevent_free(client);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *addr, int len, void *arg)
{
	struct bufferevent *client =
		bufferevent_socket_new(evconnlistener_get_base(listener), fd,
	                               BEV_OPT_CLOSE_ON_FREE);

	(void)addr;
	(void)len;
	(void)arg;
	if (!client)
		bench_die("bufferevent_socket_new");
	bufferevent_setcb(client, lines ? on_lines : on_echo, NULL, on_event,
	                  NULL);
	if (bufferevent_enable(client, EV_READ | EV_WRITE) < 0)
		bench_die("bufferevent_enable");
}

int main(int argc, char **argv)
{
	struct event_config *config = event_config_new();
	struct event_base *base;
	struct evconnlistener *listener;
	int fd;

	lines = bench_begin("libevent", argc == 2 ? argv[1] : NULL);
	if (!config ||
	    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) < 0 ||
	    event_config_set_flag(config,
	                          EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) < 0 ||
	    !(base = event_base_new_with_config(config)))
		bench_die("event_base_new_with_config");
	fd = bench_listen(SOCK_NONBLOCK);
	listener = evconnlistener_new(base, on_connection, NULL,
	                              LEV_OPT_CLOSE_ON_FREE |
	                                      LEV_OPT_CLOSE_ON_EXEC,
	                              0, fd);
	if (!listener)
		bench_die("evconnlistener_new");
	bench_ready(fd);
	return event_base_dispatch(base);
}
