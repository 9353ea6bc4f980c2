/* The TLS layer over a stream that ends: what came before the end is read first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "sl_layer_tls.h"

#define REPLY 5000

/* One end of a connection, as sl_stream_tcp() behaves: what came can be read behind an error, too. */
struct wire {
	struct wire *peer;
	uint8_t in[65536];
	size_t n;
	int err;
};

static int wire_pump(void *st)
{
	return ((struct wire *)st)->err;
}

static long wire_read(void *st, uint8_t *buf, size_t cap, int *end)
{
	struct wire *w = st;
	size_t n = w->n < cap ? w->n : cap;

	memcpy(buf, w->in, n);
	w->n -= n;
	memmove(w->in, w->in + n, w->n);
	if (n > 0 || w->err == SL_OK)
		return (long)n;
	*end = w->err;
	return -1;
}

static size_t wire_write(void *st, struct sl_span bytes)
{
	struct wire *to = ((struct wire *)st)->peer;

	if (to->peer->err < 0)
		return 0;
	assert_true(bytes.n <= sizeof(to->in) - to->n);
	memcpy(to->in + to->n, bytes.p, bytes.n);
	to->n += bytes.n;
	return bytes.n;
}

static void wire_nothing(void *st)
{
	(void)st;
}

static void wire_discard(void *st)
{
	((struct wire *)st)->n = 0;
}

static const struct sl_stream_ops wire_ops = {
        .pump = wire_pump,
        .read = wire_read,
        .write = wire_write,
        .shutdown = wire_nothing,
        .discard = wire_discard,
        .free = wire_nothing,
};

static char cert_file[] = "/tmp/sl-test-layer-cert-XXXXXX", key_file[] = "/tmp/sl-test-layer-key-XXXXXX";

static int make_cert(void **state)
{
	FILE *cert = fdopen(mkstemp(cert_file), "w"), *key = fdopen(mkstemp(key_file), "w");
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	(void)state;
	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, pair);
	assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(cert, x), 1);
	assert_int_equal(PEM_write_PrivateKey(key, pair, NULL, NULL, 0, NULL, NULL), 1);
	X509_free(x);
	EVP_PKEY_free(pair);
	return fclose(cert) + fclose(key);
}

static int drop_cert(void **state)
{
	(void)state;
	return unlink(cert_file) + unlink(key_file);
}

/* A reply, perhaps with the last word of an orderly end, and then the end of TCP, all unread until then. */
static void ends(bool orderly, int err, int want)
{
	struct sl_tls_server_cfg scfg = {.cert_file = cert_file, .key_file = key_file};
	struct sl_tls_client_cfg ccfg = {.verify = SL_TLS_VERIFY_NONE};
	static struct wire a, b;
	static uint8_t reply[REPLY], got[REPLY + 1];
	struct sl_tls_ctx *sctx, *cctx;
	struct sl_stream s, c;
	char why[256];
	size_t all = 0;
	int end = SL_OK, rounds = 0;
	long n;

	a = (struct wire){.peer = &b};
	b = (struct wire){.peer = &a};
	assert_int_equal(sl_tls_server_new(&scfg, &sctx, why, sizeof(why)), 0);
	assert_int_equal(sl_tls_client_new(&ccfg, &cctx, why, sizeof(why)), 0);
	assert_int_equal(sl_layer_tls_new(sctx, (struct sl_stream){&wire_ops, &a}, &s), 0);
	assert_int_equal(sl_layer_tls_new(cctx, (struct sl_stream){&wire_ops, &b}, &c), 0);
	while ((c.ops->pump(c.st) | s.ops->pump(s.st)) != SL_OK)
		assert_true(++rounds < 10);
	memset(reply, 'r', sizeof(reply));
	assert_int_equal(s.ops->write(s.st, sl_span(reply, sizeof(reply))), sizeof(reply));
	if (orderly)
		s.ops->shutdown(s.st);
	b.err = err;
	do {
		assert_int_equal(c.ops->pump(c.st), SL_OK);
		n = c.ops->read(c.st, got + all, sizeof(got) - all, &end);
		all += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	assert_int_equal(n, -1);
	assert_int_equal(all, sizeof(reply));
	assert_memory_equal(got, reply, sizeof(reply));
	assert_int_equal(end, want);
	s.ops->free(s.st);
	c.ops->free(c.st);
	sl_tls_ctx_free(sctx);
	sl_tls_ctx_free(cctx);
}

static void test_reply_before_the_end(void **state)
{
	(void)state;
	ends(false, SL_E_TCP_RESET, SL_E_TCP_RESET);
	ends(false, SL_E_TCP_TIMEOUT, SL_E_TCP_TIMEOUT);
	ends(true, SL_E_TCP_RESET, SL_CLOSED);
}

/* What nobody reads below would make the close a reset, which takes the last word with it. */
static void test_discard(void **state)
{
	struct sl_tls_server_cfg cfg = {.cert_file = cert_file, .key_file = key_file};
	static struct wire a, b;
	struct sl_tls_ctx *ctx;
	struct sl_stream s;
	char why[256];

	(void)state;
	a = (struct wire){.peer = &b, .n = 1000};
	b = (struct wire){.peer = &a};
	assert_int_equal(sl_tls_server_new(&cfg, &ctx, why, sizeof(why)), 0);
	assert_int_equal(sl_layer_tls_new(ctx, (struct sl_stream){&wire_ops, &a}, &s), 0);
	s.ops->discard(s.st);
	assert_int_equal(a.n, 0);
	s.ops->free(s.st);
	sl_tls_ctx_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_reply_before_the_end),
	        cmocka_unit_test(test_discard),
	};

	return cmocka_run_group_tests(tests, make_cert, drop_cert);
}
