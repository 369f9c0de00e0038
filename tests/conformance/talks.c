/* SPDX-License-Identifier: MIT */
/*
 * Talks that more than one file of cases uses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

int talk_echo(struct naru_conv *conv, void *arg)
{
	char buf[8192];
	ssize_t got;
	int err;

	(void)arg;
	while ((got = naru_read(conv, buf, sizeof(buf))) > 0) {
		err = naru_write(conv, buf, (size_t)got);
		if (err < 0)
			return err;
	}
	return (int)got;
}

int talk_echo_lines(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		err = naru_send(conv, msg.data, msg.len);
		if (err < 0)
			break;
	}
	return err;
}

static int obey(struct naru_conv *conv, const struct naru_msg *msg)
{
	if (strcmp(msg->data, "pid") == 0)
		return naru_sendf(conv, "%ld", (long)getpid());
	if (strcmp(msg->data, "id") == 0)
		return naru_sendf(conv, "%llu",
		                  (unsigned long long)naru_id(conv));
	if (strncmp(msg->data, "step ", 5) == 0 &&
	    !await_step(atoi(msg->data + 5)))
		return -ETIME;
	return naru_send(conv, msg->data, msg->len);
}

int talk_obey(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	int err;

	(void)arg;
	while ((err = naru_recv(conv, &msg)) > 0) {
		err = obey(conv, &msg);
		if (err < 0)
			break;
	}
	return err;
}
