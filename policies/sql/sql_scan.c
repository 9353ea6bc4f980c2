/*
 * The shallow parser. It follows PostgreSQL's grammar only where a statement can begin: at the top, behind an
 * opening parenthesis, behind a WITH list, and behind the words that carry another statement (EXPLAIN,
 * PREPARE AS, DECLARE FOR, CREATE ... AS). Reserved words (SELECT, INTO, FROM, WHERE ...) cannot be names
 * without quotes, except as labels behind a dot or AS; INSERT, UPDATE, DELETE and MERGE can, so they count
 * only where a statement can begin and with the word that must follow. In doubt a kind is added, never left
 * out.
 */
#include "sql_stmt_priv.h"

#include <string.h>

#define BIT(k) SL_SQL_BIT(SL_SQL_##k)

struct leading {
	uint64_t kinds;
	enum sl_sql_kind main;
	enum sql_mode mode;
};

/* clang-format off */
static const struct leading leading[KW_COUNT] = {
	[KW_NONE] = {BIT(OPAQUE), SL_SQL_OPAQUE, MODE_PLAIN},
	[KW_SELECT] = {BIT(SELECT), SL_SQL_SELECT, MODE_QUERY},
	[KW_VALUES] = {BIT(SELECT), SL_SQL_SELECT, MODE_QUERY},
	[KW_TABLE] = {BIT(SELECT), SL_SQL_SELECT, MODE_QUERY},
	[KW_WITH] = {0, SL_SQL_SELECT, MODE_QUERY},
	[KW_INSERT] = {BIT(INSERT), SL_SQL_INSERT, MODE_QUERY},
	[KW_UPDATE] = {BIT(UPDATE), SL_SQL_UPDATE, MODE_QUERY},
	[KW_DELETE] = {BIT(DELETE), SL_SQL_DELETE, MODE_QUERY},
	[KW_MERGE] = {BIT(MERGE), SL_SQL_MERGE, MODE_QUERY},
	[KW_TRUNCATE] = {BIT(TRUNCATE), SL_SQL_TRUNCATE, MODE_PLAIN},
	[KW_CREATE] = {BIT(CREATE), SL_SQL_CREATE, MODE_DDL_HEAD},
	[KW_ALTER] = {BIT(ALTER), SL_SQL_ALTER, MODE_DDL_HEAD},
	[KW_DROP] = {BIT(DROP), SL_SQL_DROP, MODE_DDL_HEAD},
	[KW_COMMENT] = {BIT(ALTER), SL_SQL_ALTER, MODE_PLAIN},
	[KW_SECURITY] = {BIT(ALTER), SL_SQL_ALTER, MODE_PLAIN},
	[KW_REINDEX] = {BIT(ALTER), SL_SQL_ALTER, MODE_PLAIN},
	[KW_IMPORT] = {BIT(CREATE) | BIT(ADMIN), SL_SQL_CREATE, MODE_PLAIN},
	[KW_GRANT] = {BIT(GRANT), SL_SQL_GRANT, MODE_PLAIN},
	[KW_REVOKE] = {BIT(GRANT), SL_SQL_GRANT, MODE_PLAIN},
	[KW_REASSIGN] = {BIT(GRANT), SL_SQL_GRANT, MODE_PLAIN},
	[KW_SET] = {BIT(SET), SL_SQL_SET, MODE_SET},
	[KW_RESET] = {BIT(SET), SL_SQL_SET, MODE_SET},
	[KW_DISCARD] = {BIT(SET), SL_SQL_SET, MODE_PLAIN},
	[KW_SHOW] = {BIT(SHOW), SL_SQL_SHOW, MODE_PLAIN},
	[KW_COPY] = {0, SL_SQL_COPY_SERVER, MODE_COPY},
	[KW_BEGIN] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_START] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_COMMIT] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_END] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_ROLLBACK] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_ABORT] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_SAVEPOINT] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_RELEASE] = {BIT(TRANSACTION), SL_SQL_TRANSACTION, MODE_PLAIN},
	[KW_PREPARE] = {BIT(PREPARE), SL_SQL_PREPARE, MODE_PREPARE},
	[KW_EXECUTE] = {BIT(EXECUTE) | BIT(OPAQUE), SL_SQL_EXECUTE, MODE_PLAIN},
	[KW_DEALLOCATE] = {BIT(EXECUTE), SL_SQL_EXECUTE, MODE_PLAIN},
	[KW_DECLARE] = {BIT(CURSOR), SL_SQL_CURSOR, MODE_DECLARE},
	[KW_FETCH] = {BIT(CURSOR), SL_SQL_CURSOR, MODE_PLAIN},
	[KW_MOVE] = {BIT(CURSOR), SL_SQL_CURSOR, MODE_PLAIN},
	[KW_CLOSE] = {BIT(CURSOR), SL_SQL_CURSOR, MODE_PLAIN},
	[KW_EXPLAIN] = {BIT(EXPLAIN), SL_SQL_EXPLAIN, MODE_EXPLAIN},
	[KW_CALL] = {BIT(CALL) | BIT(OPAQUE), SL_SQL_CALL, MODE_PLAIN},
	[KW_DO] = {BIT(DO) | BIT(OPAQUE), SL_SQL_DO, MODE_PLAIN},
	[KW_LISTEN] = {BIT(LISTEN), SL_SQL_LISTEN, MODE_PLAIN},
	[KW_UNLISTEN] = {BIT(LISTEN), SL_SQL_LISTEN, MODE_PLAIN},
	[KW_NOTIFY] = {BIT(LISTEN), SL_SQL_LISTEN, MODE_PLAIN},
	[KW_LOCK] = {BIT(LOCK), SL_SQL_LOCK, MODE_PLAIN},
	[KW_VACUUM] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, MODE_PLAIN},
	[KW_ANALYZE] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, MODE_PLAIN},
	[KW_ANALYSE] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, MODE_PLAIN},
	[KW_CLUSTER] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, MODE_PLAIN},
	[KW_CHECKPOINT] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, MODE_PLAIN},
	[KW_REFRESH] = {BIT(MAINTAIN), SL_SQL_MAINTAIN, MODE_PLAIN},
	[KW_LOAD] = {BIT(ADMIN), SL_SQL_ADMIN, MODE_PLAIN},
};
/* clang-format on */

