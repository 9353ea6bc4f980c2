/* What the two halves of drivers/tls share: contexts (ctx.c) and sessions (tls.c). */
#ifndef TLS_PRIV_H
#define TLS_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "sl_tls.h"

#define TLS_ALPN_MAX 32 /* bytes of the one ALPN name, without its length byte */

struct sl_tls_ctx {
	_Atomic uint32_t
	        refs; /* the owner's and one for each session: the ALPN callback reads this structure */
	SSL_CTX *ssl;
	bool server;
	char *sni;                      /* client: NULL when the target is an address, or has no name */
	uint8_t alpn[TLS_ALPN_MAX + 2]; /* wire form: length, name (and a NUL); length 0: none */
};

void tls_ctx_unref(struct sl_tls_ctx *ctx);

#endif
