/*
 * Which uses of a query string can be of what masks hide. Names carry it: a hidden column's name, the name of
 * a row that has one, and the names that select lists, WITH queries and column alias lists give to either. A
 * name is taken to be all that it could be in its statement; scopes are not followed.
 */
#ifndef TAINT_PRIV_H
#define TAINT_PRIV_H

#include "sl_protect.h"

#define TAINT_HIDDEN_MAX 256     /* relations with something hidden that a string can mean */
#define TAINT_ROUNDS_MAX 32      /* names given to names given to names ... */
#define TAINT_WORK_MAX   4000000 /* comparisons of names; with more the string is refused */

struct taint_relation { /* of struct sl_sql */
	struct sl_masks any;
	uint16_t first, nb; /* in hidden */
	uint32_t hash;      /* of its name */
	bool unknown;       /* it is in no catalog: any of its columns can be anything */
};

struct taint {
	const struct sl_snapshot *s;
	const struct sl_principal *p;
	const struct sl_catalog *c;
	const struct sl_sql *sql;
	const struct sl_sql_uses *uses;
	const struct sl_protect_made *made;
	struct sl_masks columns;                /* the caller's masks of columns */
	struct sl_masks everything;             /* that any relation of the string has */
	struct sl_masks derived;                /* that a view's computed column that is named has */
	struct sl_masks wild[SL_SQL_STMTS_MAX]; /* what a function in FROM may have made columns of */
	uint32_t nb_hidden, work;
	bool failed, changed;
	const struct sl_catalog_relation *hidden[TAINT_HIDDEN_MAX];
	struct taint_relation relations[SL_SQL_RELATIONS_MAX];
	struct sl_masks items[SL_SQL_ITEMS_MAX];
};

static inline bool masks_any(const struct sl_masks *m)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++)
		any |= m->w[i];
	return any != 0;
}

static inline void masks_add(struct sl_masks *m, const struct sl_masks *more)
{
	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++)
		m->w[i] |= more->w[i];
}

static inline struct sl_masks masks_both(const struct sl_masks *a, const struct sl_masks *b)
{
	struct sl_masks m;

	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++)
		m.w[i] = a->w[i] & b->w[i];
	return m;
}

static inline bool masks_has(const struct sl_masks *m, uint32_t i)
{
	return (m->w[i / 64] >> (i % 64)) & 1;
}

/* made.c: does relation number `relation` of the string read what the catalog does not know? */
bool protect_is_unknown(const struct sl_catalog *c, const struct sl_protect_made *made,
                        const struct sl_sql *sql, uint32_t relation);

/* The caller's masks that hide columns. */
struct sl_masks taint_columns(const struct sl_snapshot *s, const struct sl_principal *p);
/* Of those, the ones that do not trust this function. */
struct sl_masks taint_untrusted(const struct taint *t, const struct sl_sql_name *name);
/* Is it PostgreSQL's own, as far as the name says? */
enum sl_sql_builtin taint_builtin(const struct sl_catalog *c, const struct sl_sql_name *name);
/* Follows all names; t->failed: too many. t->made is the caller's. */
void taint_run(struct taint *t, const struct sl_snapshot *s, const struct sl_principal *p,
               const struct sl_catalog *c, const struct sl_sql *sql, const struct sl_sql_uses *uses);
/* What a use can be; *whole: a row, or what was made of one. */
struct sl_masks taint_use(struct taint *t, uint32_t use, bool *whole);
/* A relation of the catalog that relation r can be, and what of its column is hidden. */
struct sl_masks taint_column(const struct taint *t, const struct sl_catalog_column *c);

#endif
