/* SPDX-License-Identifier: MIT */
/*
 * libuv as its guide teaches it: a buffer from malloc() for each read, handed
 * on to uv_write() with a request from malloc(), both freed when it is done.
 * Where lines are answered, each answer is such a request of its own.
 *
 *     uv_guide echo|lines
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <bench_setup.h>

struct client {
	uv_tcp_t tcp;
	bool ended;
	size_t rest_len; /* of a line that is not complete */
	char rest[];     /* BENCH_LINE, where lines are answered */
};

static bool lines;

static void *allocate(size_t size)
{
	void *made = malloc(size);

	if (!made)
		bench_die("malloc");
	return made;
}

static void on_closed(uv_handle_t *handle)
{
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

	if (status < 0 || (((struct client *)stream)->ended &&
	                   uv_stream_get_write_queue_size(stream) == 0))
		drop(stream);
	free(request->data);
	free(request);
}

/* Takes DATA, which is from malloc(). */
static void answer(uv_stream_t *stream, char *data, size_t len)
{
	uv_write_t *request = allocate(sizeof(*request));
	uv_buf_t buf = uv_buf_init(data, (unsigned)len);

	request->data = data;
	if (uv_write(request, stream, &buf, 1, on_written) < 0) {
		free(data);
		free(request);
		drop(stream);
	}
}

/* A line may have begun with what the last read left. */
static void answer_lines(struct client *client, const char *data, size_t len)
{
	uv_stream_t *stream = (uv_stream_t *)&client->tcp;
	const char *end;

	while ((end = memchr(data, '\n', len))) {
		size_t part = (size_t)(end - data) + 1;
		char *line = allocate(client->rest_len + part);

		memcpy(line, client->rest, client->rest_len);
		memcpy(line + client->rest_len, data, part);
		answer(stream, line, client->rest_len + part);
		client->rest_len = 0;
		data += part;
		len -= part;
	}
	if (client->rest_len + len >= BENCH_LINE) {
		drop(stream);
		return;
	}
	memcpy(client->rest + client->rest_len, data, len);
	client->rest_len += len;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	buf->base = allocate(suggested);
	buf->len = suggested;
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct client *client = (struct client *)stream;

	if (got > 0 && !lines) {
		answer(stream, buf->base, (size_t)got);
		return;
	}
	if (got > 0) {
		answer_lines(client, buf->base, (size_t)got);
	} else if (got < 0) {
		client->ended = true;
		/* After the peer's end, what is left is written first. */
		if (got != UV_EOF ||
		    uv_stream_get_write_queue_size(stream) == 0)
			drop(stream);
	}
	free(buf->base);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct client *client;
	uv_stream_t *stream;

	if (status < 0)
		return;
	client = allocate(sizeof(*client) + (lines ? BENCH_LINE : 0));
	client->ended = false;
	client->rest_len = 0;
	stream = (uv_stream_t *)&client->tcp;
	if (uv_tcp_init(listener->loop, &client->tcp) < 0)
		bench_die("uv_tcp_init");
	if (uv_accept(listener, stream) < 0 ||
	    uv_tcp_nodelay(&client->tcp, 1) < 0 ||
	    uv_read_start(stream, on_allocate, on_read) < 0)
		drop(stream);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;
	uv_os_fd_t fd;
	struct sockaddr_in addr;

	lines = bench_begin("uv_guide", argc == 2 ? argv[1] : NULL);
	if (uv_tcp_init(loop, &listener) < 0 ||
	    uv_ip4_addr("127.0.0.1", 0, &addr) < 0 ||
	    uv_tcp_bind(&listener, (struct sockaddr *)&addr, 0) < 0 ||
	    uv_listen((uv_stream_t *)&listener, BENCH_BACKLOG, on_connection) <
	            0 ||
	    uv_fileno((uv_handle_t *)&listener, &fd) < 0)
		bench_die("uv_listen");
	bench_ready(fd);
	return uv_run(loop, UV_RUN_DEFAULT);
}
