/* SPDX-License-Identifier: MIT */
/*
 * 08: a real protocol. A key-value server for redis-cli and redis-benchmark:
 *
 *     08-kv [ENDPOINT]                 redis-cli -p 1060 set name value
 *
 * A command is a line, "GET x\r\n", or words, "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n".
 * Lines are received as messages and words as bytes. Answers leave together
 * when the talk waits for the next command. Where memory is shared, so is the
 * table.
 */
#include <naru.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX  16384 /* bytes of all words of a command */
#define WORDS_MAX 64
#define KEYS_MAX  1000000
#define BUCKETS   (1 << 16)
struct text {
	const char *data;
	size_t len;
};
struct entry {
	struct entry *next;
	size_t key_len, len;
	char data[]; /* the key, the value, a NUL */
};
static struct entry *buckets[BUCKETS];
static size_t key_count;
/* Never held while a talk waits: that would block all others of its thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct command {
	size_t count, used;
	struct text word[WORDS_MAX];
	char bytes[TEXT_MAX + 2];
	char answer[TEXT_MAX + 64];
};

/* The number that a line has behind KIND, MOST at most; or an error. */
static long number_of(const struct naru_msg *line, char kind, size_t most)
{
	char *end = NULL;
	long n = *line->data == kind ? strtol(line->data + 1, &end, 10) : -1;

	if (n < 0 || line->len == 1 || end != line->data + line->len)
		return -NARU_EFRAME;
	return (size_t)n > most ? -NARU_ETOOBIG : n;
}

/* The words of a line, between spaces. */
static int split_line(struct command *command, const struct naru_msg *line)
{
	char *next = memcpy(command->bytes, line->data, line->len + 1), *word;

	while (command->count < WORDS_MAX && (word = strsep(&next, " ")))
		if (*word)
			command->word[command->count++] =
				(struct text){word, strlen(word)};
	return next ? -NARU_ETOOBIG : 1;
}

/* The next word of an array, "$3\r\nGET\r\n". */
static int read_word(struct naru_conv *conv, struct command *command)
{
	char *to = command->bytes + command->used;
	struct naru_msg line;
	ssize_t got = naru_recv(conv, &line);
	long len = got > 0 ? number_of(&line, '$', TEXT_MAX - command->used)
	                   : -NARU_ECUT;

	if (len < 0)
		return got < 0 ? (int)got : (int)len;
	got = naru_read_exact(conv, to, (size_t)len + 2);
	if (got <= 0)
		return got < 0 ? (int)got : -NARU_ECUT;
	command->word[command->count++] = (struct text){to, (size_t)len};
	command->used += (size_t)len;
	return memcmp(to + len, "\r\n", 2) == 0 ? 1 : -NARU_EFRAME;
}

/* 1, 0 when the peer has finished, or an error. */
static int read_command(struct naru_conv *conv, struct command *command)
{
	struct naru_msg line;
	int err = naru_recv(conv, &line);
	long wanted;

	command->count = command->used = 0;
	if (err <= 0 || line.data[0] != '*')
		return err <= 0 ? err : split_line(command, &line);
	wanted = number_of(&line, '*', WORDS_MAX);
	err = wanted < 0 ? (int)wanted : 1;
	while (err > 0 && command->count < (size_t)wanted)
		err = read_word(conv, command);
	return err;
}

/* Where a key's entry is, or would be. Among enemies, take a keyed hash. */
static struct entry **find(struct text key)
{
	unsigned hash = 2166136261u;
	struct entry **place;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.data[i]) * 16777619u;
	place = &buckets[hash % BUCKETS];
	while (*place && ((*place)->key_len != key.len ||
	                  memcmp((*place)->data, key.data, key.len) != 0))
		place = &(*place)->next;
	return place;
}

/* 1, or 0 where there is no room. */
static int put(struct text key, struct text value)
{
	struct entry **place = find(key), *old = *place, *entry = NULL;

	if (old || key_count < KEYS_MAX)
		entry = calloc(1, sizeof(*entry) + key.len + value.len + 1);
	if (!entry)
		return 0;
	*entry = (struct entry){old ? old->next : NULL, key.len, value.len};
	memcpy(entry->data, key.data, key.len);
	memcpy(entry->data + key.len, value.data, value.len);
	key_count += !old;
	*place = entry;
	free(old);
	return 1;
}

