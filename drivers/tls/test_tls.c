#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "sl_tls.h"

#define PEM_MAX   8192
#define BULK      (1024u * 1024)
#define DAY_S     86400L
#define ALPN_PSQL "postgresql"

/* ---- OpenSSL's own allocations, for the test of what the data path costs ---- */

#define ALLOC_SMALL 64 /* OpenSSL 3.0 makes a few headers of 40 bytes for each record that it writes */

static uint64_t nb_allocs, nb_large_allocs;

static void *count_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	nb_allocs++;
	nb_large_allocs += n > ALLOC_SMALL;
	return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	nb_allocs++;
	nb_large_allocs += n > ALLOC_SMALL;
	return realloc(p, n);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* ---- certificates ---- */

struct identity {
	X509 *cert;
	EVP_PKEY *key;
	char cert_pem[PEM_MAX], key_pem[PEM_MAX];
	char cert_file[64], key_file[64];
};

static struct identity ca, other_ca, good, expired, client_id;

static void to_pem(struct identity *id)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(PEM_write_bio_X509(b, id->cert), 1);
	n = BIO_read(b, id->cert_pem, PEM_MAX - 1);
	assert_true(n > 0);
	id->cert_pem[n] = '\0';
	assert_int_equal(PEM_write_bio_PrivateKey(b, id->key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_read(b, id->key_pem, PEM_MAX - 1);
	assert_true(n > 0);
	id->key_pem[n] = '\0';
	BIO_free(b);
}

static void to_file(char *path, const char *text)
{
	int fd;

	strcpy(path, "/tmp/sl-test-tls-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* issuer NULL: self-signed CA. */
static void make(struct identity *id, const char *cn, const char *san, long from_s, long to_s,
                 const struct identity *issuer)
{
	static long serial = 1;
	X509_NAME *name;

	id->key = EVP_EC_gen("P-256");
	id->cert = X509_new();
	assert_non_null(id->key);
	assert_non_null(id->cert);
	X509_set_version(id->cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(id->cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(id->cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(id->cert), to_s);
	X509_set_pubkey(id->cert, id->key);
	name = X509_get_subject_name(id->cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
	X509_set_issuer_name(id->cert, issuer != NULL ? X509_get_subject_name(issuer->cert) : name);
	if (issuer == NULL)
		extension(id->cert, id->cert, NID_basic_constraints, "critical,CA:TRUE");
	if (san != NULL)
		extension(id->cert, issuer != NULL ? issuer->cert : id->cert, NID_subject_alt_name, san);
	assert_true(X509_sign(id->cert, issuer != NULL ? issuer->key : id->key, EVP_sha256()) > 0);
	to_pem(id);
	to_file(id->cert_file, id->cert_pem);
	to_file(id->key_file, id->key_pem);
}

/* Self-signed, with that key and hash. */
static void make_signed(struct identity *id, EVP_PKEY *key, const EVP_MD *(*md)(void))
{
	make(id, "db.example", "DNS:db.example", -DAY_S, DAY_S, NULL);
	unlink(id->cert_file);
	unlink(id->key_file);
	EVP_PKEY_free(id->key);
	id->key = key;
	assert_non_null(key);
	X509_set_pubkey(id->cert, key);
	assert_true(X509_sign(id->cert, key, md != NULL ? md() : NULL) > 0);
	to_pem(id);
	to_file(id->cert_file, id->cert_pem);
	to_file(id->key_file, id->key_pem);
}

static void unmake(struct identity *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
	unlink(id->cert_file);
	unlink(id->key_file);
}

static int setup(void **state)
{
	(void)state;
	make(&ca, "test ca", NULL, -DAY_S, DAY_S, NULL);
	make(&other_ca, "other ca", NULL, -DAY_S, DAY_S, NULL);
	make(&good, "only.cn.example", "DNS:db.example,DNS:*.wild.example,DNS:p*.part.example,IP:10.99.2.2",
	     -DAY_S, DAY_S, &ca);
	make(&expired, "db.example", "DNS:db.example", -2 * DAY_S, -DAY_S, &ca);
	make(&client_id, "agent", NULL, -DAY_S, DAY_S, &ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unmake(&ca);
	unmake(&other_ca);
	unmake(&good);
	unmake(&expired);
	unmake(&client_id);
	return 0;
}

/* ---- a server and a client, back to back ---- */

struct pair {
	struct sl_tls_ctx *sctx, *cctx;
	struct sl_tls *s, *c;
};

static void pair_open(struct pair *p, const struct identity *server, const struct sl_tls_client_cfg *ccfg,
                      const char *alpn)
{
	struct sl_tls_server_cfg scfg = {
	        .cert_file = server->cert_file, .key_file = server->key_file, .alpn = alpn};
	char err[256] = "";

	assert_int_equal(sl_tls_server_new(&scfg, &p->sctx, err, sizeof(err)), 0);
	assert_int_equal(sl_tls_client_new(ccfg, &p->cctx, err, sizeof(err)), 0);
	p->s = sl_tls_new(p->sctx);
	p->c = sl_tls_new(p->cctx);
	assert_non_null(p->s);
	assert_non_null(p->c);
	/* The owner's counts go first: the sessions keep their contexts. */
	sl_tls_ctx_free(p->sctx);
	sl_tls_ctx_free(p->cctx);
}

static void pair_close(struct pair *p)
{
	sl_tls_free(p->s);
	sl_tls_free(p->c);
}

/* Moves at most max bytes of the wire (0: all there is room for). */
static size_t carry(struct sl_tls *from, struct sl_tls *to, size_t max)
{
	struct sl_span out = sl_tls_wire_out(from);
	size_t n = out.n, room = sl_tls_wire_room(to);

	if (max != 0 && n > max)
		n = max;
	if (n > room)
		n = room;
	if (n == 0)
		return 0;
	assert_int_equal(sl_tls_wire_in(to, sl_span(out.p, n)), 0);
	sl_tls_wire_sent(from, n);
	return n;
}

/* Cut 0: as much as there is; n: n bytes at a time; -1: random sizes. */
static size_t cut_size(int cut)
{
	return cut >= 0 ? (size_t)cut : (size_t)(rand() % 700 + 1);
}

static void shake(struct pair *p, int cut, int *sr, int *cr)
{
	size_t moved;

	do {
		*cr = sl_tls_handshake(p->c);
		moved = carry(p->c, p->s, cut_size(cut));
		*sr = sl_tls_handshake(p->s);
		moved += carry(p->s, p->c, cut_size(cut));
	} while (moved > 0 || (*cr == SL_MORE && sl_tls_wire_out(p->c).n > 0));
}

static struct sl_tls_client_cfg by_name(const char *name)
{
	return (struct sl_tls_client_cfg){
	        .verify = SL_TLS_VERIFY_FULL, .ca_pem = ca.cert_pem, .server_name = name};
}

static void pair_up(struct pair *p, int cut)
{
	struct sl_tls_client_cfg cfg = by_name("db.example");
	int sr, cr;

	pair_open(p, &good, &cfg, NULL);
	shake(p, cut, &sr, &cr);
	assert_int_equal(sr, 0);
	assert_int_equal(cr, 0);
	assert_true(sl_tls_is_open(p->s));
	assert_true(sl_tls_is_open(p->c));
}

static void read_exactly(struct sl_tls *t, const void *want, size_t n)
{
	uint8_t buf[512];
	int err;

	assert_true(n <= sizeof(buf));
	assert_int_equal(sl_tls_read(t, buf, sizeof(buf), &err), (long)n);
	assert_memory_equal(buf, want, n);
}

static void test_every_cut(void **state)
{
	static const int cuts[] = {0, 1, 2, 3, 5, 7, 16, 64, 517, 1400, -1, -1, -1};

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct pair p;
		uint8_t buf[16];
		int err;

		pair_up(&p, cuts[i]);
		assert_string_equal(sl_tls_version(p.c), "TLSv1.3");
		assert_true(strncmp(sl_tls_cipher(p.c), "TLS_", 4) == 0);
		assert_string_equal(sl_tls_alpn(p.s), "");
		assert_int_equal(sl_tls_write(p.c, SL_SPAN_LIT("ping")), 0);
		while (sl_tls_wire_out(p.c).n > 0) {
			assert_int_equal(sl_tls_read(p.s, buf, sizeof(buf), &err), 0);
			assert_int_equal(err, 0);
			assert_true(carry(p.c, p.s, cut_size(cuts[i])) > 0);
		}
		read_exactly(p.s, "ping", 4);
		pair_close(&p);
	}
}

/* RFC 5929: both ends have the same hash of the server's certificate, once the handshake is over. */
static void test_end_point(void **state)
{
	struct sl_tls_client_cfg cfg = by_name("db.example");
	uint8_t s[SL_TLS_END_POINT_MAX], c[SL_TLS_END_POINT_MAX], want[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	struct pair p;
	int sr, cr;

	(void)state;
	cfg.alpn = ALPN_PSQL;
	pair_open(&p, &good, &cfg, ALPN_PSQL);
	assert_int_equal(sl_tls_end_point(p.c, c), 0);
	assert_int_equal(sl_tls_end_point(p.s, s), 0);
	shake(&p, 0, &sr, &cr);
	assert_int_equal(X509_digest(good.cert, EVP_sha256(), want, &n), 1);
	assert_int_equal(sl_tls_end_point(p.c, c), n);
	assert_int_equal(sl_tls_end_point(p.s, s), n);
	assert_memory_equal(c, want, n);
	assert_memory_equal(s, want, n);
	assert_string_equal(sl_tls_alpn(p.c), ALPN_PSQL);
	assert_string_equal(sl_tls_alpn(p.s), ALPN_PSQL);
	pair_close(&p);
	/* other hashes of the signature: as they are, but SHA-1 becomes SHA-256; one without any has none */
	static const struct {
		const char *key;
		const EVP_MD *(*md)(void), *(*want)(void);
	} cases[] = {{"EC", EVP_sha384, EVP_sha384}, {"EC", EVP_sha1, EVP_sha256}, {"ED25519", NULL, NULL}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct identity id = {0};

		make_signed(&id, i == 2 ? EVP_PKEY_Q_keygen(NULL, NULL, cases[i].key) : EVP_EC_gen("P-256"),
		            cases[i].md);
		cfg.ca_pem = id.cert_pem;
		cfg.verify = SL_TLS_VERIFY_NONE;
		pair_open(&p, &id, &cfg, NULL);
		shake(&p, 0, &sr, &cr);
		n = 0;
		if (cases[i].want != NULL)
			assert_int_equal(X509_digest(id.cert, cases[i].want(), want, &n), 1);
		assert_int_equal(sl_tls_end_point(p.c, c), n);
		assert_memory_equal(c, want, n);
		pair_close(&p);
		unmake(&id);
	}
}

static void expect_fail(const struct identity *server, const struct sl_tls_client_cfg *cfg, int want)
{
	struct pair p;
	int sr, cr;

	pair_open(&p, server, cfg, NULL);
	shake(&p, 0, &sr, &cr);
	assert_int_equal(cr, want);
	assert_false(sl_tls_is_open(p.c));
	assert_int_equal(sl_tls_handshake(p.c), want); /* for good */
	assert_true(strlen(sl_tls_error(p.c)) > 0);
	if (sr != 0) { /* TLS 1.3: the server learns of it by the alert */
		assert_int_equal(sr, SL_E_TLS_HANDSHAKE);
	} else {
		uint8_t b;
		int err;

		assert_int_equal(sl_tls_read(p.s, &b, 1, &err), -1);
		assert_int_equal(err, SL_E_TLS_RECORD);
	}
	pair_close(&p);
}

static void expect_ok(const struct sl_tls_client_cfg *cfg)
{
	struct pair p;
	int sr, cr;

	pair_open(&p, &good, cfg, NULL);
	shake(&p, 0, &sr, &cr);
	assert_int_equal(cr, 0);
	assert_int_equal(sr, 0);
	pair_close(&p);
}

static void test_verify_names(void **state)
{
	static const char *const ok[] = {"db.example", "DB.EXAMPLE", "a.wild.example", "10.99.2.2"};
	static const char *const wrong[] = {"other.example",   "a.b.wild.example", "wild.example",
	                                    "pq.part.example", "only.cn.example",  "10.99.2.3",
	                                    "fd00::1"};

	(void)state;
	for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++) {
		struct sl_tls_client_cfg cfg = by_name(ok[i]);

		expect_ok(&cfg);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sl_tls_client_cfg cfg = by_name(wrong[i]);

		expect_fail(&good, &cfg, SL_E_TLS_VERIFY);
	}
}

static void test_verify_modes(void **state)
{
	struct sl_tls_client_cfg cfg = by_name("db.example");

	(void)state;
	cfg.ca_pem = other_ca.cert_pem;
	expect_fail(&good, &cfg, SL_E_TLS_VERIFY);
	cfg.verify = SL_TLS_VERIFY_CA;
	expect_fail(&good, &cfg, SL_E_TLS_VERIFY);
	cfg.verify = SL_TLS_VERIFY_NONE;
	expect_ok(&cfg);
	cfg = by_name("db.example");
	expect_fail(&expired, &cfg, SL_E_TLS_VERIFY);
	cfg.verify = SL_TLS_VERIFY_CA;
	expect_fail(&expired, &cfg, SL_E_TLS_VERIFY);
	cfg.server_name = "other.example";
	expect_ok(&cfg);
	cfg.server_name = NULL;
	expect_ok(&cfg);
}

static void test_client_config(void **state)
{
	static const char *const bad_names[] = {"",          ".example", "a..b", "a b",
	                                        "*.example", "a.",       "a/b",  "db.example\n"};
	struct sl_tls_client_cfg cfg = by_name(NULL);
	struct sl_tls_ctx *ctx;
	char err[256], two[2 * PEM_MAX];

	(void)state;
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	assert_null(ctx);
	assert_true(strlen(err) > 0);
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		cfg = by_name(bad_names[i]);
		assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	}
	cfg = by_name("db.example");
	cfg.ca_pem = "";
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg.ca_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	/* A good one followed by a broken one is refused as a whole. */
	snprintf(two, sizeof(two), "%s%s", ca.cert_pem, cfg.ca_pem);
	cfg.ca_pem = two;
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg = by_name("db.example");
	cfg.cert_pem = client_id.cert_pem;
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg.key_pem = good.key_pem;
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg.key_pem = client_id.key_pem;
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, err, sizeof(err)), 0);
	sl_tls_ctx_free(ctx);
	snprintf(two, sizeof(two), "%s%s", ca.cert_pem, other_ca.cert_pem);
	cfg.ca_pem = two;
	expect_ok(&cfg);
}

static void test_server_config(void **state)
{
	struct sl_tls_server_cfg cfg = {.cert_file = good.cert_file, .key_file = client_id.key_file};
	struct sl_tls_ctx *ctx;
	char err[256];

	(void)state;
	assert_int_equal(sl_tls_server_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg.key_file = "/nonexistent/key.pem";
	assert_int_equal(sl_tls_server_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg.key_file = good.key_file;
	cfg.alpn = "a-name-that-is-far-too-long-to-be-the-name-of-a-protocol";
	assert_int_equal(sl_tls_server_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	cfg.alpn = NULL;
	cfg.cert_file = NULL;
	assert_int_equal(sl_tls_server_new(&cfg, &ctx, err, sizeof(err)), SL_E_TLS_CONFIG);
	sl_tls_ctx_free(NULL);
	sl_tls_free(NULL);
}

static void test_garbage(void **state)
{
	struct sl_tls_client_cfg cfg = by_name("db.example");
	struct pair p;
	uint8_t junk[256];
	int err, sr, cr;

	(void)state;
	pair_open(&p, &good, &cfg, NULL);
	assert_int_equal(sl_tls_wire_in(p.s, SL_SPAN_LIT("GET / HTTP/1.1\r\n\r\n")), 0);
	assert_int_equal(sl_tls_handshake(p.s), SL_E_TLS_HANDSHAKE);
	assert_true(strlen(sl_tls_error(p.s)) > 0);
	assert_int_equal(sl_tls_write(p.s, SL_SPAN_LIT("x")), SL_E_TLS_HANDSHAKE);
	assert_int_equal(sl_tls_read(p.s, junk, sizeof(junk), &err), -1);
	assert_int_equal(err, SL_E_TLS_HANDSHAKE);
	pair_close(&p);
	for (int i = 0; i < 50; i++) { /* random bytes never finish a handshake nor crash */
		pair_open(&p, &good, &cfg, NULL);
		for (size_t k = 0; k < sizeof(junk); k++)
			junk[k] = (uint8_t)rand();
		if (i % 2 == 0)
			memcpy(junk, "\x16\x03\x01\x00\xf0\x01\x00\x00\xec\x03\x03", 11);
		assert_int_equal(sl_tls_wire_in(p.s, sl_span(junk, sizeof(junk))), 0);
		assert_int_not_equal(sl_tls_handshake(p.s), 0);
		pair_close(&p);
	}
	/* A bit of a record in an open session. */
	pair_open(&p, &good, &cfg, NULL);
	shake(&p, 0, &sr, &cr);
	assert_int_equal(sl_tls_write(p.c, SL_SPAN_LIT("secret")), 0);
	memcpy(junk, sl_tls_wire_out(p.c).p, 16);
	junk[12] ^= 1;
	assert_int_equal(sl_tls_wire_in(p.s, sl_span(junk, 16)), 0);
	assert_int_equal(
	        sl_tls_wire_in(p.s, sl_span(sl_tls_wire_out(p.c).p + 16, sl_tls_wire_out(p.c).n - 16)), 0);
	assert_int_equal(sl_tls_read(p.s, junk, sizeof(junk), &err), -1);
	assert_int_equal(err, SL_E_TLS_RECORD);
	assert_false(sl_tls_is_open(p.s));
	pair_close(&p);
}

static void test_close_notify(void **state)
{
	uint8_t buf[64];
	struct pair p;
	int err;

	(void)state;
	pair_up(&p, 0);
	assert_int_equal(sl_tls_write(p.c, SL_SPAN_LIT("last")), 0);
	sl_tls_shutdown(p.c);
	carry(p.c, p.s, 0);
	read_exactly(p.s, "last", 4);
	assert_int_equal(sl_tls_read(p.s, buf, sizeof(buf), &err), -1);
	assert_int_equal(err, SL_CLOSED);
	/* The other direction is still open. */
	assert_int_equal(sl_tls_write(p.s, SL_SPAN_LIT("bye")), 0);
	sl_tls_shutdown(p.s);
	carry(p.s, p.c, 0);
	read_exactly(p.c, "bye", 3);
	assert_int_equal(sl_tls_read(p.c, buf, sizeof(buf), &err), -1);
	assert_int_equal(err, SL_CLOSED);
	pair_close(&p);
	/* Before the handshake: nothing to say. */
	struct sl_tls_client_cfg cfg = by_name("db.example");

	pair_open(&p, &good, &cfg, NULL);
	sl_tls_shutdown(p.s);
	assert_int_equal(sl_tls_wire_out(p.s).n, 0);
	assert_int_equal(sl_tls_read(p.s, buf, sizeof(buf), &err), -1);
	assert_int_equal(err, SL_E_INVAL);
	assert_int_equal(sl_tls_write(p.s, SL_SPAN_LIT("x")), SL_E_INVAL);
	pair_close(&p);
}

static void transfer(struct sl_tls *from, struct sl_tls *to, const uint8_t *bytes, size_t n)
{
	uint8_t *got = malloc(n);
	size_t sent = 0, have = 0;
	int err;

	assert_non_null(got);
	while (have < n) {
		size_t chunk = (size_t)(rand() % 50000 + 1);
		long r;

		if (chunk > n - sent)
			chunk = n - sent;
		assert_int_equal(sl_tls_write(from, sl_span(bytes + sent, chunk)), 0);
		sent += chunk;
		while (carry(from, to, cut_size(-1)) > 0 && rand() % 64 != 0)
			;
		while ((r = sl_tls_read(to, got + have, n - have < 9000 ? n - have : 9000, &err)) > 0)
			have += (size_t)r;
		assert_int_equal(r, 0);
	}
	assert_memory_equal(got, bytes, n);
	free(got);
}

static void test_bulk(void **state)
{
	uint8_t *bytes = malloc(BULK);
	struct pair p;
	int err;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < BULK; i++)
		bytes[i] = (uint8_t)rand();
	pair_up(&p, 0);
	transfer(p.c, p.s, bytes, BULK);
	transfer(p.s, p.c, bytes, BULK);
	/* By now all buffers have their size. */
	nb_large_allocs = 0;
	transfer(p.c, p.s, bytes, BULK);
	transfer(p.s, p.c, bytes, BULK);
	assert_int_equal(nb_large_allocs, 0);
	/* A record costs OpenSSL one small header to read. */
	assert_int_equal(sl_tls_write(p.c, sl_span(bytes, 9000)), 0);
	assert_true(carry(p.c, p.s, 0) > 9000);
	nb_allocs = 0;
	assert_int_equal(sl_tls_read(p.s, bytes, 9000, &err), 9000);
	assert_true(nb_allocs <= 1);
	pair_close(&p);
	free(bytes);
}

static void test_bounds(void **state)
{
	uint8_t *bytes = calloc(1, 5 * BULK);
	struct pair p;
	size_t room;

	(void)state;
	assert_non_null(bytes);
	pair_up(&p, 0);
	assert_int_equal(sl_tls_write(p.c, sl_span(bytes, 5 * BULK)), SL_E_LIMIT);
	assert_int_equal(sl_tls_wire_out(p.c).n, 0);
	assert_int_equal(sl_tls_write(p.c, sl_span(bytes, BULK)), 0);
	assert_int_equal(sl_tls_wire_room(p.s), SL_TLS_WIRE_MAX);
	assert_int_equal(sl_tls_wire_in(p.s, sl_span(sl_tls_wire_out(p.c).p, SL_TLS_WIRE_MAX + 1)),
	                 SL_E_LIMIT);
	room = carry(p.c, p.s, 0);
	assert_int_equal(room, SL_TLS_WIRE_MAX);
	assert_int_equal(sl_tls_wire_room(p.s), 0);
	assert_int_equal(sl_tls_wire_in(p.s, sl_span(sl_tls_wire_out(p.c).p, 1)), SL_E_LIMIT);
	/* Not harmed: it reads on. */
	for (size_t have = 0; have < BULK;) {
		int err;
		long r = sl_tls_read(p.s, bytes, 4096, &err);

		assert_true(r >= 0);
		have += (size_t)r;
		if (r == 0)
			assert_true(carry(p.c, p.s, 0) > 0);
	}
	pair_close(&p);
	free(bytes);
}

/* ---- against OpenSSL's own client, for what our contexts do not offer themselves ---- */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
};

static void raw_open(struct raw *r, const SSL_METHOD *method)
{
	r->ctx = SSL_CTX_new(method);
	assert_non_null(r->ctx);
	r->ssl = SSL_new(r->ctx);
	assert_non_null(r->ssl);
	SSL_set_bio(r->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(r->ssl);
}

static void raw_close(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
}

static size_t raw_carry(struct raw *r, struct sl_tls *t)
{
	char buf[4096];
	int n = BIO_read(SSL_get_wbio(r->ssl), buf, sizeof(buf));
	struct sl_span out;

	if (n > 0)
		assert_int_equal(sl_tls_wire_in(t, sl_span(buf, (size_t)n)), 0);
	(void)sl_tls_handshake(t);
	out = sl_tls_wire_out(t);
	if (out.n > 0)
		assert_int_equal(BIO_write(SSL_get_rbio(r->ssl), out.p, (int)out.n), (int)out.n);
	sl_tls_wire_sent(t, out.n);
	return out.n + (n > 0 ? (size_t)n : 0);
}

static struct sl_tls *server(const char *alpn)
{
	struct sl_tls_server_cfg cfg = {.cert_file = good.cert_file, .key_file = good.key_file, .alpn = alpn};
	struct sl_tls_ctx *ctx;
	struct sl_tls *t;
	char err[256];

	assert_int_equal(sl_tls_server_new(&cfg, &ctx, err, sizeof(err)), 0);
	t = sl_tls_new(ctx);
	assert_non_null(t);
	sl_tls_ctx_free(ctx);
	return t;
}

static int raw_shake(struct raw *r, struct sl_tls *t)
{
	int rc;

	do {
		rc = SSL_do_handshake(r->ssl);
	} while (raw_carry(r, t) > 0);
	return rc == 1 && sl_tls_is_open(t) ? 0 : sl_tls_handshake(t);
}

static void test_tls12(void **state)
{
	struct sl_tls *t = server(NULL);
	struct raw r;

	(void)state;
	raw_open(&r, TLS_client_method());
	SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
	assert_int_equal(raw_shake(&r, t), 0);
	assert_string_equal(sl_tls_version(t), "TLSv1.2");
	assert_true(strncmp(sl_tls_cipher(t), "ECDHE-", 6) == 0);
	assert_int_equal(SSL_SESSION_has_ticket(SSL_get_session(r.ssl)), 0);
	/* Renegotiation is refused by an alert, not begun. */
	assert_int_equal(SSL_renegotiate(r.ssl), 1);
	(void)SSL_do_handshake(r.ssl);
	raw_carry(&r, t);
	{
		uint8_t b;
		int err;

		assert_true(sl_tls_read(t, &b, 1, &err) <= 0);
		raw_carry(&r, t);
		assert_true(SSL_do_handshake(r.ssl) != 1);
	}
	raw_close(&r);
	sl_tls_free(t);
}

/* A client, and a server of TLS 1.2, which ask for what is answered at once and carries no data. */
static void ask_keys(struct raw *r)
{
	assert_int_equal(SSL_key_update(r->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(r->ssl), 1);
}

static void ask_hello(struct raw *r)
{
	assert_int_equal(SSL_renegotiate(r->ssl), 1);
	assert_int_equal(SSL_do_handshake(r->ssl), 1);
}

/* n of them at once, read in one go. What that brings. */
static long ask_often(struct raw *r, struct sl_tls *t, void (*ask)(struct raw *), int n, int *err)
{
	uint8_t b;

	for (int i = 0; i < n; i++)
		ask(r);
	while (BIO_pending(SSL_get_wbio(r->ssl)) > 0) {
		char buf[4096];
		int got = BIO_read(SSL_get_wbio(r->ssl), buf, sizeof(buf));

		assert_int_equal(sl_tls_wire_in(t, sl_span(buf, (size_t)got)), 0);
	}
	return sl_tls_read(t, &b, 1, err);
}

/* Who asks now and then, as some do by the byte or by the clock, is answered for ever. */
static void asks_now_and_then(struct raw *r, struct sl_tls *t)
{
	static const uint8_t data[16384];
	uint8_t got[16384];
	int err;

	assert_int_equal(ask_often(r, t, ask_keys, 60, &err), 0);
	(void)raw_carry(r, t);
	for (int i = 0; i < 300; i++) {
		size_t n;

		/* Data of either side. */
		for (int k = 0; k < 8; k++) {
			assert_int_equal(sl_tls_write(t, sl_span(data, sizeof(data))), 0);
			(void)raw_carry(r, t);
			for (size_t all = 0; all < sizeof(data); all += n)
				assert_int_equal(SSL_read_ex(r->ssl, got, sizeof(got), &n), 1);
		}
		assert_int_equal(SSL_write(r->ssl, "x", 1), 1);
		assert_int_equal(ask_often(r, t, ask_keys, 1, &err), 1);
		assert_int_equal(sl_tls_read(t, got, sizeof(got), &err), 0);
		(void)raw_carry(r, t);
	}
}

/* Who asks and asks is cut off, having had a few answers. */
static void asks_too_often(struct raw *r, struct sl_tls *t, void (*ask)(struct raw *))
{
	int err;

	assert_int_equal(ask_often(r, t, ask, 1000, &err), -1);
	assert_int_equal(err, SL_E_TLS_IDLE);
	assert_true(sl_tls_wire_out(t).n < 128 * 64);
	assert_int_equal(sl_tls_write(t, SL_SPAN_LIT("x")), SL_E_TLS_IDLE);
	raw_close(r);
	sl_tls_free(t);
}

static void test_idle_records(void **state)
{
	struct sl_tls_client_cfg cfg = {.verify = SL_TLS_VERIFY_NONE};
	struct sl_tls_ctx *ctx;
	struct sl_tls *t = server(NULL);
	struct raw r;
	char why[256];

	(void)state;
	raw_open(&r, TLS_client_method());
	assert_int_equal(raw_shake(&r, t), 0);
	asks_now_and_then(&r, t);
	asks_too_often(&r, t, ask_keys);
	assert_int_equal(sl_tls_client_new(&cfg, &ctx, why, sizeof(why)), 0);
	t = sl_tls_new(ctx);
	assert_non_null(t);
	raw_open(&r, TLS_server_method());
	SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
	assert_int_equal(SSL_use_certificate(r.ssl, good.cert), 1);
	assert_int_equal(SSL_use_PrivateKey(r.ssl, good.key), 1);
	SSL_set_accept_state(r.ssl);
	(void)sl_tls_handshake(t);
	assert_int_equal(raw_shake(&r, t), 0);
	asks_too_often(&r, t, ask_hello);
	sl_tls_ctx_free(ctx);
}

static void test_old_versions_and_ciphers(void **state)
{
	static const char *const weak[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256",
	                                   "ECDHE-ECDSA-AES256-SHA"};
	struct sl_tls *t = server(NULL);
	struct raw r;

	(void)state;
	raw_open(&r, TLS_client_method());
	SSL_set_security_level(r.ssl, 0);
	SSL_set_min_proto_version(r.ssl, TLS1_VERSION);
	SSL_set_max_proto_version(r.ssl, TLS1_1_VERSION);
	assert_int_equal(raw_shake(&r, t), SL_E_TLS_HANDSHAKE);
	raw_close(&r);
	sl_tls_free(t);
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		t = server(NULL);
		raw_open(&r, TLS_client_method());
		SSL_set_max_proto_version(r.ssl, TLS1_2_VERSION);
		assert_int_equal(SSL_set_cipher_list(r.ssl, weak[i]), 1);
		assert_int_equal(raw_shake(&r, t), SL_E_TLS_HANDSHAKE);
		raw_close(&r);
		sl_tls_free(t);
	}
}

static void test_alpn(void **state)
{
	static const uint8_t ours[] = "\x02h2\x0apostgresql", theirs[] = "\x02h2\x08http/1.1";
	struct sl_tls *t;
	struct raw r;

	(void)state;
	for (int i = 0; i < 3; i++) {
		t = server(ALPN_PSQL);
		raw_open(&r, TLS_client_method());
		if (i < 2)
			SSL_set_alpn_protos(r.ssl, i == 0 ? ours : theirs,
			                    i == 0 ? sizeof(ours) - 1 : sizeof(theirs) - 1);
		assert_int_equal(raw_shake(&r, t), i == 1 ? SL_E_TLS_HANDSHAKE : 0);
		assert_string_equal(sl_tls_alpn(t), i == 0 ? ALPN_PSQL : "");
		raw_close(&r);
		sl_tls_free(t);
	}
}

static void test_no_resumption(void **state)
{
	struct sl_tls *t = server(NULL);
	struct raw r;

	(void)state;
	raw_open(&r, TLS_client_method());
	assert_int_equal(raw_shake(&r, t), 0);
	assert_int_equal(sl_tls_write(t, SL_SPAN_LIT("x")), 0);
	raw_carry(&r, t);
	{
		char b;

		assert_int_equal(SSL_read(r.ssl, &b, 1), 1);
	}
	/* TLS 1.3 would have sent its tickets by now. */
	assert_int_equal(SSL_SESSION_is_resumable(SSL_get_session(r.ssl)), 0);
	raw_close(&r);
	sl_tls_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_cut),     cmocka_unit_test(test_verify_names),
	        cmocka_unit_test(test_verify_modes),  cmocka_unit_test(test_client_config),
	        cmocka_unit_test(test_server_config), cmocka_unit_test(test_garbage),
	        cmocka_unit_test(test_close_notify),  cmocka_unit_test(test_bulk),
	        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_tls12),
	        cmocka_unit_test(test_idle_records),  cmocka_unit_test(test_old_versions_and_ciphers),
	        cmocka_unit_test(test_alpn),          cmocka_unit_test(test_end_point),
	        cmocka_unit_test(test_no_resumption),
	};
	unsigned int seed = (unsigned int)time(NULL);

	/* Before OpenSSL allocates anything. */
	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 1;
	printf("seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, setup, teardown);
}
