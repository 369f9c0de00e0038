/* SPDX-License-Identifier: MIT */
/*
 * The wrappers: the linker leads every call of NAME in the library to
 * __wrap_NAME, which either fails or goes on to __real_NAME.
 */
#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_CALLS  50
#define WINDOW_NS     120000000
#define TRICKLE_BYTES 7

struct faults *faults;
bool faults_inside;
atomic_long faults_live, faults_crypto_live;

static bool is_forked;
static bool is_settled; /* has given up what was its parent's alone */
static long live_at_first;
static int descriptors_at_first;

#define FAULT_ROW(name, ...) [CALL_##name] = {#name, {__VA_ARGS__}},
const struct fault_kind fault_kinds[CALL_COUNT] = {FAULT_CALLS(FAULT_ROW)};

int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

bool faults_over(void)
{
	long long since = atomic_load(&faults->fired_ns);

	return atomic_load(&faults->in_window) >= WINDOW_CALLS ||
	       (since > 0 && clock_ns() - since > WINDOW_NS);
}

#define SETTLE_NS 2000000000

void faults_settle(long live)
{
	int64_t end = clock_ns() + SETTLE_NS;

	while (atomic_load(&faults_live) > live && clock_ns() < end)
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static int nth_error(enum fault_call call, int n)
{
	const int *errors = fault_kinds[call].errors;
	int count = 0;

	while (errors[count])
		count++;
	return count ? errors[n % count] : 0;
}

/* Whether this call of CALL is one that the plan wants to fail. */
static bool is_wanted(enum fault_call call, int number)
{
	const struct fault_plan *plan = &faults->plan;

	if (plan->mode == FAULT_ONCE)
		return number == plan->at &&
		       (call == CALL_crypto) == (plan->call == CALL_crypto);
	if (plan->mode != FAULT_WINDOW || plan->call != call ||
	    !atomic_load(&faults->armed) || faults_over())
		return false;
	atomic_fetch_add(&faults->in_window, 1);
	return true;
}

int faults_strike(enum fault_call call)
{
	int number, error;

	if (!faults_inside)
		return 0;
	if (is_forked && !is_settled) {
		is_settled = true;
		live_at_first = atomic_load(&faults_live);
	}
	number = 1 + atomic_fetch_add(call == CALL_crypto ? &faults->crypto
	                                                  : &faults->calls,
	                              1);
	if (!is_wanted(call, number))
		return 0;
	error = nth_error(call, faults->plan.variant);
	if (atomic_fetch_add(&faults->fired, 1) == 0) {
		atomic_store(&faults->fired_error, error);
		atomic_store(&faults->fired_call, (int)call);
		atomic_store(&faults->fired_ns, clock_ns());
	}
	return error;
}

/* The same for calls that fail with -1 and errno. */
static bool fails(enum fault_call call)
{
	int error = faults_strike(call);

	if (error)
		errno = error;
	return error != 0;
}

#define WRAP(type, name, params, args)                                         \
	type __real_##name params;                                             \
	type __wrap_##name params;                                             \
	type __wrap_##name params                                              \
	{                                                                      \
		return fails(CALL_##name) ? -1 : __real_##name args;           \
	}

/* Those that return their error. */
#define WRAP_DIRECT(name, params, args)                                        \
	int __real_##name params;                                              \
	int __wrap_##name params;                                              \
	int __wrap_##name params                                               \
	{                                                                      \
		int error = faults_strike(CALL_##name);                        \
                                                                               \
		return error ? error : __real_##name args;                     \
	}

WRAP(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     (fd, addr, len, flags))
WRAP(int, bind, (int fd, const struct sockaddr *addr, socklen_t len),
     (fd, addr, len))
WRAP(int, dup3, (int from, int to, int flags), (from, to, flags))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, epoll_wait,
     (int fd, struct epoll_event *events, int most, int timeout),
     (fd, events, most, timeout))
WRAP(int, eventfd, (unsigned value, int flags), (value, flags))
WRAP(ssize_t, getrandom, (void *buf, size_t len, unsigned flags),
     (buf, len, flags))
WRAP(int, getrlimit64, (int which, struct rlimit *limit), (which, limit))
WRAP(int, getsockname, (int fd, struct sockaddr *addr, socklen_t *len),
     (fd, addr, len))
WRAP(int, getsockopt,
     (int fd, int level, int name, void *value, socklen_t *len),
     (fd, level, name, value, len))
WRAP(int, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, lstat64, (const char *path, struct stat *found), (path, found))
WRAP(int, madvise, (void *memory, size_t size, int advice),
     (memory, size, advice))
WRAP(int, mincore, (void *memory, size_t size, unsigned char *pages),
     (memory, size, pages))
WRAP(int, mprotect, (void *memory, size_t size, int how), (memory, size, how))
WRAP(int, pipe2, (int ret_fds[2], int flags), (ret_fds, flags))
WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout),
     (fds, count, timeout))
WRAP(int, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout,
      const sigset_t *mask),
     (fds, count, timeout, mask))
