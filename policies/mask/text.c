/* The actions on text. */
#include "mask_priv.h"

/* ---- writing ---- */

void out_put(struct out *w, const void *bytes, size_t n)
{
	if (w->full || n > w->cap - w->n) {
		w->full = true;
		return;
	}
	if (n > 0 && bytes != NULL)
		memcpy(w->p + w->n, bytes, n);
	w->n += n;
}

void out_text(struct out *w, const char *text)
{
	out_put(w, text, strlen(text));
}

void out_byte(struct out *w, uint8_t b)
{
	out_put(w, &b, 1);
}

void out_fill(struct out *w, uint8_t b, size_t n)
{
	if (w->full || n > w->cap - w->n) {
		w->full = true;
		return;
	}
	memset(w->p + w->n, b, n);
	w->n += n;
}

void out_hex(struct out *w, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out_byte(w, (uint8_t)digits[p[i] >> 4]);
		out_byte(w, (uint8_t)digits[p[i] & 15]);
	}
}

/* ---- partial ---- */

/* Length of the UTF-8 character at p, 0 when it is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : 4;

	if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

static bool is_ascii(struct sl_span v)
{
	uint8_t any = 0;

	for (size_t i = 0; i < v.n; i++)
		any |= v.p[i];
	return any < 0x80;
}

/* Characters of the value; *utf8 false when they are bytes, or have to be. */
static size_t count_chars(struct sl_span v, bool *utf8)
{
	size_t chars = 0;
	size_t n;

	*utf8 = !is_ascii(v);
	if (!*utf8)
		return v.n;
	for (size_t i = 0; i < v.n; i += n, chars++) {
		n = utf8_len(v.p + i, v.n - i);
		if (n == 0) {
			*utf8 = false;
			return v.n;
		}
	}
	return chars;
}

static void put_partial(struct out *w, const struct sl_mask *m, struct sl_span v)
{
	bool utf8 = false;
	size_t chars = count_chars(v, &utf8);
	size_t keep = (size_t)m->keep_first + m->keep_last;
	size_t first = chars > keep ? m->keep_first : 0;
	size_t last = chars > keep ? chars - m->keep_last : chars;
	size_t i = 0;

	if (!utf8) {
		out_put(w, v.p, first);
		out_fill(w, '*', last - first);
		out_put(w, v.p + last, chars - last);
		return;
	}
	for (size_t k = 0; k < chars && !w->full; k++) {
		size_t n = utf8_len(v.p + i, v.n - i);

		if (k < first || k >= last)
			out_put(w, v.p + i, n);
		else
			out_byte(w, '*');
		i += n;
	}
}

/* ---- all ---- */

const char *redact_text(const struct sl_mask *m)
{
	return m->text != NULL ? m->text : "***";
}

static void put_hash(struct out *w, const struct sl_mask *m, struct sl_span v)
{
	uint8_t h[32];

	mask_hmac(m->key, 't', v, h);
	out_hex(w, h, HASH_TEXT_BYTES);
}

enum sl_masked text_action(const struct sl_mask *m, struct sl_span v, struct out *w)
{
	if (v.p == NULL)
		v = SL_SPAN_LIT("");
	if (m->key == NULL && (m->action == SL_MASK_HASH || m->action == SL_MASK_TOKENISE))
		return SL_MASKED_NULL;
	switch (m->action) {
	case SL_MASK_NULL:
		return SL_MASKED_NULL;
	case SL_MASK_PARTIAL:
		put_partial(w, m, v);
		break;
	case SL_MASK_HASH:
		put_hash(w, m, v);
		break;
	case SL_MASK_TOKENISE:
		if (!token_text(m, v, w))
			put_hash(w, m, v);
		break;
	case SL_MASK_DATE:
		if (!time_cut_text(m->unit, v, w))
			out_text(w, redact_text(m));
		break;
	default:
		out_text(w, redact_text(m));
		break;
	}
	return mask_done(w);
}
