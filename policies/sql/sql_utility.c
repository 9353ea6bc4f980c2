/* Statements that are not queries; those that define objects are in sql_ddl.c. */
#include "sql_parse_priv.h"

struct leading {
	uint64_t kinds;
	enum sl_sql_kind main;
	void (*parse)(struct sql_parser *p); /* behind the word; NULL: only names and expressions follow */
};

static void relations(struct sql_parser *p, uint8_t access)
{
	do {
		sql_relation_expr(p, access);
	} while (!p->failed && sql_take_char(p, ','));
}

static void truncate(struct sql_parser *p)
{
	(void)sql_take_kw(p, KW_TABLE);
	relations(p, SL_SQL_TRUNCATES);
	sql_words(p);
}

static void lock(struct sql_parser *p)
{
	(void)sql_take_kw(p, KW_TABLE);
	relations(p, SL_SQL_LOCKS);
	sql_words(p);
}

/* VACUUM and ANALYZE: [options] [name [(columns)], ...] */
static void vacuum(struct sql_parser *p)
{
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
	while (sql_is_kw(p, KW_FULL) || sql_is_kw(p, KW_FREEZE) || sql_is_kw(p, KW_VERBOSE) ||
	       sql_is_kw(p, KW_ANALYZE) || sql_is_kw(p, KW_ANALYSE))
		sql_take(p);
	while (!p->failed && !sql_at_end(p)) {
		sql_relation_expr(p, SL_SQL_LOCKS);
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		if (!sql_take_char(p, ','))
			break;
	}
}

/* CLUSTER [VERBOSE] [table [USING index] | index ON table] */
static void cluster(struct sql_parser *p)
{
	struct sl_sql_name name;

	if (sql_is_char(p, '('))
		(void)sql_parens(p);
	(void)sql_take_kw(p, KW_VERBOSE);
	if (sql_at_end(p))
		return;
	name = sql_name(p);
	if (sql_take_kw(p, KW_ON))
		name = sql_name(p);
	sql_add_relation(p, name, SL_SQL_LOCKS);
	sql_words(p);
}

static void refresh(struct sql_parser *p)
{
	sql_need_kw(p, KW_MATERIALIZED);
	sql_need_kw(p, KW_VIEW);
	(void)sql_take_kw(p, KW_CONCURRENTLY);
	sql_add_relation(p, sql_name(p), SL_SQL_INSERTS);
	sql_words(p);
}

/* REINDEX [(options)] INDEX | TABLE [CONCURRENTLY] name; others name what holds tables */
static void reindex(struct sql_parser *p)
{
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
	if (sql_take_kw(p, KW_INDEX) || sql_take_kw(p, KW_TABLE)) {
		(void)sql_take_kw(p, KW_CONCURRENTLY);
		sql_add_relation(p, sql_name(p), SL_SQL_LOCKS);
	}
	sql_words(p);
}

/* Over privileges, roles and the like, and behind ON. False: there is none. */
static bool behind_on(struct sql_parser *p)
{
	while (!p->failed && !sql_at_end(p) && !sql_is_char(p, ')')) {
		if (sql_take_kw(p, KW_ON))
			return true;
		if (sql_is_kw(p, KW_SELECT) || sql_is_kw(p, KW_REFERENCES))
			sql_take(p);
		else
			sql_loose(p);
	}
	return false;
}

/* The word is the kind of object that follows, not the name of a table. */
static bool at_kind_of_object(struct sql_parser *p)
{
	const struct sql_token *behind = sql_peek(p, 1);

	if ((behind->flags & SQL_FLAG_WORD) == 0 || behind->kw == KW_TO || behind->kw == KW_FROM ||
	    behind->kw == KW_IS)
		return false;
	switch (sql_peek(p, 0)->kw) {
	case KW_ALL:
	case KW_DATABASE:
	case KW_DOMAIN:
	case KW_FOREIGN:
	case KW_FUNCTION:
	case KW_LANGUAGE:
	case KW_LARGE:
	case KW_PARAMETER:
	case KW_PROCEDURE:
	case KW_ROUTINE:
	case KW_SCHEMA:
	case KW_TABLESPACE:
	case KW_TYPE:
		return true;
	default:
		return false;
	}
}

