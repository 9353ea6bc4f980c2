/*
 * What masks of columns mean for a command: the policy's part says what is against it and how its reply is to
 * be read (sl_protect.h). Here that becomes a part of the judgement, and a mark and a plan that come back
 * with the reply.
 *
 * What a session remembers only grows: a statement that was prepared, or a cursor that was opened, over what
 * masks hide makes all that goes on with one be read like it; and behind a statement whose texts are
 * withheld, those of the end of its transaction are too (constraints and triggers that were put off). The
 * target has one name space for portals and cursors, and one for the statements of Parse and of PREPARE, and
 * looks a name up when it needs it: so what the protocol names is remembered as what SQL names is, and what
 * the session remembers is asked for again when rows come.
 */
#include <stddef.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_sql_copy.h"

#define BIT(kind) SL_SQL_BIT(SL_SQL_##kind)

#define STICKY_PREPARED (UINT32_C(1) << 24) /* SQL PREPARE made a statement */
#define STICKY_CALLED   (UINT32_C(1) << 25) /* a function may have opened a cursor of any name */
#define STICKY_OWN      (STICKY_PREPARED | STICKY_CALLED)

/* Kinds that go on with, or end, what others began. */
#define KINDS_LATER (BIT(TRANSACTION) | BIT(CURSOR) | BIT(EXECUTE) | BIT(SET))

static void refuse(struct protection *p, int32_t mask, const char *message)
{
	p->decision = SL_DEC_DENY;
	p->mask = mask;
	p->message = message;
}

static uint32_t derived_by(int32_t mask)
{
	return SL_PROTECT_DERIVED | ((uint32_t)mask + 1) << MARK_MASK_SHIFT;
}

/* What others can go on with. */
static uint32_t leaves(const struct sl_inspect *in, const struct sl_ev_command *c, uint32_t mark)
{
	const struct sl_protect *r = &in->w->protect;
	bool makes = (r->marks & SL_PROTECT_MAKES) != 0;
	uint32_t left = mark & (makes || c->named ? MARK_DERIVED | SL_PROTECT_QUIET : SL_PROTECT_QUIET);

	if (makes && (in->w->sql.kinds & BIT(PREPARE)) != 0)
		left |= STICKY_PREPARED;
	if ((r->marks & SL_PROTECT_CALLS) == 0)
		return left;
	if ((left & SL_PROTECT_DERIVED) == 0 && r->calls_mask >= 0)
		left |= derived_by(r->calls_mask);
	return left | STICKY_CALLED;
}

static void marks(struct sl_inspect *in, const struct sl_ev_command *c, struct protection *p)
{
	const struct sl_protect *r = &in->w->protect;

	p->mark |= r->marks & (SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
	if ((p->mark & SL_PROTECT_DERIVED) != 0 && r->derived_mask >= 0)
		p->mark |= derived_by(r->derived_mask);
	p->leaves = leaves(in, c, p->mark);
	/* A Bind can meet a statement that SQL has made anew under its name in the same flight. */
	if ((r->marks & SL_PROTECT_GOES_ON) != 0 ||
	    (c->phase == SL_PHASE_EXECUTE && (in->sticky & STICKY_PREPARED) != 0)) {
		if ((p->mark & SL_PROTECT_DERIVED) != 0)
			p->mark |= in->sticky & SL_PROTECT_QUIET;
		else
			p->mark |= in->sticky & ~STICKY_OWN;
	}
	if ((r->marks & SL_PROTECT_GOES_ON) != 0)
		p->mark |= MARK_GOES_ON;
	if (c->phase == SL_PHASE_EXECUTE && c->named)
		p->mark |= MARK_NAMED;
}

static void protect_columns(struct sl_inspect *in, const struct sl_ev_command *c, struct protection *p)
{
	struct sl_inspect_worker *w = in->w;
	const struct binding *b = &in->now;

	w->protect.marks = w->protect.nb_copy = 0;
	if (c->phase == SL_PHASE_OTHER) {
		refuse(p, -1, "the result of a function call cannot be masked");
		return;
	}
	if (sl_protect_needed(b->slot->s, &b->p, b->catalog, &in->made, &w->sql)) {
		sl_sql_uses(c->text, &w->sql, &w->uses);
		sl_protect_statement(b->slot->s, &b->p, b->catalog, &in->made, c->text, &w->sql, &w->uses,
		                     &w->protect);
		p->decision = w->protect.decision;
		p->mask = w->protect.mask;
		p->message = w->protect.message;
	}
	marks(in, c, p);
	if ((w->sql.kinds & KINDS_LATER) != 0)
		p->mark |= in->sticky & SL_PROTECT_QUIET;
}

/* ---- COPY ---- */

/* What stands for NULL could also be a value that was guessed. */
static bool null_is_clear(const struct sl_sql_copy *o)
{
	return o->binary || o->csv || o->null_n == 0 || (o->null_n == 2 && memcmp(o->null, "\\N", 2) == 0);
}

static void plan_format(const struct sl_sql_copy *o, struct sl_copy *to)
{
	memset(to, 0, sizeof(*to));
	to->binary = o->binary;
	to->csv = o->csv;
	to->header = o->header;
	to->delimiter = o->delimiter;
	to->quote = o->quote;
	to->escape = o->escape;
	to->null_n = o->null_n;
	memcpy(to->null, o->null, o->null_n);
}

static void plan_columns(const struct sl_protect *r, uint32_t mark, struct copy_plan *plan)
{
	plan->nb = (r->marks & SL_PROTECT_COPY) != 0 ? (uint16_t)r->nb_copy : COPY_ANY;
	plan->rest = (struct copy_column){.mask = -1};
	if (plan->nb == COPY_ANY && (mark & SL_PROTECT_DERIVED) != 0)
		plan->rest = (struct copy_column){.mask = MARK_MASK(mark), .derived = true};
	for (uint32_t i = 0; plan->nb != COPY_ANY && i < plan->nb; i++)
		plan->columns[i] = (struct copy_column){.type = r->copy[i].type,
		                                        .mask = (int16_t)r->copy[i].mask,
		                                        .derived = r->copy[i].derived};
}

static bool one_copy(const struct sl_sql *sql, uint32_t *stmt)
{
	uint32_t nb = 0;

	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if ((sql->stmts[i].kinds & BIT(COPY_TO)) == 0)
			continue;
		*stmt = i;
		nb++;
	}
	return nb == 1;
}

