#include "sl_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_err.h"

int sl_addr_parse(const char *s, struct sl_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, s, out->b) == 1)
		out->family = SL_AF_INET;
	else if (inet_pton(AF_INET6, s, out->b) == 1)
		out->family = SL_AF_INET6;
	else
		return SL_E_INVAL;
	return SL_OK;
}

/* A decimal number of at most `max`, the whole string, no sign and no spaces. */
static int parse_number(const char *s, unsigned long max, unsigned long *out)
{
	char *end;

	if (*s < '0' || *s > '9' || strlen(s) > 5)
		return SL_E_INVAL;
	*out = strtoul(s, &end, 10);
	return *end == '\0' && *out <= max ? SL_OK : SL_E_INVAL;
}

/* Copies the part of s before `end` and parses it as an address. */
static int parse_part(const char *s, const char *end, struct sl_addr *out)
{
	char part[SL_ADDR_STR_MAX];
	size_t n = (size_t)(end - s);

	if (n >= sizeof(part))
		return SL_E_INVAL;
	memcpy(part, s, n);
	part[n] = '\0';
	return sl_addr_parse(part, out);
}

int sl_prefix_parse(const char *s, struct sl_prefix *out)
{
	const char *slash = strchr(s, '/');
	unsigned long bits;

	if (slash == NULL || parse_part(s, slash, &out->addr) != SL_OK)
		return SL_E_INVAL;
	if (parse_number(slash + 1, out->addr.family == SL_AF_INET ? 32 : 128, &bits) != SL_OK)
		return SL_E_INVAL;
	out->bits = (uint8_t)bits;
	return SL_OK;
}

int sl_endpoint_parse(const char *s, struct sl_endpoint *out)
{
	const char *colon = strrchr(s, ':');
	unsigned long port;
	int err;

	if (colon == NULL || parse_number(colon + 1, 65535, &port) != SL_OK || port == 0)
		return SL_E_INVAL;
	if (*s == '[') {
		if (colon == s || colon[-1] != ']')
			return SL_E_INVAL;
		err = parse_part(s + 1, colon - 1, &out->addr);
		if (err == SL_OK && out->addr.family != SL_AF_INET6)
			err = SL_E_INVAL;
	} else {
		err = parse_part(s, colon, &out->addr);
		if (err == SL_OK && out->addr.family != SL_AF_INET)
			err = SL_E_INVAL;
	}
	out->port = (uint16_t)port;
	return err;
}

const char *sl_addr_str(const struct sl_addr *a, char *out)
{
	if (a->family == SL_AF_NONE ||
	    inet_ntop(a->family == SL_AF_INET ? AF_INET : AF_INET6, a->b, out, SL_ADDR_STR_MAX) == NULL)
		memcpy(out, "-", 2);
	return out;
}

const char *sl_endpoint_str(const struct sl_endpoint *e, char *out)
{
	char addr[SL_ADDR_STR_MAX];

	sl_addr_str(&e->addr, addr);
	snprintf(out, SL_ENDPOINT_STR_MAX, e->addr.family == SL_AF_INET6 ? "[%s]:%u" : "%s:%u", addr,
	         e->port);
	return out;
}

bool sl_prefix_has(const struct sl_prefix *p, const struct sl_addr *a)
{
	uint8_t whole = p->bits / 8, rest = p->bits % 8;

	if (p->addr.family != a->family || memcmp(p->addr.b, a->b, whole) != 0)
		return false;
	return rest == 0 || ((p->addr.b[whole] ^ a->b[whole]) >> (8 - rest)) == 0;
}
