/*
 * JSON (RFC 8259) in json, jsonb and text: what paths name and what content finds is masked in its place, and
 * the rest stays byte by byte. Names are compared as they mean, escapes read and ASCII case folded, and every
 * member of a name counts, not only the last. In doubt a path fits: it goes through arrays that it does not
 * name, as SQL/JSON paths do in lax mode.
 */
#include "json_priv.h"

#define DEPTH_MAX 128 /* of nesting; what is deeper is masked whole */

struct doc {
	struct job *j;
	struct sl_span v;
	size_t i;
	struct out *w;
	const struct sl_mask *mask; /* whose paths they are; NULL: content only */
	const struct json_paths *paths;
	bool content;              /* look into what no path names, too */
	const struct spots *spots; /* what was found in the document as a whole */
	uint32_t quiet;            /* reading without writing */
	uint32_t depth;
	bool changed, refuse;
};

static void put(struct doc *d, const void *p, size_t n)
{
	if (d->quiet == 0)
		out_put(d->w, p, n);
}

static void blanks(struct doc *d)
{
	size_t from = d->i;

	while (d->i < d->v.n && (d->v.p[d->i] == ' ' || (d->v.p[d->i] >= '\t' && d->v.p[d->i] <= '\r' &&
	                                                 d->v.p[d->i] != '\v' && d->v.p[d->i] != '\f')))
		d->i++;
	put(d, d->v.p + from, d->i - from);
}

static uint8_t peek(const struct doc *d)
{
	return d->i < d->v.n ? d->v.p[d->i] : 0;
}

/* ---- strings ---- */

void json_put_string(struct out *w, struct sl_span v)
{
	static const char digits[] = "0123456789abcdef";

	out_byte(w, '"');
	for (size_t i = 0; i < v.n && !w->full; i++) {
		uint8_t c = v.p[i];

		if (c == '"' || c == '\\')
			out_put(w, (uint8_t[]){'\\', c}, 2);
		else if (c < 0x20)
			out_put(w,
			        (uint8_t[]){'\\', 'u', '0', '0', (uint8_t)digits[c >> 4],
			                    (uint8_t)digits[c & 15]},
			        6);
		else
			out_byte(w, c);
	}
	out_byte(w, '"');
}

static bool hex4(struct sl_span v, size_t at, uint32_t *out)
{
	*out = 0;
	if (v.n < 4 || at > v.n - 4)
		return false;
	for (size_t i = at; i < at + 4; i++) {
		uint8_t c = v.p[i], low = c | 0x20;

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			*out = *out << 4 | (uint32_t)(low - 'a' + 10);
		else
			return false;
	}
	return true;
}

static size_t put_utf8(uint32_t c, uint8_t *p)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; c >>= 6)
		p[i] = (uint8_t)(0x80 | (c & 0x3f));
	p[0] = (uint8_t)(lead[n] | c);
	return n;
}

/* \uXXXX at *i (the u), a pair of surrogates too. False: it stands for no character. */
static bool unicode(struct sl_span raw, size_t *i, uint32_t *c)
{
	uint32_t low;

	if (!hex4(raw, *i + 1, c) || (*c >= 0xdc00 && *c < 0xe000))
		return false;
	*i += 4;
	if (*c < 0xd800 || *c >= 0xe000)
		return true;
	if (*i + 2 >= raw.n || raw.p[*i + 1] != '\\' || raw.p[*i + 2] != 'u' || !hex4(raw, *i + 3, &low) ||
	    low < 0xdc00 || low >= 0xe000)
		return false;
	*c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
	*i += 6;
	return true;
}

/* What stands between the quotes, without escapes: itself, or in the room. False: no string, or too long. */
static bool unescape(struct job *j, struct sl_span raw, struct sl_span *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	size_t n = 0;

	*out = raw;
	if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL)
		return true;
	for (size_t i = 0; i < raw.n; i++) {
		uint32_t c = raw.p[i];
		const char *simple;

		if (n + 4 > j->room_n)
			return false;
		if (c != '\\') {
			j->room[n++] = (uint8_t)c;
			continue;
		}
		if (++i >= raw.n)
			return false;
		simple = raw.p[i] != 0 ? strchr(from, raw.p[i]) : NULL;
		c = simple != NULL ? (uint8_t)to[simple - from] : 0;
		if (simple == NULL && (raw.p[i] != 'u' || !unicode(raw, &i, &c)))
			return false;
		n += put_utf8(c, j->room + n);
	}
	*out = sl_span(j->room, n);
	return true;
}

