#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_priv.h"

#define PEM_FILE_MAX (64 * 1024)

int store_hash(struct sl_span a, struct sl_span b, uint8_t out[HASH_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	          EVP_DigestUpdate(ctx, a.p, a.n) == 1 && EVP_DigestUpdate(ctx, b.p, b.n) == 1 &&
	          EVP_DigestFinal_ex(ctx, out, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? SL_OK : SL_E_SYS;
}

int store_hash_start(const struct sl_id *id, uint8_t out[HASH_BYTES])
{
	return store_hash(SL_SPAN_LIT("sluice session"), sl_span(id->b, sizeof(id->b)), out);
}

int key_secret(const EVP_PKEY *private, struct sl_span label, uint8_t out[HASH_BYTES])
{
	uint8_t raw[HASH_BYTES];
	size_t n = sizeof(raw);
	int rc = SL_E_SYS;

	if (EVP_PKEY_get_raw_private_key(private, raw, &n) == 1 && n == sizeof(raw))
		rc = store_hash(label, sl_span(raw, n), out);
	OPENSSL_cleanse(raw, sizeof(raw));
	return rc;
}

static int keys_add(struct key_ring *ring, EVP_PKEY *pkey)
{
	struct public_key *k = &ring->key[ring->nb];
	uint8_t hash[HASH_BYTES];
	size_t n = sizeof(k->raw);

	if (ring->nb == TRUSTED_MAX)
		return SL_E_LIMIT;
	if (EVP_PKEY_get_raw_public_key(pkey, k->raw, &n) != 1 || n != PUBLIC_BYTES ||
	    EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519)
		return SL_E_INVAL;
	if (store_hash(sl_span(k->raw, sizeof(k->raw)), SL_SPAN_EMPTY, hash) != SL_OK)
		return SL_E_SYS;
	memcpy(k->id, hash, sizeof(k->id));
	if (keys_find(ring, k->id) != NULL)
		return SL_OK;
	k->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->raw, sizeof(k->raw));
	if (k->pkey == NULL)
		return SL_E_SYS;
	ring->nb++;
	return SL_OK;
}

int keys_add_raw(struct key_ring *ring, const uint8_t raw[PUBLIC_BYTES])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, PUBLIC_BYTES);
	int rc = pkey == NULL ? SL_E_INVAL : keys_add(ring, pkey);

	EVP_PKEY_free(pkey);
	return rc;
}

const struct public_key *keys_find(const struct key_ring *ring, const uint8_t id[KEY_ID_BYTES])
{
	for (uint32_t i = 0; i < ring->nb; i++) {
		if (memcmp(ring->key[i].id, id, KEY_ID_BYTES) == 0)
			return &ring->key[i];
	}
	return NULL;
}

void keys_clear(struct key_ring *ring)
{
	for (uint32_t i = 0; i < ring->nb; i++)
		EVP_PKEY_free(ring->key[i].pkey);
	*ring = (struct key_ring){.nb = 0};
}

/* Writes a key into a new file, durable when it returns 0. errno tells else. */
static int write_pem(const char *file, EVP_PKEY *key, bool private)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, private ? 0600 : 0644);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int ok;

	if (f == NULL) {
		if (fd >= 0)
			close(fd);
		return SL_E_SYS;
	}
	ok = private ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) : PEM_write_PUBKEY(f, key);
	ok = ok == 1 && fflush(f) == 0 && fsync(fd) == 0;
	ok = fclose(f) == 0 && ok;
	if (!ok)
		(void)unlink(file);
	return ok ? SL_OK : SL_E_SYS;
}

/* Makes the key under another name and links it into place, so that a crash never leaves half a key. */
static int make_key(const char *file)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char name[PATH_MAX];
	int rc = SL_E_SYS;

	if (key == NULL || snprintf(name, sizeof(name), "%s.new", file) >= (int)sizeof(name))
		goto out;
	(void)unlink(name);
	rc = write_pem(name, key, true);
	if (rc == SL_OK && rename(name, file) != 0)
		rc = SL_E_SYS;
	/* The public half beside it is for the operator to copy off the machine; verification does not need
	 * it. */
	if (rc == SL_OK && snprintf(name, sizeof(name), "%s.pub", file) < (int)sizeof(name)) {
		(void)unlink(name);
		(void)write_pem(name, key, false);
	}
out:
	EVP_PKEY_free(key);
	return rc;
}

static int read_pems(FILE *f, EVP_PKEY **private, struct key_ring *ring)
{
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, (void *)(uintptr_t) "");
	int rc = SL_OK;

	if (key != NULL) {
		rc = keys_add(ring, key);
		if (rc == SL_OK && private != NULL) {
			*private = key;
			key = NULL;
		}
		EVP_PKEY_free(key);
	} else if (private != NULL) {
		return SL_E_INVAL;
	}
	rewind(f);
	while (rc == SL_OK && (key = PEM_read_PUBKEY(f, NULL, NULL, NULL)) != NULL) {
		rc = keys_add(ring, key);
		EVP_PKEY_free(key);
	}
	return rc == SL_OK && ring->nb == 0 ? SL_E_INVAL : rc;
}

int keys_load(const char *file, EVP_PKEY **private, struct key_ring *ring, char *err, size_t err_cap)
{
	struct stat st;
	FILE *f;
	int rc;

	if (private != NULL && access(file, F_OK) != 0 && errno == ENOENT && make_key(file) != SL_OK) {
		snprintf(err, err_cap, "%s: the key of checkpoints cannot be made: %s", file,
		         strerror(errno));
		return SL_E_STORE_OPEN;
	}
	f = fopen(file, "re");
	if (f == NULL || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > PEM_FILE_MAX) {
		snprintf(err, err_cap, "%s: cannot be read as a key file", file);
		rc = SL_E_STORE_OPEN;
		goto out;
	}
	if (private != NULL && (st.st_mode & 077) != 0) {
		snprintf(err, err_cap, "%s: others can read the key of checkpoints: mode must be 0600", file);
		rc = SL_E_STORE_OPEN;
		goto out;
	}
	rc = read_pems(f, private, ring);
	if (rc != SL_OK) {
		snprintf(err, err_cap, "%s: holds no usable Ed25519 key", file);
		rc = SL_E_STORE_OPEN;
	}
out:
	if (f != NULL)
		fclose(f);
	return rc;
}
