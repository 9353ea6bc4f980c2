/*
 * Contexts. All files are read and parsed here, on the management core: a session on a worker never opens one
 * (which is why the system's roots are loaded as one bundle and never as a hashed directory, that OpenSSL
 * would look up at each handshake).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "sl_addr.h"
#include "sl_counter.h"
#include "tls_priv.h"

/* Forward secrecy and AEAD only. */
#define TLS12_CIPHERS                                                                                        \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                         \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                         \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define TLS13_CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define TLS_GROUPS    "X25519:P-256:P-384"

#define TLS_NAME_MAX 253 /* RFC 1035: a name in text form */

/* Writes what went wrong: our words and OpenSSL's reason. */
static int config_error(char *err, size_t cap, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	if (err != NULL && cap > 0)
		snprintf(err, cap, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
	ERR_clear_error();
	return sl_fail(SL_E_TLS_CONFIG);
}

/* An encrypted key is refused: without this callback OpenSSL would ask on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static int harden(SSL_CTX *ssl)
{
	/* CLEANSE_PLAINTEXT: clear bytes (a token, a password) do not stay in OpenSSL's buffer after they
	 * were read. */
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
	                                 SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	if (SSL_CTX_set_num_tickets(ssl, 0) != 1 || SSL_CTX_set_max_early_data(ssl, 0) != 1)
		return -1;
	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
		return -1;
	if (SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) != 1)
		return -1;
	if (SSL_CTX_set_cipher_list(ssl, TLS12_CIPHERS) != 1 ||
	    SSL_CTX_set_ciphersuites(ssl, TLS13_CIPHERS) != 1)
		return -1;
	return SSL_CTX_set1_groups_list(ssl, TLS_GROUPS) == 1 ? 0 : -1;
}

static struct sl_tls_ctx *ctx_new(const SSL_METHOD *method)
{
	struct sl_tls_ctx *ctx = calloc(1, sizeof(*ctx));

	if (ctx == NULL)
		return NULL;
	atomic_init(&ctx->refs, 1);
	ctx->ssl = SSL_CTX_new(method);
	if (ctx->ssl == NULL || harden(ctx->ssl) != 0) {
		tls_ctx_unref(ctx);
		return NULL;
	}
	return ctx;
}

void tls_ctx_unref(struct sl_tls_ctx *ctx)
{
	if (atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(ctx->ssl);
	free(ctx->sni);
	free(ctx);
}

void sl_tls_ctx_free(struct sl_tls_ctx *ctx)
{
	if (ctx != NULL)
		tls_ctx_unref(ctx);
}

/* ---- server ---- */

/* RFC 7301: a client that offers ALPN must offer our protocol; one that offers none is not asked. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                       unsigned int in_n, void *arg)
{
	const struct sl_tls_ctx *ctx = arg;

	(void)ssl;
	for (unsigned int at = 0; at < in_n; at += 1u + in[at]) {
		if (in[at] != ctx->alpn[0] || in_n - at - 1 < in[at] ||
		    memcmp(in + at + 1, ctx->alpn + 1, ctx->alpn[0]) != 0)
			continue;
		*out = ctx->alpn + 1;
		*out_n = ctx->alpn[0];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool keep_alpn(struct sl_tls_ctx *ctx, const char *alpn)
{
	size_t n = strlen(alpn);

	if (n == 0 || n > TLS_ALPN_MAX)
		return false;
	ctx->alpn[0] = (uint8_t)n;
	memcpy(ctx->alpn + 1, alpn, n);
	return true;
}

static int server_setup(struct sl_tls_ctx *ctx, const struct sl_tls_server_cfg *cfg, char *err,
                        size_t err_cap)
{
	if (cfg->cert_file == NULL || cfg->key_file == NULL)
		return config_error(err, err_cap, "certificate or key file not given");
	if (SSL_CTX_use_certificate_chain_file(ctx->ssl, cfg->cert_file) != 1)
		return config_error(err, err_cap, "certificate file");
	if (SSL_CTX_use_PrivateKey_file(ctx->ssl, cfg->key_file, SSL_FILETYPE_PEM) != 1)
		return config_error(err, err_cap, "key file");
	if (SSL_CTX_check_private_key(ctx->ssl) != 1)
		return config_error(err, err_cap, "key does not belong to the certificate");
	if (cfg->alpn == NULL)
		return SL_OK;
	if (!keep_alpn(ctx, cfg->alpn))
		return config_error(err, err_cap, "ALPN name of a wrong length");
	SSL_CTX_set_alpn_select_cb(ctx->ssl, select_alpn, ctx);
	return SL_OK;
}

int sl_tls_server_new(const struct sl_tls_server_cfg *cfg, struct sl_tls_ctx **out, char *err, size_t err_cap)
{
	struct sl_tls_ctx *ctx;
	int rc;

	*out = NULL;
	ERR_clear_error();
	ctx = ctx_new(TLS_server_method());
	if (ctx == NULL)
		return config_error(err, err_cap, "TLS context");
	ctx->server = true;
	SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
	rc = server_setup(ctx, cfg, err, err_cap);
	if (rc == SL_OK)
		*out = ctx;
	else
		tls_ctx_unref(ctx);
	return rc;
}

/* ---- client ---- */

static bool at_pem_end(void)
{
	unsigned long code = ERR_peek_last_error();
	bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

static int load_ca_pem(SSL_CTX *ssl, const char *pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	BIO *bio = BIO_new_mem_buf(pem, -1);
	unsigned int nb = 0;
	X509 *cert;
	int rc = -1;

	if (bio == NULL)
		return -1;
	while ((cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		int added = X509_STORE_add_cert(store, cert);

		X509_free(cert);
		if (added != 1)
			goto out;
		nb++;
	}
	if (at_pem_end() && nb > 0)
		rc = 0;
out:
	BIO_free(bio);
	return rc;
}

/* The system's roots as one file: what SSL_CERT_FILE or OpenSSL's build names, or Debian's bundle. */
static int load_system_roots(SSL_CTX *ssl)
{
	const char *env = secure_getenv(X509_get_default_cert_file_env());
	const char *const files[] = {env, X509_get_default_cert_file(), "/etc/ssl/certs/ca-certificates.crt"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i] == NULL || access(files[i], R_OK) != 0)
			continue;
		return X509_STORE_load_file(SSL_CTX_get_cert_store(ssl), files[i]) == 1 ? 0 : -1;
	}
	return -1;
}

static int load_client_cert(SSL_CTX *ssl, const char *cert_pem, const char *key_pem)
{
	BIO *cert_bio = BIO_new_mem_buf(cert_pem, -1), *key_bio = BIO_new_mem_buf(key_pem, -1);
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	int rc = -1;

	if (cert_bio == NULL || key_bio == NULL)
		goto out;
	cert = PEM_read_bio_X509(cert_bio, NULL, no_passphrase, NULL);
	key = PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
	if (cert == NULL || key == NULL || SSL_CTX_use_certificate(ssl, cert) != 1)
		goto out;
	for (;;) {
		X509 *next = PEM_read_bio_X509(cert_bio, NULL, no_passphrase, NULL);

		if (next == NULL)
			break;
		if (SSL_CTX_add0_chain_cert(ssl, next) != 1) {
			X509_free(next);
			goto out;
		}
	}
	if (!at_pem_end())
		goto out;
	if (SSL_CTX_use_PrivateKey(ssl, key) == 1 && SSL_CTX_check_private_key(ssl) == 1)
		rc = 0;
out:
	EVP_PKEY_free(key);
	X509_free(cert);
	BIO_free(key_bio);
	BIO_free(cert_bio);
	return rc;
}

/*
 * A plain host name. OpenSSL would take a leading dot as "any name below", so what is not letters, digits,
 * '-', '_' and inner dots is refused.
 */
static bool name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > TLS_NAME_MAX || name[0] == '.' || name[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && strchr("-_.", name[i]) == NULL)
			return false;
		if (name[i] == '.' && name[i + 1] == '.')
			return false;
	}
	return true;
}

