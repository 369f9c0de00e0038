/* SPDX-License-Identifier: MIT */
/* Who speaks, how much, and how long things may take: naru/conv.h,
 * naru/bytes.h, naru/time.h. */
#include <errno.h>

#include "base/time.h"
#include "conv/conv.h"
#include "naru/bytes.h"
#include "naru/time.h"
#include "net/addr.h"
#include "os/os_socket.h"
#include "os/os_time.h"

const struct naru_addr *naru_peer(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? &conv->peer : &nr_addr_none;
}

const struct naru_addr *naru_local(struct naru_conv *conv)
{
	if (!nr_conv_is(conv))
		return &nr_addr_none;
	nr_mutex_lock(&conv->lock);
	if (!conv->local_known) {
		conv->local_known = true;
		if (nr_socket_local(conv->link.fd, &conv->local) < 0)
			conv->local = nr_addr_none;
	}
	nr_mutex_unlock(&conv->lock);
	return &conv->local;
}

uint64_t naru_id(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? conv->id : 0;
}

uint64_t naru_received(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? conv->in.total + conv->program_received : 0;
}

uint64_t naru_sent(struct naru_conv *conv)
{
	return nr_conv_is(conv) ? conv->out.total + conv->program_sent : 0;
}

int naru_peer_process(struct naru_conv *conv,
                      struct naru_peer_process *ret_process)
{
	if (!nr_conv_is(conv) || !ret_process)
		return -EINVAL;
	/* Of whom somebody else announced, the system knows nothing. */
	if (conv->via || naru_addr_kind(&conv->peer) != NARU_ADDR_UNIX)
		return -EOPNOTSUPP;
	return nr_socket_peer_process(conv->link.fd, &ret_process->pid,
	                              &ret_process->uid, &ret_process->gid);
}

int naru_set_timeout(struct naru_conv *conv, enum naru_timeout which,
                     int64_t ms)
{
	if (!nr_conv_is(conv) || (int)which < 0 || which >= NR_TIMEOUTS ||
	    ms < 0)
		return -EINVAL;
	atomic_store_explicit(&conv->timeouts[which], nr_ns_from_ms(ms),
	                      memory_order_relaxed);
	return 0;
}

int naru_set_deadline(struct naru_conv *conv, int64_t at_ms)
{
	if (!nr_conv_is(conv))
		return -EINVAL;
	atomic_store_explicit(&conv->deadline,
	                      at_ms < 0 ? 0 : nr_ns_from_ms(at_ms),
	                      memory_order_relaxed);
	return 0;
}

int64_t naru_now(void)
{
	return nr_now() / NR_NS_PER_MS;
}

int naru_sleep(int64_t ms)
{
	struct nr_strand *self = nr_strand_self();
	int64_t until;

	if (ms < 0)
		return -EINVAL;
	/* For no time, the others have their turn at once. */
	until = ms == 0 ? 0 : nr_time_add(nr_now(), nr_ns_from_ms(ms));
	/* What cannot be sent is told to whoever writes there next. */
	(void)nr_output_settle(self, NULL, until);
	return self->io->ops->sleep(self->io, until);
}

struct offloaded {
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static void run_offloaded(void *arg)
{
	struct offloaded *offloaded = arg;

	offloaded->result = offloaded->fn(offloaded->arg);
}

int naru_offload(int (*fn)(void *arg), void *arg)
{
	struct offloaded offloaded = {.fn = fn, .arg = arg};
	struct nr_strand *self = nr_strand_self();
	int err;

	if (!fn)
		return -EINVAL;
	(void)nr_output_settle(self, NULL, NR_NEVER);
	err = self->io->ops->sleep(self->io, 0);
	if (err == 0)
		err = self->ops->offload(self, run_offloaded, &offloaded);
	return err < 0 ? err : offloaded.result;
}

size_t naru_stack_used(size_t *ret_size)
{
	struct nr_strand *self = nr_strand_self();
	size_t size, used = self->ops->stack_used(self, &size);

	if (ret_size)
		*ret_size = size;
	return used;
}
