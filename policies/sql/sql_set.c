/* SET and RESET: which parameter. The special forms get the name of the parameter that they set. */
#include "sql_stmt_priv.h"

static void settle(struct sql_state *st, struct sl_span name)
{
	st->set_name = name;
	st->set_done = true;
}

static void becomes_transaction(struct sql_state *st)
{
	st->kinds = (st->kinds & ~SL_SQL_BIT(SL_SQL_SET)) | SL_SQL_BIT(SL_SQL_TRANSACTION);
	if (st->main == SL_SQL_SET)
		st->main = SL_SQL_TRANSACTION;
	settle(st, SL_SPAN_EMPTY);
}

static void hide(struct sql_state *st)
{
	st->kinds |= SL_SQL_BIT(SL_SQL_OPAQUE);
	st->set_done = true;
}

/* SESSION AUTHORIZATION, SESSION CHARACTERISTICS, SESSION name, TIME ZONE, XML OPTION ...: the word behind
 * decides. */
static void second_word(struct sql_state *st, const struct sql_token *t)
{
	enum sql_keyword first = st->prev->kw;
	bool assigns = t->type == TOK_CHAR || t->kw == KW_TO;

	if ((first == KW_TRANSACTION || first == KW_CONSTRAINTS) && !assigns)
		becomes_transaction(st);
	else if (first == KW_SESSION && t->kw == KW_AUTHORIZATION)
		settle(st, SL_SPAN_LIT("session_authorization"));
	else if (first == KW_SESSION && t->kw == KW_CHARACTERISTICS)
		becomes_transaction(st);
	else if (first == KW_TIME && !assigns)
		settle(st, SL_SPAN_LIT("timezone"));
	else if (first == KW_XML && !assigns)
		settle(st, SL_SPAN_LIT("xmloption"));
	else if (first == KW_SCHEMA && !assigns)
		settle(st, SL_SPAN_LIT("search_path"));
	else if ((first == KW_SESSION || first == KW_LOCAL) && !st->set_local && sql_is_name(t)) {
		st->set_local = true;
		st->set_name = SL_SPAN_EMPTY;
	}
}

static void first_word(struct sql_state *st, const struct sql_token *t)
{
	struct sl_span name = sql_unquote(t);

	if (t->kw == KW_NAMES) {
		settle(st, SL_SPAN_LIT("client_encoding"));
		return;
	}
	if (!sql_is_name(t) || t->type == TOK_UESC ||
	    (t->type == TOK_QUOTED && (name.n == 0 || memchr(name.p, '"', name.n) != NULL))) {
		hide(st);
		return;
	}
	st->set_name = name;
}

void sql_set_step(struct sql_state *st, const struct sql_token *t)
{
	if (st->set_done)
		return;
	if (st->set_name.n > 0 && sql_is_name(st->prev) && st->prev->kw != KW_NONE &&
	    st->prev->type == TOK_WORD)
		second_word(st, t);
	if (st->set_done)
		return;
	if (st->set_name.n == 0) {
		first_word(st, t);
		return;
	}
	if (t->type == TOK_CHAR && t->c == '.')
		return;
	if (sql_is_name(t) && st->prev->type == TOK_CHAR && st->prev->c == '.') {
		if (t->type == TOK_UESC)
			hide(st);
		else
			st->set_name.n = (size_t)(t->text.p + t->text.n - st->set_name.p);
		return;
	}
	st->set_done = true;
}

void sql_set_end(struct sql_state *st)
{
	if (st->mode == MODE_SET && st->set_name.n == 0 && (st->kinds & SL_SQL_BIT(SL_SQL_SET)))
		st->kinds |= SL_SQL_BIT(SL_SQL_OPAQUE);
}
