/* SPDX-License-Identifier: MIT */
/* Who called us: see os_caller.h. */
#include "os/os_caller.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#define DEPTH 32

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Whether a frame is this library's. In a program that is linked with the
 * static library, names are all that tells; where they are not known either,
 * the frame is taken for the program's. */
static int is_ours(const Dl_info *info, const Dl_info *own)
{
	Dl_info program;

	if (info->dli_fbase != own->dli_fbase)
		return 0;
	if (!dladdr((void *)getauxval(AT_ENTRY), &program) ||
	    program.dli_fbase != own->dli_fbase)
		return 1;
	return info->dli_sname && (strncmp(info->dli_sname, "nr_", 3) == 0 ||
	                           strncmp(info->dli_sname, "naru_", 5) == 0);
}

void nr_caller_prepare(void)
{
	void *frame;
	Dl_info own;

	(void)backtrace(&frame, 1);
	(void)dladdr((void *)(uintptr_t)nr_caller_prepare, &own);
}

void nr_caller_text(char ret_text[NR_CALLER_TEXT])
{
	void *frames[DEPTH];
	int count = backtrace(frames, DEPTH);
	Dl_info own, info;
	uintptr_t offset;

	(void)snprintf(ret_text, NR_CALLER_TEXT, "its end");
	if (!dladdr((void *)(uintptr_t)nr_caller_text, &own))
		return;
	for (int i = 0; i < count; i++) {
		/* The call, not what follows it. */
		char *at = (char *)frames[i] - 1;

		if (!dladdr(at, &info) || is_ours(&info, &own))
			continue;
		offset = (uintptr_t)at - (uintptr_t)(info.dli_sname
		                                             ? info.dli_saddr
		                                             : info.dli_fbase);
		(void)snprintf(ret_text, NR_CALLER_TEXT, "%s(%s+0x%jx)",
		               base_name(info.dli_fname),
		               info.dli_sname ? info.dli_sname : "",
		               (uintmax_t)offset);
		return;
	}
}
