/* SPDX-License-Identifier: MIT */
/* What our error numbers mean: include/naru/error.h. */
#include "naru/error.h"

#include <limits.h>
#include <string.h>

static const struct {
	const char *name;
	const char *text;
} errors[] = {
	[NARU_ECUT - NARU_ECUT] = {"NARU_ECUT",
                                   "the stream was cut: it ended inside "
                                   "a message, or without TLS's close_notify"},
	[NARU_ETOOBIG -
		NARU_ECUT] = {"NARU_ETOOBIG", "the message is over the limit"},
	[NARU_EENDPOINT -
		NARU_ECUT] = {"NARU_EENDPOINT", "the endpoint cannot be read"},
	[NARU_ENONAME - NARU_ECUT] = {"NARU_ENONAME", "no such name"},
	[NARU_ERESOLVE - NARU_ECUT] = {"NARU_ERESOLVE",
                                       "the name cannot be resolved now"},
	[NARU_ESELF - NARU_ECUT] = {"NARU_ESELF",
                                    "the connection came back to itself"},
	[NARU_EFRAME - NARU_ECUT] = {"NARU_EFRAME",
                                     "what came is no message of the framing"},
	[NARU_EPROXY - NARU_ECUT] = {"NARU_EPROXY",
                                     "the PROXY header is missing or wrong"},
	[NARU_ETLS - NARU_ECUT] = {"NARU_ETLS", "TLS failed"},
	[NARU_ECERT - NARU_ECUT] = {"NARU_ECERT",
                                    "the peer's certificate is not trusted"},
};

static const int count = sizeof(errors) / sizeof(errors[0]);

/* Our own error's index, or -1. */
static int own_index(int err)
{
	return err >= NARU_ECUT && err < NARU_ECUT + count ? err - NARU_ECUT
	                                                   : -1;
}

static int positive(int err)
{
	return err < 0 && err != INT_MIN ? -err : err;
}

const char *naru_strerror(int err)
{
	int number = positive(err), own = own_index(number);
	const char *text;

	if (own >= 0)
		return errors[own].text;
	text = strerrordesc_np(number);
	return text ? text : "unknown error";
}

const char *naru_errname(int err)
{
	int number = positive(err), own = own_index(number);
	const char *name;

	if (own >= 0)
		return errors[own].name;
	name = strerrorname_np(number);
	return name ? name : "EUNKNOWN";
}

const char *naru_version(void)
{
	return NR_VERSION;
}
