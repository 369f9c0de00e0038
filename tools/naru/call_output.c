/* SPDX-License-Identifier: MIT */
/* Standard output, as it is or as text: see call_output.h. */

#include "call_output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* The bytes that a line of hex has where nothing else divides them. */
#define ROW 16

/* A line up to this long is written in one piece. */
#define PIECE 4096

static int print(const char *data, size_t len)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EAGAIN)
			(void)poll(&out, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Lines of hex digits, ROW bytes each. */
static int print_hex(const char *data, size_t len, size_t row)
{
	static const char digits[] = "0123456789abcdef";
	char text[PIECE];
	size_t used = 0;
	int err = 0;

	for (size_t i = 0; i < len && err == 0; i++) {
		unsigned char byte = (unsigned char)data[i];
		bool last = i + 1 == len || (i + 1) % row == 0;

		text[used++] = digits[byte >> 4];
		text[used++] = digits[byte & 15];
		text[used++] = last ? '\n' : ' ';
		if (used + 3 <= sizeof(text) && i + 1 < len)
			continue;
		err = print(text, used);
		used = 0;
	}
	return err;
}

int nr_tool_print_bytes(const char *data, size_t len, bool hex)
{
	return hex ? print_hex(data, len, ROW) : print(data, len);
}

int nr_tool_print_message(const char *data, size_t len, bool hex)
{
	char line[PIECE];
	int err;

	if (len == 0)
		return print("\n", 1);
	if (hex)
		return print_hex(data, len, len);
	if (len >= sizeof(line)) {
		err = print(data, len);
		return err < 0 ? err : print("\n", 1);
	}
	memcpy(line, data, len);
	line[len] = '\n';
	return print(line, len + 1);
}
