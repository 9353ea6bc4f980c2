#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "test_pg_text.h"

bool pgt_join_copy;

void pgt_put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->b + t->n, PGT_TEXT_MAX - t->n, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && t->n + (size_t)n < PGT_TEXT_MAX);
	t->n += (size_t)n;
}

void pgt_key(struct text *t, const uint8_t *p, size_t n)
{
	pgt_put(t, n > 4 ? "%u+%zu" : "%u", sl_get_be32(p), n - 4);
}

/* ---- building messages from text ---- */

struct build {
	uint8_t *b;
	size_t n;
};

static void b8(struct build *m, uint32_t v)
{
	m->b[m->n++] = (uint8_t)v;
}

static void b16(struct build *m, uint32_t v)
{
	sl_put_be16(m->b + m->n, (uint16_t)v);
	m->n += 2;
}

static void b32(struct build *m, uint32_t v)
{
	sl_put_be32(m->b + m->n, v);
	m->n += 4;
}

static void bbytes(struct build *m, const char *s, size_t n)
{
	memcpy(m->b + m->n, s, n);
	m->n += n;
}

static void bstr(struct build *m, const char *s)
{
	bbytes(m, s, strlen(s) + 1);
}

char *pgt_part(char **s, char sep)
{
	char *p = *s, *e;

	if (p == NULL)
		return NULL;
	e = strchr(p, sep);
	if (e != NULL)
		*e = '\0';
	*s = e == NULL ? NULL : e + 1;
	return p;
}

static void bvalue(struct build *m, const char *v)
{
	if (strcmp(v, "NULL") == 0) {
		b32(m, UINT32_MAX);
		return;
	}
	b32(m, (uint32_t)strlen(v));
	bbytes(m, v, strlen(v));
}

static void bhex(struct build *m, const char *s)
{
	unsigned v;

	for (; s[0] != '\0' && sscanf(s, "%2x", &v) == 1; s += s[2] == ' ' ? 3 : 2)
		b8(m, v);
}

static void build_startup(struct build *m, char *rest)
{
	size_t at = m->n;
	char *p = pgt_part(&rest, ' ');
	unsigned major, minor;

	b32(m, 0);
	assert_int_equal(sscanf(p, "%u.%u", &major, &minor), 2);
	b32(m, major << 16 | minor);
	while ((p = pgt_part(&rest, ' ')) != NULL) {
		char *v = p;

		bstr(m, pgt_part(&v, '='));
		bstr(m, v == NULL ? "" : v);
	}
	b8(m, 0);
	sl_put_be32(m->b + at, (uint32_t)(m->n - at));
}

static void build_key(struct build *m, const char *rest)
{
	unsigned pid = 0, key = 0, more = 0;

	(void)sscanf(rest, "%u %u+%u", &pid, &key, &more);
	b32(m, pid);
	b32(m, key);
	memset(m->b + m->n, 0xee, more);
	m->n += more;
}

/* Messages without a type. False: not one of them. */
static bool build_bare(struct build *m, const char *word, char *rest)
{
	size_t at = m->n;

	if (strcmp(word, "x") == 0) {
		bhex(m, rest);
	} else if (strcmp(word, "text") == 0) {
		bbytes(m, rest, strlen(rest));
	} else if (strcmp(word, "byte") == 0) {
		b8(m, (uint8_t)rest[0]);
	} else if (strcmp(word, "ssl") == 0 || strcmp(word, "gss") == 0) {
		b32(m, 8);
		b32(m, word[0] == 's' ? 80877103 : 80877104);
	} else if (strcmp(word, "cancel") == 0) {
		b32(m, 0);
		b32(m, 80877102);
		build_key(m, rest);
		sl_put_be32(m->b + at, (uint32_t)(m->n - at));
	} else if (strcmp(word, "startup") == 0) {
		build_startup(m, rest);
	} else {
		return false;
	}
	return true;
}

static void build_bind(struct build *m, char *rest, bool binary)
{
	size_t at;
	uint16_t n = 0;
	char *p;

	bstr(m, pgt_part(&rest, '|'));
	p = pgt_part(&rest, '|');
	bstr(m, p == NULL ? "" : p);
	b16(m, 0);
	at = m->n;
	b16(m, 0);
	while ((p = pgt_part(&rest, '|')) != NULL) {
		bvalue(m, p);
		n++;
	}
	sl_put_be16(m->b + at, n);
	b16(m, binary);
	if (binary)
		b16(m, 1);
}

