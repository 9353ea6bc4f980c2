#include "store_priv.h"

/*
 * A checkpoint's bytes: magic(4) version(1) zero(3) number(8) wall_us(8) key id(8) previous hash(32 -> at
 * 32), entries, signature. All numbers big endian. The next one's "previous hash" is SHA-256 over all of it,
 * the signature included.
 */
#define AT_MAGIC   0
#define AT_VERSION 4
#define AT_COUNT   5 /* 24 bits */
#define AT_NUMBER  8
#define AT_WALL    16
#define AT_KEY     24
#define AT_PREV    32

#define VERSION 1

static const uint8_t magic[4] = {'S', 'L', 'C', 'P'};

int checkpoint_start(struct checkpoint_tip *tip)
{
	tip->number = 0;
	return store_hash(SL_SPAN_LIT("sluice checkpoint"), SL_SPAN_EMPTY, tip->hash);
}

void checkpoint_begin(uint8_t *out, const struct checkpoint_tip *tip, uint64_t wall_us,
                      const uint8_t key_id[KEY_ID_BYTES], uint32_t nb)
{
	memcpy(out + AT_MAGIC, magic, sizeof(magic));
	out[AT_VERSION] = VERSION;
	out[AT_COUNT] = (uint8_t)(nb >> 16);
	sl_put_be16(out + AT_COUNT + 1, (uint16_t)nb);
	put_be64(out + AT_NUMBER, tip->number + 1);
	put_be64(out + AT_WALL, wall_us);
	memcpy(out + AT_KEY, key_id, KEY_ID_BYTES);
	memcpy(out + AT_PREV, tip->hash, HASH_BYTES);
}

void checkpoint_entry_put(uint8_t *out, uint32_t at, const struct sl_id *id, uint64_t last,
                          const uint8_t hash[HASH_BYTES])
{
	uint8_t *e = out + CHECKPOINT_HEAD_BYTES + (size_t)at * CHECKPOINT_ENTRY_BYTES;

	memcpy(e, id->b, sizeof(id->b));
	put_be64(e + 16, last);
	memcpy(e + 24, hash, HASH_BYTES);
}

int checkpoint_end(uint8_t *out, uint32_t nb, EVP_PKEY *key, struct checkpoint_tip *tip)
{
	size_t body = CHECKPOINT_BYTES(nb) - SIGNATURE_BYTES, n = SIGNATURE_BYTES;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = SL_E_SYS;

	if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(ctx, out + body, &n, out, body) == 1 && n == SIGNATURE_BYTES)
		rc = store_hash(sl_span(out, CHECKPOINT_BYTES(nb)), SL_SPAN_EMPTY, tip->hash);
	if (rc == SL_OK)
		tip->number = get_be64(out + AT_NUMBER);
	EVP_MD_CTX_free(ctx);
	return rc;
}

bool checkpoint_parse(MDB_val v, struct checkpoint *out)
{
	const uint8_t *p = v.mv_data;
	size_t n;

	if (v.mv_size < CHECKPOINT_BYTES(0) || memcmp(p, magic, sizeof(magic)) != 0 ||
	    p[AT_VERSION] != VERSION)
		return false;
	out->nb = (uint32_t)p[AT_COUNT] << 16 | sl_get_be16(p + AT_COUNT + 1);
	if (v.mv_size != CHECKPOINT_BYTES(out->nb))
		return false;
	n = (size_t)out->nb * CHECKPOINT_ENTRY_BYTES;
	out->number = get_be64(p + AT_NUMBER);
	out->wall_us = get_be64(p + AT_WALL);
	out->key_id = p + AT_KEY;
	out->prev = p + AT_PREV;
	out->entries = sl_span(p + CHECKPOINT_HEAD_BYTES, n);
	out->body = sl_span(p, CHECKPOINT_HEAD_BYTES + n);
	out->signature = sl_span(p + CHECKPOINT_HEAD_BYTES + n, SIGNATURE_BYTES);
	return true;
}

struct checkpoint_entry checkpoint_entry_get(const struct checkpoint *c, uint32_t at)
{
	const uint8_t *e = c->entries.p + (size_t)at * CHECKPOINT_ENTRY_BYTES;
	struct checkpoint_entry out = {.last = get_be64(e + 16), .hash = e + 24};

	memcpy(out.id.b, e, sizeof(out.id.b));
	return out;
}

bool checkpoint_find(const struct checkpoint *c, const struct sl_id *id, struct checkpoint_entry *out)
{
	for (uint32_t i = 0; i < c->nb; i++) {
		*out = checkpoint_entry_get(c, i);
		if (memcmp(out->id.b, id->b, sizeof(id->b)) == 0)
			return true;
	}
	return false;
}

bool checkpoint_signed(const struct checkpoint *c, const struct public_key *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
	          EVP_DigestVerify(ctx, c->signature.p, c->signature.n, c->body.p, c->body.n) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}
