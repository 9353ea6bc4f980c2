/* For tests that are linked with --wrap=sl_record_check: verification, slow at each record. */
#include <unistd.h>

#include "sl_record.h"

int __real_sl_record_check(struct sl_span rec);
int __wrap_sl_record_check(struct sl_span rec);

int __wrap_sl_record_check(struct sl_span rec)
{
	usleep(10000);
	return __real_sl_record_check(rec);
}
