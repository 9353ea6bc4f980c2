#include "credential.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "json.h"
#include "sl_counter.h"

#define TABLE       "credential"
#define KEY_BYTES   32
#define NONCE_BYTES 12
#define TAG_BYTES   16
#define FORMAT      1
#define HEAD_BYTES  9 /* format, time of change: clear but authenticated */
#define PLAIN_MAX   (2 + SL_BUS_NAME_MAX + SL_SECRET_MAX)
#define SEALED_MAX  (HEAD_BYTES + NONCE_BYTES + PLAIN_MAX + TAG_BYTES)

struct mg_creds {
	struct sl_store *store;
	uint8_t key[KEY_BYTES];
};

/* ---- the master key ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 64 hex digits and nothing else but one line end. */
static int parse_key(const char *text, size_t n, uint8_t *key)
{
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n != 2 * KEY_BYTES)
		return SL_E_CONFIG;
	for (size_t i = 0; i < KEY_BYTES; i++) {
		int hi = hex_value(text[2 * i]), lo = hex_value(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return SL_E_CONFIG;
		key[i] = (uint8_t)(hi << 4 | lo);
	}
	return SL_OK;
}

static int read_key(int fd, const char *path, uint8_t *key, char *err, size_t err_cap)
{
	char text[2 * KEY_BYTES + 2];
	struct stat st;
	ssize_t n;
	int rc;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
	    (st.st_mode & 077) != 0) {
		snprintf(err, err_cap, "master key %s: must be a regular file of ours with mode 0600", path);
		return sl_fail(SL_E_CONFIG);
	}
	n = read(fd, text, sizeof(text));
	rc = n < 0 ? SL_E_CONFIG : parse_key(text, (size_t)n, key);
	sl_cleanse(text, sizeof(text));
	if (rc != SL_OK) {
		snprintf(err, err_cap, "master key %s: must be %d hex digits", path, 2 * KEY_BYTES);
		return sl_fail(rc);
	}
	return SL_OK;
}

/* The entry itself must be on disk too: a credential sealed under a key that is lost can never be opened
 * again. */
static int sync_directory(const char *path)
{
	char dir[4096];
	char *slash;
	int fd, rc;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -1;
	slash = strrchr(dir, '/');
	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int make_key(const char *path, uint8_t *key, char *err, size_t err_cap)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * KEY_BYTES + 1];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && RAND_priv_bytes(key, KEY_BYTES) == 1;

	for (size_t i = 0; ok && i < KEY_BYTES; i++) {
		text[2 * i] = digits[key[i] >> 4];
		text[2 * i + 1] = digits[key[i] & 15];
	}
	text[2 * KEY_BYTES] = '\n';
	ok = ok && write(fd, text, sizeof(text)) == (ssize_t)sizeof(text) && fsync(fd) == 0;
	sl_cleanse(text, sizeof(text));
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	ok = ok && sync_directory(path) == 0;
	if (ok)
		return SL_OK;
	snprintf(err, err_cap, "master key %s: cannot be made: %s", path, strerror(errno));
	return sl_fail(SL_E_CONFIG);
}

static int any(void *ctx, struct sl_span key, struct sl_span value)
{
	bool *found = ctx;

	*found = true;
	return 1;
}

/* At the first start only: another key instead of one that is lost would leave all that was sealed under it.
 */
static int first_key(struct sl_store *store, const char *path, uint8_t *key, char *err, size_t err_cap)
{
	bool sealed = false;
	int rc = sl_store_each(store, TABLE, false, any, &sealed);

	if (rc == SL_OK && !sealed)
		return make_key(path, key, err, err_cap);
	if (rc != SL_OK) {
		snprintf(err, err_cap, "credentials cannot be read: %s", sl_err_text(rc));
		return rc;
	}
	snprintf(err, err_cap, "master key %s: is missing, and the store has credentials that it seals",
	         path);
	return sl_fail(SL_E_CONFIG);
}

