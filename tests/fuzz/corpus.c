/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libFuzzer where there is none: runs a target over the files
 * of a folder, so that what was once found is never lost. Speaks TAP.
 */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX ((size_t)1024 * 1024)

static void run_file(const char *path)
{
	static uint8_t buf[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	uint8_t *exact;
	size_t len;

	MUST(file);
	len = fread(buf, 1, sizeof(buf), file);
	fclose(file);
	/* Of its own size, so that a sanitizer sees a step past its end. */
	exact = malloc(len ? len : 1);
	MUST(exact);
	memcpy(exact, buf, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	char path[4096];
	int count = 0;
	DIR *dir;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	dir = opendir(argv[1]);
	MUST(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		run_file(path);
		printf("ok %d - %s\n", ++count, entry->d_name);
		fflush(stdout);
	}
	closedir(dir);
	printf("1..%d\n", count);
	return 0;
}