/* number|argument... */
static void build_call(struct build *m, char *rest)
{
	char *p = pgt_part(&rest, '|');
	uint16_t n = 0;
	size_t at;

	b32(m, p == NULL ? 0 : (uint32_t)atoi(p));
	b16(m, 0);
	at = m->n;
	b16(m, 0);
	while ((p = pgt_part(&rest, '|')) != NULL) {
		bvalue(m, p);
		n++;
	}
	sl_put_be16(m->b + at, n);
	b16(m, 0);
}

static void build_client(struct build *m, char type, char *rest)
{
	char *p, *q;

	switch (type) {
	case 'Q':
	case 'p':
	case 'f':
		bstr(m, rest);
		break;
	case 'P':
		bstr(m, pgt_part(&rest, '|'));
		p = pgt_part(&rest, '|');
		bstr(m, p == NULL ? "" : p);
		b16(m, rest != NULL);
		if (rest != NULL)
			b32(m, (uint32_t)atoi(rest));
		break;
	case 'B':
		build_bind(m, rest, false);
		break;
	case 'D':
	case 'C':
		p = pgt_part(&rest, '|');
		b8(m, (uint8_t)p[0]);
		bstr(m, rest == NULL ? "" : rest);
		break;
	case 'E':
		p = pgt_part(&rest, '|');
		q = pgt_part(&rest, '|');
		bstr(m, p);
		b32(m, q == NULL ? 0 : (uint32_t)atoi(q));
		break;
	case 'F':
		build_call(m, rest);
		break;
	default:
		bbytes(m, rest, strlen(rest));
		break;
	}
}

static void build_columns(struct build *m, char *rest)
{
	size_t at = m->n;
	uint16_t n = 0;
	char *p;

	b16(m, 0);
	while ((p = pgt_part(&rest, ' ')) != NULL && *p != '\0') {
		char *f = p;
		char *type, *format;

		bstr(m, pgt_part(&f, ':'));
		type = pgt_part(&f, ':');
		format = pgt_part(&f, ':');
		b32(m, 100);
		b16(m, ++n);
		b32(m, type == NULL ? 25 : (uint32_t)atoi(type));
		b16(m, 0xffff);
		b32(m, 0xffffffff);
		b16(m, format == NULL ? 0 : (uint32_t)atoi(format));
	}
	sl_put_be16(m->b + at, n);
}

static void build_fields(struct build *m, char *rest)
{
	const char *severity = pgt_part(&rest, ' ');
	const char *code = pgt_part(&rest, ' ');

	b8(m, 'S');
	bstr(m, severity);
	b8(m, 'V');
	bstr(m, severity);
	if (code != NULL && strcmp(code, "-") != 0) {
		b8(m, 'C');
		bstr(m, code);
	}
	if (rest != NULL) {
		b8(m, 'M');
		bstr(m, pgt_part(&rest, '|'));
	}
	while (rest != NULL) {
		char *value = pgt_part(&rest, '|'), *field = pgt_part(&value, '=');

		b8(m, (uint8_t)field[0]);
		bstr(m, value);
	}
	b8(m, 0);
}

/* "3 1" */
static void build_copy_out(struct build *m, const char *rest)
{
	unsigned nb = 1, binary = 0;

	(void)sscanf(rest, "%u %u", &nb, &binary);
	b8(m, binary);
	b16(m, nb);
	while (nb-- > 0)
		b16(m, binary);
}

static void build_data(struct build *m, const char *s)
{
	unsigned v;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && sscanf(s + 1, "%2x", &v) == 1) {
			b8(m, v);
			s += 2;
		} else {
			b8(m, (uint8_t)s[0]);
		}
	}
}

/* ParameterDescription: "23 25" */
static void build_types(struct build *m, char *rest)
{
	size_t at = m->n;
	uint16_t n = 0;
	char *p;

	b16(m, 0);
	while ((p = pgt_part(&rest, ' ')) != NULL && *p != '\0') {
		b32(m, (uint32_t)atoi(p));
		n++;
	}
	sl_put_be16(m->b + at, n);
}

/* "3.0 1 name" */
static void build_version(struct build *m, char *rest)
{
	unsigned major = 0, minor = 0, nb = 0;
	char *p;

	(void)sscanf(rest, "%u.%u %u", &major, &minor, &nb);
	b32(m, major << 16 | minor);
	b32(m, nb);
	(void)pgt_part(&rest, ' ');
	(void)pgt_part(&rest, ' ');
	while ((p = pgt_part(&rest, ' ')) != NULL)
		bstr(m, p);
}

