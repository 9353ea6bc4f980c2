/*
 * Relations that the catalog does not know. One that this session made itself, in a transaction that goes on,
 * is in no catalog yet; as it could only be filled from what masks do not hide, it is taken for known. All
 * others can hold anything.
 */
#include <string.h>

#include "taint_priv.h"

#define BIT(k) SL_SQL_BIT(SL_SQL_##k)

/* What could make a name mean another relation, or end the transaction. */
#define KINDS_FORGET (BIT(DROP) | BIT(ALTER) | BIT(SET) | BIT(ADMIN) | BIT(DO) | BIT(CALL) | BIT(OPAQUE))
/* What reads a relation, or what writes it and can return what is there. */
#define READS (SL_SQL_READS | SL_SQL_INSERTS | SL_SQL_UPDATES | SL_SQL_DELETES)

/* ---- names ---- */

/* An entry of struct sl_protect_made: the schema and the name, folded, each behind its length. */
struct entry {
	size_t n;
	uint8_t b[SL_PROTECT_ENTRY_MAX];
};

static void put_folded(struct entry *e, struct sl_span name)
{
	size_t n = sl_sql_name_fold(name, (char *)&e->b[e->n + 1]);

	e->b[e->n] = (uint8_t)n;
	e->n += n + 1;
}

static void entry_of(struct entry *e, const struct sl_sql_name *name)
{
	e->n = 0;
	put_folded(e, name->schema);
	put_folded(e, name->name);
}

static size_t entry_bytes(const uint8_t *b)
{
	size_t schema = 1 + (size_t)b[0];

	return schema + 1 + b[schema];
}

static bool has_entry(const struct sl_protect_made *made, const struct entry *e)
{
	for (size_t at = 0, n; at < made->n; at += n) {
		n = entry_bytes(&made->names[at]);
		if (n == e->n && memcmp(&made->names[at], e->b, n) == 0)
			return true;
	}
	return false;
}

void sl_protect_made_add(struct sl_protect_made *made, const struct sl_protect_made *more)
{
	for (size_t at = 0, n; at < more->n; at += n) {
		n = entry_bytes(&more->names[at]);
		if (made->n + n > sizeof(made->names))
			return;
		memcpy(&made->names[made->n], &more->names[at], n);
		made->n = (uint16_t)(made->n + n);
	}
}

/* ---- words ---- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* The word at *at; what is between words is white space only, else there is none. */
static struct sl_span word(struct sl_span text, size_t *at)
{
	size_t from;

	while (*at < text.n && strchr(" \t\r\n", text.p[*at]) != NULL && text.p[*at] != '\0')
		++*at;
	for (from = *at; *at < text.n && lower(text.p[*at]) >= 'a' && lower(text.p[*at]) <= 'z';)
		++*at;
	return sl_span_sub(text, from, *at - from);
}

static bool is(struct sl_span w, const char *name)
{
	size_t n = strlen(name);

	if (w.n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (lower(w.p[i]) != (uint8_t)name[i])
			return false;
	}
	return true;
}

/* CREATE TABLE, with no IF NOT EXISTS behind it: the table is none that was there. */
static bool makes_table(struct sl_span text)
{
	static const char *const between[] = {"global", "local", "temp", "temporary", "unlogged"};
	size_t at = 0;
	struct sl_span w;

	if (!is(word(text, &at), "create"))
		return false;
	w = word(text, &at);
	for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
		if (is(w, between[i])) {
			w = word(text, &at);
			i = SIZE_MAX; /* two of them: LOCAL TEMP */
		}
	}
	return is(w, "table") && !is(word(text, &at), "if");
}

/* BEGIN, START, SAVEPOINT, RELEASE: nothing goes back. */
static bool goes_on(struct sl_span text)
{
	static const char *const words[] = {"begin", "start", "savepoint", "release"};
	size_t at = 0;
	struct sl_span w = word(text, &at);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (is(w, words[i]))
			return true;
	}
	return false;
}

/* ---- what a string makes ---- */

/* The relation that the statement makes: CREATE TABLE names it first. -1: none. */
static int32_t made_by(const struct sl_sql *sql, uint32_t stmt)
{
	const struct sl_sql_stmt *s = &sql->stmts[stmt];
	bool create = s->main == SL_SQL_CREATE;

	if (create ? !makes_table(s->text) : s->main != SL_SQL_SELECT)
		return -1;
	for (uint32_t i = 0; i < sql->nb_relations; i++) {
		if (sql->relations[i].stmt != stmt)
			continue;
		if ((sql->relations[i].access & SL_SQL_DEFINES) != 0)
			return (int32_t)i;
		if (create)
			return -1;
	}
	return -1;
}

void sl_protect_makes(const struct sl_sql *sql, struct sl_protect_made *made)
{
	struct entry e;

	made->n = 0;
	for (uint32_t i = 0; sql->complete && i < sql->nb_stmts; i++) {
		int32_t r = made_by(sql, i);

		if (r < 0)
			continue;
		entry_of(&e, &sql->relations[r].name);
		if (made->n + e.n > sizeof(made->names))
			return;
		memcpy(&made->names[made->n], e.b, e.n);
		made->n = (uint16_t)(made->n + e.n);
	}
}

bool sl_protect_forgets(const struct sl_sql *sql)
{
	if (!sql->complete || (sql->kinds & KINDS_FORGET) != 0)
		return true;
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if ((sql->stmts[i].kinds & BIT(TRANSACTION)) != 0 && !goes_on(sql->stmts[i].text))
			return true;
	}
	return false;
}

/* ---- what is not known ---- */

static bool is_made(const struct sl_protect_made *made, const struct sl_sql *sql,
                    const struct sl_sql_relation *r)
{
	struct entry e, other;

	entry_of(&e, &r->name);
	if (made != NULL && has_entry(made, &e))
		return true;
	/* By an earlier statement of the string: had that failed, this one would not run. */
	for (uint32_t i = 0; i < r->stmt && !sl_protect_forgets(sql); i++) {
		int32_t m = made_by(sql, i);

		if (m < 0)
			continue;
		entry_of(&other, &sql->relations[m].name);
		if (other.n == e.n && memcmp(other.b, e.b, e.n) == 0)
			return true;
	}
	return false;
}

bool protect_is_unknown(const struct sl_catalog *c, const struct sl_protect_made *made,
                        const struct sl_sql *sql, uint32_t relation)
{
	const struct sl_sql_relation *r = &sql->relations[relation];
	char schema[SL_SQL_NAME_MAX], name[SL_SQL_NAME_MAX];
	struct sl_span s, n;

	if ((r->access & READS) == 0 || (r->access & SL_SQL_DEFINES) != 0)
		return false;
	s = sl_span(schema, sl_sql_name_fold(r->name.schema, schema));
	n = sl_span(name, sl_sql_name_fold(r->name.name, name));
	return !sl_catalog_has(c, s, n) && !is_made(made, sql, r);
}

bool sl_protect_unknown(const struct sl_catalog *c, const struct sl_protect_made *made,
                        const struct sl_sql *sql)
{
	for (uint32_t i = 0; i < sql->nb_relations; i++) {
		if (protect_is_unknown(c, made, sql, i))
			return true;
	}
	return false;
}