/* From the quote to behind the other one. */
static bool read_string(struct doc *d, struct sl_span *raw)
{
	size_t from = ++d->i;

	for (; d->i < d->v.n && d->v.p[d->i] != '"'; d->i++) {
		if (d->v.p[d->i] < 0x20)
			return false;
		d->i += d->v.p[d->i] == '\\';
	}
	if (d->i >= d->v.n)
		return false;
	*raw = sl_span(d->v.p + from, d->i - from);
	d->i++;
	return true;
}

/* ---- what is masked ---- */

/* A text's new form as a JSON string. What does not fit is refused. */
static void put_text_result(struct doc *d, enum sl_masked rc, const struct out *made)
{
	if (rc == SL_MASKED_REFUSE)
		d->refuse = true;
	else if (rc == SL_MASKED_NULL)
		out_text(d->w, "null");
	else
		json_put_string(d->w, sl_span(made->p, made->n));
	d->changed = true;
}

/* A string (raw: between its quotes), by the mask, or by what content finds in it. */
static bool put_string(struct doc *d, struct sl_span raw, const struct sl_mask *mask)
{
	struct job inner = *d->j;
	struct sl_span v;
	struct out made;
	enum sl_masked rc = SL_MASKED_PASS;
	size_t used;

	if (!unescape(d->j, raw, &v))
		return false;
	if (d->quiet > 0)
		return true;
	used = v.p == raw.p ? 0 : v.n;
	inner.room += used;
	inner.room_n -= used;
	made = (struct out){inner.room, inner.room_n, 0, false};
	if (mask == NULL && d->content) {
		rc = content_text(&inner, v, &made);
		mask = rc == SL_MASKED_PASS ? spot_at(d->spots, (size_t)(raw.p - d->v.p), raw.n) : NULL;
	}
	if (mask != NULL)
		rc = text_action(mask, v, &made);
	if (rc == SL_MASKED_PASS)
		put(d, raw.p - 1, raw.n + 2);
	else
		put_text_result(d, rc, &made);
	return true;
}

static void put_number(struct doc *d, struct sl_span v, const struct sl_mask *mask)
{
	static const struct type numeric = {.kind = KIND_NUMERIC};
	enum sl_masked rc = SL_MASKED_PASS;

	if (d->quiet > 0)
		return;
	if (mask == NULL && d->content) {
		rc = content_find(d->j, v, &mask);
		if (rc == SL_MASKED_PASS)
			mask = spot_at(d->spots, (size_t)(v.p - d->v.p), v.n);
		d->refuse |= rc == SL_MASKED_REFUSE;
	}
	if (mask == NULL) {
		put(d, v.p, v.n);
		return;
	}
	d->changed = true;
	if (mask->action == SL_MASK_NULL || scalar_action(mask, &numeric, 0, v, d->w) == SL_MASKED_NULL)
		out_text(d->w, "null");
}

/* An object or an array that a path names. */
static void put_whole(struct doc *d, struct sl_span raw, const struct sl_mask *mask)
{
	if (d->quiet > 0)
		return;
	if (mask->action == SL_MASK_NULL)
		out_text(d->w, "null");
	else
		json_whole(mask, raw, d->w);
	d->changed = true;
}

void json_whole(const struct sl_mask *m, struct sl_span raw, struct out *w)
{
	uint8_t h[32];

	if ((m->action == SL_MASK_HASH || m->action == SL_MASK_TOKENISE) && m->key != NULL) {
		mask_hmac(m->key, 't', raw, h);
		out_byte(w, '"');
		out_hex(w, h, HASH_TEXT_BYTES);
		out_byte(w, '"');
	} else {
		json_put_string(w, sl_span_str(redact_text(m)));
	}
}

/* ---- the grammar ---- */

static size_t digits(struct doc *d)
{
	size_t from = d->i;

	while (peek(d) >= '0' && peek(d) <= '9')
		d->i++;
	return d->i - from;
}

static bool read_number(struct doc *d)
{
	d->i += peek(d) == '-';
	if (peek(d) == '0')
		d->i++;
	else if (digits(d) == 0)
		return false;
	if (peek(d) == '.') {
		d->i++;
		if (digits(d) == 0)
			return false;
	}
	if ((peek(d) | 0x20) == 'e') {
		d->i++;
		d->i += peek(d) == '+' || peek(d) == '-';
		return digits(d) > 0;
	}
	return true;
}

static bool literal(struct doc *d, const char *word, const struct sl_mask *mask)
{
	size_t n = strlen(word);

	if (d->v.n - d->i < n || memcmp(d->v.p + d->i, word, n) != 0)
		return false;
	d->i += n;
	if (mask != NULL && word[0] != 'n' && d->quiet == 0) {
		out_text(d->w, mask->action == SL_MASK_NULL ? "null" : "false");
		d->changed = true;
	} else {
		put(d, word, n);
	}
	return true;
}

