#include "sl_record.h"

/*
 * The reader takes the part of msgpack that the writer makes: one map of short string keys; values nil,
 * boolean, unsigned integer, str, bin, and arrays of these but arrays. Every value has exactly one encoding
 * (the shortest), so that two records with the same meaning have the same bytes.
 */

enum msgpack_byte { /* the format's names and first bytes */
	MP_FIXMAP = 0x80,
	MP_FIXARRAY = 0x90,
	MP_FIXSTR = 0xa0,
	MP_NIL = 0xc0,
	MP_FALSE = 0xc2,
	MP_TRUE = 0xc3,
	MP_BIN8 = 0xc4,
	MP_BIN16 = 0xc5,
	MP_UINT8 = 0xcc,
	MP_UINT16 = 0xcd,
	MP_UINT32 = 0xce,
	MP_UINT64 = 0xcf,
	MP_STR8 = 0xd9,
	MP_STR16 = 0xda,
	MP_ARRAY16 = 0xdc,
	MP_MAP16 = 0xde,
};

#define FIXSTR_MAX   31 /* length that fits into the first byte of a str */
#define FIXARRAY_MAX 15 /* and of an array or a map */
#define FIXINT_MAX   0x7f

static const struct sl_record_value none = {.type = SL_RV_NONE};

/* Takes a big endian number of n bytes; false when there are not as many, or when a shorter form could hold
 * it. */
static bool take_be(struct sl_span *in, size_t n, uint64_t least, uint64_t *out)
{
	uint64_t v = 0;

	if (in->n < n)
		return false;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | in->p[i];
	*in = sl_span(in->p + n, in->n - n);
	*out = v;
	return v >= least;
}

static bool take_bytes(struct sl_span *in, uint64_t n, struct sl_span *out)
{
	if (in->n < n)
		return false;
	*out = sl_span(in->p, (size_t)n);
	*in = sl_span(in->p + n, in->n - (size_t)n);
	return true;
}

/* A uint's or a length's body behind its first byte. False: not an unsigned integer of this reader. */
static bool take_uint(struct sl_span *in, uint8_t first, uint64_t *out)
{
	switch (first) {
	case MP_UINT8:
		return take_be(in, 1, FIXINT_MAX + 1, out);
	case MP_UINT16:
		return take_be(in, 2, UINT8_MAX + 1, out);
	case MP_UINT32:
		return take_be(in, 4, UINT16_MAX + 1, out);
	case MP_UINT64:
		return take_be(in, 8, (uint64_t)UINT32_MAX + 1, out);
	default:
		*out = first;
		return first <= FIXINT_MAX;
	}
}

/* The length of a str or bin whose first byte was taken. False when it is neither. 32-bit lengths cannot fit
 * a record. */
static bool take_length(struct sl_span *in, uint8_t first, uint64_t *out)
{
	switch (first) {
	case MP_BIN8:
		return take_be(in, 1, 0, out);
	case MP_STR8:
		return take_be(in, 1, FIXSTR_MAX + 1, out);
	case MP_BIN16:
	case MP_STR16:
		return take_be(in, 2, UINT8_MAX + 1, out);
	default:
		*out = first - (uint64_t)MP_FIXSTR;
		return first >= MP_FIXSTR && first <= MP_FIXSTR + FIXSTR_MAX;
	}
}

/* Takes one value that is not an array. */
static bool take_scalar(struct sl_span *in, struct sl_record_value *v)
{
	uint64_t n = 0;
	uint8_t first;

	*v = none;
	if (in->n == 0)
		return false;
	first = in->p[0];
	*in = sl_span(in->p + 1, in->n - 1);
	if (first == MP_NIL) {
		v->type = SL_RV_NIL;
		return true;
	}
	if (first == MP_FALSE || first == MP_TRUE) {
		v->type = SL_RV_BOOL;
		v->u = first == MP_TRUE;
		return true;
	}
	if (first <= FIXINT_MAX || (first >= MP_UINT8 && first <= MP_UINT64)) {
		v->type = SL_RV_UINT;
		return take_uint(in, first, &v->u);
	}
	v->type = first == MP_BIN8 || first == MP_BIN16 ? SL_RV_BIN : SL_RV_STR;
	return take_length(in, first, &n) && take_bytes(in, n, &v->s);
}

