#include "policy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "clock.h"
#include "json.h"
#include "sl_counter.h"
#include "sl_log.h"

#define TABLE         "policy"
#define BOOTSTRAP_WHO "bootstrap"
#define FILES_MAX     256
#define META_MAX      4096

/* A stored version: length of the description, the description (JSON), the documents. Key: the number, big
 * endian. */
#define META_LEN_BYTES 4

struct mg_policy {
	struct mg_policy_cfg cfg;
	struct sl_snapshot *current;
	uint64_t newest; /* number of the newest stored version; 0 none */
	bool applying;
};

static void put_key(uint64_t version, uint8_t key[8])
{
	sl_put_be32(key, (uint32_t)(version >> 32));
	sl_put_be32(key + 4, (uint32_t)version);
}

/* ---- stored versions ---- */

static json_t *make_meta(uint64_t version, const char *who, struct sl_span text)
{
	uint8_t digest[32];
	unsigned int n = sizeof(digest);

	if (EVP_Digest(text.p, text.n, digest, &n, EVP_sha256(), NULL) != 1)
		return NULL;
	return json_pack("{s:I,s:o,s:I,s:o}", "version", (json_int_t)version, "applied_by",
	                 mg_json_text(sl_span_str(who)), "applied_at_us", (json_int_t)mg_wall_us(), "sha256",
	                 mg_json_hex(sl_span(digest, sizeof(digest))));
}

static int store_version(struct mg_policy *p, uint64_t version, const char *who, struct sl_span text)
{
	json_t *meta = make_meta(version, who, text);
	char *dump = meta == NULL ? NULL : json_dumps(meta, JSON_COMPACT);
	struct sl_span head = sl_span_str(dump);
	uint8_t key[8], *value = dump == NULL ? NULL : malloc(META_LEN_BYTES + head.n + text.n);
	int err = SL_E_NOMEM;

	if (value != NULL && head.n <= META_MAX) {
		put_key(version, key);
		sl_put_be32(value, (uint32_t)head.n);
		memcpy(value + META_LEN_BYTES, head.p, head.n);
		if (text.n > 0)
			memcpy(value + META_LEN_BYTES + head.n, text.p, text.n);
		err = sl_store_put(p->cfg.store, TABLE, sl_span(key, sizeof(key)),
		                   sl_span(value, META_LEN_BYTES + head.n + text.n));
	}
	free(value);
	free(dump);
	json_decref(meta);
	if (err == SL_OK)
		p->newest = version;
	return err;
}

/* Takes a stored value apart. NULL when it is malformed. */
static json_t *read_version(struct sl_span value, struct sl_span *text)
{
	size_t n = value.n < META_LEN_BYTES ? 0 : sl_get_be32(value.p);

	if (n == 0 || n > META_MAX || value.n < META_LEN_BYTES + n)
		return NULL;
	*text = sl_span_sub(value, META_LEN_BYTES + n, value.n);
	return json_loadb((const char *)value.p + META_LEN_BYTES, n, 0, NULL);
}

static int first_key(void *ctx, struct sl_span key, struct sl_span value)
{
	if (key.n == 8)
		*(uint64_t *)ctx = (uint64_t)sl_get_be32(key.p) << 32 | sl_get_be32(key.p + 4);
	return 1;
}

static int list_one(void *ctx, struct sl_span key, struct sl_span value)
{
	json_t *array = ctx;
	struct sl_span text;
	json_t *meta = read_version(value, &text);

	if (meta != NULL)
		json_array_append_new(array, meta);
	return json_array_size(array) >= MG_POLICY_LIST_MAX;
}

int mg_policy_list(struct mg_policy *p, json_t *array)
{
	return sl_store_each(p->cfg.store, TABLE, true, list_one, array);
}

int mg_policy_get(struct mg_policy *p, uint64_t version, json_t **out)
{
	struct sl_span text = SL_SPAN_EMPTY;
	uint8_t key[8], *value = NULL;
	size_t n = 0;
	int err;

	*out = NULL;
	put_key(version == 0 ? p->current->version : version, key);
	err = sl_store_get(p->cfg.store, TABLE, sl_span(key, sizeof(key)), &value, &n);
	if (err != SL_OK)
		return err;
	*out = read_version(sl_span(value, n), &text);
	if (*out == NULL || json_object_set_new(*out, "documents", mg_json_text(text)) != 0) {
		json_decref(*out);
		*out = NULL;
		err = sl_fail(SL_E_STORE_CORRUPT);
	}
	free(value);
	return err;
}

