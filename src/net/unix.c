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
 * Keeps two servers that start at the same time from replacing each other's
 * sockets: whoever replaces the file ID holds an abstract name meanwhile,
 * which vanishes with its holder. Returns a descriptor, or -EADDRINUSE.
 */
static int lock_replacement(const struct nr_file_id *id)
{
	struct naru_addr addr;
	char name[64];
	int fd, err;
	int len = snprintf(name, sizeof(name), "naru-replace-%llx-%llx",
	                   (unsigned long long)id->device,
	                   (unsigned long long)id->inode);

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
	int lock, answered, err;

	if (!path || nr_file_identify(path, &id) < 0 || !id.is_socket)
		return -EADDRINUSE;
	lock = lock_replacement(&id);
	if (lock < 0)
		return lock;
	err = -EADDRINUSE;
	answered = is_answered(addr);
	if (answered == 0 && nr_file_identify(path, &id_now) == 0 &&
	    id_now.device == id.device && id_now.inode == id.inode)
		err = nr_file_remove(path);
	if (err == 0)
		err = nr_stream_bind(fd, addr, report);
	nr_file_close(lock);
	return err;
}

static int unix_listen(const struct naru_addr *addr,
                       const struct nr_listen *options)
{
	int fd = nr_stream_open(addr, options->report), err;

	if (fd < 0)
		return fd;
	err = nr_stream_bind(fd, addr, options->report);
	if (err == -EADDRINUSE)
		err = bind_in_place(fd, addr, options->report);
	if (err == 0) {
		err = nr_stream_listen(fd, options);
		if (err < 0 && nr_addr_path(addr))
			(void)nr_file_remove(nr_addr_path(addr));
	}
	if (err < 0)
		nr_trace_close(options->report, fd, 0, NULL);
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
	.listen = unix_listen,
	.open = unix_open,
};
