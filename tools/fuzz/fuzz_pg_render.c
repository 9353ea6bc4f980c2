/*
 * The renderer of recorded PostgreSQL replies: any bytes, cut where the first byte says. However they are
 * cut, the text is the same, and it holds nothing that a terminal acts on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pg_render.h"

#define ROWS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *render(const uint8_t *data, size_t n, size_t piece, size_t *out_n)
{
	char *p = NULL;
	FILE *f = open_memstream(&p, out_n);
	struct pg_render *r = f == NULL ? NULL : pg_render_new(f, "", ROWS);

	if (r == NULL)
		abort();
	for (size_t at = 0; at < n; at += piece) {
		size_t part = n - at < piece ? n - at : piece;
		uint8_t *copy = malloc(part); /* so that a read past its end is seen */

		if (copy == NULL)
			abort();
		memcpy(copy, data + at, part);
		pg_render_feed(r, sl_span(copy, part));
		free(copy);
	}
	pg_render_free(r);
	if (fclose(f) != 0)
		abort();
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t whole_n, parts_n;
	char *whole, *parts;

	if (n < 2)
		return 0;
	whole = render(data + 1, n - 1, n - 1, &whole_n);
	parts = render(data + 1, n - 1, data[0] % 64 + 1u, &parts_n);
	if (whole_n != parts_n || memcmp(whole, parts, whole_n) != 0)
		abort();
	for (size_t i = 0; i < whole_n; i++) {
		uint8_t c = (uint8_t)whole[i];

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			abort();
	}
	free(whole);
	free(parts);
	return 0;
}
