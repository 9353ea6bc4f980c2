/*
 * Addresses of both families in one type: an IPv4 address is the first 4 bytes of `b` in network order, the
 * rest zero, so that two addresses are equal when their bytes are.
 */
#ifndef SL_ADDR_H
#define SL_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SL_ADDR_STR_MAX     46 /* INET6_ADDRSTRLEN */
#define SL_ENDPOINT_STR_MAX 56 /* "[addr]:65535" */

enum sl_family {
	SL_AF_NONE = 0,
	SL_AF_INET = 4,
	SL_AF_INET6 = 6,
};

struct sl_addr {
	uint8_t b[16];
	uint8_t family; /* enum sl_family */
};

struct sl_prefix {
	struct sl_addr addr;
	uint8_t bits;
};

struct sl_endpoint {
	struct sl_addr addr;
	uint16_t port; /* host order */
};

static inline bool sl_addr_eq(const struct sl_addr *a, const struct sl_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool sl_endpoint_eq(const struct sl_endpoint *a, const struct sl_endpoint *b)
{
	return a->port == b->port && sl_addr_eq(&a->addr, &b->addr);
}

/* From network-order bytes of an IPv4 header. */
static inline struct sl_addr sl_addr_v4(const void *be4)
{
	struct sl_addr a = {{0}, SL_AF_INET};

	memcpy(a.b, be4, 4);
	return a;
}

/* Parse "10.0.0.1", "10.0.0.1/24" or "10.0.0.1:5432" / "[::1]:5432" whole. 0, or SL_E_INVAL. */
int sl_addr_parse(const char *s, struct sl_addr *out);
int sl_prefix_parse(const char *s, struct sl_prefix *out);
int sl_endpoint_parse(const char *s, struct sl_endpoint *out);
/* Print into a buffer of SL_ADDR_STR_MAX / SL_ENDPOINT_STR_MAX bytes; returns it. */
const char *sl_addr_str(const struct sl_addr *a, char *out);
const char *sl_endpoint_str(const struct sl_endpoint *e, char *out);
bool sl_prefix_has(const struct sl_prefix *p, const struct sl_addr *a);

#endif