/* GRANT, REVOKE: privileges ON [TABLE | SEQUENCE] name, ... or on other objects; or roles, without ON */
static void grant(struct sql_parser *p)
{
	if (behind_on(p) && !at_kind_of_object(p)) {
		if (sql_is_kw(p, KW_TABLE) || (sql_is_kw(p, KW_SEQUENCE) && sql_names(sql_peek(p, 1))))
			sql_take(p);
		relations(p, SL_SQL_DEFINES);
	}
	sql_words(p);
}

/* [[schema.]table.]column. A column alone, which the target refuses, is of none. */
static void column(struct sql_parser *p)
{
	struct sl_sql_name n = {SL_SPAN_EMPTY, SL_SPAN_EMPTY};
	struct sl_span last = sql_peek(p, 0)->text;

	sql_label(p);
	while (!p->failed && sql_take_char(p, '.')) {
		n = (struct sl_sql_name){n.name, last};
		last = sql_peek(p, 0)->text;
		sql_label(p);
	}
	if (n.name.n > 0)
		sql_add_relation(p, n, SL_SQL_DEFINES);
}

/* COMMENT ON, SECURITY LABEL [FOR provider] ON: an object, by its kind and name */
static void comment(struct sql_parser *p)
{
	enum sql_keyword kind;

	if (!behind_on(p)) {
		sql_fail(p);
		return;
	}
	kind = sql_peek(p, 0)->kw;
	sql_label(p);
	switch (kind) {
	case KW_COLUMN:
		column(p);
		break;
	case KW_FOREIGN:
		if (!sql_take_kw(p, KW_TABLE))
			break;
		sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		break;
	case KW_MATERIALIZED:
		sql_need_kw(p, KW_VIEW);
		sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		break;
	case KW_TABLE:
	case KW_VIEW:
	case KW_SEQUENCE:
	case KW_INDEX:
		sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		break;
	case KW_CONSTRAINT:
	case KW_TRIGGER:
	case KW_RULE:
	case KW_POLICY:
		(void)sql_name(p);
		sql_need_kw(p, KW_ON);
		if (!at_kind_of_object(p)) /* DOMAIN */
			sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		break;
	default:
		break;
	}
	sql_words(p);
}

/* The place of COPY: the client, or a file or program of the server. */
static void copy_place(struct sql_parser *p, enum sl_sql_kind client)
{
	enum sl_sql_kind kind = SL_SQL_COPY_SERVER;

	if (sql_take_kw(p, KW_STDIN) || sql_take_kw(p, KW_STDOUT))
		kind = client;
	sql_add_kinds(p, SL_SQL_BIT(kind));
	p->stmt->main = kind;
	/* Options, and which rows are taken in: no value is read that is in a table. */
	(void)sql_use_clause(p, SL_SQL_TARGET, SL_SQL_TO_NOTHING, false);
	sql_rest(p);
}

static void copy(struct sql_parser *p)
{
	struct sl_sql_name name;
	uint32_t first;

	if (sql_take_char(p, '(')) {
		sql_use_role(p, SQL_ROLE_TOP);
		if (sql_enter(p))
			(void)sql_preparable(p);
		sql_leave(p);
		sql_need_char(p, ')');
		sql_need_kw(p, KW_TO);
		if (!p->failed)
			copy_place(p, SL_SQL_COPY_TO);
		return;
	}
	(void)sql_take_kw(p, KW_BINARY);
	name = sql_name(p);
	first = p->uses != NULL ? p->uses->out->nb_uses : 0;
	if (p->uses != NULL)
		sql_use_copy_columns(p, (struct sql_row_source){.name = name.name,
		                                                .relation = (int32_t)p->out->nb_relations});
	else if (sql_is_char(p, '('))
		(void)sql_parens(p);
	if (sql_take_kw(p, KW_FROM)) {
		if (p->uses != NULL)
			sql_use_are_targets(p, first);
		sql_add_relation(p, name, SL_SQL_INSERTS);
		copy_place(p, SL_SQL_COPY_FROM);
	} else if (sql_take_kw(p, KW_TO)) {
		sql_add_relation(p, name, SL_SQL_READS);
		copy_place(p, SL_SQL_COPY_TO);
	} else {
		sql_fail(p);
	}
}