static struct sql_frame *top(struct sql_state *st)
{
	return &st->frames[st->depth];
}

static bool is_char(const struct sql_token *t, uint8_t c)
{
	return t->type == TOK_CHAR && t->c == c;
}

static bool name_is(const struct sql_token *t, const char *lower)
{
	struct sl_span name = sql_unquote(t);

	if (!sql_is_name(t) || name.n != strlen(lower))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		if (sql_fold(name.p[i]) != (uint8_t)lower[i])
			return false;
	}
	return true;
}

/* A word behind a dot is a name; behind AS it may be a label where it cannot begin a statement. */
static enum sql_keyword effective(const struct sql_state *st, const struct sql_token *t)
{
	if (is_char(st->prev, '.'))
		return KW_NONE;
	if (st->prev->kw != KW_AS)
		return t->kw;
	switch (t->kw) {
	case KW_SELECT:
	case KW_VALUES:
	case KW_TABLE:
	case KW_WITH:
	case KW_INSERT:
	case KW_UPDATE:
	case KW_DELETE:
	case KW_MERGE:
	case KW_EXECUTE:
		return t->kw;
	default:
		return KW_NONE;
	}
}

static void push(struct sql_state *st)
{
	struct sql_frame *f = top(st);

	if (f->phase == PH_START)
		f->phase = PH_BODY;
	st->depth++;
	f = top(st);
	memset(f, 0, sizeof(*f));
	f->phase = PH_START;
}

static void close_frame(struct sql_state *st)
{
	const struct sql_frame *f = top(st);

	if ((f->update || f->delete) && !f->where)
		st->no_where = true;
}

