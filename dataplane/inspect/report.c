/*
 * Free text of the target's under masks. An error quotes what it could not convert, a constraint the row that
 * breaks it, a trigger whatever it was written to: none of it passes when the statement could carry what
 * masks hide, and of the others only what the server itself has worded. What stands in its place is what the
 * SQLSTATE says (PostgreSQL's manual, appendix A).
 */
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"

#define WITHHELD " (text withheld by a mask)"

static const struct {
	char state[6]; /* a class has two characters */
	const char *text;
} conditions[] = {
        {"22001", "value too long" WITHHELD},
        {"22003", "numeric value out of range" WITHHELD},
        {"22007", "invalid format of a date or time" WITHHELD},
        {"22008", "date or time out of range" WITHHELD},
        {"22012", "division by zero" WITHHELD},
        {"22P02", "invalid text representation" WITHHELD},
        {"23502", "not-null constraint violated" WITHHELD},
        {"23503", "foreign key constraint violated" WITHHELD},
        {"23505", "unique constraint violated" WITHHELD},
        {"23514", "check constraint violated" WITHHELD},
        {"00", "notice" WITHHELD},
        {"01", "warning" WITHHELD},
        {"02", "no data" WITHHELD},
        {"22", "data exception" WITHHELD},
        {"23", "integrity constraint violated" WITHHELD},
        {"25", "invalid transaction state" WITHHELD},
        {"40", "transaction rolled back" WITHHELD},
        {"42", "syntax error or access rule violated" WITHHELD},
        {"53", "insufficient resources" WITHHELD},
        {"54", "program limit exceeded" WITHHELD},
        {"55", "object not in prerequisite state" WITHHELD},
        {"57", "operator intervention" WITHHELD},
        {"P0", "raised by a function of the target" WITHHELD},
        {"XX", "internal error" WITHHELD},
};

/* Classes whose texts the server words itself, of names and numbers. */
static const char own_words[][3] = {"08", "0A", "25", "26", "28", "2D", "34", "3B",
                                    "3D", "3F", "40", "42", "53", "54", "55", "57"};
/* And those that quote values besides, in detail and context only when the statement itself had them. */
static const char own_message[][3] = {"22", "23"};

static bool in_class(struct sl_span state, const char (*classes)[3], size_t nb)
{
	for (size_t i = 0; i < nb; i++)
		if (state.n == 5 && memcmp(state.p, classes[i], 2) == 0)
			return true;
	return false;
}

static struct sl_span condition(struct sl_span state)
{
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		size_t n = strlen(conditions[i].state);

		if (state.n == 5 && memcmp(state.p, conditions[i].state, n) == 0)
			return sl_span_str(conditions[i].text);
	}
	return SL_SPAN_LIT("text withheld by a mask");
}

static void withhold(const struct sl_ev_report *r, struct sl_verdict *v)
{
	sl_count(SL_C_FIELDS_MASKED);
	v->action = SL_ACT_REPLACE;
	v->replace = r->kind == SL_REPORT_NOTIFICATION ? SL_SPAN_EMPTY : condition(r->sqlstate);
	/* Of what a function raises, the names are its own words too. */
	v->nameless = r->sqlstate.n != 5 || r->sqlstate.p[0] == 'P';
}

static bool any_text(const struct sl_ev_report *r, int from)
{
	for (int i = from; i < SL_REPORT_TEXTS; i++)
		if (i != SL_REPORT_HINT && r->text[i].n > 0)
			return true;
	return false;
}

/* A statement that names nothing hidden: what else can be in a text was put there by a trigger, a rule or
 * another row. */
static void judge_plain(const struct sl_ev_report *r, struct sl_verdict *v)
{
	if (in_class(r->sqlstate, own_words, sizeof(own_words) / sizeof(own_words[0])))
		return;
	if (!in_class(r->sqlstate, own_message, sizeof(own_message) / sizeof(own_message[0]))) {
		withhold(r, v);
		return;
	}
	if (!any_text(r, SL_REPORT_DETAIL))
		return;
	v->action = SL_ACT_REPLACE;
	v->replace = r->text[SL_REPORT_MESSAGE];
}

int mask_report(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	const struct sl_ev_report *r = &ev->report;
	const struct binding *b;
	int rc = mask_binding(in, ev->cmd, &b);

	if (rc != SL_OK)
		return rc;
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	if (b->has_role && !b->p.any_mask && !b->p.any_content_mask)
		return SL_OK;
	if (!b->has_role || r->unread) {
		withhold(r, v);
		return SL_OK;
	}
	for (int i = 0; b->p.any_content_mask && i < SL_REPORT_TEXTS; i++) {
		if (r->text[i].n > 0 && mask_finds(in, b, r->text[i])) {
			withhold(r, v);
			return SL_OK;
		}
	}
	if (!b->hides)
		return SL_OK;
	if (r->kind == SL_REPORT_NOTIFICATION || ev->cmd == 0 || policy_blind(b) ||
	    (protect_mark(in, b, ev->mark) & SL_PROTECT_QUIET) != 0)
		withhold(r, v);
	else
		judge_plain(r, v);
	return SL_OK;
}
