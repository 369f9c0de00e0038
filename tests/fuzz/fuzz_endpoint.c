/* SPDX-License-Identifier: MIT */
/*
 * Endpoints from any text: the two calls that read one agree, an error lies
 * within the text, and what was read is written in a way that reads the same.
 */
#include <string.h>

#include "fuzz.h"
#include "naru.h"
#include "net/addr.h"
#include "net/endpoint.h"
#include "net/transport.h"

static void check_error(const char *text, const struct nr_endpoint_error *error)
{
	char why[8], whole[8192], place[32];

	MUST(error->place >= 1 && error->place <= strlen(text) + 1);
	MUST(error->reason && error->reason[0]);
	MUST(naru_endpoint_check(text, whole, sizeof(whole)) ==
	     -NARU_EENDPOINT);
	snprintf(place, sizeof(place), "at byte %zu: ", error->place);
	MUST(strstr(whole, place) && strstr(whole, error->reason));
	MUST(naru_endpoint_check(text, why, sizeof(why)) == -NARU_EENDPOINT);
	MUST(strlen(why) < sizeof(why));
}

static void write_ip(const struct nr_endpoint *endpoint, char *buf, size_t size)
{
	const char *host = endpoint->host;

	if (endpoint->kind == NR_HOST_ALL)
		host = "*";
	else if (endpoint->kind == NR_HOST_LOCALHOST)
		host = "localhost";
	snprintf(buf, size, strchr(host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
	         endpoint->transport->name, host, endpoint->port);
}

static void check_ip(const struct nr_endpoint *endpoint)
{
	char text[NR_HOST_MAX + 32];
	struct nr_endpoint again;
	struct nr_endpoint_error error;

	MUST(endpoint->transport != &nr_transport_unix);
	MUST(endpoint->port <= 65535);
	write_ip(endpoint, text, sizeof(text));
	MUST(nr_endpoint_parse(text, &again, &error) == 0);
	MUST(again.transport == endpoint->transport);
	MUST(again.kind == endpoint->kind);
	MUST(again.port == endpoint->port);
	if (endpoint->kind == NR_HOST_NAME || endpoint->kind == NR_HOST_ADDRESS)
		MUST(strcmp(again.host, endpoint->host) == 0);
}

static void check_unix(const struct nr_endpoint *endpoint)
{
	char text[NARU_ADDR_TEXT];
	struct nr_endpoint again;
	struct nr_endpoint_error error;

	MUST(naru_addr_kind(&endpoint->local) == NARU_ADDR_UNIX);
	MUST(nr_addr_endpoint(&endpoint->local, "unix", text, sizeof(text)) >
	     5);
	/* Escapes are for logs; they are not read back. */
	if (strchr(text, '\\'))
		return;
	MUST(nr_endpoint_parse(text, &again, &error) == 0);
	MUST(nr_addr_equal(&again.local, &endpoint->local));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nr_endpoint_error error = {0, NULL};
	struct nr_endpoint endpoint;
	char *text = malloc(size + 1);

	MUST(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (nr_endpoint_parse(text, &endpoint, &error) < 0) {
		check_error(text, &error);
	} else {
		MUST(naru_endpoint_check(text, NULL, 0) == 0);
		if (endpoint.transport == &nr_transport_unix)
			check_unix(&endpoint);
		else
			check_ip(&endpoint);
	}
	free(text);
	return 0;
}