/* The statement's first word, or the first of the statement that it carries. */
static void begin_statement(struct sql_state *st, const struct sql_token *t, bool carried)
{
	const struct leading *l = &leading[t->kw];
	struct sql_frame *f = top(st);

	if (l->main == SL_SQL_EMPTY)
		l = &leading[KW_NONE];
	if (is_char(t, '(')) { /* a query in parentheses: the frame behind it tells */
		st->mode = MODE_QUERY;
		st->main = carried ? st->main : SL_SQL_SELECT;
		return;
	}
	st->kinds |= l->kinds;
	st->mode = l->mode;
	if (!carried)
		st->main = l->main;
	f->phase = t->kw == KW_WITH ? PH_WITH : PH_BODY;
	f->pending = t->kw;
	f->select = t->kw == KW_SELECT;
	f->insert = t->kw == KW_INSERT;
	f->update = t->kw == KW_UPDATE;
	f->delete = t->kw == KW_DELETE;
	f->merge = t->kw == KW_MERGE;
}

/* The word behind INSERT, DELETE, MERGE or UPDATE. True when it was the INTO of INSERT INTO or MERGE INTO. */
static bool confirm(struct sql_state *st, struct sql_frame *f, enum sql_keyword kw, const struct sql_token *t)
{
	enum sql_keyword pending = f->pending;

	f->pending = KW_NONE;
	if (pending == KW_UPDATE && sql_is_name(t) && kw != KW_AS) {
		f->maybe_update = true;
	} else if (pending == KW_DELETE && kw == KW_FROM) {
		st->kinds |= BIT(DELETE);
		f->delete = true;
		f->phase = PH_BODY;
	} else if (pending == KW_INSERT && kw == KW_INTO) {
		st->kinds |= BIT(INSERT);
		f->insert = true;
		f->phase = PH_BODY;
		return true;
	} else if (pending == KW_MERGE && kw == KW_INTO) {
		st->kinds |= BIT(MERGE);
		f->merge = true;
		f->phase = PH_BODY;
		return true;
	}
	return false;
}

/* A word where a statement may begin, or in a WITH list, behind which one does. */
static void may_begin(struct sql_state *st, struct sql_frame *f, enum sql_keyword kw)
{
	enum sql_phase next = f->phase == PH_START ? PH_BODY : f->phase;

	switch (kw) {
	case KW_SELECT:
	case KW_TABLE:
		st->kinds |= BIT(SELECT);
		f->select = kw == KW_SELECT;
		next = PH_BODY;
		break;
	case KW_VALUES: /* in a WITH list it may be a name; behind a parenthesis it is the query */
		st->kinds |= BIT(SELECT);
		f->select |= next == PH_WITH && is_char(st->prev, ')');
		break;
	case KW_WITH:
		next = PH_WITH;
		break;
	case KW_INSERT:
	case KW_UPDATE:
	case KW_DELETE:
	case KW_MERGE:
		f->pending = kw;
		break;
	default:
		break;
	}
	f->phase = next;
}

/* Actions of MERGE and of ON CONFLICT. */
static void action_word(struct sql_state *st, const struct sql_frame *f, enum sql_keyword kw)
{
	bool then = f->merge && st->prev->kw == KW_THEN;

	if (kw == KW_UPDATE && (then || (f->insert && st->prev->kw == KW_DO)))
		st->kinds |= BIT(UPDATE);
	else if (kw == KW_DELETE && then)
		st->kinds |= BIT(DELETE);
	else if (kw == KW_INSERT && then)
		st->kinds |= BIT(INSERT);
}

