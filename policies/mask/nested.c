/* Values made of others: arrays (array_out, array_send), composites (record_out, record_send) and ranges. */
#include "mask_priv.h"

#define DIMS_MAX     6 /* MAXDIM */
#define NULL_LENGTH  UINT32_MAX
#define RANGE_EMPTY  0x01 /* flags of range_send */
#define RANGE_LB_INF 0x08
#define RANGE_UB_INF 0x10

static bool take32(struct sl_span *b, uint32_t *v)
{
	if (b->p == NULL || b->n < 4)
		return false;
	*v = sl_get_be32(b->p);
	*b = sl_span(b->p + 4, b->n - 4);
	return true;
}

/* A length and as many bytes; *null: there is none. */
static bool take_value(struct sl_span *b, struct sl_span *v, bool *null)
{
	uint32_t n;

	if (!take32(b, &n))
		return false;
	*null = n == NULL_LENGTH;
	n = *null ? 0 : n;
	if (n > b->n)
		return false;
	*v = sl_span(b->p, n);
	*b = sl_span(b->p + n, b->n - n);
	return true;
}

static void out_be32(struct out *w, uint32_t v)
{
	uint8_t b[4];

	sl_put_be32(b, v);
	out_put(w, b, sizeof(b));
}

/*
 * One part in binary, with its length. Returns NEW when what was written is not what was read, PASS, or
 * REFUSE.
 */
static enum sl_masked binary_part(struct job *j, uint32_t oid, struct sl_span v, bool null, struct out *w)
{
	size_t at = w->n;
	enum sl_masked rc = SL_MASKED_PASS;

	out_be32(w, null ? NULL_LENGTH : (uint32_t)v.n);
	if (null || w->full)
		return w->full ? SL_MASKED_REFUSE : SL_MASKED_PASS;
	rc = mask_value(j, oid, 1, v, w);
	if (rc == SL_MASKED_PASS)
		out_put(w, v.p, v.n);
	if (w->full || rc == SL_MASKED_REFUSE)
		return SL_MASKED_REFUSE;
	if (rc != SL_MASKED_PASS)
		sl_put_be32(w->p + at, rc == SL_MASKED_NULL ? NULL_LENGTH : (uint32_t)(w->n - at - 4));
	return rc;
}

/* ---- arrays ---- */

static enum sl_masked array_binary(struct job *j, const struct type *t, struct sl_span v, struct out *w)
{
	uint32_t dims, flags, oid, size, lower;
	size_t flags_at = w->n + 4;
	struct sl_span rest = v, value = SL_SPAN_EMPTY;
	bool changed = false, nulls = false, null;
	uint64_t nb = 1;

	if (!take32(&rest, &dims) || !take32(&rest, &flags) || !take32(&rest, &oid) || dims > DIMS_MAX ||
	    oid != t->of)
		return SL_MASKED_REFUSE;
	for (uint32_t i = 0; i < dims; i++) {
		if (!take32(&rest, &size) || !take32(&rest, &lower) || size > INT32_MAX ||
		    (nb *= size) > INT32_MAX)
			return SL_MASKED_REFUSE;
	}
	out_put(w, v.p, v.n - rest.n);
	for (uint64_t i = 0; dims > 0 && i < nb; i++) {
		enum sl_masked rc;

		if (!take_value(&rest, &value, &null))
			return SL_MASKED_REFUSE;
		rc = binary_part(j, t->of, value, null, w);
		if (rc == SL_MASKED_REFUSE)
			return rc;
		changed |= rc != SL_MASKED_PASS;
		nulls |= rc == SL_MASKED_NULL;
	}
	if (rest.n > 0 || w->full)
		return SL_MASKED_REFUSE;
	if (nulls)
		sl_put_be32(w->p + flags_at, 1);
	return changed ? SL_MASKED_NEW : SL_MASKED_PASS;
}

/* An element in quotes, in which " and \ have a \ in front. */
static void put_quoted(struct out *w, struct sl_span v)
{
	out_byte(w, '"');
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\')
			out_byte(w, '\\');
		out_byte(w, v.p[i]);
	}
	out_byte(w, '"');
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_null(struct sl_span v)
{
	return v.n == 4 && (v.p[0] | 0x20) == 'n' && (v.p[1] | 0x20) == 'u' && (v.p[2] | 0x20) == 'l' &&
	       (v.p[3] | 0x20) == 'l';
}

static bool needs_quotes(struct sl_span v)
{
	for (size_t i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];

		if (c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || is_space(c))
			return true;
	}
	return v.n == 0 || is_null(v);
}

/* An element from *at; *raw as it stands, *v without quotes and escapes (perhaps in the room). False: none.
 */
static bool text_element(const struct job *j, struct sl_span all, size_t *at, struct sl_span *raw,
                         struct sl_span *v)
{
	size_t from = *at, i = from, n = 0;

