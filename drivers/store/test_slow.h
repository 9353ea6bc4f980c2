/* For tests that are linked with --wrap=sl_record_check: what each look at a record takes, in microseconds.
 */
#ifndef TEST_SLOW_H
#define TEST_SLOW_H

#include <stdatomic.h>

extern _Atomic unsigned record_check_us;

#endif
