/* SPDX-License-Identifier: MIT */
/*
 * libuv tuned: one buffer for the reads of all clients, and uv_try_write(),
 * which needs no request where the kernel takes all at once. What it does not
 * take is copied to a request; the client is not read from meanwhile. The
 * nodelay flag is inherited from the listener.
 *
 *     uv_tuned echo|lines
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include <bench_setup.h>

/* What libuv suggests for a read, and what is behind it in `lines`. */
#define READ_SIZE 65536

struct client {
	uv_tcp_t tcp;
	bool ended;
	size_t rest_len; /* of a line that is not complete */
	char *rest;
};

struct write {
	uv_write_t request;
	char data[];
};

static bool lines;
static char input[BENCH_LINE + READ_SIZE];

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void *allocate(size_t size)
{
	void *made = malloc(size);

	if (!made)
		bench_die("malloc");
	return made;
}

static void on_closed(uv_handle_t *handle)
{
	free(((struct client *)handle)->rest);
	free(handle);
}

static void drop(uv_stream_t *stream)
{
	if (!uv_is_closing((uv_handle_t *)stream))
		uv_close((uv_handle_t *)stream, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
	uv_stream_t *stream = request->handle;

	free(request);
	if (uv_is_closing((uv_handle_t *)stream) ||
	    uv_stream_get_write_queue_size(stream) > 0)
		return;
	if (status < 0 || ((struct client *)stream)->ended ||
	    uv_read_start(stream, on_allocate, on_read) < 0)
		drop(stream);
}

static void answer_later(uv_stream_t *stream, const char *data, size_t len)
{
	struct write *write = allocate(sizeof(*write) + len);
	uv_buf_t buf = uv_buf_init(write->data, (unsigned)len);

	memcpy(write->data, data, len);
	if (uv_write(&write->request, stream, &buf, 1, on_written) < 0) {
		free(write);
		drop(stream);
		return;
	}
	uv_read_stop(stream);
}

static void answer(uv_stream_t *stream, char *data, size_t len)
{
	uv_buf_t buf = uv_buf_init(data, (unsigned)len);
	int sent = uv_try_write(stream, &buf, 1);

	if (sent < 0 && sent != UV_EAGAIN)
		drop(stream);
	else if (sent < (int)len)
		answer_later(stream, data + (sent < 0 ? 0 : sent),
		             len - (size_t)(sent < 0 ? 0 : sent));
}

/* Each answer is a write of its own; LEN bytes stand in the input. */
static void answer_lines(struct client *client, size_t len)
{
	uv_stream_t *stream = (uv_stream_t *)&client->tcp;
	char *line = input, *end;

	while ((end = memchr(line, '\n', len))) {
		size_t size = (size_t)(end - line) + 1;

		if (uv_is_closing((uv_handle_t *)stream))
			return;
		answer(stream, line, size);
		line += size;
		len -= size;
	}
	client->rest_len = len;
	if (len >= BENCH_LINE) {
		client->rest_len = 0;
		drop(stream);
	} else if (len > 0) {
		if (!client->rest)
			client->rest = allocate(BENCH_LINE);
		memcpy(client->rest, line, len);
	}
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *client = (struct client *)handle;

	(void)suggested;
	if (client->rest_len > 0)
		memcpy(input, client->rest, client->rest_len);
	*buf = uv_buf_init(input + client->rest_len, READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct client *client = (struct client *)stream;

	if (got > 0 && lines) {
		answer_lines(client, client->rest_len + (size_t)got);
	} else if (got > 0) {
		answer(stream, buf->base, (size_t)got);
	} else if (got < 0) {
		client->ended = true;
		if (got != UV_EOF ||
		    uv_stream_get_write_queue_size(stream) == 0)
			drop(stream);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct client *client;
	uv_stream_t *stream;

	if (status < 0)
		return;
	client = allocate(sizeof(*client));
	memset(client, 0, sizeof(*client));
	stream = (uv_stream_t *)&client->tcp;
	if (uv_tcp_init(listener->loop, &client->tcp) < 0)
		bench_die("uv_tcp_init");
	if (uv_accept(listener, stream) < 0 ||
	    uv_read_start(stream, on_allocate, on_read) < 0)
		drop(stream);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;
	int fd;

	lines = bench_begin("uv_tuned", argc == 2 ? argv[1] : NULL);
	fd = bench_listen(SOCK_NONBLOCK);
	if (uv_tcp_init(loop, &listener) < 0 ||
	    uv_tcp_open(&listener, fd) < 0 ||
	    uv_listen((uv_stream_t *)&listener, BENCH_BACKLOG, on_connection) <
	            0)
		bench_die("uv_listen");
	bench_ready(fd);
	return uv_run(loop, UV_RUN_DEFAULT);
}
