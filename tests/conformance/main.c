/* SPDX-License-Identifier: MIT */
/*
 * conformance MODEL TRANSPORT [PATTERN]: runs the suite over one pair, or
 * those of its cases whose name fits a pattern with * and ?. With
 * CONFORMANCE_WITHOUT_LOAD in the environment, all but the cases of load.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

#define CASES_MAX 200

static const struct conformance_list *const lists[] = {
	&datagrams_list, &drains_list,  &bytes_list,   &messages_list,
	&framings_list,  &time_list,    &late_list,    &ends_list,
	&breaks_list,    &backlog_list, &strands_list, &relays_list,
	&cancel_list,    &chat_list,    &who_list,     &life_list,
	&isolated_list,  &sharing_list, &program_list, &announced_list,
	&load_list,
};

/* Cases that make no sense over TLS, and why. */
static const struct {
	const char *name, *why;
} not_over_tls[] = {
	{"test_stuck_conversation_holds_up_no_other",
         "it dials somebody who never answers: there is no handshake"},
	{"test_stop_cancels_a_strand_that_ends_with_output",
         "it dials somebody who never answers: there is no handshake"},
	{"test_addresses_are_those_that_the_peer_sees",
         "the client sees its bridge's addresses; they are TCP's"},
	{"test_peer_of_a_bound_client_has_its_name",
         "the client binds by itself, without TLS; names are TCP's"},
	{"test_dial_of_any_address_tells_who_answered",
         "it dials an address that no certificate is made out to"},
	{"test_local_address_is_right_for_all_who_ask",
         "its listener is TCP's own"},
	{"test_ten_thousand_in_turn",
         "it would measure how fast the test starts bridges"},
};

static int first_free; /* the lowest descriptor that tests may open */

static int begin_case(void **state)
{
	(void)state;
	shared_clear();
	return 0;
}

/* A case that failed has not tidied up: its servers, clients and sockets go
 * before the next. */
static int end_case(void **state)
{
	(void)state;
	server_kill_all();
	close_range((unsigned)first_free, ~0U, 0);
	place_clean();
	return 0;
}

/* Whether a case is left out here; then it says so. */
static bool is_left_out(const char *name)
{
	size_t i;

	if (place.transport != TRANSPORT_TLS)
		return false;
	for (i = 0; i < COUNT(not_over_tls); i++) {
		if (strcmp(not_over_tls[i].name, name) == 0) {
			printf("# %s is skipped: %s\n", name,
			       not_over_tls[i].why);
			return true;
		}
	}
	return false;
}

static size_t collect(struct CMUnitTest *to)
{
	unsigned here = place.isolated ? MODEL_ISOLATED : MODEL(place.model);
	size_t i, k, count = 0, last = COUNT(lists);

	/* Where every instruction is watched, load takes minutes. */
	if (getenv("CONFORMANCE_WITHOUT_LOAD"))
		last--;
	for (i = 0; i < last; i++) {
		for (k = 0; k < lists[i]->count; k++) {
			const struct conformance_case *one =
				&lists[i]->cases[k];

			if (!(one->models & here) ||
			    !(one->transports & TRANSPORT(place.transport)) ||
			    is_left_out(one->name))
				continue;
			if (count == CASES_MAX)
				abort();
			to[count].name = one->name;
			to[count].test_func = one->run;
			to[count].setup_func = begin_case;
			to[count].teardown_func = end_case;
			count++;
		}
	}
	return count;
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[CASES_MAX];
	size_t count;
	int failed;

	if (argc < 3 || argc > 4 || !place_set(argv[1], argv[2])) {
		fprintf(stderr,
		        "usage: conformance MODEL tcp4|tcp6|unix|tls|udp "
		        "[PATTERN]\n");
		return 2;
	}
	if (!place_exists()) {
		place_leave();
		/* Meson wants success beside a plan that skips all. */
		printf("1..0 # SKIP this machine has no ::1\n");
		return 0;
	}
	if (argc == 4)
		cmocka_set_test_filter(argv[3]);
	shared_open();
	first_free = dup(STDERR_FILENO);
	close(first_free);
	count = collect(tests);
	failed = _cmocka_run_group_tests("conformance", tests, count, NULL,
	                                 NULL);
	place_leave();
	return failed > 0;
}