static void body_word(struct sql_state *st, struct sql_frame *f, enum sql_keyword kw)
{
	switch (kw) {
	case KW_SELECT:
		if (st->depth > 0 || st->mode == MODE_QUERY) {
			st->kinds |= BIT(SELECT);
			f->select = true;
		}
		break;
	case KW_TABLE: /* INSERT INTO t TABLE u */
		if (f->insert)
			st->kinds |= BIT(SELECT);
		break;
	case KW_INTO:
		if (f->select)
			st->kinds |= BIT(CREATE);
		break;
	case KW_SET:
		if (f->maybe_update) {
			f->update = true;
			st->kinds |= BIT(UPDATE);
		}
		break;
	case KW_WHERE:
		if (!f->returning)
			f->where = true;
		break;
	case KW_RETURNING:
		f->returning = true;
		break;
	default:
		action_word(st, f, kw);
		break;
	}
}

static void word(struct sql_state *st, const struct sql_token *t, enum sql_keyword kw)
{
	struct sql_frame *f = top(st);

	if (f->pending != KW_NONE && confirm(st, f, kw, t))
		return;
	if (f->phase != PH_BODY && st->mode != MODE_EXPLAIN_LIST) {
		bool in_list = f->phase == PH_WITH;

		may_begin(st, f, kw);
		if (!in_list || kw == KW_SELECT)
			return;
	}
	body_word(st, f, kw);
}

static void call(struct sql_state *st)
{
	if (st->prev->type == TOK_WORD || st->prev->type == TOK_QUOTED)
		st->kinds |= sql_function_kinds(sql_unquote(st->prev));
}

/*
 * Functional notation: ('/etc/passwd'::text).pg_read_file calls the function, and so does each name of a
 * longer path. Names of columns and tables are not paths of this kind: those begin with a name.
 */
static void value_path(struct sql_state *st, const struct sql_token *t)
{
	const struct sql_token *prev = st->prev;

	if (is_char(t, '.'))
		st->value_path = is_char(prev, ')') || is_char(prev, ']') || prev->type == TOK_PARAM ||
		                 (st->value_path && sql_is_name(prev));
	else if (!sql_is_name(t) || !is_char(prev, '.'))
		st->value_path = false;
	else if (st->value_path)
		st->kinds |= sql_function_kinds(sql_unquote(t));
}

/* What counts in any statement, at any depth. False when it cannot be followed any more. */
static bool common(struct sql_state *st, const struct sql_token *t, enum sql_keyword kw)
{
	value_path(st, t);
	switch (t->type) {
	case TOK_WORD:
	case TOK_QUOTED:
		if (t->text.n >= sizeof("pg_settings") - 1 && name_is(t, "pg_settings"))
			st->settings = true;
		word(st, t, kw);
		return true;
	case TOK_UESC: /* may be any name */
		st->kinds |= BIT(ADMIN);
		word(st, t, KW_NONE);
		return true;
	case TOK_CHAR:
		break;
	default:
		top(st)->pending = KW_NONE;
		if (top(st)->phase == PH_START)
			top(st)->phase = PH_BODY;
		return true;
	}
	top(st)->pending = KW_NONE;
	if (t->c == '(') {
		call(st);
		if (top(st)->phase == PH_WITH && is_char(st->prev, ')'))
			top(st)->select = true; /* WITH a AS (...) (SELECT ...) */
		if (st->depth == SQL_DEPTH_MAX)
			return false;
		push(st);
	} else if (t->c == ')') {
		if (st->depth == 0)
			return false;
		close_frame(st);
		st->depth--;
	} else if (top(st)->phase == PH_START) {
		top(st)->phase = PH_BODY;
	}
	return true;
}

