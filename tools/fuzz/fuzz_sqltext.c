/*
 * Statement text on its way into a record: passwords out, cut into parts; and SET. The first byte chooses the
 * size of the parts. What must hold: every byte of the result comes out once, no part is empty or too large,
 * and without passwords the text is itself.
 */
#include <stdlib.h>
#include <string.h>

#include "sqltext.h"

#define TEXT_MAX 16384

static void require(int holds)
{
	if (!holds)
		abort();
}

static size_t take_all(const struct statement *st, size_t max, uint8_t *out)
{
	static uint8_t buf[TEXT_MAX];
	struct statement_at at = {0}, counted = {0};
	size_t n = 0;

	for (;;) {
		struct sl_span s = statement_take(st, &at, max, buf);
		size_t same = statement_take(st, &counted, max, NULL).n;

		require(s.n == same && s.n <= max);
		if (s.n == 0)
			break;
		require(n + s.n <= TEXT_MAX);
		memcpy(out + n, s.p, s.n);
		n += s.n;
	}
	require(n == st->total && at.done == n);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[TEXT_MAX];
	struct statement st;
	struct sl_span text;
	size_t max;

	if (size < 1 || size > TEXT_MAX / 2)
		return 0;
	max = 4 + data[0];
	text = sl_span(data + 1, size - 1);
	(void)set_refused(text);
	require(statement_set(&st, text, SL_SQL_BIT(SL_SQL_SELECT)));
	require(take_all(&st, max, out) == text.n && (text.n == 0 || memcmp(out, text.p, text.n) == 0));
	if (statement_set(&st, text, SL_SQL_BIT(SL_SQL_ALTER)))
		take_all(&st, max, out);
	if (statement_set_unread(&st, text))
		take_all(&st, max, out);
	return 0;
}
