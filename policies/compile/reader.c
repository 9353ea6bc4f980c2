/* Reads members of a map into plain values. Everything that is not exactly as it should be is an error with
 * its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compile_priv.h"
#include "sl_counter.h"

#define WORD_MAX 40 /* of words that are compared for a hint */

int cp_fail(struct compiler *c, int code, const struct sl_yaml_node *at, const char *hint, const char *fmt,
            ...)
{
	struct sl_policy_error *e = c->err;
	va_list ap;

	memset(e, 0, sizeof(*e));
	snprintf(e->file, sizeof(e->file), "%s", c->file != NULL ? c->file : "");
	if (at != NULL) {
		e->line = at->line;
		e->column = at->column;
	}
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (hint != NULL)
		snprintf(e->hint, sizeof(e->hint), "%s", hint);
	return sl_fail(code);
}

/* Letters to change, add or take away (Levenshtein), case folded. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t same = (a[i - 1] | 0x20) == (b[j - 1] | 0x20) ? diagonal : diagonal + 1;
			size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

			diagonal = row[j];
			row[j] = same < best ? same : best;
		}
	}
	return row[nb];
}

void cp_nearest(const char *word, const char *const *list, char *out, size_t cap)
{
	const char *best = NULL;
	size_t best_distance = 3 + 1;

	out[0] = '\0';
	for (; *list != NULL; list++) {
		size_t d = distance(word, *list);

		if (d < best_distance && d < strlen(*list)) {
			best_distance = d;
			best = *list;
		}
	}
	if (best != NULL)
		snprintf(out, cap, "did you mean \"%s\"?", best);
}

static bool listed(const char *word, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (strcmp(word, *list) == 0)
			return true;
	}
	return false;
}

static const char *type_name(const struct sl_yaml_node *n)
{
	switch (n->type) {
	case SL_YAML_LIST:
		return "a list";
	case SL_YAML_MAP:
		return "a map";
	default:
		return n->plain && n->scalar[0] == '\0' ? "nothing" : "a text";
	}
}

int cp_map(struct compiler *c, const struct sl_yaml_node *n, const char *what, const char *const *keys)
{
	char hint[128];

	if (n->type != SL_YAML_MAP)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "%s must be a map, not %s", what,
		               type_name(n));
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next) {
		struct sl_yaml_node place = {.line = m->key_line, .column = m->key_column};

		if (listed(m->key, keys))
			continue;
		cp_nearest(m->key, keys, hint, sizeof(hint));
		return cp_fail(c, SL_E_POLICY_SYNTAX, &place, hint, "unknown key \"%.64s\" in %s", m->key,
		               what);
	}
	return SL_OK;
}

/* The member, or NULL with *rc: SL_OK when it may be absent. */
static const struct sl_yaml_node *member(struct compiler *c, const struct sl_yaml_node *map, const char *key,
                                         enum cp_need need, int *rc)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);

	*rc = SL_OK;
	if (n == NULL && need == CP_REQUIRED)
		*rc = cp_fail(c, SL_E_POLICY_SYNTAX, map, NULL, "\"%s\" is missing", key);
	return n;
}

static bool is_null(const struct sl_yaml_node *n)
{
	return n->plain &&
	       (n->scalar[0] == '\0' || strcmp(n->scalar, "~") == 0 || strcmp(n->scalar, "null") == 0);
}

/* A scalar with something in it that can be shown in one line. */
static int check_text(struct compiler *c, const struct sl_yaml_node *n, const char *key, size_t max)
{
	size_t len;

	if (n->type != SL_YAML_SCALAR || is_null(n))
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" must be a text, not %s", key,
		               type_name(n));
	len = strlen(n->scalar);
	if (len == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" is empty", key);
	if (len > max)
		return cp_fail(c, SL_E_LIMIT, n, NULL, "\"%s\" is longer than %zu bytes", key, max);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)n->scalar[i] < ' ' || n->scalar[i] == 0x7f)
			return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" holds a control character",
			               key);
	}
	return SL_OK;
}

int cp_text(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
            size_t max, const char **out)
{
	int rc;
	const struct sl_yaml_node *n = member(c, map, key, need, &rc);

	if (n == NULL)
		return rc;
	rc = check_text(c, n, key, max);
	if (rc != SL_OK)
		return rc;
	*out = cp_copy(c->arena, n->scalar, strlen(n->scalar));
	return *out != NULL ? SL_OK : cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
}