/* ---- publishing ---- */

void mg_policy_release(struct sl_snapshot *snap)
{
	if (snap != NULL && sl_snapshot_unref(snap))
		sl_policy_free(snap);
}

/* Takes over the maker's count. */
static void publish(struct mg_policy *p, struct sl_snapshot *snap)
{
	struct sl_snapshot *old = p->current;
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	p->current = snap;
	for (uint32_t i = 0; i < p->cfg.nb_workers && msg != NULL; i++) {
		msg->type = SL_MSG_SNAPSHOT;
		msg->flow.worker = i;
		msg->snapshot = sl_snapshot_ref(snap);
		p->cfg.send(p->cfg.ctx, i, msg);
	}
	if (msg == NULL)
		sl_fail(SL_E_NOMEM);
	free(msg);
	p->cfg.changed(p->cfg.ctx, snap);
	mg_policy_release(old);
}

const struct sl_snapshot *mg_policy_current(const struct mg_policy *p)
{
	return p->current;
}

/* ---- applying ---- */

struct apply {
	struct mg_job job; /* first */
	struct mg_policy *p;
	uint8_t *text;
	size_t text_n;
	uint64_t version;
	uint32_t nb_workers;
	bool dry_run;
	char who[SL_BUS_NAME_MAX];
	mg_policy_fn fn;
	void *ctx;
	int err;
	struct sl_snapshot *snap;
	struct sl_policy_error where;
};

static void apply_run(struct mg_job *job)
{
	struct apply *a = (struct apply *)job;
	const struct sl_policy_source source = {"policy.yaml", sl_span(a->text, a->text_n)};

	a->err = sl_policy_compile_keyed(&source, 1, a->version, a->nb_workers, &a->p->cfg.mask_keys,
	                                 &a->snap, &a->where);
}

static void apply_done(struct mg_job *job)
{
	struct apply *a = (struct apply *)job;
	struct mg_policy *p = a->p;
	int err = a->err;

	p->applying = false;
	if (err == SL_OK && !a->dry_run) {
		a->where.text[0] = '\0';
		err = store_version(p, a->version, a->who, sl_span(a->text, a->text_n));
	}
	if (err == SL_OK && !a->dry_run)
		publish(p, a->snap);
	else
		mg_policy_release(a->snap);
	a->fn(a->ctx, err, a->version, &a->where);
	free(a->text);
	free(a);
}

int mg_policy_apply(struct mg_policy *p, struct sl_span text, const char *who, bool dry_run, mg_policy_fn fn,
                    void *ctx)
{
	struct apply *a;
	int err;

	if (p->applying)
		return sl_fail(SL_E_EXISTS);
	if (text.n > SL_POLICY_BYTES_MAX)
		return sl_fail(SL_E_LIMIT);
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return sl_fail(SL_E_NOMEM);
	*a = (struct apply){.job = {.run = apply_run, .done = apply_done},
	                    .p = p,
	                    .version = p->newest + 1,
	                    .nb_workers = p->cfg.nb_workers,
	                    .dry_run = dry_run,
	                    .fn = fn,
	                    .ctx = ctx,
	                    .text_n = text.n};
	snprintf(a->who, sizeof(a->who), "%s", who);
	a->text = malloc(text.n + 1);
	err = a->text == NULL ? sl_fail(SL_E_NOMEM) : SL_OK;
	if (err == SL_OK) {
		memcpy(a->text, text.p, text.n);
		err = mg_jobs_start(p->cfg.jobs, MG_JOBS_MAX, &a->job);
	}
	if (err != SL_OK) {
		free(a->text);
		free(a);
		return err;
	}
	p->applying = true;
	return SL_OK;
}

/* ---- start ---- */

struct files {
	struct dirent **names;
	int nb;
	struct sl_policy_source *sources; /* file: malloc'd; text.p: malloc'd */
};

static int is_yaml(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && strcmp(d->d_name + n - 5, ".yaml") == 0;
}