static bool scalar(struct doc *d, const struct sl_mask *mask)
{
	struct sl_span raw;
	size_t from = d->i;

	switch (peek(d)) {
	case '"':
		return read_string(d, &raw) && put_string(d, raw, mask);
	case 't':
		return literal(d, "true", mask);
	case 'f':
		return literal(d, "false", mask);
	case 'n':
		return literal(d, "null", mask);
	default:
		if (!read_number(d))
			return false;
		put_number(d, sl_span(d->v.p + from, d->i - from), mask);
		return true;
	}
}

static bool value(struct doc *d, const struct json_states *s, bool hidden);

/* The name of a member, its colon, and its value. */
static bool member(struct doc *d, const struct json_states *s)
{
	struct sl_span column = d->j->column, raw, name;
	struct json_states below;
	bool hidden, ok;

	if (peek(d) != '"' || !read_string(d, &raw) || !unescape(d->j, raw, &name))
		return false;
	hidden = json_member(d->paths, s, name, &below);
	/* The name is a hint for detectors as a column's is, as it stands: the room is taken again. */
	if (!put_string(d, raw, NULL))
		return false;
	blanks(d);
	if (peek(d) != ':')
		return false;
	put(d, ":", 1);
	d->i++;
	blanks(d);
	d->j->column = raw;
	ok = value(d, &below, hidden);
	d->j->column = column;
	return ok;
}

static bool container(struct doc *d, const struct json_states *s, uint8_t end)
{
	struct json_states below;

	put(d, d->v.p + d->i++, 1);
	blanks(d);
	for (uint32_t index = 0; index > 0 || peek(d) != end; index++) {
		bool hidden = end == ']' && json_element(d->paths, s, index, &below);

		if (!(end == '}' ? member(d, s) : value(d, &below, hidden)))
			return false;
		blanks(d);
		if (peek(d) == end)
			break;
		if (peek(d) != ',')
			return false;
		put(d, ",", 1);
		d->i++;
		blanks(d);
	}
	put(d, d->v.p + d->i++, 1);
	return true;
}

/* hidden: a path ends here. */
static bool value(struct doc *d, const struct json_states *s, bool hidden)
{
	uint8_t c = peek(d);
	bool nested = c == '{' || c == '[';
	struct json_states here = *s;
	size_t from = d->i;
	bool ok;

	hidden = json_enter(d->paths, &here, c) || hidden;
	if (!nested)
		return scalar(d, hidden ? d->mask : NULL);
	if (++d->depth > DEPTH_MAX)
		return false;
	d->quiet += hidden;
	ok = container(d, &here, c == '{' ? '}' : ']');
	d->quiet -= hidden;
	d->depth--;
	if (ok && hidden)
		put_whole(d, sl_span(d->v.p + from, d->i - from), d->mask);
	return ok && !d->refuse;
}

static bool document(struct doc *d)
{
	struct json_states s;

	json_begin(d->paths, &s);
	blanks(d);
	if (!value(d, &s, false))
		return false;
	blanks(d);
	return d->i == d->v.n;
}

/* A document that is no object or array has no members to go by. */
static bool has_members(struct sl_span v)
{
	size_t i = 0;

	while (i < v.n && (v.p[i] == ' ' || v.p[i] == '\t' || v.p[i] == '\n' || v.p[i] == '\r'))
		i++;
	return i < v.n && (v.p[i] == '{' || v.p[i] == '[');
}

static bool is_plain(struct sl_span v)
{
	return v.n == 0 || memchr(v.p, '\\', v.n) == NULL;
}

enum json_result json_mask(struct job *j, const struct sl_mask *mask, struct sl_span v, struct out *w)
{
	bool content = j->m->who->any_content_mask, each;
	struct doc d = {.j = j, .v = v, .w = w, .mask = mask};
	struct json_paths paths;
	struct spots spots;

	spots.nb = paths.nb = 0;
	spots.null = spots.named = false;
	if (content && !content_scan(j, v, false, &spots))
		return JSON_REFUSE;
	if (spots.null)
		return JSON_NULL;
	/* The scan of the whole can miss what escapes hide, what begins or ends with a string, and what the
	 * name of its member makes a find: then each string is scanned. */
	each = !is_plain(v) || !j->m->snapshot->content_joins || spots.named;
	if (mask == NULL && spots.nb == 0 && !each)
		return JSON_PASS;
	if (mask != NULL && (!has_members(v) || !json_paths_read(&mask->json, &paths)))
		return JSON_NONE;
	d.paths = &paths;
	d.spots = &spots;
	d.content = content && (spots.nb > 0 || each);
	if (!document(&d))
		return d.refuse ? JSON_REFUSE : JSON_NONE;
	if (d.refuse || w->full)
		return JSON_REFUSE;
	return d.changed ? JSON_NEW : JSON_PASS;
}
