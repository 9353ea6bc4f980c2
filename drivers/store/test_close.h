/* store.c is compiled with it for test_close.c, which is told of each look that it takes at an atomic word.
 */
#ifndef TEST_CLOSE_H
#define TEST_CLOSE_H

#include <stdatomic.h>

void test_look(const char *function, const void *p);

#undef atomic_load
#define atomic_load(p) (test_look(__func__, (p)), atomic_load_explicit((p), memory_order_seq_cst))

#endif
