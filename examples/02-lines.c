/* SPDX-License-Identifier: MIT */
/*
 * 02: a line protocol. An adding machine with a total for each client:
 *
 *     02-lines [ENDPOINT]              ncat localhost 1060
 *     ADD 40                           40
 *     ADD 2                            42
 *     QUIT                             bye
 *
 * The total is a local variable: the state of a conversation is where its
 * talk stands and what its variables hold. The peer is not trusted: lines
 * have a limit, numbers have a range, and a line may hold any byte.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <naru.h>

#define NUMBER_MAX 1000000000

/* The peer's line is WORD and a number, and ends with the number. */
static bool read_number(const struct naru_msg *line, const char *word,
                        long *ret_number)
{
	const char *digits = line->data + strlen(word);
	char *end;
	long number;

	if (strncmp(line->data, word, strlen(word)) != 0)
		return false;
	number = strtol(digits, &end, 10);
	if (end == digits || end != line->data + line->len)
		return false;
	if (number < -NUMBER_MAX || number > NUMBER_MAX)
		return false;
	*ret_number = number;
	return true;
}

static int adding_machine(struct naru_conv *conv, void *arg)
{
	struct naru_msg msg;
	long number;
	long total = 0;
	int err;

	(void)arg;
	err = naru_set_framing(conv,
	                       NARU_FRAMING(.kind = NARU_LINES, .limit = 100));
	if (err < 0)
		return err;
	while ((err = naru_recv(conv, &msg)) > 0) {
		if (strcmp(msg.data, "QUIT") == 0)
			return naru_sendf(conv, "bye");
		if (!read_number(&msg, "ADD ", &number))
			err = naru_sendf(conv, "error: ADD NUMBER, or QUIT");
		else
			err = naru_sendf(conv, "%ld", total += number);
		if (err < 0)
			return err;
	}
	/* The peer hears why; if it cannot, the first error still counts. */
	if (err < 0 && naru_sendf(conv, "error: %s", naru_strerror(err)) < 0)
		return err;
	return err;
}

static void tell(const struct naru_event *event, void *arg)
{
	char text[NARU_ADDR_TEXT];

	(void)arg;
	if (event->kind == NARU_EVENT_LISTEN &&
	    naru_addr_format(event->local, text, sizeof(text)) >= 0)
		fprintf(stderr, "listening on %s\n", text);
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:1060";
	int err = naru_serve(endpoint, adding_machine, NULL,
	                     NARU_OPTIONS(.report = tell));

	fprintf(stderr, "02-lines: %s: %s\n", endpoint, naru_strerror(err));
	return 1;
}