static void build_target(struct build *m, char type, char *rest)
{
	size_t at = m->n;
	uint16_t n = 0;
	char *p;

	switch (type) {
	case 'T':
		build_columns(m, rest);
		break;
	case 'D':
		b16(m, 0);
		while ((p = pgt_part(&rest, ',')) != NULL) {
			bvalue(m, p);
			n++;
		}
		sl_put_be16(m->b + at, n);
		break;
	case 'C':
		bstr(m, rest);
		break;
	case 'E':
	case 'N':
		build_fields(m, rest);
		break;
	case 'S':
		p = pgt_part(&rest, '=');
		bstr(m, p);
		bstr(m, rest);
		break;
	case 'K':
		build_key(m, rest);
		break;
	case 'v':
		build_version(m, rest);
		break;
	case 'R':
		p = pgt_part(&rest, ' ');
		b32(m, (uint32_t)atoi(p));
		if (rest != NULL)
			bhex(m, rest);
		break;
	case 'A':
		b32(m, 9);
		bstr(m, "channel");
		bstr(m, rest);
		break;
	case 't':
		build_types(m, rest);
		break;
	case 'H':
		build_copy_out(m, rest);
		break;
	case 'd':
		build_data(m, rest);
		break;
	case 'G':
	case 'V':
		bhex(m, "000000");
		break;
	default:
		bbytes(m, rest, strlen(rest));
		break;
	}
}

/* SASLInitialResponse: mechanism, then the message. */
static void build_initial(struct build *m, char *rest)
{
	bstr(m, pgt_part(&rest, ' '));
	b32(m, rest == NULL ? UINT32_MAX : (uint32_t)strlen(rest));
	if (rest != NULL)
		bbytes(m, rest, strlen(rest));
}

size_t pgt_build(enum sl_side from, const char *line, uint8_t *out)
{
	struct build m = {out, 0};
	char *copy = strdup(line), *rest = copy;
	const char *word = pgt_part(&rest, ' ');
	static char none[] = "";

	if (rest == NULL)
		rest = none;
	if (!build_bare(&m, word, rest)) {
		b8(&m, (uint8_t)word[0]);
		b32(&m, 0);
		if (strcmp(word, "Bb") == 0)
			build_bind(&m, rest, true);
		else if (strcmp(word, "pi") == 0)
			build_initial(&m, rest);
		else if (strcmp(word, "pr") == 0)
			bbytes(&m, rest, strlen(rest));
		else if (from == SL_CLIENT)
			build_client(&m, word[0], rest);
		else
			build_target(&m, word[0], rest);
		sl_put_be32(out + 1, (uint32_t)(m.n - 1));
	}
	free(copy);
	return m.n;
}

/* ---- rendering ---- */

static const uint8_t *rstr(struct text *t, const uint8_t *p, const char *after)
{
	pgt_put(t, "%s%s", (const char *)p, after);
	return p + strlen((const char *)p) + 1;
}

void pgt_bytes(struct text *t, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pgt_put(t, p[i] >= 0x20 && p[i] < 0x7f ? "%c" : "\\%02x", p[i]);
}

static const uint8_t *rvalue(struct text *t, const uint8_t *p)
{
	uint32_t n = sl_get_be32(p);

	if (n == UINT32_MAX) {
		pgt_put(t, "NULL");
		return p + 4;
	}
	pgt_bytes(t, p + 4, n);
	return p + 4 + n;
}

static void render_fields(struct text *t, const uint8_t *p)
{
	for (; *p != 0; p += strlen((const char *)p) + 1) {
		if (*p == 'S')
			continue;
		if (strchr("VCM", *p) == NULL)
			pgt_put(t, " %c=", *p);
		else
			pgt_put(t, " ");
		pgt_put(t, "%s", (const char *)p + 1);
	}
}

static void render_columns(struct text *t, const uint8_t *p)
{
	uint16_t n = sl_get_be16(p);

	p += 2;
	for (uint16_t i = 0; i < n; i++) {
		pgt_put(t, " ");
		p = rstr(t, p, "");
		pgt_put(t, ":%u:%u", sl_get_be32(p + 6), sl_get_be16(p + 16));
		p += 18;
	}
}

