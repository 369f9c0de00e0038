/* SPDX-License-Identifier: MIT */
/* What naru serve's options can mean for a relay: that depends on how its two
 * sides carry bytes. */

#include "serve.h"

#define NAME NR_TOOL_SERVE_NAME

/* Whether one of relay's endpoints is over UDP, or over something else. */
static bool has_target(const struct nr_tool_talk_arg *arg, bool udp)
{
	for (unsigned i = 0; arg->targets[i]; i++)
		if (nr_tool_is_under(arg->targets[i], "udp") == udp)
			return true;
	return false;
}

bool nr_tool_serve_can_announce(const struct nr_tool_serving *serve)
{
	if (!serve->arg.announce)
		return true;
	if (!serve->talk->has_target) {
		nr_tool_say(NAME, "--announce: this is for the talk relay");
		return false;
	}
	if (!has_target(&serve->arg, true))
		return true;
	nr_tool_say(NAME,
	            "--announce: '%s': PROXY headers stand before a "
	            "stream, which UDP is not",
	            serve->arg.target);
	return false;
}

bool nr_tool_serve_has_messages(const struct nr_tool_serving *serve,
                                const char *option)
{
	if (!serve->talk->run_messages) {
		nr_tool_say(NAME,
		            "%s: %s does not talk in messages; echo, ack, "
		            "discard and daytime do",
		            option, serve->talk->name);
		return false;
	}
	if (!serve->talk->has_target ||
	    nr_tool_is_under(serve->endpoint, "udp") ||
	    !has_target(&serve->arg, false))
		return true;
	nr_tool_say(NAME,
	            "%s: relay carries bytes as they come; it talks in "
	            "messages where it listens at udp://, or where all that "
	            "it connects to is udp://",
	            option);
	return false;
}