	if (all.p[i] != '"') {
		while (i < all.n && all.p[i] != ',' && all.p[i] != '}' && all.p[i] != '{' &&
		       all.p[i] != '"' && all.p[i] != '\\')
			i++;
		*raw = *v = sl_span(all.p + from, i - from);
		*at = i;
		return i > from && i < all.n && (all.p[i] == ',' || all.p[i] == '}');
	}
	for (i++; i < all.n && all.p[i] != '"'; i++) {
		i += all.p[i] == '\\';
		if (i >= all.n || n >= j->room_n)
			return false;
		j->room[n++] = all.p[i];
	}
	*raw = sl_span(all.p + from, i + 1 - from);
	*v = sl_span(j->room, n);
	*at = i + 1;
	return i < all.n;
}

/* A part's value, made in the room behind `used`, then written with what it needs around it. */
static enum sl_masked text_part(struct job *j, uint32_t oid, struct sl_span v, size_t used, struct out *made)
{
	struct job inner = *j;
	size_t half;

	inner.room += used;
	inner.room_n -= used;
	half = inner.room_n / 2;
	*made = (struct out){inner.room, half, 0, false};
	inner.room += half;
	inner.room_n -= half;
	return mask_value(&inner, oid, 0, v, made);
}

static enum sl_masked array_text_element(struct job *j, const struct type *t, struct sl_span all, size_t *at,
                                         struct out *w)
{
	struct sl_span raw, v;
	struct out made;
	enum sl_masked rc;

	if (!text_element(j, all, at, &raw, &v))
		return SL_MASKED_REFUSE;
	rc = raw.p == v.p && is_null(raw) ? SL_MASKED_PASS
	                                  : text_part(j, t->of, v, raw.p == v.p ? 0 : v.n, &made);
	if (rc == SL_MASKED_PASS) {
		out_put(w, raw.p, raw.n);
	} else if (rc == SL_MASKED_NULL) {
		out_text(w, "NULL");
	} else if (rc == SL_MASKED_NEW) {
		v = sl_span(made.p, made.n);
		if (needs_quotes(v))
			put_quoted(w, v);
		else
			out_put(w, v.p, v.n);
	}
	return rc;
}

/* "[2:3][0:1]=" in front of an array whose bounds are not from 1. */
static size_t bounds(struct sl_span v)
{
	size_t i = 0;

	while (i < v.n && (v.p[i] == '[' || v.p[i] == ']' || v.p[i] == ':' || v.p[i] == '-' ||
	                   v.p[i] == '+' || (v.p[i] >= '0' && v.p[i] <= '9')))
		i++;
	return i > 0 && i < v.n && v.p[i] == '=' ? i + 1 : 0;
}

static enum sl_masked array_text(struct job *j, const struct type *t, struct sl_span v, struct out *w)
{
	uint32_t depth = 0;
	bool changed = false, element = true; /* one may stand here */
	size_t i = bounds(v);

	out_put(w, v.p, i);
	do {
		enum sl_masked rc;

		if (i >= v.n || w->full)
			return SL_MASKED_REFUSE;
		if (v.p[i] == '{' && element && depth < DIMS_MAX) {
			depth++;
		} else if (v.p[i] == '}' && depth > 0) {
			depth--;
			element = false;
		} else if (v.p[i] == ',' && !element && depth > 0) {
			element = true;
		} else if (element && depth > 0) {
			rc = array_text_element(j, t, v, &i, w);
			if (rc == SL_MASKED_REFUSE)
				return rc;
			changed |= rc != SL_MASKED_PASS;
			element = false;
			continue;
		} else {
			return SL_MASKED_REFUSE;
		}
		out_byte(w, v.p[i++]);
	} while (depth > 0);
	if (i != v.n)
		return SL_MASKED_REFUSE;
	return changed ? mask_done(w) : w->full ? SL_MASKED_REFUSE : SL_MASKED_PASS;
}

enum sl_masked array_mask(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                          struct out *w)
{
	return format == 0 ? array_text(j, t, v, w) : array_binary(j, t, v, w);
}

void array_empty(const struct type *t, uint8_t format, struct out *w)
{
	if (format == 0) {
		out_text(w, "{}");
		return;
	}
	out_fill(w, 0, 8);
	out_be32(w, t->of);
}

/* ---- composites ---- */

static enum sl_masked composite_binary(struct job *j, struct sl_span v, struct out *w)
{
	struct sl_span rest = v, value = SL_SPAN_EMPTY;
	bool changed = false, null;
	uint32_t nb, oid;

	if (!take32(&rest, &nb))
		return SL_MASKED_REFUSE;
	out_be32(w, nb);
	for (uint32_t i = 0; i < nb; i++) {
		enum sl_masked rc = SL_MASKED_NULL;

		if (!take32(&rest, &oid) || !take_value(&rest, &value, &null))
			return SL_MASKED_REFUSE;
		out_be32(w, oid);
		if (j->mask == NULL)
			rc = binary_part(j, oid, value, null, w);
		else
			out_be32(w, NULL_LENGTH);
		if (rc == SL_MASKED_REFUSE || w->full)
			return SL_MASKED_REFUSE;
		changed |= rc != SL_MASKED_PASS;
	}
	return rest.n > 0 ? SL_MASKED_REFUSE : changed ? SL_MASKED_NEW : SL_MASKED_PASS;
}