static void render_backend(struct text *t, uint8_t type, const uint8_t *p, size_t n)
{
	pgt_put(t, "%c", type);
	switch (type) {
	case 'E':
	case 'N':
		render_fields(t, p);
		break;
	case 'T':
		render_columns(t, p);
		break;
	case 'D':
		for (uint16_t i = 0, k = sl_get_be16(p); i < k; i++) {
			pgt_put(t, i == 0 ? " " : ",");
			p = rvalue(t, i == 0 ? p + 2 : p);
		}
		break;
	case 'R':
		pgt_put(t, " %u", sl_get_be32(p));
		if (n > 4) {
			pgt_put(t, " ");
			pgt_bytes(t, p + 4, n - 4);
		}
		break;
	case 'S':
		pgt_put(t, " ");
		p = rstr(t, p, "=");
		(void)rstr(t, p, "");
		break;
	case 'K':
		pgt_put(t, " %u ", sl_get_be32(p));
		pgt_key(t, p + 4, n - 4);
		break;
	case 'C':
		pgt_put(t, " ");
		(void)rstr(t, p, "");
		break;
	case 'v':
		pgt_put(t, " %u.%u %u", sl_get_be32(p) >> 16, sl_get_be32(p) & 0xffff, sl_get_be32(p + 4));
		for (const uint8_t *q = p + 8; q < p + n; q += strlen((const char *)q) + 1)
			pgt_put(t, " %s", (const char *)q);
		break;
	case 'A':
		pgt_put(t, " ");
		(void)rstr(t, p + 4 + strlen((const char *)p + 4) + 1, "");
		break;
	case 'G':
	case 'H':
	case 't':
	case 'V':
		break;
	default:
		pgt_put(t, n > 0 ? " " : "");
		pgt_bytes(t, p, n);
	}
}

static void render_bind(struct text *t, const uint8_t *p)
{
	pgt_put(t, " ");
	p = rstr(t, p, "|");
	p = rstr(t, p, "");
	p += 2 + 2 * sl_get_be16(p);
	for (uint16_t i = 0, k = sl_get_be16(p); i < k; i++) {
		pgt_put(t, "|");
		p = rvalue(t, i == 0 ? p + 2 : p);
	}
}

static void render_frontend(struct text *t, uint8_t type, const uint8_t *p, size_t n)
{
	pgt_put(t, "%c", type);
	switch (type) {
	case 'Q':
	case 'f':
		pgt_put(t, " ");
		(void)rstr(t, p, "");
		break;
	case 'P':
		pgt_put(t, " ");
		p = rstr(t, p, "|");
		(void)rstr(t, p, "");
		break;
	case 'B':
		render_bind(t, p);
		break;
	case 'D':
	case 'C':
		pgt_put(t, " %c|", p[0]);
		(void)rstr(t, p + 1, "");
		break;
	case 'E':
		pgt_put(t, " ");
		p = rstr(t, p, "|");
		pgt_put(t, "%u", sl_get_be32(p));
		break;
	case 'F':
		break;
	default:
		pgt_put(t, n > 0 ? " " : "");
		pgt_bytes(t, p, n);
	}
}

static size_t render_bare(struct text *t, const uint8_t *p, size_t n, bool *started)
{
	size_t len = sl_get_be32(p);
	uint32_t code = sl_get_be32(p + 4);

	assert_true(len >= 8 && len <= n);
	if (code == 80877103) {
		pgt_put(t, "ssl\n");
		return len;
	}
	*started = true;
	pgt_put(t, "startup %u.%u", code >> 16, code & 0xffff);
	for (const uint8_t *q = p + 8; *q != 0;) {
		pgt_put(t, " ");
		q = rstr(t, q, "=");
		q = rstr(t, q, "");
	}
	pgt_put(t, "\n");
	return len;
}

/* The last line is a CopyData: another one goes on in it. */
static bool joins(struct text *t)
{
	size_t at = t->n;

	if (at < 6)
		return false;
	for (at--; at > 0 && t->b[at - 1] != '\n';)
		at--;
	if (strncmp(t->b + at, ">C: d", 5) != 0)
		return false;
	t->b[--t->n] = '\0';
	return true;
}

void pgt_render(enum sl_side to, const uint8_t *p, size_t n, bool *started, struct text *t)
{
	while (n > 0) {
		bool joined;
		size_t len;

		joined = to == SL_CLIENT && pgt_join_copy && p[0] == 'd' && joins(t);
		if (!joined)
			pgt_put(t, to == SL_CLIENT ? ">C: " : ">T: ");
		if (to == SL_TARGET && !*started) {
			len = render_bare(t, p, n, started);
		} else if (n == 1 || (to == SL_CLIENT && !*started && (p[0] == 'N' || p[0] == 'S'))) {
			pgt_put(t, "byte %c\n", p[0]);
			len = 1;
		} else {
			assert_true(n >= 5);
			*started = true;
			len = 1 + (size_t)sl_get_be32(p + 1);
			if (len > n) {
				pgt_put(t, "part %c %zu\n", p[0], n);
				break;
			}
			if (joined && len > 5 && t->b[t->n - 1] == 'd' && t->b[t->n - 2] == ' ')
				pgt_put(t, " ");
			if (joined)
				pgt_bytes(t, p + 5, len - 5);
			else if (to == SL_CLIENT)
				render_backend(t, p[0], p + 5, len - 5);
			else
				render_frontend(t, p[0], p + 5, len - 5);
			pgt_put(t, "\n");
		}
		p += len;
		n -= len;
	}
}