/* The kind of object of CREATE, ALTER and DROP: some give more than the schema's change. */
static void ddl_head(struct sql_state *st, enum sql_keyword kw)
{
	bool create = (st->kinds & BIT(CREATE)) != 0;

	switch (kw) {
	case KW_OR:
	case KW_REPLACE:
	case KW_TRUSTED:
	case KW_PROCEDURAL:
		return; /* not yet */
	case KW_FUNCTION:
	case KW_PROCEDURE:
	case KW_RULE:
		st->holds_code = create && kw != KW_RULE;
		if (create)
			st->kinds |= BIT(OPAQUE);
		break;
	case KW_DATABASE:
	case KW_EVENT:
	case KW_EXTENSION:
	case KW_FOREIGN:
	case KW_LANGUAGE:
	case KW_PUBLICATION:
	case KW_SERVER:
	case KW_SUBSCRIPTION:
	case KW_SYSTEM:
	case KW_TABLESPACE:
		st->kinds |= BIT(ADMIN);
		break;
	case KW_DEFAULT: /* PRIVILEGES */
	case KW_GROUP:
	case KW_OWNED:
	case KW_ROLE:
	case KW_USER:
		st->kinds |= BIT(GRANT);
		break;
	case KW_SCHEMA:
		st->schema = create;
		break;
	default:
		break;
	}
	st->mode = create ? MODE_CREATE : MODE_PLAIN;
}

static void create_word(struct sql_state *st, enum sql_keyword kw)
{
	if (st->prev->kw == KW_AS && top(st)->phase == PH_BODY) {
		top(st)->phase = PH_START;
		if (kw == KW_EXECUTE)
			st->kinds |= BIT(EXECUTE) | BIT(OPAQUE);
	} else if (st->schema && kw == KW_GRANT) {
		st->kinds |= BIT(GRANT);
	}
}

static void copy_direction(struct sql_state *st, const struct sql_token *t, enum sl_sql_kind client)
{
	bool to_client = t->type == TOK_WORD && (t->kw == KW_STDIN || t->kw == KW_STDOUT);
	enum sl_sql_kind kind = to_client ? client : SL_SQL_COPY_SERVER;

	st->kinds |= SL_SQL_BIT(kind);
	if (st->main == SL_SQL_COPY_SERVER)
		st->main = kind;
	st->mode = MODE_PLAIN;
}

/* PREPARE TRANSACTION 'id', but PREPARE transaction AS ... is a statement of that name. */
static void prepare_word(struct sql_state *st, const struct sql_token *t, enum sql_keyword kw)
{
	if (t->type == TOK_STRING && st->prev->kw == KW_TRANSACTION && st->nb_tokens == 2) {
		st->kinds = BIT(TRANSACTION);
		st->main = SL_SQL_TRANSACTION;
		st->mode = MODE_PLAIN;
	} else if (kw == KW_AS) {
		st->mode = MODE_NESTED;
	}
}

/* True when the token belongs to EXPLAIN itself. */
static bool explain_word(struct sql_state *st, const struct sql_token *t)
{
	if (t->kw == KW_ANALYZE || t->kw == KW_ANALYSE) {
		st->analyze = true;
		return true;
	}
	if (t->kw == KW_VERBOSE)
		return true;
	if (is_char(t, '(') && st->prev->kw != KW_NONE) {
		st->mode = MODE_EXPLAIN_LIST;
		return true;
	}
	return false;
}

/* Inside the parentheses behind EXPLAIN: options, unless a query begins there. */
static void explain_list(struct sql_state *st, const struct sql_token *t)
{
	bool query = t->kw == KW_SELECT || t->kw == KW_VALUES || t->kw == KW_TABLE || t->kw == KW_WITH ||
	             is_char(t, '(');

	if (st->depth == 1 && query && is_char(st->prev, '(')) {
		st->mode = MODE_QUERY;
		return;
	}
	if (name_is(t, "analyze") || name_is(t, "analyse") || t->type == TOK_UESC)
		st->analyze = true;
	if (st->depth == 1 && is_char(t, ')'))
		st->mode = MODE_EXPLAIN;
}

/* The statement's own grammar, for tokens outside of parentheses. True when a carried statement begins with
 * t. */
