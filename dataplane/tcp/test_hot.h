/* Which bytes of a connection the stack touches (test_tcp_hot.c). */
#ifndef TEST_HOT_H
#define TEST_HOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOT_BYTES 2048U

struct hot_watch {
	const uint8_t *base; /* of the connection; NULL: off */
	bool touched[HOT_BYTES];
};
extern struct hot_watch hot;

#endif