/* What was read last. */
static void note_name(struct sql_parser *p)
{
	if (!p->failed && (p->prev->type == TOK_WORD || p->prev->type == TOK_QUOTED))
		p->stmt->name = p->prev->text;
}

/* PREPARE TRANSACTION 'id', but PREPARE transaction AS ... is a statement of that name. */
static void prepare(struct sql_parser *p)
{
	if (sql_is_kw(p, KW_TRANSACTION) && sql_peek(p, 1)->type == TOK_STRING) {
		sql_take(p);
		sql_take(p);
		p->stmt->kinds = BIT(TRANSACTION);
		p->stmt->main = SL_SQL_TRANSACTION;
		return;
	}
	(void)sql_name(p);
	note_name(p);
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
	sql_need_kw(p, KW_AS);
	sql_use_role(p, SQL_ROLE_TOP);
	if (!p->failed)
		(void)sql_preparable(p);
}

/* FETCH and MOVE */
static void fetch(struct sql_parser *p)
{
	p->stmt->fetches = true;
	sql_words(p);
	note_name(p);
}

static void deallocate(struct sql_parser *p)
{
	sql_words(p);
	note_name(p);
	p->stmt->deallocates = p->prev->kw != KW_ALL;
}

void sql_execute(struct sql_parser *p)
{
	sql_add_kinds(p, BIT(EXECUTE) | BIT(OPAQUE));
	p->stmt->executes = true;
	sql_rest(p);
}

static void declare(struct sql_parser *p)
{
	p->stmt->declares = true;
	(void)sql_name(p);
	while (!p->failed && !sql_is_kw(p, KW_FOR)) {
		if (sql_at_end(p))
			sql_fail(p);
		p->stmt->held |= sql_is_kw(p, KW_HOLD) && p->prev->kw == KW_WITH;
		sql_take(p);
	}
	sql_take(p);
	sql_use_role(p, SQL_ROLE_TOP);
	if (!p->failed)
		(void)sql_query(p);
}

/* ---- EXPLAIN ---- */

/* The list of options; true when ANALYZE is among them, whatever its value. */
static bool explain_options(struct sql_parser *p)
{
	bool analyze = false;

	sql_take(p);
	while (!p->failed && !sql_is_char(p, ')')) {
		const struct sql_token *t = sql_peek(p, 0);

		if (t->type == TOK_UESC)
			sql_add_kinds(p, BIT(ADMIN)); /* may be any */
		analyze |= t->kw == KW_ANALYZE || t->kw == KW_ANALYSE || t->type == TOK_UESC ||
		           sql_same_name(t->text, SL_SPAN_LIT("analyze"));
		if (sql_at_end(p))
			sql_fail(p);
		sql_take(p);
	}
	sql_take(p);
	return analyze;
}

static void explain(struct sql_parser *p)
{
	uint32_t first = p->out->nb_relations;
	bool analyze = false;
	enum sql_keyword kw = sql_peek(p, 1)->kw;

	if (sql_is_char(p, '(') && kw != KW_SELECT && kw != KW_VALUES && kw != KW_TABLE && kw != KW_WITH &&
	    sql_peek(p, 1)->c != '(') {
		analyze = explain_options(p);
	} else {
		analyze = sql_take_kw(p, KW_ANALYZE) || sql_take_kw(p, KW_ANALYSE);
		(void)sql_take_kw(p, KW_VERBOSE);
	}
	if (!p->failed)
		sql_statement(p, true);
	if (analyze)
		return;
	/* Planned, not run; but what could not be read stays so. */
	p->stmt->kinds = (p->stmt->kinds & (BIT(ADMIN) | BIT(OPAQUE))) | BIT(EXPLAIN);
	p->stmt->no_where = p->stmt->executes = false;
	for (uint32_t i = first; i < p->out->nb_relations; i++)
		p->out->relations[i].access = SL_SQL_READS;
}

/* ---- the table ---- */