static bool own_grammar(struct sql_state *st, const struct sql_token *t, enum sql_keyword kw)
{
	switch (st->mode) {
	case MODE_NESTED:
		return true;
	case MODE_EXPLAIN:
		return !explain_word(st, t);
	case MODE_PREPARE:
		prepare_word(st, t, kw);
		return false;
	case MODE_DECLARE:
		if (kw == KW_FOR)
			st->mode = MODE_NESTED;
		return false;
	case MODE_COPY:
		if (kw == KW_FROM || kw == KW_TO)
			st->mode = kw == KW_FROM ? MODE_COPY_FROM : MODE_COPY_TO;
		return false;
	case MODE_COPY_FROM:
		copy_direction(st, t, SL_SQL_COPY_FROM);
		return false;
	case MODE_COPY_TO:
		copy_direction(st, t, SL_SQL_COPY_TO);
		return false;
	case MODE_DDL_HEAD:
		ddl_head(st, kw);
		return false;
	case MODE_CREATE:
		create_word(st, kw);
		return false;
	case MODE_SET:
		sql_set_step(st, t);
		return false;
	default:
		return false;
	}
}

/* One token. False when the statement cannot be followed any more. */
static bool step(struct sql_state *st, struct sql_token *t)
{
	enum sql_keyword kw = effective(st, t);
	bool carried = false;
	bool ok = true;

	if (st->nb_tokens == 0) {
		st->begin = t->text.p;
		begin_statement(st, t, false);
		st->explain = t->kw == KW_EXPLAIN;
	} else {
		if (st->mode == MODE_EXPLAIN_LIST)
			explain_list(st, t);
		else if (st->depth == 0)
			carried = own_grammar(st, t, kw);
		if (carried)
			begin_statement(st, t, true);
		if (st->holds_code && t->kw == KW_ATOMIC && st->prev->kw == KW_BEGIN)
			st->atomic = true;
	}
	if ((st->nb_tokens > 0 && !carried) || t->type == TOK_CHAR || t->type == TOK_UESC)
		ok = common(st, t, kw);
	t->kw = kw;
	st->prev = t;
	st->end = t->text.p + t->text.n;
	st->nb_tokens++;
	return ok;
}

static const struct sql_token no_token = {.type = TOK_END};

static void begin_state(struct sql_state *st)
{
	memset(st, 0, offsetof(struct sql_state, frames) + sizeof(st->frames[0]));
	st->frames[0].phase = PH_START;
	st->prev = &no_token;
}

static enum sl_sql_kind main_of_with(const struct sql_frame *f)
{
	if (f->delete)
		return SL_SQL_DELETE;
	if (f->update)
		return SL_SQL_UPDATE;
	if (f->insert)
		return SL_SQL_INSERT;
	return f->merge ? SL_SQL_MERGE : SL_SQL_SELECT;
}

/* What only the end of the statement tells. */
static void settle_kinds(struct sql_state *st)
{
	struct sql_frame *f = &st->frames[0];

	while (st->depth > 0) { /* not closed: no server takes it */
		st->kinds |= BIT(OPAQUE);
		close_frame(st);
		st->depth--;
	}
	close_frame(st);
	sql_set_end(st);
	if (f->phase == PH_WITH && !f->update && !f->select)
		st->kinds |= BIT(OPAQUE);
	if (st->settings && (st->kinds & BIT(UPDATE)))
		st->kinds |= BIT(SET) | BIT(ADMIN);
	if (st->mode == MODE_PREPARE || st->mode == MODE_DECLARE || st->mode == MODE_NESTED ||
	    st->mode == MODE_COPY || st->mode == MODE_COPY_FROM || st->mode == MODE_COPY_TO ||
	    st->mode == MODE_EXPLAIN || st->mode == MODE_EXPLAIN_LIST || st->kinds == 0)
		st->kinds |= BIT(OPAQUE);
	if (st->main == SL_SQL_SELECT && (f->delete || f->update || f->insert || f->merge))
		st->main = main_of_with(f);
	if (st->explain && !st->analyze) {
		/* Planned, not run; but what could not be read stays so. */
		st->kinds = (st->kinds & (BIT(ADMIN) | BIT(OPAQUE))) | BIT(EXPLAIN);
		st->no_where = false;
	}
}

