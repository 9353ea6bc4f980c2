#include "test_slow.h"

#include <unistd.h>

#include "sl_record.h"

_Atomic unsigned record_check_us;

int __real_sl_record_check(struct sl_span rec);
int __wrap_sl_record_check(struct sl_span rec);

int __wrap_sl_record_check(struct sl_span rec)
{
	usleep(record_check_us);
	return __real_sl_record_check(rec);
}
