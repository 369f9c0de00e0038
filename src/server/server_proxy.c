/* SPDX-License-Identifier: MIT */
/* Who sends PROXY headers to a server: naru_options.proxy and .proxy_from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "conv/opening_proxy.h"
#include "server/server.h"

/* As much of a list as a text of what is wrong with it repeats. */
#define QUOTED_MAX 200

static int wrong(const struct naru_server *server, const char *text)
{
	nr_report(&server->settings.report,
	          &(struct naru_event){.kind = NARU_EVENT_ERROR,
	                               .call = "read proxy_from",
	                               .text = text,
	                               .result = -EINVAL});
	return -EINVAL;
}

static int wrong_list(const struct naru_server *server, const char *list,
                      const struct nr_networks_error *error)
{
	char quoted[4 * QUOTED_MAX + 1], text[sizeof(quoted) + 128];
	size_t len = strlen(list);
	bool cut = len > QUOTED_MAX;

	(void)nr_escape(list, cut ? QUOTED_MAX : len, quoted, sizeof(quoted));
	(void)snprintf(text, sizeof(text), "\"%s%s\": at byte %zu: %s", quoted,
	               cut ? "..." : "", error->place, error->reason);
	return wrong(server, text);
}

/* Keeps the list: its caller's may be gone when somebody asks for it. */
static int take_list(struct naru_server *server, const char *list)
{
	struct naru_options *options = &server->options;
	size_t size = list ? strlen(list) + 1 : 0;
	struct nr_networks_error error;
	struct nr_proxies *proxies = calloc(1, sizeof(*proxies) + size);

	if (!proxies)
		return -ENOMEM;
	server->settings.proxies = proxies;
	proxies->required = options->proxy == NARU_PROXY_REQUIRED;
	if (!list)
		return 0;
	proxies->listed = true;
	memcpy(proxies->text, list, size);
	options->proxy_from = proxies->text;
	if (nr_networks_read(list, &proxies->from, &error) < 0)
		return wrong_list(server, list, &error);
	return 0;
}

int nr_server_take_proxies(struct naru_server *server)
{
	const struct naru_options *options = &server->options;

	switch (options->proxy) {
	case NARU_PROXY_NONE:
		return options->proxy_from
		               ? wrong(server, "a list of networks without "
		                               "NARU_PROXY_REQUIRED or "
		                               "NARU_PROXY_ALLOWED")
		               : 0;
	case NARU_PROXY_REQUIRED:
		return take_list(server, options->proxy_from);
	case NARU_PROXY_ALLOWED:
		return options->proxy_from
		               ? take_list(server, options->proxy_from)
		               : wrong(server,
		                       "NARU_PROXY_ALLOWED needs a list of "
		                       "networks: nobody could tell a header "
		                       "from what a client says");
	}
	return -EINVAL;
}

bool nr_server_expects_headers_over_ip(const struct naru_server *server)
{
	const struct nr_proxies *proxies = server->settings.proxies;

	return proxies &&
	       (proxies->required || !proxies->listed ||
	        nr_networks_have_kind(&proxies->from, NARU_ADDR_IPV4) ||
	        nr_networks_have_kind(&proxies->from, NARU_ADDR_IPV6));
}

void nr_server_free_proxies(struct naru_server *server)
{
	free(server->settings.proxies);
	server->settings.proxies = NULL;
}