/* The data of a COPY has no columns of its own: it is read by what its statement says. */
static void plan_copy(struct sl_inspect *in, struct protection *p)
{
	struct sl_inspect_worker *w = in->w;
	struct copy_plan *plan = &w->plan;
	bool masked = in->now.p.any_content_mask ||
	              (in->now.hides &&
	               ((w->protect.marks & SL_PROTECT_COPY) != 0 || (p->mark & SL_PROTECT_DERIVED) != 0));
	struct sl_sql_copy options = {0};
	uint32_t stmt = 0;

	*plan = (struct copy_plan){.version = in->now.version, .nb = COPY_ANY, .rest = {.mask = -1}};
	if (masked && (!one_copy(&w->sql, &stmt) || !sl_sql_copy_read(w->sql.stmts[stmt].text, &options))) {
		refuse(p, -1,
		       "this COPY cannot be masked: one in a query string, with options that can be read");
		return;
	}
	if (masked && !null_is_clear(&options)) {
		refuse(p, -1, "COPY under a mask: NULL must be the default text or an empty one");
		return;
	}
	plan_format(&options, &plan->format);
	plan->masked = masked;
	if (masked)
		plan_columns(&w->protect, p->mark, plan);
	p->keep = sl_span(plan, offsetof(struct copy_plan, columns) +
	                                (plan->nb != COPY_ANY ? plan->nb * sizeof(plan->columns[0]) : 0));
}

void protect_command(struct sl_inspect *in, const struct sl_ev_command *c, struct protection *p)
{
	const struct binding *b = &in->now;

	*p = (struct protection){.decision = SL_DEC_ALLOW, .mask = -1, .message = ""};
	p->mark = (uint32_t)b->era << MARK_ERA_SHIFT;
	if (!b->hides && !b->p.any_content_mask)
		return;
	in->w->protect.marks = 0;
	if (b->hides)
		protect_columns(in, c, p);
	if (p->decision != SL_DEC_DENY && c->phase != SL_PHASE_PREPARE &&
	    (in->w->sql.kinds & BIT(COPY_TO)) != 0)
		plan_copy(in, p);
}

void protect_remember(struct sl_inspect *in, const struct protection *p)
{
	/* Nothing is taken back: the first mask of what is derived stays. */
	in->sticky |= (in->sticky & SL_PROTECT_DERIVED) == 0 ? p->leaves : p->leaves & ~MARK_DERIVED;
}

/* ---- another policy ---- */

static bool masks_columns(const struct binding *b, uint32_t i)
{
	const struct sl_mask *m = &b->slot->s->masks[i];

	return (b->p.mask_bits[i / 64] >> i % 64 & 1) != 0 && (m->columns.nb > 0 || m->types.nb > 0);
}

