/* SPDX-License-Identifier: MIT */
/* The table of models. */
#include "model/model.h"
#include "net/tls_context.h"
#include "os/os_process.h"

static const struct nr_model_ops *const models[] = {
	&nr_model_iterative, &nr_model_process, &nr_model_thread,
	&nr_model_prefork,   &nr_model_pool,    &nr_model_fiber,
};

const struct nr_model_ops *nr_model_find(enum naru_model id, bool isolated)
{
	if (id == NARU_MODEL_DEFAULT)
		id = NARU_FIBER;
	if (id == NARU_FIBER && isolated)
		return &nr_model_isolated;
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (models[i]->id == id)
			return models[i];
	return NULL;
}

const struct naru_model_info *naru_model_info(enum naru_model model)
{
	const struct nr_model_ops *ops = nr_model_find(model, false);

	return ops ? &ops->info : NULL;
}

pid_t nr_model_fork(const struct nr_host *host)
{
	pid_t pid;

	nr_tls_before_fork(host->tls);
	pid = nr_process_fork();
	nr_tls_after_fork(host->tls);
	return pid;
}

void nr_model_report_hand_over(const struct nr_host *host,
                               const struct nr_accepted *accepted, pid_t pid)
{
	nr_report(host->report,
	          &(struct naru_event){.kind = NARU_EVENT_HAND_OVER,
	                               .id = accepted->id,
	                               .peer = &accepted->peer,
	                               .fd = accepted->fd,
	                               .pid = pid});
}

void nr_model_report_lost(const struct nr_host *host,
                          const struct nr_accepted *accepted, pid_t pid,
                          int status)
{
	nr_report(host->report, &(struct naru_event){.kind = NARU_EVENT_LOST,
	                                             .id = accepted->id,
	                                             .peer = &accepted->peer,
	                                             .pid = pid,
	                                             .status = status});
}
