#include "sl_record.h"

#include <msgpack.h>

/* msgpack-c's sink: the record's fixed buffer. Once it does not fit, nothing more is taken. */
static int sink(void *data, const char *p, size_t n)
{
	struct sl_record_writer *w = data;

	if (w->overflow || n > w->cap - w->n) {
		w->overflow = true;
		return -1;
	}
	if (n > 0)
		memcpy(w->buf + w->n, p, n);
	w->n += n;
	return 0;
}

static msgpack_packer packer(struct sl_record_writer *w)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, w, sink);
	return pk;
}

static void put_str(struct sl_record_writer *w, struct sl_span v)
{
	msgpack_packer pk = packer(w);

	msgpack_pack_str(&pk, v.n);
	msgpack_pack_str_body(&pk, v.p, v.n);
}

/* A key. A pair too many, or one inside an unfinished array, spoils the record: sl_record_end() tells. */
static void put_key(struct sl_record_writer *w, const char *key)
{
	if (w->nb_pairs == 0 || w->nb_items > 0) {
		w->overflow = true;
		return;
	}
	w->nb_pairs--;
	put_str(w, sl_span_str(key));
}

void sl_record_begin(struct sl_record_writer *w, uint8_t *buf, size_t cap, enum sl_record_kind kind,
                     uint64_t wall_us, uint64_t number, uint32_t nb_pairs)
{
	msgpack_packer pk = packer(w);

	*w = (struct sl_record_writer){.buf = buf, .cap = cap};
	if (nb_pairs > SL_RECORD_PAIRS_MAX - SL_RECORD_PAIRS_COMMON) {
		w->overflow = true;
		return;
	}
	w->nb_pairs = nb_pairs + SL_RECORD_PAIRS_COMMON;
	msgpack_pack_map(&pk, w->nb_pairs);
	sl_record_uint(w, "k", kind);
	sl_record_uint(w, "t", wall_us);
	sl_record_uint(w, "n", number);
}

void sl_record_str(struct sl_record_writer *w, const char *key, struct sl_span v)
{
	put_key(w, key);
	put_str(w, v);
}

void sl_record_bin(struct sl_record_writer *w, const char *key, struct sl_span v)
{
	msgpack_packer pk = packer(w);

	put_key(w, key);
	msgpack_pack_bin(&pk, v.n);
	msgpack_pack_bin_body(&pk, v.p, v.n);
}

void sl_record_uint(struct sl_record_writer *w, const char *key, uint64_t v)
{
	msgpack_packer pk = packer(w);

	put_key(w, key);
	msgpack_pack_uint64(&pk, v);
}

void sl_record_bool(struct sl_record_writer *w, const char *key, bool v)
{
	msgpack_packer pk = packer(w);

	put_key(w, key);
	if (v)
		msgpack_pack_true(&pk);
	else
		msgpack_pack_false(&pk);
}

void sl_record_nil(struct sl_record_writer *w, const char *key)
{
	msgpack_packer pk = packer(w);

	put_key(w, key);
	msgpack_pack_nil(&pk);
}

void sl_record_array(struct sl_record_writer *w, const char *key, uint32_t nb)
{
	msgpack_packer pk = packer(w);

	put_key(w, key);
	msgpack_pack_array(&pk, nb);
	w->nb_items = nb;
}

void sl_record_item(struct sl_record_writer *w, struct sl_span v)
{
	msgpack_packer pk = packer(w);

	if (w->nb_items == 0) {
		w->overflow = true;
		return;
	}
	w->nb_items--;
	if (v.p == NULL)
		msgpack_pack_nil(&pk);
	else
		put_str(w, v);
}

int sl_record_end(struct sl_record_writer *w)
{
	if (w->overflow || w->nb_pairs > 0 || w->nb_items > 0 || w->n > SL_RECORD_MAX)
		return SL_E_LIMIT;
	return (int)w->n;
}