WRAP(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
WRAP(int, setsockopt,
     (int fd, int level, int name, const void *value, socklen_t len),
     (fd, level, name, value, len))
WRAP(int, shutdown, (int fd, int how), (fd, how))
WRAP(int, socket, (int family, int type, int protocol),
     (family, type, protocol))
WRAP(int, socketpair, (int family, int type, int protocol, int *ret_fds),
     (family, type, protocol, ret_fds))
WRAP(ssize_t, splice,
     (int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
      unsigned flags),
     (from, from_at, to, to_at, len, flags))
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags))
WRAP(int, timerfd_gettime, (int fd, struct itimerspec *spec), (fd, spec))
WRAP(int, timerfd_settime,
     (int fd, int flags, const struct itimerspec *spec,
      struct itimerspec *before),
     (fd, flags, spec, before))
WRAP(int, unlink, (const char *path), (path))
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options),
     (pid, status, options))
WRAP(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len))
WRAP_DIRECT(posix_spawnp,
            (pid_t * pid, const char *file,
             const posix_spawn_file_actions_t *actions,
             const posix_spawnattr_t *attr, char *const argv[],
             char *const env[]),
            (pid, file, actions, attr, argv, env))
WRAP_DIRECT(pthread_create,
            (pthread_t * thread, const pthread_attr_t *attr,
             void *(*fn)(void *), void *arg),
            (thread, attr, fn, arg))

/* What a resolver takes that waits for a slow server. */
#define SLOW_MS 20

int __real_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **found)
{
	int error = faults_strike(CALL_getaddrinfo);

	if (error)
		return error;
	if (strcmp(host, FAULT_NAME) != 0)
		return __real_getaddrinfo(host, service, hints, found);
	if (hints->ai_family == AF_UNSPEC)
		(void)__real_poll(NULL, 0, SLOW_MS);
	return __real_getaddrinfo(NULL, "1", hints, found);
}

/* An interrupted connect goes on in the kernel. */
int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int error = faults_strike(CALL_connect);

	if (error && error != EINTR) {
		errno = error;
		return -1;
	}
	if (__real_connect(fd, addr, len) < 0)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

/* How each descriptor is watched by edges, so that one can be made. */
#define EDGES_MAX 1024
static struct {
	int watch;
	struct epoll_event event;
} edges[EDGES_MAX];

/* The kernel never fails to watch something no more. */
int __real_epoll_ctl(int watch, int what, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int watch, int what, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int watch, int what, int fd, struct epoll_event *event)
{
	if (what != EPOLL_CTL_DEL && fails(CALL_epoll_ctl))
		return -1;
	if (what == EPOLL_CTL_ADD && event->events & EPOLLET &&
	    fd < EDGES_MAX) {
		edges[fd].watch = watch;
		edges[fd].event = *event;
	}
	return __real_epoll_ctl(watch, what, fd, event);
}

/* FD was said to have nothing more, or no room: as that is not so, the kernel
 * would tell of the change. Harmless for what is not watched any more. */
static void make_edge(int fd)
{
	int error = errno;

	if (fd < EDGES_MAX && edges[fd].watch > 0)
		(void)__real_epoll_ctl(edges[fd].watch, EPOLL_CTL_MOD, fd,
		                       &edges[fd].event);
	errno = error;
}

int __real_fcntl64(int fd, int what, ...);
int __wrap_fcntl64(int fd, int what, ...);
int __wrap_fcntl64(int fd, int what, ...)
{
	va_list args;
	long arg;

	va_start(args, what);
	arg = va_arg(args, long);
	va_end(args);
	return fails(CALL_fcntl64) ? -1 : __real_fcntl64(fd, what, arg);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	return fails(CALL_open64) ? -1 : __real_open64(path, flags);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	va_list args;
	long first, second;

	va_start(args, number);
	first = va_arg(args, int);
	second = va_arg(args, int);
	va_end(args);
	return fails(CALL_syscall) ? -1 : __real_syscall(number, first, second);
}

size_t faults_trickle(size_t len)
{
	bool wanted = faults_inside && faults->plan.mode == FAULT_TRICKLE;

	return wanted && len > TRICKLE_BYTES ? TRICKLE_BYTES : len;
}

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	ssize_t got =
		fails(CALL_recv)
			? -1
			: __real_recv(fd, buf, faults_trickle(len), flags);

	if (got < 0 ? errno == EAGAIN : faults_trickle(len) < len)
		make_edge(fd);
	return got;
}

/* Messages between processes keep their length. */
static bool is_stream(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM;
}

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	ssize_t sent =
		fails(CALL_send)
			? -1
			: __real_send(fd, data, faults_trickle(len), flags);

	if (sent < 0 ? errno == EAGAIN : faults_trickle(len) < len)
		make_edge(fd);
	return sent;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);