/* Adds the statement to the result. False when there is no room. */
static bool add(struct sl_sql *out, struct sql_state *st)
{
	struct sl_sql_stmt *s;

	if (st->nb_tokens == 0)
		return true;
	settle_kinds(st);
	out->kinds |= st->kinds;
	if (out->nb_stmts == SL_SQL_STMTS_MAX) {
		s = &out->stmts[SL_SQL_STMTS_MAX - 1];
		s->kinds |= st->kinds;
		s->no_where |= st->no_where;
		s->text.n = (size_t)(st->end - s->text.p);
		return false;
	}
	s = &out->stmts[out->nb_stmts++];
	s->kinds = st->kinds;
	s->main = st->main;
	s->no_where = st->no_where;
	s->text = sl_span(st->begin, (size_t)(st->end - st->begin));
	s->set_name = st->kinds & BIT(SET) ? st->set_name : SL_SPAN_EMPTY;
	return true;
}

/* The last statement becomes unreadable; its text goes to the end. */
static void make_opaque(struct sl_sql *out, struct sl_span text)
{
	struct sl_sql_stmt *s;

	out->complete = false;
	out->kinds |= BIT(OPAQUE);
	if (out->nb_stmts == 0) {
		s = &out->stmts[out->nb_stmts++];
		memset(s, 0, sizeof(*s));
		s->main = SL_SQL_OPAQUE;
		s->text = text;
	}
	s = &out->stmts[out->nb_stmts - 1];
	s->kinds |= BIT(OPAQUE);
	if (text.n > 0)
		s->text.n = (size_t)(text.p + text.n - s->text.p);
}

/* A semicolon in parentheses or in a body: another statement begins there. */
static void inner_statement(struct sql_state *st)
{
	st->kinds |= BIT(OPAQUE);
	close_frame(st);
	memset(top(st), 0, sizeof(*top(st)));
}

/* What cannot be read: the rest of the text belongs to the statement that was begun, or is one by itself. */
static void give_up(struct sl_sql *out, struct sql_state *st, const struct sql_token *t, struct sl_span text)
{
	if (st->nb_tokens == 0) {
		st->begin = t->text.p;
		st->end = t->text.p + t->text.n;
		st->main = SL_SQL_OPAQUE;
		st->nb_tokens = 1;
	}
	(void)add(out, st);
	make_opaque(out, text);
}

static void scan(struct sl_span text, struct sl_sql *out)
{
	struct sql_lexer lx = {text.p, text.p + text.n};
	struct sql_state st;
	struct sql_token tokens[2]; /* this one and the one before, by turns */

	begin_state(&st);
	for (unsigned i = 0;; i ^= 1) {
		struct sql_token *t = &tokens[i];

		sql_lex_next(&lx, t);
		if (t->type == TOK_END)
			break;
		if (is_char(t, ';') && !st.atomic && st.depth == 0) {
			if (!add(out, &st))
				break;
			begin_state(&st);
			continue;
		}
		if (t->type == TOK_BAD || !step(&st, t)) {
			give_up(out, &st, t, text);
			return;
		}
		if (is_char(t, ';'))
			inner_statement(&st);
	}
	if (!add(out, &st))
		make_opaque(out, text);
}

void sl_sql_scan(struct sl_span text, struct sl_sql *out)
{
	out->nb_stmts = 0;
	out->kinds = 0;
	out->complete = true;
	if (text.n > 0)
		scan(text, out);
	if (out->nb_stmts == 0) {
		out->nb_stmts = 1;
		out->kinds = BIT(EMPTY);
		out->stmts[0] = (struct sl_sql_stmt){.kinds = BIT(EMPTY), .main = SL_SQL_EMPTY, .text = text};
	}
	/* The server would stop at a NUL that the lexer read over inside a literal or a comment. */
	if (text.n > 0 && out->complete && memchr(text.p, 0, text.n) != NULL)
		make_opaque(out, text);
}