/* Whether it is the command NAME with so many words; 0 for any. */
static int is(const struct command *command, const char *name, size_t words)
{
	return (words == 0 || command->count == words) &&
	       command->word[0].len == strlen(name) &&
	       strncasecmp(command->word[0].data, name, strlen(name)) == 0;
}

/* How many of the keys there are. DEL leaves none of them. */
static int count_keys(const struct command *command)
{
	int remove = is(command, "DEL", 0), found = 0;

	for (size_t i = 1; i < command->count; i++) {
		struct entry **place = find(command->word[i]), *entry = *place;

		found += entry != NULL;
		if (!entry || !remove)
			continue;
		*place = entry->next;
		key_count--;
		free(entry);
	}
	return found;
}

static int say_text(char *to, const char *data, size_t len)
{
	int head = sprintf(to, "$%zu\r\n", len);

	memcpy(to + head, data, len);
	return head + (int)len + sprintf(to + head + len, "\r\n");
}

static int increment(char *to, struct text key)
{
	const struct entry *entry = *find(key);
	const char *old = entry ? entry->data + entry->key_len : "0";
	char *end, text[24];
	long number = strtol(old, &end, 10);

	if (end == old || *end || strlen(old) > 18)
		return sprintf(to, "-ERR no number that can grow\r\n");
	number = snprintf(text, sizeof(text), "%ld", number + 1);
	if (!put(key, (struct text){text, (size_t)number}))
		return sprintf(to, "-ERR no room\r\n");
	return sprintf(to, ":%s\r\n", text);
}

/* Writes the answer to TO, and returns how long it is. Under the lock. */
static int answer(char *to, const struct command *command)
{
	const struct text *word = command->word;
	const struct entry *entry;

	if (is(command, "PING", 1))
		return sprintf(to, "+PONG\r\n");
	if (is(command, "PING", 2) || is(command, "ECHO", 2))
		return say_text(to, word[1].data, word[1].len);
	if (is(command, "GET", 2) && (entry = *find(word[1])))
		return say_text(to, entry->data + entry->key_len, entry->len);
	if (is(command, "GET", 2))
		return sprintf(to, "$-1\r\n");
	if (is(command, "SET", 3))
		return sprintf(to, "%s\r\n",
		               put(word[1], word[2]) ? "+OK" : "-ERR no room");
	if (is(command, "INCR", 2))
		return increment(to, word[1]);
	if (is(command, "DEL", 0) || is(command, "EXISTS", 0))
		return sprintf(to, ":%d\r\n", count_keys(command));
	if (is(command, "COMMAND", 0))
		return sprintf(to, "*0\r\n");
	if (is(command, "CONFIG", 3)) /* nothing is ever saved */
		return sprintf(to, "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
	return sprintf(to, "-ERR no such command, or its words\r\n");
}

static int kv(struct naru_conv *conv, void *arg)
{
	struct command command;
	int err = 0;

	while (err == 0 && (err = read_command(conv, &command)) > 0) {
		pthread_mutex_lock(&lock);
		err = command.count ? answer(command.answer, &command) : 0;
		pthread_mutex_unlock(&lock);
		err = naru_write(conv, command.answer, (size_t)err);
	}
	if ((err == -NARU_EFRAME || err == -NARU_ETOOBIG) &&
	    naru_sendf(conv, "-ERR %s", naru_strerror(err)) < 0)
		return err;
	return err;
}

static void tell(const struct naru_event *event, void *arg)
{
	char text[NARU_ADDR_TEXT];

	if (event->kind == NARU_EVENT_LISTEN &&
	    naru_addr_format(event->local, text, sizeof(text)) >= 0)
		fprintf(stderr, "listening on %s\n", text);
}

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:1060";
	const struct naru_framing *lines =
		NARU_FRAMING(.line_end = NARU_LINE_END_TOLERANT,
	                     .limit = TEXT_MAX);
	int err = naru_serve(endpoint, kv, NULL,
	                     NARU_OPTIONS(.framing = lines, .report = tell));

	fprintf(stderr, "08-kv: %s: %s\n", endpoint, naru_strerror(err));
	return 1;
}