int cp_list(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
            cp_check_fn check, struct sl_strings *out)
{
	int rc;
	const struct sl_yaml_node *n = member(c, map, key, need, &rc);
	uint32_t nb = 0;

	if (n == NULL)
		return rc;
	if (n->type != SL_YAML_LIST)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "write it as [a, b]",
		               "\"%s\" must be a list, not %s", key, type_name(n));
	for (const struct sl_yaml_node *i = n->first; i != NULL; i = i->next)
		nb++;
	if (nb == 0 || nb > CP_LIST_MAX)
		return cp_fail(c, nb == 0 ? SL_E_POLICY_SYNTAX : SL_E_LIMIT, n, NULL,
		               "\"%s\" must have 1 to %d entries", key, CP_LIST_MAX);
	out->v = cp_take(c->arena, nb * sizeof(*out->v));
	if (out->v == NULL)
		return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	for (const struct sl_yaml_node *i = n->first; i != NULL; i = i->next) {
		rc = check_text(c, i, key, CP_TEXT_MAX);
		if (rc == SL_OK && check != NULL)
			rc = check(c, i);
		if (rc != SL_OK)
			return rc;
		out->v[out->nb] = cp_copy(c->arena, i->scalar, strlen(i->scalar));
		if (out->v[out->nb++] == NULL)
			return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	}
	return SL_OK;
}

int cp_bool(struct compiler *c, const struct sl_yaml_node *map, const char *key, bool *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);

	if (n == NULL || sl_yaml_bool(n, out) == SL_OK)
		return SL_OK;
	return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" must be true or false", key);
}

int cp_uint(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint32_t max, uint32_t *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	uint64_t v;

	if (n == NULL)
		return SL_OK;
	if (sl_yaml_uint(n, &v) != SL_OK || v > max)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" must be a number from 0 to %u", key,
		               max);
	*out = (uint32_t)v;
	return SL_OK;
}

int cp_duration(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint32_t min,
                uint32_t max, uint32_t *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	uint64_t v;

	if (n == NULL)
		return SL_OK;
	if (sl_yaml_duration_s(n, &v) != SL_OK || v < min || v > max)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "write it as 30s, 5m, 2h",
		               "\"%s\" must be a duration from %us to %us", key, min, max);
	*out = (uint32_t)v;
	return SL_OK;
}

int cp_word(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
            const char *const *words, uint32_t *out)
{
	int rc;
	const struct sl_yaml_node *n = member(c, map, key, need, &rc);
	char hint[128], all[256] = "";

	if (n == NULL)
		return rc;
	rc = check_text(c, n, key, CP_TEXT_MAX);
	if (rc != SL_OK)
		return rc;
	for (uint32_t i = 0; words[i] != NULL; i++) {
		size_t at = strlen(all);

		if (strcmp(n->scalar, words[i]) == 0) {
			*out = i;
			return SL_OK;
		}
		snprintf(all + at, sizeof(all) - at, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	cp_nearest(n->scalar, words, hint, sizeof(hint));
	return cp_fail(c, SL_E_POLICY_SYNTAX, n, hint, "\"%s\" must be one of %s", key, all);
}

int cp_check_name(struct compiler *c, const struct sl_yaml_node *item)
{
	const char *s = item->scalar;
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++) {
		bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		              (s[i] >= '0' && s[i] <= '9');

		if (!letter && (i == 0 || strchr("._-", s[i]) == NULL))
			n = 0;
	}
	if (n == 0 || n > CP_NAME_MAX)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL,
		               "a name has up to %d letters, digits, '.', '_' and '-', and begins with a "
		               "letter or digit",
		               CP_NAME_MAX);
	return SL_OK;
}

int cp_check_glob(struct compiler *c, const struct sl_yaml_node *item)
{
	if (strlen(item->scalar) > CP_GLOB_MAX)
		return cp_fail(c, SL_E_LIMIT, item, NULL, "a glob has at most %d bytes", CP_GLOB_MAX);
	if (strpbrk(item->scalar, "[]{}\\") != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item,
		               "\"*\" stands for any run, \"?\" for one character",
		               "a glob has no brackets, braces or backslashes");
	return SL_OK;
}

static int read_all(int fd, char *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, buf + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -1;
		got += (size_t)r;
	}
	return 0;
}

int cp_file(struct compiler *c, const struct sl_yaml_node *map, const char *key, char **out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	const char *path = NULL;
	struct stat st;
	char *buf;
	int rc = cp_text(c, map, key, CP_OPTIONAL, CP_TEXT_MAX, &path);
	int fd;

	*out = NULL;
	if (rc != SL_OK || path == NULL)
		return rc;
	/* O_NONBLOCK: a FIFO is refused below and must not block before that. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\": %.200s: %s", key, path,
		               strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > CP_FILE_BYTES_MAX) {
		close(fd);
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL,
		               "\"%s\": %.200s: must be a file of 1 to %u bytes", key, path,
		               CP_FILE_BYTES_MAX);
	}
	buf = calloc(1, (size_t)st.st_size + 1);
	if (buf == NULL || read_all(fd, buf, (size_t)st.st_size) != 0) {
		free(buf);
		close(fd);
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\": %.200s: cannot be read", key, path);
	}
	close(fd);
	*out = buf;
	return SL_OK;
}
