/* From a value and its type to the function that masks it. */
#include <stdio.h>

#include "json_priv.h"
#include "sl_addr.h"

#define MAC_TEXT_MAX 32

enum sl_masked mask_done(const struct out *w)
{
	return w->full ? SL_MASKED_REFUSE : SL_MASKED_NEW;
}

static bool is_text(enum kind k)
{
	return k == KIND_TEXT || k == KIND_BPCHAR;
}

/* ---- content ---- */

/* What was found is in a value that is no text: all of it goes by the action of the mask that found it. */
static enum sl_masked found(struct job *j, const struct type *t, uint8_t format, struct sl_span seen,
                            struct sl_span v, struct out *w)
{
	const struct sl_mask *mask;
	enum sl_masked rc = content_find(j, seen, &mask);

	if (rc != SL_MASKED_NEW)
		return rc;
	return mask->action == SL_MASK_NULL ? SL_MASKED_NULL : scalar_action(mask, t, format, v, w);
}

static enum sl_masked number_content(struct job *j, const struct type *t, struct sl_span v, struct out *w)
{
	char text[NUMBER_MAX];
	size_t n = number_text(t->kind, v, text, sizeof(text));

	return n == 0 ? SL_MASKED_REFUSE : found(j, t, 1, sl_span(text, n), v, w);
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea in text format: \x and hexadecimal digits (bytea_output hex), else its own escapes, which keep ASCII
 * readable. */
static enum sl_masked bytea_content(struct job *j, const struct type *t, struct sl_span v, struct out *w)
{
	size_t n = 0;

	if (v.n < 2 || v.p[0] != '\\' || v.p[1] != 'x')
		return found(j, t, 0, v, v, w);
	if (v.n % 2 != 0 || (v.n - 2) / 2 > j->room_n)
		return SL_MASKED_REFUSE;
	for (size_t i = 2; i < v.n; i += 2) {
		int hi = nibble(v.p[i]), lo = nibble(v.p[i + 1]);

		if (hi < 0 || lo < 0)
			return SL_MASKED_REFUSE;
		j->room[n++] = (uint8_t)(hi << 4 | lo);
	}
	return found(j, t, 0, sl_span(j->room, n), v, w);
}

/* Addresses in binary as they are printed, as far as detectors look for them. */
static enum sl_masked address_content(struct job *j, const struct type *t, struct sl_span v, struct out *w)
{
	char text[SL_ADDR_STR_MAX + MAC_TEXT_MAX];
	size_t n = 0;

	if (t->kind == KIND_INET || t->kind == KIND_CIDR) {
		struct sl_addr a = {.family = v.n == 8 ? SL_AF_INET : SL_AF_INET6};

		if (v.n != 8 && v.n != 20)
			return SL_MASKED_REFUSE;
		memcpy(a.b, v.p + 4, v.n - 4);
		n = strlen(sl_addr_str(&a, text));
	} else {
		if (v.n != (t->kind == KIND_MACADDR ? 6 : 8))
			return SL_MASKED_REFUSE;
		for (size_t i = 0; i < v.n; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%02x", i > 0 ? ":" : "", v.p[i]);
	}
	return found(j, t, 1, sl_span(text, n), v, w);
}

static enum sl_masked json_content(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                                   struct out *w)
{
	bool versioned = t->kind == KIND_JSONB && format == 1;

