/* Shared by the store's tests: a store in a directory of its own, and a producer of sessions. */
#ifndef SL_STORE_TEST_UTIL_H
#define SL_STORE_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sl_store.h"

#define TEST_MAP_BYTES (64u << 20)

struct dir {
	char path[64], store[80], key[80];
};

static inline struct dir dir_make(void)
{
	struct dir d = {.path = "/tmp/sluice-store-XXXXXX"};

	assert_non_null(mkdtemp(d.path));
	snprintf(d.store, sizeof(d.store), "%s/db", d.path);
	snprintf(d.key, sizeof(d.key), "%s/key", d.path);
	return d;
}

static inline void dir_remove(struct dir *d)
{
	static const char *const names[] = {
	        "db/data.mdb", "db/lock.mdb", "db/gateway.lock", "db", "key", "key.pub", ""};
	char name[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", d->path, names[i]);
		(void)remove(name);
	}
}

static inline struct sl_store_cfg cfg_of(const struct dir *d)
{
	return (struct sl_store_cfg){.path = d->store,
	                             .sign_key = d->key,
	                             .map_bytes = TEST_MAP_BYTES,
	                             .nb_workers = 2,
	                             .blocks_per_worker = 64,
	                             .batch_max = 32};
}

static inline struct sl_store *store_up(const struct dir *d)
{
	struct sl_store_cfg cfg = cfg_of(d);
	struct sl_store *s = NULL;
	char err[512] = "";

	if (sl_store_open(&cfg, &s, err, sizeof(err)) != SL_OK)
		fail_msg("open: %s", err);
	return s;
}

static inline struct sl_id session_id(uint32_t worker, uint32_t n)
{
	struct sl_id_maker m = {.salt = 0x5a5a5a, .maker = (uint8_t)worker, .next = n};

	return sl_id_make(&m, UINT64_C(1700000000000000));
}

static inline void nap_us(long us)
{
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	nanosleep(&ts, NULL);
}

/* Fills a block with a record of n_text bytes of text. */
static inline void fill_block(struct sl_block *b, const struct sl_id *id, uint64_t record,
                              enum sl_record_kind kind, size_t n_text)
{
	static const uint8_t text[SL_RECORD_TEXT_MAX];
	struct sl_record_writer w;
	int n;

	sl_record_begin(&w, b->data, sizeof(b->data), kind, 1700000000000000 + record, record, 1);
	sl_record_str(&w, "x", sl_span(text, n_text));
	n = sl_record_end(&w);
	b->session = *id;
	b->record = record;
	b->kind = (uint8_t)kind;
	b->n = (uint16_t)n;
}

/* Hands a record over, waiting for a block when there is none. Returns its number. */
static inline uint64_t put_record_sized(struct sl_store *s, uint32_t worker, const struct sl_id *id,
                                        uint64_t record, enum sl_record_kind kind, size_t n_text)
{
	struct sl_block *b;
	uint64_t n;

	while ((b = sl_store_block_get(s, worker)) == NULL)
		nap_us(100);
	fill_block(b, id, record, kind, n_text);
	n = sl_store_block_put(s, worker, b);
	sl_store_kick(s, worker);
	return n;
}

static inline uint64_t put_record(struct sl_store *s, uint32_t worker, const struct sl_id *id,
                                  uint64_t record, enum sl_record_kind kind)
{
	return put_record_sized(s, worker, id, record, kind, 20 + record % 100);
}

static inline void wait_durable(const struct sl_store *s, uint32_t worker, uint64_t number)
{
	for (int i = 0; i < 100000 && sl_store_durable(s, worker) < number; i++)
		nap_us(100);
	assert_true(sl_store_durable(s, worker) >= number);
}

/* A session of nb records, each in a commit of its own when slow. */
static inline void put_session(struct sl_store *s, uint32_t worker, const struct sl_id *id, uint64_t nb,
                               bool slow)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < nb; i++) {
		enum sl_record_kind kind = i == 0        ? SL_REC_SESSION
		                           : i == nb - 1 ? SL_REC_END
		                                         : SL_REC_COMMAND;

		n = put_record(s, worker, id, i, kind);
		if (slow)
			wait_durable(s, worker, n);
	}
	wait_durable(s, worker, n);
}

#endif
