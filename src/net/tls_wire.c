/* SPDX-License-Identifier: MIT */
/* OpenSSL's bytes and the socket: see tls_wire.h. */
#include "net/tls_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/os_socket.h"
#include "os/os_thread.h"

/* A record of the largest size, with what TLS puts around it. */
#define RECORD_MAX ((size_t)16 * 1024 + 512)

/* More is kept for nobody: a peer that makes us answer again and again, and
 * takes no answer, is not worth it. */
#define KEPT_MAX ((size_t)256 * 1024)

/* How often OpenSSL may read in one turn: it goes on for as long as what comes
 * is no data, and a peer can send other things without end. */
#define READS_MAX 16

void nr_tls_wire_begin(struct nr_tls_wire *wire)
{
	wire->dry = false;
	wire->reads = 0;
}

/* Room for LEN bytes more behind what is kept. */
static bool make_room(struct nr_tls_wire *wire, size_t len)
{
	size_t left = wire->end - wire->begin, size = wire->size;
	char *kept;

	if (len > KEPT_MAX - left)
		return false;
	if (left > 0 && wire->begin > 0)
		memmove(wire->kept, wire->kept + wire->begin, left);
	wire->begin = 0;
	wire->end = left;
	if (len <= size - left)
		return true;
	if (size < RECORD_MAX)
		size = RECORD_MAX;
	while (size - left < len)
		size *= 2;
	kept = realloc(wire->kept, size);
	if (!kept)
		return false;
	wire->kept = kept;
	wire->size = size;
	return true;
}

int nr_tls_wire_reserve(struct nr_tls_wire *wire)
{
	return make_room(wire, RECORD_MAX) ? 0 : -ENOMEM;
}

/* An idle conversation keeps no room for nothing. */
static void drop_room(struct nr_tls_wire *wire)
{
	free(wire->kept);
	wire->kept = NULL;
	wire->begin = wire->end = wire->size = 0;
}

int nr_tls_wire_push(struct nr_tls_wire *wire)
{
	atomic_store_explicit(&wire->held, false, memory_order_relaxed);
	while (wire->begin < wire->end && wire->err == 0) {
		const struct iovec all = {wire->kept + wire->begin,
		                          wire->end - wire->begin};
		ssize_t sent = nr_socket_send(wire->fd, &all, 1);

		if (sent == -EAGAIN)
			return -EAGAIN;
		if (sent < 0)
			wire->err = (int)sent;
		else
			wire->begin += (size_t)sent;
	}
	if (wire->kept)
		drop_room(wire);
	return wire->err;
}

static int wire_write(BIO *bio, const char *data, int len)
{
	struct nr_tls_wire *wire = BIO_get_data(bio);
	struct iovec iov = {(void *)(uintptr_t)data, (size_t)len};
	ssize_t sent = 0;
	size_t left;

	BIO_clear_retry_flags(bio);
	if (wire->err)
		return -1;
	if (wire->begin == wire->end && !wire->corked) {
		sent = nr_socket_send(wire->fd, &iov, 1);
		if (sent < 0 && sent != -EAGAIN) {
			wire->err = (int)sent;
			return -1;
		}
		if (sent < 0)
			sent = 0;
	}
	left = (size_t)len - (size_t)sent;
	if (left > 0) {
		if (!make_room(wire, left)) {
			wire->err = -ECONNABORTED;
			return -1;
		}
		memcpy(wire->kept + wire->end, data + sent, left);
		wire->end += left;
	}
	wire->sent += (size_t)len;
	return len;
}

static int wire_read(BIO *bio, char *data, int len)
{
	struct nr_tls_wire *wire = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	if (wire->ended)
		return 0;
	if (wire->dry || wire->reads++ == READS_MAX) {
		BIO_set_retry_read(bio);
		return -1;
	}
	got = nr_socket_recv(wire->fd, data, (size_t)len);
	if (got == 0)
		wire->ended = true;
	/* What is read in pieces tells only by having nothing. */
	else if (got == -EAGAIN || (got < len && !wire->in_pieces))
		wire->dry = true;
	if (got == -EAGAIN)
		BIO_set_retry_read(bio);
	else if (got < 0)
		wire->err = (int)got;
	return got < 0 ? -1 : (int)got;
}

/* Asked whether the peer's system has finished, it says nothing: OpenSSL would
 * take that for an error that ends sending, too. Who receives finds it out. */
static long wire_control(BIO *bio, int what, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return what == BIO_CTRL_FLUSH;
}

/* The kind of BIO that all of them are, made once. */
static BIO_METHOD *method(void)
{
	static struct nr_mutex lock = NR_MUTEX;
	static BIO_METHOD *made;
	BIO_METHOD *now;

	nr_mutex_lock(&lock);
	if (!made) {
		now = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
		                   "naru");
		if (now && BIO_meth_set_write(now, wire_write) &&
		    BIO_meth_set_read(now, wire_read) &&
		    BIO_meth_set_ctrl(now, wire_control))
			made = now;
		else
			BIO_meth_free(now);
	}
	now = made;
	nr_mutex_unlock(&lock);
	return now;
}

/* Counts what the peer says to TLS itself. */
int nr_tls_wire_init(struct nr_tls_wire *wire, int fd, bool in_pieces, SSL *ssl)
{
	BIO_METHOD *kind = method();
	BIO *bio = kind ? BIO_new(kind) : NULL;

	if (!bio)
		return -ENOMEM;
	*wire = (struct nr_tls_wire){.fd = fd, .in_pieces = in_pieces};
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	return 0;
}

void nr_tls_wire_fini(struct nr_tls_wire *wire)
{
	drop_room(wire);
}
