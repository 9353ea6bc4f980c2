/*
 * Values in PostgreSQL's binary format as text: a type (four bytes), the room (one), any bytes as the value.
 * What must hold: no more is written than there is room, with less room it is the beginning of the same, and
 * what is no value of its type is refused the same way twice.
 */
#include <stdlib.h>
#include <string.h>

#include "pgvalue.h"

#define ROOM 4096
#define HEAD 5

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* In blocks of their own, so that a step past either shows. */
static long convert(uint32_t type, const uint8_t *p, size_t n, char *out, size_t room, bool *cut)
{
	uint8_t *value = malloc(n > 0 ? n : 1);
	char *text = malloc(room > 0 ? room : 1);
	long got;

	require(value != NULL && text != NULL);
	memcpy(value, p, n);
	got = pgvalue_text(type, sl_span(value, n), text, room, cut);
	require(got >= -1 && got <= (long)room);
	if (got > 0)
		memcpy(out, text, (size_t)got);
	free(value);
	free(text);
	return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[ROOM], part[ROOM];
	bool cut = false, part_cut = false;
	uint32_t type;
	size_t room;
	long n, less;

	if (size < HEAD)
		return 0;
	type = sl_get_be32(data);
	room = data[4];
	n = convert(type, data + HEAD, size - HEAD, whole, sizeof(whole), &cut);
	less = convert(type, data + HEAD, size - HEAD, part, room, &part_cut);
	if (n < 0) {
		require(less < 0 || part_cut); /* what is wrong may lie behind the end of the room */
		return 0;
	}
	require(less == (n < (long)room ? n : (long)room));
	require(part_cut == (cut || n > (long)room));
	require(memcmp(whole, part, (size_t)less) == 0);
	return 0;
}