static int read_file(const char *path, struct sl_span *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = SL_E_SYS;
	struct stat st;
	uint8_t *buf = NULL;
	size_t at = 0;
	ssize_t n = 0;

	if (fd < 0)
		return SL_E_SYS;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SL_POLICY_BYTES_MAX)
		buf = malloc((size_t)st.st_size + 1);
	while (buf != NULL && at < (size_t)st.st_size &&
	       ((n = read(fd, buf + at, (size_t)st.st_size - at)) > 0 || (n < 0 && errno == EINTR)))
		at += n > 0 ? (size_t)n : 0;
	close(fd);
	if (buf != NULL && at == (size_t)st.st_size) {
		*out = sl_span(buf, at);
		err = SL_OK;
	} else {
		free(buf);
	}
	return err;
}

static void free_files(struct files *f)
{
	for (int i = 0; i < f->nb; i++) {
		if (f->sources != NULL) {
			free((void *)(uintptr_t)f->sources[i].file);
			free((void *)(uintptr_t)f->sources[i].text.p);
		}
		free(f->names[i]);
	}
	free(f->names);
	free(f->sources);
}

static int read_directory(const char *dir, struct files *f, char *err, size_t err_cap)
{
	memset(f, 0, sizeof(*f));
	f->nb = scandir(dir, &f->names, is_yaml, alphasort);
	if (f->nb <= 0 || f->nb > FILES_MAX) {
		snprintf(err, err_cap, "policy directory %s: %s", dir,
		         f->nb < 0    ? strerror(errno)
		         : f->nb == 0 ? "no *.yaml file"
		                      : "too many files");
		f->nb = f->nb < 0 ? 0 : f->nb;
		return sl_fail(SL_E_CONFIG);
	}
	f->sources = calloc((size_t)f->nb, sizeof(*f->sources));
	for (int i = 0; i < f->nb && f->sources != NULL; i++) {
		char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, f->names[i]->d_name) < 0)
			return sl_fail(SL_E_NOMEM);
		f->sources[i].file = path;
		if (read_file(path, &f->sources[i].text) != SL_OK) {
			snprintf(err, err_cap, "policy file %s cannot be read", path);
			return sl_fail(SL_E_CONFIG);
		}
	}
	return f->sources == NULL ? sl_fail(SL_E_NOMEM) : SL_OK;
}

/* True when the text itself begins with a document mark, behind comments and empty lines. */
static bool has_mark(struct sl_span t)
{
	size_t i = 0;

	while (i < t.n) {
		if (t.n - i >= 3 && memcmp(t.p + i, "---", 3) == 0)
			return true;
		if (t.p[i] != '#' && t.p[i] != '\n' && t.p[i] != '\r')
			return false;
		while (i < t.n && t.p[i] != '\n')
			i++;
		i++;
	}
	return false;
}

/* All files as one text, which is what a version is. */
static int join_files(const struct files *f, uint8_t **out, size_t *out_n)
{
	static const char mark[] = "\n---\n";
	size_t cap = 1, n = 0;
	uint8_t *buf;

	for (int i = 0; i < f->nb; i++)
		cap += f->sources[i].text.n + sizeof(mark);
	buf = malloc(cap);
	if (buf == NULL)
		return sl_fail(SL_E_NOMEM);
	for (int i = 0; i < f->nb; i++) {
		struct sl_span t = f->sources[i].text;

		if (i > 0 && has_mark(t)) {
			buf[n++] = '\n';
		} else if (i > 0) {
			memcpy(buf + n, mark, sizeof(mark) - 1);
			n += sizeof(mark) - 1;
		}
		memcpy(buf + n, t.p, t.n);
		n += t.n;
	}
	*out = buf;
	*out_n = n;
	return SL_OK;
}

static int compile(struct mg_policy *p, const struct sl_policy_source *sources, uint32_t nb, uint64_t version,
                   struct sl_snapshot **snap, char *err, size_t err_cap)
{
	struct sl_policy_error where = {0};
	char text[1200];
	int rc = sl_policy_compile_keyed(sources, nb, version, p->cfg.nb_workers, &p->cfg.mask_keys, snap,
	                                 &where);