/* clang-format off */
static const struct leading leading[KW_COUNT] = {
	[KW_TRUNCATE] = {BIT(TRUNCATE), SL_SQL_TRUNCATE, truncate},
	[KW_CREATE] = {BIT(CREATE), SL_SQL_CREATE, sql_create},
	[KW_ALTER] = {BIT(ALTER), SL_SQL_ALTER, sql_alter},
	[KW_DROP] = {BIT(DROP), SL_SQL_DROP, sql_drop},
	[KW_COMMENT] = {BIT(ALTER), SL_SQL_ALTER, comment},
	[KW_SECURITY] = {BIT(ALTER), SL_SQL_ALTER, comment},
	[KW_REINDEX] = {BIT(ALTER), SL_SQL_ALTER, reindex},
	[KW_IMPORT] = {BIT(CREATE) | BIT(ADMIN), SL_SQL_CREATE, sql_words},
	[KW_GRANT] = {BIT(GRANT), SL_SQL_GRANT, grant},
	[KW_REVOKE] = {BIT(GRANT), SL_SQL_GRANT, grant},
	[KW_REASSIGN] = {BIT(GRANT), SL_SQL_GRANT, sql_words},
	[KW_SET] = {BIT(SET), SL_SQL_SET, sql_set},
	[KW_RESET] = {BIT(SET), SL_SQL_SET, sql_set},
	[KW_DISCARD] = {BIT(SET), SL_SQL_SET, sql_words},
	[KW_SHOW] = {BIT(SHOW), SL_SQL_SHOW, sql_words},
	[KW_COPY] = {0, SL_SQL_COPY_SERVER, copy},
	[KW_BEGIN] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_START] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_COMMIT] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_END] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_ROLLBACK] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_ABORT] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_SAVEPOINT] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_RELEASE] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, sql_words},
	[KW_PREPARE] = {BIT(PREPARE), SL_SQL_PREPARE, prepare},
	[KW_EXECUTE] = {0, SL_SQL_EXECUTE, sql_execute},
	[KW_DEALLOCATE] = {BIT(EXECUTE), SL_SQL_EXECUTE, deallocate},
	[KW_DECLARE] = {BIT(CURSOR), SL_SQL_CURSOR, declare},
	[KW_FETCH] = {BIT(CURSOR), SL_SQL_CURSOR, fetch},
	[KW_MOVE] = {BIT(CURSOR), SL_SQL_CURSOR, fetch},
	[KW_CLOSE] = {BIT(CURSOR), SL_SQL_CURSOR, sql_words},
	[KW_EXPLAIN] = {BIT(EXPLAIN), SL_SQL_EXPLAIN, explain},
	[KW_CALL] = {BIT(CALL) | BIT(OPAQUE), SL_SQL_CALL, NULL},
	[KW_DO] = {BIT(DO) | BIT(OPAQUE), SL_SQL_DO, sql_words},
	[KW_LISTEN] = {BIT(LISTEN), SL_SQL_LISTEN, sql_words},
	[KW_UNLISTEN] = {BIT(LISTEN), SL_SQL_LISTEN, sql_words},
	[KW_NOTIFY] = {BIT(LISTEN), SL_SQL_LISTEN, sql_words},
	[KW_LOCK] = {BIT(LOCK), SL_SQL_LOCK, lock},
	[KW_VACUUM] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, vacuum},
	[KW_ANALYZE] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, vacuum},
	[KW_ANALYSE] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, vacuum},
	[KW_CLUSTER] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, cluster},
	[KW_CHECKPOINT] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, sql_words},
	[KW_REFRESH] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, refresh},
	[KW_LOAD] = {BIT(ADMIN), SL_SQL_ADMIN, sql_words},
};
/* clang-format on */

void sql_utility(struct sql_parser *p, bool carried)
{
	const struct leading *l = &leading[sql_peek(p, 0)->kw];

	if (l->main == SL_SQL_EMPTY) {
		sql_fail(p);
		return;
	}
	sql_add_kinds(p, l->kinds);
	if (!carried)
		p->stmt->main = l->main;
	sql_take(p);
	if (l->parse != NULL)
		l->parse(p);
	else
		sql_rest(p);
}
