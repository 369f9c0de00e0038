/* SPDX-License-Identifier: MIT */
/* All framings, and what holds for each of them: see frame.h. */
#include <errno.h>

#include "base/options.h"
#include "frame/frame.h"

static const struct nr_frame_ops *const all[] = {
	&nr_frame_lines, &nr_frame_delimited,  &nr_frame_length,
	&nr_frame_fixed, &nr_frame_netstrings, &nr_frame_custom,
};

static const struct nr_frame_ops *find(enum naru_framing_kind kind)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->kind == kind)
			return all[i];
	return NULL;
}

/* Whether GIVEN says something that its kind has no use for: whoever wrote it
 * meant another kind. */
static bool is_at_odds(const struct naru_framing *given)
{
	enum naru_framing_kind kind = given->kind;

	return (kind != NARU_LINES && given->line_end) ||
	       (kind != NARU_DELIMITED &&
	        (given->delimiter || given->delimiter_len)) ||
	       (kind != NARU_LENGTH_PREFIXED &&
	        (given->length || given->length_offset ||
	         given->length_counts_header || given->keep_header)) ||
	       (kind != NARU_CUSTOM && (given->scan || given->scan_arg));
}

/* The delimiter, which is copied here and looked at there. */
static int take_delimiter(struct nr_framing *framing,
                          const struct naru_framing *given)
{
	if (given->kind != NARU_DELIMITED)
		return 0;
	if (!given->delimiter || given->delimiter_len == 0 ||
	    given->delimiter_len > NARU_DELIMITER_MAX)
		return -EINVAL;
	framing->delimiter_len = (unsigned char)given->delimiter_len;
	for (size_t i = 0; i < given->delimiter_len; i++)
		framing->delimiter[i] = given->delimiter[i];
	return 0;
}

int nr_framing_take(struct nr_framing *ret_framing,
                    const struct naru_framing *given, size_t default_limit)
{
	struct naru_framing own;
	struct nr_framing framing;
	int err = nr_options_take(&own, sizeof(own), given);

	if (err < 0)
		return err;
	/* The size of messages that all have the same one is no default. */
	if (own.limit == 0 && own.kind != NARU_FIXED_SIZE)
		own.limit = default_limit;
	framing = (struct nr_framing){
		.limit = own.limit,
		.counts_header = own.length_counts_header != 0,
		.keep_header = own.keep_header || own.length_offset > 0,
		.kind = own.kind,
		.ops = find(own.kind),
		.line_end = own.line_end,
		.length = own.length,
		.length_offset = own.length_offset,
		.scan = own.scan,
		.scan_arg = own.scan_arg,
	};
	if (!framing.ops || is_at_odds(&own) || own.limit == 0 ||
	    own.limit > NARU_MESSAGE_MAX)
		return -EINVAL;
	err = take_delimiter(&framing, &own);
	if (err == 0)
		err = framing.ops->prepare(&framing);
	if (err == 0)
		*ret_framing = framing;
	return err;
}

void nr_framing_give(const struct nr_framing *framing,
                     struct naru_framing *ret_given)
{
	bool delimited = framing->kind == NARU_DELIMITED;

	*ret_given = (struct naru_framing){
		.size = sizeof(*ret_given),
		.kind = framing->kind,
		.line_end = framing->line_end,
		.limit = framing->limit,
		.delimiter = delimited ? framing->delimiter : NULL,
		.delimiter_len = framing->delimiter_len,
		.length = framing->length,
		.length_offset = framing->length_offset,
		.length_counts_header = framing->counts_header,
		.keep_header = framing->keep_header,
		.scan = framing->scan,
		.scan_arg = framing->scan_arg,
	};
}
