/* Shared by the tests of control: a store in a directory of its own. */
#ifndef SL_CONTROL_TEST_STORE_H
#define SL_CONTROL_TEST_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_store.h"

struct test_dir {
	char path[64], store[96], sign[96];
};

static inline void test_dir_make(struct test_dir *d)
{
	snprintf(d->path, sizeof(d->path), "/tmp/sl-control-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	snprintf(d->store, sizeof(d->store), "%s/store", d->path);
	snprintf(d->sign, sizeof(d->sign), "%s/sign.key", d->path);
}

static inline int test_dir_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void test_dir_remove(const struct test_dir *d)
{
	nftw(d->path, test_dir_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct sl_store *test_dir_open(const struct test_dir *d)
{
	struct sl_store_cfg cfg = {.path = d->store,
	                           .sign_key = d->sign,
	                           .map_bytes = 64 << 20,
	                           .nb_workers = 1,
	                           .blocks_per_worker = 64,
	                           .batch_max = 32};
	struct sl_store *s = NULL;
	char err[256] = "";

	if (sl_store_open(&cfg, &s, err, sizeof(err)) != SL_OK)
		fail_msg("open: %s", err);
	return s;
}

#endif