int mg_creds_new(const char *key_file, struct sl_store *store, struct mg_creds **out, char *err,
                 size_t err_cap)
{
	struct mg_creds *c = calloc(1, sizeof(*c));
	int fd, rc;

	*out = NULL;
	if (c == NULL)
		return sl_fail(SL_E_NOMEM);
	c->store = store;
	fd = open(key_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		rc = read_key(fd, key_file, c->key, err, err_cap);
		close(fd);
	} else if (errno == ENOENT) {
		rc = first_key(store, key_file, c->key, err, err_cap);
	} else {
		snprintf(err, err_cap, "master key %s: %s", key_file, strerror(errno));
		rc = sl_fail(SL_E_CONFIG);
	}
	if (rc != SL_OK) {
		mg_creds_free(c);
		return rc;
	}
	*out = c;
	return SL_OK;
}

void mg_creds_free(struct mg_creds *c)
{
	if (c == NULL)
		return;
	sl_cleanse(c, sizeof(*c));
	free(c);
}

/* HMAC as a pseudo-random function of the use's name: one block of HKDF-Expand (RFC 5869), the key being
 * uniform. */
int mg_creds_derive(const struct mg_creds *c, const char *use, uint8_t out[MG_DERIVED_BYTES])
{
	uint8_t info[MG_USE_MAX + 1];
	size_t n = strlen(use);
	unsigned int got = MG_DERIVED_BYTES;

	if (n + 1 > sizeof(info))
		return sl_fail(SL_E_INVAL);
	memcpy(info, use, n);
	info[n] = 1;
	if (HMAC(EVP_sha256(), c->key, KEY_BYTES, info, n + 1, out, &got) == NULL)
		return sl_fail(SL_E_SEAL);
	return SL_OK;
}

/* ---- sealing ---- */

/* What is authenticated beside the sealed bytes: the head, then the name. */
static bool add_aad(EVP_CIPHER_CTX *ctx, bool seal, const uint8_t *head, const char *name)
{
	int n;

	if (seal)
		return EVP_EncryptUpdate(ctx, NULL, &n, head, HEAD_BYTES) == 1 &&
		       EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1;
	return EVP_DecryptUpdate(ctx, NULL, &n, head, HEAD_BYTES) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1;
}

/* out: head | nonce | sealed | tag. Returns its length, or SL_E_SEAL. The head is in place already. */
static long seal(const struct mg_creds *c, const char *name, struct sl_span plain, uint8_t *out)
{
	uint8_t *nonce = out + HEAD_BYTES, *body = nonce + NONCE_BYTES;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, tail = 0;
	bool ok = ctx != NULL && RAND_bytes(nonce, NONCE_BYTES) == 1 &&
	          EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, c->key, nonce) == 1 &&
	          add_aad(ctx, true, out, name) &&
	          EVP_EncryptUpdate(ctx, body, &n, plain.p, (int)plain.n) == 1 &&
	          EVP_EncryptFinal_ex(ctx, body + n, &tail) == 1 &&
	          EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + plain.n) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return ok ? (long)(HEAD_BYTES + NONCE_BYTES + plain.n + TAG_BYTES) : SL_E_SEAL;
}

/* The length of what was sealed, or SL_E_SEAL. plain has PLAIN_MAX bytes. */
static long unseal(const struct mg_creds *c, const char *name, struct sl_span in, uint8_t *plain)
{
	const uint8_t *nonce = in.p + HEAD_BYTES, *body = nonce + NONCE_BYTES;
	EVP_CIPHER_CTX *ctx;
	uint8_t tag[TAG_BYTES];
	int n = 0, tail = 0;
	size_t body_n;
	bool ok;

	if (in.n < HEAD_BYTES + NONCE_BYTES + TAG_BYTES || in.n > SEALED_MAX || in.p[0] != FORMAT)
		return SL_E_SEAL;
	body_n = in.n - HEAD_BYTES - NONCE_BYTES - TAG_BYTES;
	memcpy(tag, body + body_n, TAG_BYTES);
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, c->key, nonce) == 1 &&
	     add_aad(ctx, false, in.p, name) && EVP_DecryptUpdate(ctx, plain, &n, body, (int)body_n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
	     EVP_DecryptFinal_ex(ctx, plain + n, &tail) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? (long)body_n : SL_E_SEAL;
}

bool mg_creds_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < SL_BUS_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static void put_be64(uint8_t *p, uint64_t v)
{
	sl_put_be32(p, (uint32_t)(v >> 32));
	sl_put_be32(p + 4, (uint32_t)v);
}

static uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)sl_get_be32(p) << 32 | sl_get_be32(p + 4);
}

