#include "json.h"

#include <stdlib.h>

#include <openssl/evp.h>

static const char hex_digits[] = "0123456789abcdef";

/* Length of the UTF-8 sequence at p (RFC 3629: shortest form, no surrogates, at most U+10FFFF); 0 when it is
 * none. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
	size_t len = p[0] < 0x80   ? 1
	             : p[0] < 0xc2 ? 0
	             : p[0] < 0xe0 ? 2
	             : p[0] < 0xf0 ? 3
	             : p[0] < 0xf5 ? 4
	                           : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static json_t *escaped_text(struct sl_span bytes)
{
	char *buf = malloc(bytes.n * 4 + 1);
	size_t o = 0, i = 0;
	json_t *v;

	if (buf == NULL)
		return NULL;
	while (i < bytes.n) {
		size_t len = utf8_len(bytes.p + i, bytes.n - i);

		if (len == 0) {
			buf[o++] = '\\';
			buf[o++] = 'x';
			buf[o++] = hex_digits[bytes.p[i] >> 4];
			buf[o++] = hex_digits[bytes.p[i] & 15];
			i++;
			continue;
		}
		memcpy(buf + o, bytes.p + i, len);
		o += len;
		i += len;
	}
	v = json_stringn(buf, o);
	free(buf);
	return v;
}

json_t *mg_json_text(struct sl_span bytes)
{
	json_t *v = json_stringn(bytes.n == 0 ? "" : (const char *)bytes.p, bytes.n);

	return v != NULL ? v : escaped_text(bytes);
}

json_t *mg_json_hex(struct sl_span bytes)
{
	char *buf = malloc(bytes.n * 2 + 1);
	json_t *v;

	if (buf == NULL)
		return NULL;
	for (size_t i = 0; i < bytes.n; i++) {
		buf[2 * i] = hex_digits[bytes.p[i] >> 4];
		buf[2 * i + 1] = hex_digits[bytes.p[i] & 15];
	}
	v = json_stringn(buf, bytes.n * 2);
	free(buf);
	return v;
}

json_t *mg_json_base64(struct sl_span bytes)
{
	unsigned char *buf = malloc((bytes.n + 2) / 3 * 4 + 1);
	json_t *v;
	int n;

	if (buf == NULL)
		return NULL;
	n = EVP_EncodeBlock(buf, bytes.p, (int)bytes.n);
	v = json_stringn((const char *)buf, (size_t)n);
	free(buf);
	return v;
}

json_t *mg_json_id(const struct sl_id *id)
{
	char text[SL_ID_STR_MAX];

	return json_string(sl_id_str(id, text));
}
