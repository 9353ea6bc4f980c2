/*
 * The record reader: any bytes. What it takes, it must be able to walk and to look up; and since every value
 * has one encoding, the writer must make the same bytes of it again.
 */
#include <stdlib.h>

#include "sl_record.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* False when the writer has no call for it. */
static bool write_items(struct sl_record_writer *w, struct sl_record_value v)
{
	struct sl_span rest = v.s;

	for (uint32_t i = 0; i < v.nb_items; i++) {
		struct sl_record_value item = sl_record_next(&rest);

		CHECK(item.type != SL_RV_NONE && item.type != SL_RV_ARRAY);
		if (item.type != SL_RV_NIL && item.type != SL_RV_STR)
			return false;
		sl_record_item(w, item.type == SL_RV_NIL ? SL_SPAN_EMPTY : item.s);
	}
	CHECK(sl_record_next(&rest).type == SL_RV_NONE);
	return true;
}

static bool write_value(struct sl_record_writer *w, const char *key, struct sl_record_value v)
{
	switch (v.type) {
	case SL_RV_NIL:
		sl_record_nil(w, key);
		return true;
	case SL_RV_UINT:
		sl_record_uint(w, key, v.u);
		return true;
	case SL_RV_BOOL:
		sl_record_bool(w, key, v.u != 0);
		return true;
	case SL_RV_STR:
		sl_record_str(w, key, v.s);
		return true;
	case SL_RV_BIN:
		sl_record_bin(w, key, v.s);
		return true;
	case SL_RV_ARRAY:
		sl_record_array(w, key, v.nb_items);
		return write_items(w, v);
	case SL_RV_NONE:
	default:
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const common[] = {"k", "t", "n"};
	struct sl_span rec = sl_span(data, n), rest, key;
	uint8_t buf[SL_RECORD_MAX];
	struct sl_record_writer w;
	struct sl_record_value v;
	bool same = true;
	uint32_t nb = 0;

	(void)sl_record_get(rec, "k"); /* unchecked bytes may be looked at too */
	if (sl_record_check(rec) != SL_OK)
		return 0;
	for (rest = sl_record_pairs(rec); sl_record_pair(&rest, &key, &v);)
		nb++;
	CHECK(rest.n == 0 && nb >= SL_RECORD_PAIRS_COMMON);
	sl_record_begin(&w, buf, sizeof(buf), (enum sl_record_kind)sl_record_get(rec, "k").u,
	                sl_record_get(rec, "t").u, sl_record_get(rec, "n").u, nb - SL_RECORD_PAIRS_COMMON);
	nb = 0;
	for (rest = sl_record_pairs(rec); same && sl_record_pair(&rest, &key, &v); nb++) {
		char name[SL_RECORD_KEY_MAX + 1];

		if (nb < SL_RECORD_PAIRS_COMMON) {
			same = sl_span_is(key, common[nb]);
			continue;
		}
		CHECK(sl_span_cstr(key, name, sizeof(name)) > 0);
		CHECK(sl_record_get(rec, name).type == v.type);
		same = write_value(&w, name, v);
	}
	if (same)
		CHECK(sl_record_end(&w) == (int)n && memcmp(buf, data, n) == 0);
	return 0;
}
