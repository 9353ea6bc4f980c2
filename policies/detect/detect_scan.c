/*
 * Reads lines "column<tab>value" and prints for each one line: the finds as name:from-to, sorted as found,
 * with blanks between them; an empty line when there is none.
 */
#include <stdio.h>
#include <stdlib.h>

#include "detect_rig.h"

#define FINDS_MAX 256

static int list(void)
{
	for (uint32_t d = 0; d < sl_detect_count(); d++)
		printf("%s\t%s\n", sl_detect_name(d), sl_detect_what(d));
	return 0;
}

int main(int argc, char **argv)
{
	struct rig *r = rig_new();
	struct rig_find finds[FINDS_MAX];
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (r == NULL)
		return 1;
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		rig_free(r);
		return list();
	}
	while ((n = getline(&line, &cap, stdin)) > 0) {
		size_t len = (size_t)n - (line[n - 1] == '\n');
		const char *tab = memchr(line, '\t', len);
		size_t at = tab != NULL ? (size_t)(tab - line) + 1 : 0;
		uint32_t nb = rig_scan(r, sl_span(line + at, len - at), sl_span(line, at > 0 ? at - 1 : 0),
		                       finds, FINDS_MAX);

		if (nb == RIG_FAILED)
			return 1;
		for (uint32_t i = 0; i < nb; i++)
			printf("%s%s:%zu-%zu", i > 0 ? " " : "", sl_detect_name(finds[i].detector),
			       finds[i].spot.from, finds[i].spot.to);
		putchar('\n');
	}
	free(line);
	rig_free(r);
	return 0;
}
