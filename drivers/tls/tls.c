/*
 * Sessions: OpenSSL between two byte queues of ours. A BIO of our own reads from one and writes to the other,
 * so that their bounds are ours, and bytes wait in one place only.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "sl_counter.h"
#include "tls_priv.h"

#define TLS_QUEUE_MIN 4096 /* a queue's first size; it doubles up to its bound and keeps its size */
#define TLS_OUT_MAX                                                                                          \
	(4u * 1024 * 1024)       /* hard bound of what waits for the wire; the caller stays far below        \
	                          */
#define TLS_RECORD_CLEAR   16384 /* RFC 8446 5.1: clear bytes of one record */
#define TLS_RECORD_EXTRA   64    /* header, nonce, tag and content type of one record, generously */
#define TLS_ERROR_TEXT_MAX 192
/* What a peer may ask of TLS itself, and the data that makes up for one of it: new keys cost as much. */
#define TLS_IDLE_MAX   128
#define TLS_IDLE_BYTES 65536

/* Bytes [head, tail) of p wait. */
struct queue {
	uint8_t *p;
	size_t head, tail, cap, max;
};

struct sl_tls {
	struct sl_tls_ctx *ctx;
	SSL *ssl;
	struct queue in, out; /* from and for the wire */
	bool open;
	size_t owed; /* data that is to make up for what had none */
	int dead;    /* the error that ended the session, SL_CLOSED after close_notify, 0 alive */
	char error[TLS_ERROR_TEXT_MAX];
};

/* ---- queues ---- */

static size_t queue_n(const struct queue *q)
{
	return q->tail - q->head;
}

/*
 * Moves what waits to the front only when at least as much has gone already, so that the cost of moving stays
 * below that of the bytes themselves however slowly a reader drains; else it grows, to twice the bound at
 * most.
 */
static bool queue_put(struct queue *q, const void *bytes, size_t n)
{
	size_t cap = q->cap != 0 ? q->cap : TLS_QUEUE_MIN;

	if (n > q->max || queue_n(q) + n > q->max)
		return false;
	if (q->tail + n > q->cap && q->head > 0 && q->head >= q->cap / 2) {
		memmove(q->p, q->p + q->head, queue_n(q));
		q->tail -= q->head;
		q->head = 0;
	}
	while (cap < q->tail + n)
		cap *= 2;
	if (cap > q->cap) {
		uint8_t *p = realloc(q->p, cap);

		if (p == NULL)
			return false;
		q->p = p;
		q->cap = cap;
	}
	memcpy(q->p + q->tail, bytes, n);
	q->tail += n;
	return true;
}

static void queue_drop(struct queue *q, size_t n)
{
	q->head += n < queue_n(q) ? n : queue_n(q);
	if (q->head == q->tail)
		q->head = q->tail = 0;
}

/* ---- the BIO ---- */

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static bool too_idle(const struct sl_tls *t)
{
	return t->owed > (size_t)TLS_IDLE_MAX * TLS_IDLE_BYTES;
}

static int bio_read(BIO *bio, char *buf, int n)
{
	struct sl_tls *t = BIO_get_data(bio);
	size_t have = queue_n(&t->in), take;

	BIO_clear_retry_flags(bio);
	if (have == 0 || n <= 0 || too_idle(t)) { /* so that OpenSSL stops at that record */
		BIO_set_retry_read(bio);
		return -1;
	}
	take = have < (size_t)n ? have : (size_t)n;
	memcpy(buf, t->in.p + t->in.head, take);
	queue_drop(&t->in, take);
	return (int)take;
}

