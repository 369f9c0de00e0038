/* SPDX-License-Identifier: MIT */
/* The options of TLS: see tls_options.h. */

#include "tls_options.h"

#include <string.h>
bool nr_tool_tls_has(int c)
{
	return c >= NR_TOOL_OPTION_CERT && c <= NR_TOOL_OPTION_PIN;
}

/* --cert begins a pair, --key is the last one's. */
static bool set_certificate(struct nr_tool_tls *tls, const char *command,
                            const char *chain)
{
	if (tls->certificate_count == NR_TOOL_TLS_MAX) {
		nr_tool_say(command, "--cert: there are more than %d",
		            NR_TOOL_TLS_MAX);
		return false;
	}
	tls->certificates[tls->certificate_count++].chain = chain;
	return true;
}

static bool set_key(struct nr_tool_tls *tls, const char *command,
                    const char *key)
{
	if (tls->certificate_count == 0 ||
	    tls->certificates[tls->certificate_count - 1].key) {
		nr_tool_say(command,
		            "--key: '%s': it belongs to a --cert, which stands "
		            "before it",
		            key);
		return false;
	}
	tls->certificates[tls->certificate_count - 1].key = key;
	return true;
}

static bool set_verify(struct nr_tool_tls *tls, const char *command,
                       const char *text)
{
	static const char *const names[] = {
		[NARU_TLS_NONE] = "none",
		[NARU_TLS_OPTIONAL] = "optional",
		[NARU_TLS_REQUIRED] = "required",
	};

	for (int i = NARU_TLS_NONE; i <= NARU_TLS_REQUIRED; i++) {
		if (strcmp(text, names[i]) == 0) {
			tls->tls.verify = (enum naru_tls_verify)i;
			return true;
		}
	}
	nr_tool_say(command,
	            "--verify: '%s': certificates are not verified so; there "
	            "are none, optional, required",
	            text);
	return false;
}

/* "h2,http/1.1", cut in place. */
static bool set_alpn(struct nr_tool_tls *tls, const char *command, char *text)
{
	unsigned count = 0;

	while (text) {
		char *comma = strchr(text, ',');

		if (comma)
			*comma = '\0';
		if (!*text || strlen(text) > 255 || count == NR_TOOL_TLS_MAX) {
			nr_tool_say(command,
			            "--alpn: names of 1 to 255 bytes, with "
			            "commas between them, %d at most",
			            NR_TOOL_TLS_MAX);
			return false;
		}
		tls->alpn[count++] = text;
		text = comma ? comma + 1 : NULL;
	}
	tls->alpn[count] = NULL;
	tls->tls.alpn = tls->alpn;
	return true;
}

bool nr_tool_tls_set(struct nr_tool_tls *tls, const char *command, int c,
                     char *value)
{
	tls->given = true;
	switch (c) {
	case NR_TOOL_OPTION_CERT:
		return set_certificate(tls, command, value);
	case NR_TOOL_OPTION_KEY:
		return set_key(tls, command, value);
	case NR_TOOL_OPTION_CA:
		tls->tls.ca = value;
		return true;
	case NR_TOOL_OPTION_VERIFY:
		return set_verify(tls, command, value);
	case NR_TOOL_OPTION_ALPN:
		return set_alpn(tls, command, value);
	case NR_TOOL_OPTION_SERVERNAME:
		tls->tls.server_name = value;
		return true;
	default:
		tls->tls.pin = value;
		return true;
	}
}

void nr_tool_tls_end(struct nr_tool_tls *tls)
{
	tls->tls.size = sizeof(tls->tls);
	if (tls->certificate_count == 0)
		return;
	tls->tls.certificate = tls->certificates[0];
	tls->tls.others = tls->certificates + 1;
	tls->tls.other_count = tls->certificate_count - 1;
}

void nr_tool_tls_show(const struct nr_tool_log *log,
                      const struct naru_tls_info *info)
{
	if (!info)
		return;
	nr_tool_log(log, NR_TOOL_LOG_CALLS, "%s, cipher %s, protocol %s%s",
	            info->version, info->cipher,
	            info->alpn[0] ? info->alpn : "not named",
	            info->resumed ? ", an earlier session goes on" : "");
	if (info->server_name[0])
		nr_tool_log(log, NR_TOOL_LOG_CALLS, "asked for %s",
		            info->server_name);
	if (!info->subject[0] && !info->issuer[0])
		return;
	nr_tool_log(log, NR_TOOL_LOG_CALLS,
	            "the peer's certificate is of %s, %s", info->subject,
	            info->verified ? "verified" : "not verified");
	nr_tool_log(log, NR_TOOL_LOG_CALLS, "  issued by %s", info->issuer);
	nr_tool_log(log, NR_TOOL_LOG_CALLS, "  valid until %s", info->expires);
}