static int set_name(struct sl_tls_ctx *ctx, const struct sl_tls_client_cfg *cfg)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->ssl);
	bool check = cfg->verify == SL_TLS_VERIFY_FULL;
	struct sl_addr addr;

	/* RFC 9525: the names of a certificate are its subjectAltNames; the subject's common name is not one.
	 */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
	                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (cfg->server_name == NULL)
		return check ? -1 : 0;
	if (sl_addr_parse(cfg->server_name, &addr) == SL_OK) {
		size_t n = addr.family == SL_AF_INET ? 4 : 16;

		return !check || X509_VERIFY_PARAM_set1_ip(param, addr.b, n) == 1 ? 0 : -1;
	}
	if (!name_valid(cfg->server_name))
		return -1;
	if (check && X509_VERIFY_PARAM_set1_host(param, cfg->server_name, 0) != 1)
		return -1;
	ctx->sni = strdup(cfg->server_name);
	return ctx->sni != NULL ? 0 : -1;
}

static int client_setup(struct sl_tls_ctx *ctx, const struct sl_tls_client_cfg *cfg, char *err,
                        size_t err_cap)
{
	switch (cfg->verify) {
	case SL_TLS_VERIFY_FULL:
	case SL_TLS_VERIFY_CA:
		SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
		break;
	case SL_TLS_VERIFY_NONE:
		SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
		break;
	default:
		return config_error(err, err_cap, "verification mode unknown");
	}
	if (set_name(ctx, cfg) != 0)
		return config_error(err, err_cap, "server name missing or not a host name or address");
	if (cfg->verify != SL_TLS_VERIFY_NONE) {
		if (cfg->ca_pem != NULL && load_ca_pem(ctx->ssl, cfg->ca_pem) != 0)
			return config_error(err, err_cap, "CA certificates");
		if (cfg->ca_pem == NULL && load_system_roots(ctx->ssl) != 0)
			return config_error(err, err_cap, "the system's CA certificates");
	}
	if ((cfg->cert_pem == NULL) != (cfg->key_pem == NULL))
		return config_error(err, err_cap,
		                    "client certificate without key, or key without certificate");
	if (cfg->cert_pem != NULL && load_client_cert(ctx->ssl, cfg->cert_pem, cfg->key_pem) != 0)
		return config_error(err, err_cap, "client certificate or key");
	if (cfg->alpn != NULL && (!keep_alpn(ctx, cfg->alpn) ||
	                          SSL_CTX_set_alpn_protos(ctx->ssl, ctx->alpn, ctx->alpn[0] + 1u) != 0))
		return config_error(err, err_cap, "ALPN name of a wrong length");
	return SL_OK;
}

int sl_tls_client_new(const struct sl_tls_client_cfg *cfg, struct sl_tls_ctx **out, char *err, size_t err_cap)
{
	struct sl_tls_ctx *ctx;
	int rc;

	*out = NULL;
	ERR_clear_error();
	ctx = ctx_new(TLS_client_method());
	if (ctx == NULL)
		return config_error(err, err_cap, "TLS context");
	rc = client_setup(ctx, cfg, err, err_cap);
	if (rc == SL_OK)
		*out = ctx;
	else
		tls_ctx_unref(ctx);
	return rc;
}