/* The head of an array or map: its number of items. base is the one-byte form, wide the 16-bit one. */
static bool take_count(struct sl_span *in, uint8_t base, uint8_t wide, uint64_t *nb)
{
	uint8_t first;

	if (in->n == 0)
		return false;
	first = in->p[0];
	if (first != wide && (first < base || first > base + FIXARRAY_MAX))
		return false;
	*in = sl_span(in->p + 1, in->n - 1);
	*nb = first - (uint64_t)base;
	return first != wide || take_be(in, 2, FIXARRAY_MAX + 1, nb);
}

static bool take_value(struct sl_span *in, struct sl_record_value *v)
{
	struct sl_record_value item;
	struct sl_span start;
	uint64_t nb = 0;

	if (in->n == 0 ||
	    (in->p[0] != MP_ARRAY16 && (in->p[0] < MP_FIXARRAY || in->p[0] > MP_FIXARRAY + FIXARRAY_MAX)))
		return take_scalar(in, v);
	if (!take_count(in, MP_FIXARRAY, MP_ARRAY16, &nb))
		return false;
	start = *in;
	for (uint64_t i = 0; i < nb; i++) {
		if (!take_scalar(in, &item))
			return false;
	}
	*v = (struct sl_record_value){
	        .type = SL_RV_ARRAY, .s = sl_span(start.p, start.n - in->n), .nb_items = (uint32_t)nb};
	return true;
}

static bool is_key(struct sl_span k)
{
	for (size_t i = 0; i < k.n; i++) {
		if ((k.p[i] < 'a' || k.p[i] > 'z') && (k.p[i] < '0' || k.p[i] > '9'))
			return false;
	}
	return k.n > 0 && k.n <= SL_RECORD_KEY_MAX;
}

static bool take_pair(struct sl_span *in, struct sl_span *key, struct sl_record_value *v)
{
	struct sl_record_value k;

	if (!take_scalar(in, &k) || k.type != SL_RV_STR || !is_key(k.s))
		return false;
	*key = k.s;
	return take_value(in, v);
}

static bool seen(const struct sl_span *keys, uint64_t nb, struct sl_span key)
{
	for (uint64_t i = 0; i < nb; i++) {
		if (sl_span_eq(keys[i], key))
			return true;
	}
	return false;
}

static bool common_keys(struct sl_span rec)
{
	struct sl_record_value k = sl_record_get(rec, "k");

	return k.type == SL_RV_UINT && k.u >= SL_REC_SESSION && k.u <= SL_REC_GAP &&
	       sl_record_get(rec, "t").type == SL_RV_UINT && sl_record_get(rec, "n").type == SL_RV_UINT;
}

int sl_record_check(struct sl_span rec)
{
	struct sl_span keys[SL_RECORD_PAIRS_MAX], in = rec;
	struct sl_record_value v;
	uint64_t nb = 0;

	if (rec.n > SL_RECORD_MAX || !take_count(&in, MP_FIXMAP, MP_MAP16, &nb) || nb > SL_RECORD_PAIRS_MAX)
		return SL_E_STORE_CORRUPT;
	for (uint64_t i = 0; i < nb; i++) {
		if (!take_pair(&in, &keys[i], &v) || seen(keys, i, keys[i]))
			return SL_E_STORE_CORRUPT;
	}
	return in.n == 0 && common_keys(rec) ? SL_OK : SL_E_STORE_CORRUPT;
}

struct sl_record_value sl_record_get(struct sl_span rec, const char *key)
{
	struct sl_record_value v;
	struct sl_span k;
	uint64_t nb = 0;

	if (!take_count(&rec, MP_FIXMAP, MP_MAP16, &nb))
		return none;
	for (uint64_t i = 0; i < nb; i++) {
		if (!take_pair(&rec, &k, &v))
			return none;
		if (sl_span_is(k, key))
			return v;
	}
	return none;
}

struct sl_record_value sl_record_next(struct sl_span *rest)
{
	struct sl_record_value v;

	if (rest->n == 0 || !take_scalar(rest, &v)) {
		*rest = SL_SPAN_EMPTY;
		return none;
	}
	return v;
}

bool sl_record_pair(struct sl_span *rest, struct sl_span *key, struct sl_record_value *v)
{
	return rest->n > 0 && take_pair(rest, key, v);
}

struct sl_span sl_record_pairs(struct sl_span rec)
{
	uint64_t nb = 0;

	return take_count(&rec, MP_FIXMAP, MP_MAP16, &nb) ? rec : SL_SPAN_EMPTY;
}