	if (versioned && (v.n == 0 || v.p[0] != 1))
		return SL_MASKED_REFUSE;
	if (versioned)
		out_byte(w, 1);
	switch (json_mask(j, NULL, versioned ? sl_span(v.p + 1, v.n - 1) : v, w)) {
	case JSON_PASS:
		return SL_MASKED_PASS;
	case JSON_NEW:
		return mask_done(w);
	case JSON_REFUSE:
		return SL_MASKED_REFUSE;
	default:
		return SL_MASKED_NULL;
	}
}

static enum sl_masked content_binary(struct job *j, const struct type *t, struct sl_span v, struct out *w)
{
	switch (t->kind) {
	case KIND_CHAR:
	case KIND_BYTEA:
	case KIND_ENUM:
	case KIND_TSVECTOR: /* its words stand in it as they are */
		return found(j, t, 1, v, v, w);
	case KIND_INT2:
	case KIND_INT4:
	case KIND_INT8:
	case KIND_FLOAT4:
	case KIND_FLOAT8:
	case KIND_NUMERIC:
		return number_content(j, t, v, w);
	case KIND_INET:
	case KIND_CIDR:
	case KIND_MACADDR:
	case KIND_MACADDR8:
		return address_content(j, t, v, w);
	default:
		return SL_MASKED_REFUSE;
	}
}

static bool holds_no_content(enum kind k)
{
	return k == KIND_PLAIN || k == KIND_BOOL || k == KIND_OID || k == KIND_UUID || k == KIND_BIT ||
	       k == KIND_VARBIT || (k >= KIND_DATE && k <= KIND_INTERVAL);
}

bool sl_mask_content_type(const struct sl_catalog *catalog, uint32_t type, uint8_t format)
{
	return !holds_no_content(type_of(catalog, type, format).kind);
}

bool sl_mask_plain_type(const struct sl_catalog *catalog, uint32_t type, uint8_t format)
{
	enum kind k = type_of(catalog, type, format).kind;

	return is_text(k) || k == KIND_XML;
}

static enum sl_masked content(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                              struct out *w)
{
	if (!j->m->who->any_content_mask || holds_no_content(t->kind))
		return SL_MASKED_PASS;
	switch (t->kind) {
	case KIND_TEXT:
	case KIND_BPCHAR:
	case KIND_XML:
		return content_text(j, v, w);
	case KIND_JSON:
	case KIND_JSONB:
		return json_content(j, t, format, v, w);
	case KIND_ARRAY:
		return array_mask(j, t, format, v, w);
	case KIND_COMPOSITE:
		return composite_mask(j, format, v, w);
	case KIND_RANGE:
	case KIND_MULTIRANGE:
		return range_content(j, t, format, v, w);
	case KIND_BYTEA:
		return format == 0 ? bytea_content(j, t, v, w) : content_binary(j, t, v, w);
	default:
		return format == 0 ? found(j, t, 0, v, v, w) : content_binary(j, t, v, w);
	}
}

/* ---- a column's mask ---- */

static void put_xml(struct out *w, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '<')
			out_text(w, "&lt;");
		else if (*text == '&')
			out_text(w, "&amp;");
		else
			out_byte(w, (uint8_t)*text);
	}
}

static enum sl_masked json_all(const struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                               struct out *w)
{
	if (t->kind == KIND_JSONB && format == 1)
		out_byte(w, 1);
	json_whole(j->mask, v, w);
	return mask_done(w);
}

/* By its paths. Not a document: all of it is masked. */
static enum sl_masked column_json(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                                  struct out *w)
{
	bool versioned = t->kind == KIND_JSONB && format == 1;
	size_t before = w->n;

	if (versioned && (v.n == 0 || v.p[0] != 1))
		return SL_MASKED_REFUSE;
	if (versioned)
		out_byte(w, 1);
	switch (json_mask(j, j->mask, versioned ? sl_span(v.p + 1, v.n - 1) : v, w)) {
	case JSON_PASS:
		return SL_MASKED_PASS;
	case JSON_NEW:
		return mask_done(w);
	case JSON_NULL:
		return SL_MASKED_NULL;
	case JSON_REFUSE:
		return SL_MASKED_REFUSE;
	default:
		w->n = before;
		break;
	}
	if (j->mask->action == SL_MASK_NULL)
		return SL_MASKED_NULL;
	return is_text(t->kind) ? text_action(j->mask, v, w) : json_all(j, t, format, v, w);
}

/* Blanks at the end of character(n) do not count. */
static struct sl_span unpadded(struct sl_span v)
{
	while (v.n > 0 && v.p[v.n - 1] == ' ')
		v.n--;
	return v;
}