	if (rc != SL_OK)
		snprintf(err, err_cap, "policy version %llu does not compile: %s",
		         (unsigned long long)version,
		         where.text[0] == '\0' ? sl_err_text(rc)
		                               : sl_policy_error_str(&where, text, sizeof(text)));
	return rc;
}

/*
 * The text that the files make together, which is what is stored and what the next start compiles. What it
 * does not take the files are asked for one by one, for an error that names one; bounds may be the text's
 * alone.
 */
static int compile_files(struct mg_policy *p, const struct files *f, struct sl_span text,
                         struct sl_snapshot **snap, char *err, size_t err_cap)
{
	const struct sl_policy_source joined = {"all files together", text};
	struct sl_snapshot *unused = NULL;
	int rc = compile(p, &joined, 1, 1, snap, err, err_cap);

	if (rc != SL_OK && compile(p, f->sources, (uint32_t)f->nb, 1, &unused, err, err_cap) == SL_OK)
		mg_policy_release(unused);
	return rc;
}

static int bootstrap_policy(struct mg_policy *p, const char *dir, char *err, size_t err_cap)
{
	struct sl_snapshot *snap = NULL;
	struct files f;
	uint8_t *text = NULL;
	size_t n = 0;
	int rc = read_directory(dir, &f, err, err_cap);

	if (rc == SL_OK)
		rc = join_files(&f, &text, &n);
	if (rc == SL_OK)
		rc = compile_files(p, &f, sl_span(text, n), &snap, err, err_cap);
	if (rc == SL_OK) {
		rc = store_version(p, 1, BOOTSTRAP_WHO, sl_span(text, n));
		if (rc != SL_OK)
			snprintf(err, err_cap, "the first policy cannot be stored: %s", sl_err_text(rc));
	}
	if (rc == SL_OK)
		publish(p, snap);
	else
		mg_policy_release(snap);
	free(text);
	free_files(&f);
	return rc;
}

static int load_newest(struct mg_policy *p, char *err, size_t err_cap)
{
	struct sl_policy_source source = {"stored policy", SL_SPAN_EMPTY};
	struct sl_snapshot *snap = NULL;
	uint8_t key[8], *value = NULL;
	json_t *meta = NULL;
	size_t n = 0;
	int rc;

	put_key(p->newest, key);
	rc = sl_store_get(p->cfg.store, TABLE, sl_span(key, sizeof(key)), &value, &n);
	if (rc == SL_OK) {
		meta = read_version(sl_span(value, n), &source.text);
		rc = meta == NULL ? sl_fail(SL_E_STORE_CORRUPT) : SL_OK;
	}
	if (rc != SL_OK)
		snprintf(err, err_cap, "policy version %llu cannot be read: %s",
		         (unsigned long long)p->newest, sl_err_text(rc));
	else
		rc = compile(p, &source, 1, p->newest, &snap, err, err_cap);
	if (rc == SL_OK)
		publish(p, snap);
	json_decref(meta);
	free(value);
	return rc;
}

int mg_policy_new(const struct mg_policy_cfg *cfg, const char *bootstrap, struct mg_policy **out, char *err,
                  size_t err_cap)
{
	struct mg_policy *p = calloc(1, sizeof(*p));
	int rc;

	*out = NULL;
	if (p == NULL)
		return sl_fail(SL_E_NOMEM);
	p->cfg = *cfg;
	rc = sl_store_each(cfg->store, TABLE, true, first_key, &p->newest);
	if (rc != SL_OK) {
		snprintf(err, err_cap, "the store's policies cannot be read: %s", sl_err_text(rc));
	} else if (p->newest != 0) {
		rc = load_newest(p, err, err_cap);
	} else if (bootstrap != NULL) {
		rc = bootstrap_policy(p, bootstrap, err, err_cap);
	} else {
		snprintf(err, err_cap, "the store has no policy and no bootstrap directory is configured");
		rc = sl_fail(SL_E_CONFIG);
	}
	if (rc != SL_OK) {
		sl_log(SL_LOG_ERROR, "policy", "%s", err);
		mg_policy_free(p);
		return rc;
	}
	*out = p;
	return SL_OK;
}

void mg_policy_free(struct mg_policy *p)
{
	if (p == NULL)
		return;
	mg_policy_release(p->current);
	free(p);
}