/* A few bytes of the first piece. */
static ssize_t send_little(int fd, const struct msghdr *message, int flags)
{
	struct msghdr less = *message;
	struct iovec first = message->msg_iov[0];

	first.iov_len = faults_trickle(first.iov_len);
	less.msg_iov = &first;
	less.msg_iovlen = 1;
	return __real_sendmsg(fd, &less, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	bool little = faults_trickle(SIZE_MAX) < SIZE_MAX && is_stream(fd);
	ssize_t sent;

	if (fails(CALL_sendmsg))
		sent = -1;
	else if (little)
		sent = send_little(fd, message, flags);
	else
		return __real_sendmsg(fd, message, flags);
	if (sent >= 0 || errno == EAGAIN)
		make_edge(fd);
	return sent;
}

/* What waited still does. */
int __real_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout)
{
	if (!fails(CALL_recvmmsg))
		return __real_recvmmsg(fd, messages, count, flags, timeout);
	if (errno == EAGAIN)
		make_edge(fd);
	return -1;
}

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count,
                    int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count,
                    int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (!fails(CALL_sendmmsg))
		return __real_sendmmsg(fd, messages, count, flags);
	if (errno == EAGAIN)
		make_edge(fd);
	return -1;
}

static void strip(struct msghdr *message)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	int fd;

	if (!head || head->cmsg_type != SCM_RIGHTS)
		return;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	close(fd);
	message->msg_controllen = 0;
	message->msg_flags |= MSG_CTRUNC;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	int error = faults_strike(CALL_recvmsg);
	ssize_t got;

	/* A worker waits for its next conversation: from the first time on
	 * nothing of the one before may be left. */
	if (is_forked && descriptors_at_first == 0 && !(flags & MSG_ERRQUEUE))
		descriptors_at_first = count_descriptors();
	if (error && error != FAULT_STRIPPED) {
		errno = error;
		return -1;
	}
	got = __real_recvmsg(fd, message, flags);
	if (error && got > 0)
		strip(message);
	return got;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	pid_t pid = fails(CALL_fork) ? -1 : __real_fork();

	if (pid == 0 && faults_inside) {
		is_forked = true;
		is_settled = false;
		descriptors_at_first = 0;
	}
	return pid;
}

/* A forked process ends: what has it not given back? */
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status)
{
	if (is_settled)
		faults_settle(live_at_first);
	/* It may have freed what its parent allocated for it. */
	if (is_settled && atomic_load(&faults_live) > live_at_first)
		atomic_fetch_add(&faults->leaks, 1);
	if (is_forked && descriptors_at_first > 0 &&
	    count_descriptors() != descriptors_at_first)
		atomic_fetch_add(&faults->descriptors, 1);
	__real__exit(status);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	void *piece = fails(CALL_malloc) ? NULL : __real_malloc(size);

	if (piece)
		atomic_fetch_add(&faults_live, 1);
	return piece;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	void *piece = fails(CALL_calloc) ? NULL : __real_calloc(count, size);

	if (piece)
		atomic_fetch_add(&faults_live, 1);
	return piece;
}

void *__real_realloc(void *piece, size_t size);
void *__wrap_realloc(void *piece, size_t size);
void *__wrap_realloc(void *piece, size_t size)
{
	void *next = fails(CALL_realloc) ? NULL : __real_realloc(piece, size);

	if (next && !piece)
		atomic_fetch_add(&faults_live, 1);
	return next;
}

void __real_free(void *piece);
void __wrap_free(void *piece);
void __wrap_free(void *piece)
{
	if (piece)
		atomic_fetch_sub(&faults_live, 1);
	__real_free(piece);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
	void *piece =
		size == 0 || fails(CALL_crypto) ? NULL : __real_malloc(size);

	(void)file;
	(void)line;
	if (piece)
		atomic_fetch_add(&faults_crypto_live, 1);
	return piece;
}

static void crypto_free(void *piece, const char *file, int line)
{
	(void)file;
	(void)line;
	if (piece)
		atomic_fetch_sub(&faults_crypto_live, 1);
	__real_free(piece);
}

static void *crypto_realloc(void *piece, size_t size, const char *file,
                            int line)
{
	if (!piece)
		return crypto_malloc(size, file, line);
	if (size > 0)
		return fails(CALL_crypto) ? NULL : __real_realloc(piece, size);
	crypto_free(piece, file, line);
	return NULL;
}

void faults_take_crypto(void)
{
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc,
	                             crypto_free) != 1)
		abort();
}

void *__real_mmap64(void *at, size_t size, int how, int flags, int fd,
                    off_t offset);
void *__wrap_mmap64(void *at, size_t size, int how, int flags, int fd,
                    off_t offset);
void *__wrap_mmap64(void *at, size_t size, int how, int flags, int fd,
                    off_t offset)
{
	void *memory = fails(CALL_mmap64) ? MAP_FAILED
	                                  : __real_mmap64(at, size, how, flags,
	                                                  fd, offset);

	if (memory != MAP_FAILED)
		atomic_fetch_add(&faults_live, 1);
	return memory;
}

int __real_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size)
{
	atomic_fetch_sub(&faults_live, 1);
	return __real_munmap(memory, size);
}
