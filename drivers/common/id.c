#include "sl_id.h"

#include <string.h>

#include "sl_err.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct sl_id sl_id_make(struct sl_id_maker *m, uint64_t wall_us)
{
	uint64_t ms = wall_us / 1000, n = m->next++;
	struct sl_id id;

	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	id.b[6] = m->maker;
	id.b[7] = (uint8_t)(m->salt >> 16);
	id.b[8] = (uint8_t)(m->salt >> 8);
	id.b[9] = (uint8_t)m->salt;
	for (int i = 0; i < 6; i++)
		id.b[10 + i] = (uint8_t)(n >> (40 - 8 * i));
	return id;
}

/* 128 bits in 26 digits of 5: the first digit carries 3. */
const char *sl_id_str(const struct sl_id *id, char *out)
{
	for (int d = 0; d < 26; d++) {
		int bit = 5 * d - 2; /* of the digit's highest, in the 128 */
		uint32_t v = 0;

		for (int i = bit; i < bit + 5; i++)
			v = v << 1 | (i < 0 ? 0u : (uint32_t)(id->b[i / 8] >> (7 - i % 8)) & 1u);
		out[d] = alphabet[v];
	}
	out[26] = '\0';
	return out;
}

static int digit(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 32);
	if (c == '\0')
		return -1;
	at = strchr(alphabet, c);
	return at == NULL ? -1 : (int)(at - alphabet);
}

int sl_id_parse(const char *s, struct sl_id *out)
{
	memset(out, 0, sizeof(*out));
	for (int d = 0; d < 26; d++) {
		int v = digit(s[d]);

		if (v < 0 || (d == 0 && v > 7))
			return SL_E_INVAL;
		for (int i = 0; i < 5; i++) {
			int bit = 5 * d - 2 + i;

			if (bit >= 0 && (v >> (4 - i) & 1) != 0)
				out->b[bit / 8] = (uint8_t)(out->b[bit / 8] | 1u << (7 - bit % 8));
		}
	}
	return s[26] == '\0' ? SL_OK : SL_E_INVAL;
}
