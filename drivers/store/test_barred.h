/* Verification, slow at each record. */
#ifndef SL_STORE_TEST_BARRED_H
#define SL_STORE_TEST_BARRED_H

#include <unistd.h>

#include "sl_record.h"

static inline int test_record_check(struct sl_span rec)
{
	usleep(10000);
	return sl_record_check(rec);
}

#define sl_record_check test_record_check

#endif