static enum sl_masked column(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                             struct out *w)
{
	const struct sl_mask *m = j->mask;
	bool paths = m->json.nb > 0;

	if (paths && (is_text(t->kind) || t->kind == KIND_JSON || t->kind == KIND_JSONB))
		return column_json(j, t, format, v, w);
	if (t->kind == KIND_ARRAY && (paths || m->action != SL_MASK_NULL))
		return array_mask(j, t, format, v, w);
	if (m->action == SL_MASK_NULL)
		return SL_MASKED_NULL;
	switch (t->kind) {
	case KIND_TEXT:
		return text_action(m, v, w);
	case KIND_BPCHAR:
		return text_action(m, m->action == SL_MASK_HASH ? unpadded(v) : v, w);
	case KIND_JSON:
	case KIND_JSONB:
		return json_all(j, t, format, v, w);
	case KIND_XML:
		if (m->action == SL_MASK_HASH && m->key != NULL)
			return text_action(m, v, w);
		put_xml(w, redact_text(m));
		return mask_done(w);
	case KIND_COMPOSITE:
		return composite_mask(j, format, v, w);
	default:
		return scalar_action(m, t, format, v, w);
	}
}

/* Nothing of the value counts, not even how long it is or how many parts it has. */
static enum sl_masked derived(const struct job *j, const struct type *t, uint8_t format, struct out *w)
{
	if (j->mask->action == SL_MASK_NULL)
		return SL_MASKED_NULL;
	switch (t->kind) {
	case KIND_TEXT:
	case KIND_BPCHAR:
		out_text(w, redact_text(j->mask));
		return mask_done(w);
	case KIND_XML:
		put_xml(w, redact_text(j->mask));
		return mask_done(w);
	case KIND_JSONB:
	case KIND_JSON:
		if (t->kind == KIND_JSONB && format == 1)
			out_byte(w, 1);
		json_put_string(w, sl_span_str(redact_text(j->mask)));
		return mask_done(w);
	case KIND_ARRAY:
		array_empty(t, format, w);
		return mask_done(w);
	case KIND_ENUM:
		out_put(w, t->label.p, t->label.n);
		return t->label.n > 0 ? mask_done(w) : SL_MASKED_NULL;
	default:
		return type_redacted(t->kind, format, w) ? mask_done(w) : SL_MASKED_NULL;
	}
}

enum sl_masked mask_value(struct job *j, uint32_t oid, uint8_t format, struct sl_span v, struct out *w)
{
	struct type t = type_of(j->m->catalog, oid, format);
	size_t before = w->n;
	enum sl_masked rc;

	if (j->depth == NESTING_MAX)
		return SL_MASKED_REFUSE;
	j->depth++;
	if (j->mask == NULL)
		rc = content(j, &t, format, v, w);
	else if (j->derived)
		rc = derived(j, &t, format, w);
	else
		rc = column(j, &t, format, v, w);
	j->depth--;
	if (rc != SL_MASKED_NEW)
		w->n = before;
	return rc;
}

enum sl_masked sl_mask(const struct sl_masker *m, const struct sl_mask_value *v, uint8_t *out, size_t cap,
                       size_t *n)
{
	struct job j = {.m = m, .derived = v->derived, .column = v->column, .look = v->look};
	struct out w = {out, cap, 0, false};
	enum sl_masked rc;

	*n = 0;
	if (m->who->snapshot_version != m->snapshot->version || v->format > 1 ||
	    (v->mask >= 0 && (uint32_t)v->mask >= m->snapshot->nb_masks))
		return SL_MASKED_REFUSE;
	j.mask = v->mask >= 0 ? &m->snapshot->masks[v->mask] : NULL;
	j.room = m->scratch;
	j.room_n = m->scratch_n;
	rc = mask_value(&j, v->type, v->format, v->value.p != NULL ? v->value : SL_SPAN_LIT(""), &w);
	*n = rc == SL_MASKED_NEW ? w.n : 0;
	return rc;
}
