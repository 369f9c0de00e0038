/* SPDX-License-Identifier: MIT */
/* The options of TLS: see tls_options.h. */

#include "tls_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"

static const char *const names[] = {"cert", "key",        "ca", "verify",
                                    "alpn", "servername", "pin"};

bool nr_tool_tls_has(int c)
{
	return c >= NR_TOOL_OPTION_CERT && c <= NR_TOOL_OPTION_PIN;
}

/* --cert begins a pair, --key is the last one's. */
static bool set_certificate(struct nr_tool_tls *tls, const char *command,
                            const char *chain)
{
	if (tls->certificate_count == NR_TOOL_TLS_MAX) {
		nr_tool_say(command, "--%scert: there are more than %d",
		            tls->prefix, NR_TOOL_TLS_MAX);
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
		            "--%skey: '%s': it belongs to a --%scert, which "
		            "stands before it",
		            tls->prefix, key, tls->prefix);
		return false;
	}
	tls->certificates[tls->certificate_count - 1].key = key;
	return true;
}

static bool set_verify(struct nr_tool_tls *tls, const char *command,
                       const char *text)
{
	static const char *const words[] = {
		[NARU_TLS_NONE] = "none",
		[NARU_TLS_OPTIONAL] = "optional",
		[NARU_TLS_REQUIRED] = "required",
	};

	for (int i = NARU_TLS_NONE; i <= NARU_TLS_REQUIRED; i++) {
		if (strcmp(text, words[i]) == 0) {
			tls->tls.verify = (enum naru_tls_verify)i;
			return true;
		}
	}
	nr_tool_say(command,
	            "--%sverify: '%s': certificates are not verified so; "
	            "there are none, optional, required",
	            tls->prefix, text);
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
			            "--%salpn: names of 1 to 255 bytes, with "
			            "commas between them, %d at most",
			            tls->prefix, NR_TOOL_TLS_MAX);
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
	if (!tls->given)
		tls->given = names[c - NR_TOOL_OPTION_CERT];
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

const struct naru_tls *nr_tool_tls_end(struct nr_tool_tls *tls)
{
	tls->tls.size = sizeof(tls->tls);
	if (tls->certificate_count > 0) {
		tls->tls.certificate = tls->certificates[0];
		tls->tls.others = tls->certificates + 1;
		tls->tls.other_count = tls->certificate_count - 1;
	}
	return tls->given ? &tls->tls : NULL;
}

bool nr_tool_tls_is_meant(const char *const *endpoints)
{
	while (*endpoints)
		if (nr_tool_is_under(*endpoints++, "tls"))
			return true;
	return false;
}

bool nr_tool_tls_fits(const struct nr_tool_tls *tls, const char *command,
                      const char *of, const char *const *endpoints)
{
	if (!tls->given || nr_tool_tls_is_meant(endpoints))
		return true;
	nr_tool_say(command, "--%s%s: no endpoint%s is tls://", tls->prefix,
	            tls->given, of);
	return false;
}

int nr_tool_tls_check(const struct nr_tool_tls *tls, const char *command)
{
	char why[1024];
	int err = tls->given ? naru_tls_check(&tls->tls, why, sizeof(why)) : 0;

	if (err < 0)
		nr_tool_tls_say_wrong(tls, command, why, err);
	return err;
}

bool nr_tool_tls_is_wrong(const struct nr_tool_log *log)
{
	return strcmp(log->what, "read TLS") == 0;
}

/* Whether WHY is of the file at PATH. */
static bool is_of(const char *why, const char *path)
{
	size_t len = path ? strlen(path) : 0;

	return len > 0 && strncmp(why, path, len) == 0 &&
	       (why[len] == '\0' || why[len] == ':');
}

/* Which of the options WHY is of, or null; in RET_LACKS_KEY whether it is a
 * --cert whose key would be in a file of its own. */
static const char *option_of(const struct nr_tool_tls *tls, const char *why,
                             bool *ret_lacks_key)
{
	for (unsigned i = 0; i < tls->certificate_count; i++) {
		const struct naru_tls_certificate *one = &tls->certificates[i];

		*ret_lacks_key = !one->key && strstr(why, "no private key");
		if (is_of(why, one->chain))
			return "cert";
		*ret_lacks_key = false;
		if (is_of(why, one->key))
			return "key";
	}
	return is_of(why, tls->tls.ca) ? "ca" : NULL;
}

void nr_tool_tls_say_wrong(const struct nr_tool_tls *tls, const char *command,
                           const char *why, int err)
{
	bool is_said = err == -NARU_ETLS || err == -EINVAL, lacks_key = false;
	const char *option = option_of(tls, why, &lacks_key);
	char whose[32] = "", hint[64] = "";

	if (option)
		snprintf(whose, sizeof(whose), "--%s%s ", tls->prefix, option);
	else if (err == -EINVAL && tls->tls.pin)
		snprintf(whose, sizeof(whose), "--%spin: ", tls->prefix);
	if (lacks_key)
		snprintf(hint, sizeof(hint), "; give --%skey FILE",
		         tls->prefix);
	nr_tool_say(command, "%s%s%s%s%s", whose, why,
	            is_said || !*why ? "" : ": ",
	            is_said && *why ? "" : naru_strerror(err), hint);
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