static int bio_write(BIO *bio, const char *buf, int n)
{
	struct sl_tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (n <= 0)
		return 0;
	if (!queue_put(&t->out, buf, (size_t)n)) {
		BIO_set_retry_write(bio);
		return -1;
	}
	return n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *arg)
{
	(void)bio;
	(void)num;
	(void)arg;
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice");

	if (m == NULL)
		return;
	if (BIO_meth_set_read(m, bio_read) == 1 && BIO_meth_set_write(m, bio_write) == 1 &&
	    BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		method = m;
	else
		BIO_meth_free(m);
}

/* ---- sessions ---- */

/*
 * A peer that asks for new keys again and again, or for renegotiation, costs us far more than it, and gets
 * answers that it need not read. Counts records of anything but data, and the messages in them. In TLS 1.3 a
 * record's header says data whatever it is; what it is comes as its inner type.
 */
static void on_message(int write, int version, int type, const void *buf, size_t n, SSL *ssl, void *arg)
{
	struct sl_tls *t = arg;
	bool record = type == SSL3_RT_HEADER || type == SSL3_RT_INNER_CONTENT_TYPE;

	(void)version;
	(void)ssl;
	if (write || !t->open || n == 0)
		return;
	if (type == SSL3_RT_HANDSHAKE || (record && *(const uint8_t *)buf != SSL3_RT_APPLICATION_DATA))
		t->owed += TLS_IDLE_BYTES;
}

static void made_up(struct sl_tls *t, size_t n)
{
	t->owed -= n < t->owed ? n : t->owed;
}

static int session_setup(struct sl_tls *t)
{
	BIO *bio;

	t->ssl = SSL_new(t->ctx->ssl);
	if (t->ssl == NULL)
		return -1;
	bio = BIO_new(method);
	if (bio == NULL)
		return -1;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_msg_callback_arg(t->ssl, t);
	if (t->ctx->server) {
		SSL_set_accept_state(t->ssl);
		return 0;
	}
	SSL_set_connect_state(t->ssl);
	return t->ctx->sni == NULL || SSL_set_tlsext_host_name(t->ssl, t->ctx->sni) == 1 ? 0 : -1;
}

struct sl_tls *sl_tls_new(struct sl_tls_ctx *ctx)
{
	struct sl_tls *t;

	if (pthread_once(&method_once, make_method) != 0 || method == NULL)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	t->ctx = ctx;
	t->in.max = SL_TLS_WIRE_MAX;
	t->out.max = TLS_OUT_MAX;
	ERR_clear_error();
	if (session_setup(t) != 0) {
		ERR_clear_error();
		sl_tls_free(t);
		return NULL;
	}
	return t;
}

void sl_tls_free(struct sl_tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t->in.p);
	free(t->out.p);
	tls_ctx_unref(t->ctx);
	free(t);
}

int sl_tls_wire_in(struct sl_tls *t, struct sl_span bytes)
{
	if (bytes.n > sl_tls_wire_room(t))
		return sl_fail(SL_E_LIMIT);
	if (t->dead != 0 || bytes.n == 0)
		return SL_OK; /* nobody will read them */
	return queue_put(&t->in, bytes.p, bytes.n) ? SL_OK : sl_fail(SL_E_NOMEM);
}

size_t sl_tls_wire_room(const struct sl_tls *t)
{
	return t->in.max - queue_n(&t->in);
}

struct sl_span sl_tls_wire_out(struct sl_tls *t)
{
	if (queue_n(&t->out) == 0)
		return SL_SPAN_EMPTY;
	return sl_span(t->out.p + t->out.head, queue_n(&t->out));
}

void sl_tls_wire_sent(struct sl_tls *t, size_t n)
{
	queue_drop(&t->out, n);
}

/* Ends the session with err, and keeps OpenSSL's reason (and the certificate's, for a refused one) as text.
 */
static int die(struct sl_tls *t, int err)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	long verify = SSL_get_verify_result(t->ssl);

	if (err == SL_E_TLS_VERIFY)
		snprintf(t->error, sizeof(t->error), "%s", X509_verify_cert_error_string(verify));
	else
		snprintf(t->error, sizeof(t->error), "%s", reason != NULL ? reason : sl_err_text(err));
	ERR_clear_error();
	t->dead = err;
	t->open = false;
	return sl_fail(err);
}