/* A field from *at to the comma or parenthesis; quotes can open anywhere in it. False: it has no end. */
static bool text_field(const struct job *j, struct sl_span all, size_t *at, struct sl_span *v)
{
	bool quoted = false;
	size_t i = *at, n = 0;

	for (; i < all.n; i++) {
		uint8_t c = all.p[i];

		if (!quoted && (c == ',' || c == ')'))
			break;
		if (c == '"' && quoted && i + 1 < all.n && all.p[i + 1] == '"') {
			i++;
		} else if (c == '"') {
			quoted = !quoted;
			continue;
		} else if (c == '\\' && ++i >= all.n) {
			return false;
		}
		if (n >= j->room_n)
			return false;
		j->room[n++] = all.p[i];
	}
	*v = sl_span(j->room, n);
	*at = i;
	return i < all.n && !quoted;
}

/* The types of its fields do not stand in it: what is to go becomes NULL, which is nothing between commas. */
static enum sl_masked composite_text(struct job *j, struct sl_span v, struct out *w)
{
	bool changed = false;
	size_t i = 1, from;

	if (v.n < 2 || v.p[0] != '(')
		return SL_MASKED_REFUSE;
	out_byte(w, '(');
	for (;;) {
		const struct sl_mask *mask;
		enum sl_masked rc = SL_MASKED_NEW;
		struct sl_span field;

		from = i;
		if (!text_field(j, v, &i, &field))
			return SL_MASKED_REFUSE;
		if (j->mask == NULL)
			rc = content_find(j, field, &mask);
		if (rc == SL_MASKED_REFUSE)
			return rc;
		if (rc == SL_MASKED_PASS)
			out_put(w, v.p + from, i - from);
		changed |= rc != SL_MASKED_PASS;
		out_byte(w, v.p[i]);
		if (v.p[i++] == ')')
			break;
	}
	if (i != v.n || w->full)
		return SL_MASKED_REFUSE;
	return changed ? SL_MASKED_NEW : SL_MASKED_PASS;
}

enum sl_masked composite_mask(struct job *j, uint8_t format, struct sl_span v, struct out *w)
{
	return format == 0 ? composite_text(j, v, w) : composite_binary(j, v, w);
}

/* ---- ranges ---- */

/* Its bounds, one after the other: what of them is found decides about the whole. */
static enum sl_masked range_binary(struct job *j, uint32_t of, struct sl_span v)
{
	struct sl_span rest = sl_span_sub(v, 1, v.n), bound = SL_SPAN_EMPTY;
	enum sl_masked rc = SL_MASKED_PASS;
	uint32_t nb;
	bool null;

	if (v.n == 0)
		return SL_MASKED_REFUSE;
	nb = (v.p[0] & RANGE_EMPTY) != 0
	             ? 0
	             : 2u - ((v.p[0] & RANGE_LB_INF) != 0) - ((v.p[0] & RANGE_UB_INF) != 0);
	for (uint32_t i = 0; i < nb && rc == SL_MASKED_PASS; i++) {
		struct out unused = {j->room, j->room_n, 0, false};
		struct job inner = *j;

		inner.room_n = 0;
		if (!take_value(&rest, &bound, &null) || null)
			return SL_MASKED_REFUSE;
		rc = mask_value(&inner, of, 1, bound, &unused);
	}
	return rc == SL_MASKED_PASS && rest.n > 0 ? SL_MASKED_REFUSE : rc;
}

static enum sl_masked multirange_binary(struct job *j, uint32_t range, struct sl_span v)
{
	struct type t = type_of(j->m->catalog, range, 1);
	enum sl_masked rc = SL_MASKED_PASS;
	struct sl_span one = SL_SPAN_EMPTY;
	uint32_t nb;
	bool null;

	if (t.kind != KIND_RANGE || !take32(&v, &nb))
		return SL_MASKED_REFUSE;
	for (uint32_t i = 0; i < nb && rc == SL_MASKED_PASS; i++) {
		if (!take_value(&v, &one, &null) || null)
			return SL_MASKED_REFUSE;
		rc = range_binary(j, t.of, one);
	}
	return rc == SL_MASKED_PASS && v.n > 0 ? SL_MASKED_REFUSE : rc;
}

enum sl_masked range_content(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                             struct out *w)
{
	const struct sl_mask *mask;
	enum sl_masked rc;

	if (format == 0)
		rc = content_find(j, v, &mask);
	else
		rc = t->kind == KIND_RANGE ? range_binary(j, t->of, v) : multirange_binary(j, t->of, v);
	if (rc == SL_MASKED_PASS || rc == SL_MASKED_REFUSE)
		return rc;
	return type_redacted(t->kind, format, w) ? mask_done(w) : SL_MASKED_NULL;
}
