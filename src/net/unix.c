/* SPDX-License-Identifier: MIT */
/*
 * Unix-domain stream sockets (unix(7)).
 *
 * The file of a server that was killed stays behind, and nobody can bind to
 * its name. It is replaced only where nobody answers on it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/addr.h"
#include "net/stream.h"
#include "net/trace.h"
#include "net/transport.h"
#include "os/os_file.h"
#include "os/os_socket.h"

/* Whether somebody answers on ADDR; -errno where that cannot be found out. A
 * full backlog is an answer too. */
static int is_answered(const struct naru_addr *addr)
{
	int fd = nr_socket_open(AF_UNIX), err;

	if (fd < 0)
		return fd;
	err = nr_socket_connect(fd, addr);
	nr_file_close(fd);
	if (err == 0 || err == -EAGAIN || err == -EINPROGRESS)
		return 1;
	return err == -ECONNREFUSED ? 0 : err;
}

/*
 * Keeps two servers that start at the same time from taking each other's
 * file, which nobody answers on between bind() and listen(), for a dead one:
 * whoever makes a listener of PATH holds an abstract name meanwhile, made of
 * the directory and the file's name, which vanishes with its holder. Returns a
 * descriptor, or -EADDRINUSE.
 */
static int lock_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 2];
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	struct nr_file_id dir;
	struct naru_addr addr;
	int fd, err, len;

	(void)snprintf(name, sizeof(name), "%.*s.",
	               slash ? (int)(slash - path) + 1 : 0, path);
	err = nr_file_identify(name, &dir);
	if (err < 0)
		return err;
	for (const char *at = slash ? slash + 1 : path; *at; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	len = snprintf(name, sizeof(name), "naru-listen-%llx-%llx-%llx",
	               (unsigned long long)dir.device,
	               (unsigned long long)dir.inode, (unsigned long long)hash);
	if (!nr_addr_unix(name, (size_t)len, true, &addr))
		return -EINVAL;
	fd = nr_socket_open(AF_UNIX);
	if (fd < 0)
		return fd;
	err = nr_socket_bind(fd, &addr);
	if (err < 0)
		nr_file_close(fd);
	return err < 0 ? err : fd;
}

/* Binds FD to ADDR, whose file exists, where nobody answers on it. */
static int bind_in_place(int fd, const struct naru_addr *addr,
                         const struct nr_report *report)
{
	const char *path = nr_addr_path(addr);
	struct nr_file_id id, id_now;
	int answered, err = -EADDRINUSE;

	if (!path || nr_file_identify(path, &id) < 0)
		return -EADDRINUSE;
	if (!id.is_socket)
		return -EEXIST;
	answered = is_answered(addr);
	if (answered == 0 && nr_file_identify(path, &id_now) == 0 &&
	    id_now.device == id.device && id_now.inode == id.inode)
		err = nr_file_remove(path);
	return err == 0 ? nr_stream_bind(fd, addr, report) : err;
}

static int bind_and_listen(int fd, const struct naru_addr *addr,
                           const struct nr_listen *options)
{
	int err = nr_stream_bind(fd, addr, options->report);

	if (err == -EADDRINUSE)
		err = bind_in_place(fd, addr, options->report);
	if (err < 0)
		return err;
	err = nr_stream_listen(fd, options);
	if (err < 0 && nr_addr_path(addr))
		(void)nr_file_remove(nr_addr_path(addr));
	return err;
}

static int unix_listen(const struct naru_addr *addr,
                       const struct nr_listen *options)
{
	const char *path = nr_addr_path(addr);
	int lock = -1, fd, err;

	if (path) {
		lock = lock_path(path);
		if (lock < 0)
			return lock;
	}
	err = fd = nr_stream_open(addr, options->report);
	if (fd >= 0)
		err = bind_and_listen(fd, addr, options);
	if (fd >= 0 && err < 0)
		nr_trace_close(options->report, fd, 0, NULL);
	nr_file_close(lock);
	return err < 0 ? err : fd;
}

static int unix_open(const struct naru_addr *addr,
                     const struct naru_addr *source,
                     const struct nr_report *report)
{
	/* A unix socket's own name is of no use to its peer. */
	return source ? -EINVAL : nr_stream_open(addr, report);
}

const struct nr_transport nr_transport_unix = {
	.name = "unix",
	.link = &nr_stream_link,
	.in_pieces = true,
	.listen = unix_listen,
	.open = unix_open,
};
