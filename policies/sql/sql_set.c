/* SET and RESET: which parameter. The special forms get the name of the parameter that they set. */
#include "sql_parse_priv.h"

static bool folds_to(struct sl_span s, const char *word)
{
	if (s.n != strlen(word))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (sql_fold(s.p[i]) != (uint8_t)word[i])
			return false;
	return true;
}

/* The next tokens say that a boolean is on, and nothing else. DEFAULT is what the session was started with.
 */
static bool sets_on(struct sql_parser *p)
{
	static const char *const on[] = {"on", "true", "yes", "1", "default"};
	struct sl_span v = sql_peek(p, 1)->text;
	const struct sql_token *behind = sql_peek(p, 2);

	if ((!sql_is_char(p, '=') && !sql_is_kw(p, KW_TO)) || (behind->type != TOK_END && behind->c != ';'))
		return false;
	if (v.n > 2 && v.p[0] == '\'')
		v = sl_span(v.p + 1, v.n - 2);
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		if (folds_to(v, on[i]))
			return true;
	return false;
}

/* Who the statements run as is no mere setting; and how later ones would be read is not known here. */
static void weigh(struct sql_parser *p, struct sl_span name)
{
	if (folds_to(name, "role") || folds_to(name, "session_authorization"))
		sql_add_kinds(p, BIT(ADMIN));
	else if (folds_to(name, "standard_conforming_strings") && !sets_on(p))
		sql_add_kinds(p, BIT(OPAQUE));
}

static void settle(struct sql_parser *p, struct sl_span name)
{
	p->stmt->set_name = name;
	sql_words(p);
}

static void becomes_transaction(struct sql_parser *p)
{
	p->stmt->kinds = (p->stmt->kinds & ~BIT(SET)) | BIT(TRANSACTION);
	if (p->stmt->main == SL_SQL_SET)
		p->stmt->main = SL_SQL_TRANSACTION;
	sql_words(p);
}

/* The parameter's name as it is written. One that could be another (escapes, doubled quotes) is not read. */
static void parameter(struct sql_parser *p, bool reset)
{
	const struct sql_token *t = sql_peek(p, 0);
	struct sl_span name = t->text;

	if (sql_is_kw(p, KW_ALL) && p->stmt->set_name.n == 0) {
		sql_take(p);
		p->stmt->set_name = name;
		return;
	}
	if (!sql_at_name(p) || t->type == TOK_UESC) {
		if (t->type == TOK_UESC)
			sql_add_kinds(p, BIT(ADMIN));
		sql_fail(p);
		return;
	}
	if (t->type == TOK_QUOTED) {
		name = sl_span(name.p + 1, name.n - 2);
		if (name.n == 0 || memchr(name.p, '"', name.n) != NULL) {
			sql_fail(p);
			return;
		}
	}
	sql_take(p);
	while (!p->failed && sql_take_char(p, '.')) {
		t = sql_peek(p, 0);
		if (t->type == TOK_UESC)
			sql_fail(p);
		name.n = (size_t)(t->text.p + t->text.n - name.p);
		sql_label(p);
	}
	p->stmt->set_name = name;
	if (!reset)
		weigh(p, name);
	sql_words(p);
}

/* True when what follows the word is a value for a parameter of that name. */
static bool assigns(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 1);

	return t->type == TOK_CHAR || t->kw == KW_TO || t->type == TOK_END;
}

void sql_set(struct sql_parser *p)
{
	enum sql_keyword next = sql_peek(p, 1)->kw;
	bool reset = p->prev->kw == KW_RESET;

	if ((sql_is_kw(p, KW_SESSION) || sql_is_kw(p, KW_LOCAL)) && !assigns(p)) {
		if (sql_is_kw(p, KW_SESSION) && next == KW_CHARACTERISTICS) {
			becomes_transaction(p);
			return;
		}
		if (!sql_is_kw(p, KW_SESSION) || next != KW_AUTHORIZATION)
			sql_take(p);
	}
	if (sql_is_kw(p, KW_NAMES) && !assigns(p)) {
		settle(p, SL_SPAN_LIT("client_encoding"));
		return;
	}
	if (assigns(p)) {
		parameter(p, reset);
		return;
	}
	switch (sql_peek(p, 0)->kw) {
	case KW_TRANSACTION:
	case KW_CONSTRAINTS:
		becomes_transaction(p);
		break;
	case KW_SESSION: /* AUTHORIZATION */
		if (!reset)
			sql_add_kinds(p, BIT(ADMIN));
		settle(p, SL_SPAN_LIT("session_authorization"));
		break;
	case KW_TIME:
		settle(p, SL_SPAN_LIT("timezone"));
		break;
	case KW_XML:
		settle(p, SL_SPAN_LIT("xmloption"));
		break;
	case KW_SCHEMA:
		settle(p, SL_SPAN_LIT("search_path"));
		break;
	default:
		parameter(p, reset);
		break;
	}
}
