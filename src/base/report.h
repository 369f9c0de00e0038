/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_REPORT_H
#define NR_BASE_REPORT_H

/*
 * Whom to tell what happens. The library prints nothing: it calls the report
 * function that its user gave, if any.
 */

#include <stdbool.h>

#include "naru/event.h"

struct nr_report {
	naru_report *fn; /* or null: nobody listens */
	void *arg;
	bool calls; /* tell of each socket call as well */
};

static inline void nr_report(const struct nr_report *report,
                             const struct naru_event *event)
{
	if (report->fn)
		report->fn(event, report->arg);
}

#endif