int mg_creds_put(struct mg_creds *c, const char *name, struct sl_span username, struct sl_span secret,
                 uint64_t wall_us)
{
	uint8_t plain[PLAIN_MAX], sealed[SEALED_MAX];
	long n;

	if (!mg_creds_name_ok(name) || username.n == 0 || memchr(username.p, 0, username.n) != NULL)
		return sl_fail(SL_E_INVAL);
	if (username.n >= SL_BUS_NAME_MAX || secret.n > SL_SECRET_MAX)
		return sl_fail(SL_E_LIMIT);
	sl_put_be16(plain, (uint16_t)username.n);
	memcpy(plain + 2, username.p, username.n);
	if (secret.n > 0)
		memcpy(plain + 2 + username.n, secret.p, secret.n);
	sealed[0] = FORMAT;
	put_be64(sealed + 1, wall_us);
	n = seal(c, name, sl_span(plain, 2 + username.n + secret.n), sealed);
	sl_cleanse(plain, sizeof(plain));
	if (n < 0)
		return sl_fail((int)n);
	return sl_store_put(c->store, TABLE, sl_span_str(name), sl_span(sealed, (size_t)n));
}

/* Takes what was sealed apart. */
static int split_plain(struct sl_span plain, char *user, struct sl_secret *secret)
{
	size_t user_n = plain.n < 2 ? 0 : sl_get_be16(plain.p);

	if (plain.n < 2 + user_n || sl_span_cstr(sl_span(plain.p + 2, user_n), user, SL_BUS_NAME_MAX) <= 0)
		return SL_E_SEAL;
	return secret == NULL ? SL_OK : sl_secret_set(secret, sl_span_sub(plain, 2 + user_n, plain.n));
}

static int open_value(const struct mg_creds *c, const char *name, struct sl_span value, char *user,
                      struct sl_secret *secret)
{
	uint8_t plain[PLAIN_MAX + 16];
	long n = unseal(c, name, value, plain);
	int err = n < 0 ? SL_E_SEAL : split_plain(sl_span(plain, (size_t)n), user, secret);

	sl_cleanse(plain, sizeof(plain));
	return err;
}

int mg_creds_get(struct mg_creds *c, const char *name, char *user, struct sl_secret *secret)
{
	uint8_t *value = NULL;
	size_t n = 0;
	int err;

	if (!mg_creds_name_ok(name))
		return sl_fail(SL_E_NOTFOUND);
	err = sl_store_get(c->store, TABLE, sl_span_str(name), &value, &n);
	if (err != SL_OK)
		return err;
	err = open_value(c, name, sl_span(value, n), user, secret);
	free(value);
	return err == SL_OK ? SL_OK : sl_fail(err);
}

int mg_creds_del(struct mg_creds *c, const char *name)
{
	uint8_t *value = NULL;
	size_t n = 0;
	int err;

	if (!mg_creds_name_ok(name))
		return sl_fail(SL_E_NOTFOUND);
	/* The store may take the deletion of what is not there for done; the caller of the API is to know. */
	err = sl_store_get(c->store, TABLE, sl_span_str(name), &value, &n);
	free(value);
	return err != SL_OK ? err : sl_store_del(c->store, TABLE, sl_span_str(name));
}

struct list {
	const struct mg_creds *c;
	json_t *array;
};

static int list_one(void *ctx, struct sl_span key, struct sl_span value)
{
	struct list *l = ctx;
	char name[SL_BUS_NAME_MAX], user[SL_BUS_NAME_MAX] = "";
	bool ok = sl_span_cstr(key, name, sizeof(name)) > 0 &&
	          open_value(l->c, name, value, user, NULL) == SL_OK;
	json_t *o = json_pack("{s:o}", "name", mg_json_text(key));

	if (ok)
		json_object_set_new(o, "username", mg_json_text(sl_span_str(user)));
	else
		json_object_set_new(o, "username", json_null());
	if (!ok)
		json_object_set_new(o, "problem", json_string("does not open with the master key"));
	json_object_set_new(o, "updated_us",
	                    json_integer(value.n < HEAD_BYTES ? 0 : (json_int_t)get_be64(value.p + 1)));
	json_array_append_new(l->array, o);
	return json_array_size(l->array) >= MG_CREDENTIALS_MAX;
}

int mg_creds_list(struct mg_creds *c, json_t *array)
{
	struct list l = {c, array};

	return sl_store_each(c->store, TABLE, false, list_one, &l);
}