/* Of what was judged when other columns were hidden: it can be computed from any that are. */
static uint32_t unknown_marks(const struct binding *b)
{
	const struct sl_snapshot *s = b->slot->s;

	for (uint32_t i = 0; i < s->nb_masks; i++)
		if (masks_columns(b, i) && s->masks[i].derived != SL_DERIVED_ALLOW)
			return SL_PROTECT_QUIET | derived_by((int32_t)i);
	return SL_PROTECT_QUIET;
}

static void digest(uint64_t *h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		*h = (*h ^ p[i]) * UINT64_C(0x100000001b3);
}

static void digest_strings(uint64_t *h, const struct sl_strings *s)
{
	digest(h, &s->nb, sizeof(s->nb));
	for (uint32_t i = 0; i < s->nb; i++)
		digest(h, s->v[i], strlen(s->v[i]) + 1);
}

/* All of the caller's masks that a mark hangs on, with their numbers. */
static uint64_t hidden_by(const struct binding *b)
{
	const struct sl_snapshot *s = b->slot->s;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; b->hides && i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		if (!masks_columns(b, i))
			continue;
		digest(&h, &i, sizeof(i));
		digest(&h, &m->derived, sizeof(m->derived));
		digest_strings(&h, &m->columns);
		digest_strings(&h, &m->types);
		digest_strings(&h, &m->json);
		digest_strings(&h, &m->trusted);
		digest_strings(&h, &m->servers);
	}
	return b->hides ? h : 0;
}

void protect_bound(struct sl_inspect *in)
{
	struct binding *b = &in->now;
	uint64_t hidden = hidden_by(b);

	if (hidden != in->hidden && in->nb_commands > 0) {
		in->era = (in->era + 1) & MARK_ERA;
		if (b->hides)
			in->sticky = (in->sticky & STICKY_OWN) | unknown_marks(b);
	}
	in->hidden = hidden;
	b->era = in->era;
}

/* By the numbers that the masks of this binding have. */
static uint32_t remembered(const struct sl_inspect *in, const struct binding *b)
{
	if (b->era == in->era)
		return in->sticky & ~STICKY_OWN;
	return (in->sticky & ~b->sticky & STICKY_CALLED) != 0 ? unknown_marks(b) : b->sticky & ~STICKY_OWN;
}

uint32_t protect_mark(const struct sl_inspect *in, const struct binding *b, uint32_t mark)
{
	bool goes_on =
	        (mark & MARK_GOES_ON) != 0 || ((mark & MARK_NAMED) != 0 && (in->sticky & STICKY_CALLED) != 0);

	if (!b->hides)
		return mark;
	if ((mark >> MARK_ERA_SHIFT & MARK_ERA) != b->era)
		return (mark & ~MARK_DERIVED) | unknown_marks(b);
	if (!goes_on)
		return mark;
	/* The first mask of what is derived stays. */
	return mark |
	       (remembered(in, b) & ((mark & SL_PROTECT_DERIVED) != 0 ? SL_PROTECT_QUIET : UINT32_MAX));
}

/* ---- relations that the catalog does not know ---- */

bool protect_doubts(struct sl_inspect *in, uint64_t cmd)
{
	const struct binding *b = &in->now;

	in->doubts = b->hides && b->catalog != NULL && in->doubted != cmd + 1 &&
	             sl_protect_unknown(b->catalog, &in->made, &in->w->sql);
	if (in->doubts)
		in->doubted = cmd + 1;
	return in->doubts;
}

void protect_begun(struct sl_inspect *in, uint64_t cmd, bool allowed)
{
	if (!in->now.hides)
		return;
	if (sl_protect_forgets(&in->w->sql)) {
		in->made.n = in->making.made.n = 0;
		return;
	}
	if (!allowed || (in->w->sql.kinds & (BIT(CREATE) | BIT(SELECT))) == 0 || in->w->sql.nb_relations == 0)
		return;
	sl_protect_makes(&in->w->sql, &in->making.made);
	in->making.cmd = cmd;
}

void protect_ended(struct sl_inspect *in, uint64_t cmd, bool failed)
{
	if (failed) { /* a transaction may have gone back with it */
		in->made.n = in->making.made.n = 0;
		return;
	}
	if (in->making.made.n == 0 || in->making.cmd != cmd)
		return;
	sl_protect_made_add(&in->made, &in->making.made);
	in->making.made.n = 0;
}