static bool verify_failed(const struct sl_tls *t)
{
	unsigned long code = ERR_peek_error();

	return !t->ctx->server && ERR_GET_LIB(code) == ERR_LIB_SSL &&
	       ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

int sl_tls_handshake(struct sl_tls *t)
{
	int rc;

	if (t->dead != 0)
		return t->dead < 0 ? t->dead : SL_E_TLS_HANDSHAKE;
	if (t->open)
		return SL_OK;
	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		t->open = true;
		sl_count(SL_C_TLS_HANDSHAKES);
		return SL_OK;
	}
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return SL_MORE;
	default:
		return die(t, verify_failed(t) ? SL_E_TLS_VERIFY : SL_E_TLS_HANDSHAKE);
	}
}

bool sl_tls_is_open(const struct sl_tls *t)
{
	return t->open;
}

long sl_tls_read(struct sl_tls *t, uint8_t *buf, size_t cap, int *err)
{
	size_t n = 0;
	int rc;

	*err = SL_OK;
	if (t->dead != 0 || !t->open) {
		*err = t->dead != 0 ? t->dead : sl_fail(SL_E_INVAL);
		return -1;
	}
	if (cap == 0)
		return 0;
	ERR_clear_error();
	rc = SSL_read_ex(t->ssl, buf, cap, &n);
	if (rc == 1) {
		made_up(t, n);
		return (long)n;
	}
	if (too_idle(t)) {
		*err = die(t, SL_E_TLS_IDLE);
		return -1;
	}
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: /* an answer (KeyUpdate) waits for room in wire_out */
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		t->dead = SL_CLOSED;
		*err = SL_CLOSED;
		return -1;
	default:
		*err = die(t, SL_E_TLS_RECORD);
		return -1;
	}
}

int sl_tls_write(struct sl_tls *t, struct sl_span bytes)
{
	size_t nb_records = bytes.n / TLS_RECORD_CLEAR + 1, done = 0;

	/* After the peer's close_notify we may still write: it closed its direction only. */
	if (t->dead < 0)
		return t->dead;
	if (!t->open)
		return sl_fail(SL_E_INVAL);
	if (bytes.n == 0)
		return SL_OK;
	/* Refused before a record is made: a half written span could never be taken back. */
	if (bytes.n > TLS_OUT_MAX || queue_n(&t->out) + bytes.n + nb_records * TLS_RECORD_EXTRA > TLS_OUT_MAX)
		return sl_fail(SL_E_LIMIT);
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, bytes.p, bytes.n, &done) != 1 || done != bytes.n)
		return die(t, SL_E_TLS_RECORD);
	made_up(t, bytes.n);
	return SL_OK;
}

void sl_tls_shutdown(struct sl_tls *t)
{
	if (!t->open || t->dead < 0)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl); /* 0: ours is queued, the peer's not seen yet */
	ERR_clear_error();
}

const char *sl_tls_version(const struct sl_tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *sl_tls_cipher(const struct sl_tls *t)
{
	const char *name = SSL_get_cipher_name(t->ssl);

	return name != NULL ? name : "";
}

const char *sl_tls_alpn(const struct sl_tls *t)
{
	const unsigned char *name = NULL;
	unsigned int n = 0;

	/* The context's name is kept with a NUL behind it; ours is the only one that can have been chosen. */
	SSL_get0_alpn_selected(t->ssl, &name, &n);
	return n > 0 && t->ctx->alpn[0] == n ? (const char *)t->ctx->alpn + 1 : "";
}

/* RFC 5929, 4.1: the hash of the certificate's signature, but SHA-256 in the place of MD5 and SHA-1. */
static const EVP_MD *end_point_hash(X509 *cert)
{
	int nid = NID_undef;

	if (X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1 || nid == NID_undef)
		return NULL;
	return nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
}

size_t sl_tls_end_point(const struct sl_tls *t, uint8_t out[SL_TLS_END_POINT_MAX])
{
	X509 *cert = t->ctx->server ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
	const EVP_MD *md;
	unsigned int n = 0;

	if (!t->open || cert == NULL)
		return 0;
	ERR_clear_error();
	md = end_point_hash(cert);
	if (md == NULL || EVP_MD_get_size(md) > SL_TLS_END_POINT_MAX || X509_digest(cert, md, out, &n) != 1)
		n = 0;
	ERR_clear_error();
	return n;
}

const char *sl_tls_error(const struct sl_tls *t)
{
	return t->error;
}
