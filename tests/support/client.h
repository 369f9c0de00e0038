/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CLIENT_H
#define TESTS_CLIENT_H

/*
 * A client of plain blocking sockets, which shares no code with the library
 * that it tests. Each call fails the test where it cannot do its work in
 * time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Connects to "tcp://ADDRESS:PORT", "unix:PATH" or "udp://ADDRESS:PORT". */
int client_connect(const char *endpoint);
/* The same with a receive buffer as small as the system allows. */
int client_connect_small(const char *endpoint);
/* Returns a descriptor or a negated error number. */
int client_try(const char *endpoint);
/* Listens at a new endpoint of the place, for talks that dial; writes the
 * endpoint. What comes is taken with client_accept(). */
int client_listen(char *endpoint, size_t size);
int client_accept(int listener);
/* Fills TO with the address that ENDPOINT names. */
socklen_t client_address(const char *endpoint, struct sockaddr_storage *to);

void client_send(int fd, const void *data, size_t len);
void client_say(int fd, const char *text);
void client_send_pattern(int fd, size_t from, size_t len);
/* Receives as many bytes as are asked for, and compares them. */
void client_expect(int fd, const char *text);
void client_expect_bytes(int fd, const void *data, size_t len);
void client_expect_pattern(int fd, size_t from, size_t len);
void client_expect_letters(int fd, size_t from, size_t len);
/* Receives up to and with the next LF, which it takes off. */
void client_line(int fd, char *buf, size_t size);
/* The peer has finished, and nothing came before. */
void client_expect_end(int fd);
/* The peer has finished or broken off, whatever came before. */
void client_expect_gone(int fd);
/* The peer has broken off, whatever came before; a unix socket may not tell. */
void client_expect_reset(int fd);
/* Receives LEN bytes, whatever they are. */
void client_skip(int fd, size_t len);
/* Whether something comes within MS milliseconds; an end counts. */
bool client_hears(int fd, int ms);

/* Sends OUT bytes of the pattern and receives IN, both at the same time. */
void client_exchange(int fd, size_t out, size_t in);

void client_finish(int fd);
/* Breaks off, when something has come that is not read: a unix socket resets
 * for no other reason. */
void client_reset(int fd);

#endif
