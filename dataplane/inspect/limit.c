/*
 * Limits and breakers. At login, and when the policy changes, a flow takes its entries in the table of usage;
 * from then on a command costs a compare-and-swap for each rate and a load for each window.
 *
 * Rows and bytes are counted before they pass, in leases: the decoder asks for the first rows of a result and
 * again when those have gone. A lease is a part of what is left, down to a single row, so that the bound is
 * met to the row while results far from it cost a few events. What was not used goes back with the RESULT.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

#define LEASE_SHARE     64 /* of what is left in the fullest window */
#define LEASE_ROWS_MAX  1024
#define LEASE_BYTES_MAX (256u * 1024)
#define NS_A_SECOND     UINT64_C(1000000000)

static struct sl_usage_time now_of(const struct sl_inspect *in)
{
	return (struct sl_usage_time){in->w->now_us, in->w->wall_us};
}

static const struct sl_limit *limit_at(const struct sl_inspect *in, uint32_t i)
{
	return &in->now.slot->s->limits[in->limits.v[i].limit];
}

static bool in_force(const struct sl_inspect *in, const struct sl_limit *l)
{
	return l->rule.when == NULL || sl_schedule_open(l->rule.when, in->w->wall_us);
}

/* ---- the flow's entries ---- */

static void put_all(struct sl_inspect *in, const struct flow_limits *f)
{
	if (f->identity != SL_USAGE_NONE)
		sl_usage_put(in->w->cfg.usage, in->w->cfg.worker, f->identity);
	for (uint32_t i = 0; i < f->nb; i++)
		sl_usage_put(in->w->cfg.usage, in->w->cfg.worker, f->v[i].entry);
}

void limit_drop(struct sl_inspect *in)
{
	put_all(in, &in->limits);
	in->limits = (struct flow_limits){.identity = SL_USAGE_NONE};
	in->lease.lost = true;
}

/* A breaker whose numbers change begins anew: its denials were counted in other slices. */
static struct sl_usage_key key_of(const struct sl_limit *l, const char *issuer, const char *subject)
{
	char numbers[32];
	const char *parts[] = {l->rule.name, numbers, issuer, subject};

	snprintf(numbers, sizeof(numbers), "%d %u", (int)l->per, l->window_s);
	return sl_usage_key_of(parts, 4);
}

static int take(struct sl_inspect *in, struct flow_limits *f, uint32_t limit, struct sl_usage_key key,
                bool login)
{
	const struct sl_limit *l = &in->now.slot->s->limits[limit];
	bool bound = login && !l->rule.shadow && in_force(in, l);
	int rc;

	if (f->nb == FLOW_LIMITS_MAX)
		return sl_fail(SL_E_LIMIT);
	rc = sl_usage_take(in->w->cfg.usage, in->w->cfg.worker, key, l->window_s, bound ? l->sessions : 0,
	                   now_of(in), &f->v[f->nb].entry);
	if (rc == SL_E_POLICY_LIMIT)
		snprintf(in->message, sizeof(in->message), "%s: more than %u sessions at a time",
		         l->rule.name, l->sessions);
	if (rc == SL_OK)
		f->v[f->nb++].limit = limit;
	return rc;
}

/* One entry, or one for each of the caller's roles that the limit is for. */
static int take_limit(struct sl_inspect *in, struct flow_limits *f, uint32_t limit, bool login)
{
	const struct sl_snapshot *s = in->now.slot->s;
	const struct sl_limit *l = &s->limits[limit];
	uint64_t roles = in->now.p.role_bits & (l->rule.roles.nb > 0 ? l->rule.role_bits : UINT64_MAX);
	int rc = SL_OK;

	if (l->per == SL_PER_IDENTITY)
		return take(in, f, limit, key_of(l, in->who->issuer, in->who->subject), login);
	if (l->per == SL_PER_RESOURCE)
		return take(in, f, limit, key_of(l, in->resource, ""), login);
	for (; roles != 0 && rc == SL_OK; roles &= roles - 1)
		rc = take(in, f, limit, key_of(l, s->roles[__builtin_ctzll(roles)].name, ""), login);
	return rc;
}

int limit_bind(struct sl_inspect *in, bool login)
{
	struct flow_limits f = {.identity = SL_USAGE_NONE};
	struct sl_usage *u = in->w->cfg.usage;
	int rc;

	if (u == NULL)
		return in->now.p.limit_bits == 0 ? SL_OK : sl_fail(SL_E_INVAL);
	rc = sl_usage_take(u, in->w->cfg.worker, sl_usage_identity(in->who->issuer, in->who->subject), 0, 0,
	                   now_of(in), &f.identity);
	if (rc == SL_OK && login && sl_usage_locked(u, f.identity))
		rc = sl_fail(SL_E_POLICY_LOCKED);
	for (uint64_t bits = in->now.p.limit_bits; bits != 0 && rc == SL_OK; bits &= bits - 1)
		rc = take_limit(in, &f, (uint32_t)__builtin_ctzll(bits), login);
	if (rc != SL_OK) {
		put_all(in, &f);
		return rc;
	}
	limit_drop(in);
	in->limits = f;
	return SL_OK;
}

bool sl_inspect_locked(const struct sl_inspect *in)
{
	return in->limits.identity != SL_USAGE_NONE && sl_usage_locked(in->w->cfg.usage, in->limits.identity);
}

const char *sl_inspect_why(const struct sl_inspect *in)
{
	return in->message;
}

/* ---- commands ---- */

static const struct {
	const char *what, *hint;
} windows[SL_LIMIT_WINDOWS] = {
        [SL_ROWS_MINUTE] = {"rows a minute", "it begins anew with the next minute"},
        [SL_ROWS_DAY] = {"rows a day", "it begins anew at midnight, UTC"},
        [SL_BYTES_MINUTE] = {"bytes a minute", "it begins anew with the next minute"},
        [SL_BYTES_DAY] = {"bytes a day", "it begins anew at midnight, UTC"},
};

/* The limit's own words, or what was exceeded. */
static void say(struct sl_inspect *in, const struct sl_limit *l, uint64_t max, const char *what)
{
	char *out = in->w->over;
	size_t cap = sizeof(in->w->over);

	if (l->rule.message[0] != '\0')
		snprintf(out, cap, "%s", l->rule.message);
	else
		snprintf(out, cap, "%s: more than %" PRIu64 " %s", l->rule.name, max, what);
}

/* The first window with nothing left; SL_LIMIT_WINDOWS: none. */
static uint32_t used_up(const struct sl_inspect *in, uint32_t i)
{
	const struct sl_limit *l = limit_at(in, i);
	uint32_t w = 0;

	while (w < SL_LIMIT_WINDOWS &&
	       (l->window[w] == 0 ||
	        sl_usage_left(in->w->cfg.usage, in->limits.v[i].entry, w, in->w->wall_us, l->window[w]) > 0))
		w++;
	return w;
}

static void note_over(struct sl_inspect *in, const struct sl_limit *l, uint64_t max, const char *what,
                      const char *hint, struct limit_over *out)
{
	if (l->rule.shadow) {
		out->shadow = out->shadow != NULL ? out->shadow : l;
	} else if (l->over != SL_OVER_HOLD && out->deny == NULL) {
		out->deny = l;
		out->hint = hint;
		say(in, l, max, what);
	} else if (l->over == SL_OVER_HOLD && (out->nb_holds == 0 || out->holds[out->nb_holds - 1] != l)) {
		if (out->nb_holds == 0 && out->deny == NULL)
			say(in, l, max, what);
		if (out->nb_holds <= SL_BUS_NEEDS_MAX)
			out->holds[out->nb_holds++] = l;
	}
}

/* Preparing is not counted: what is prepared is counted when it runs. */
static bool counts(const struct sl_ev_command *c)
{
	return c->phase != SL_PHASE_PREPARE;
}

/* Returns no rows, and must be possible, so that a transaction can be ended. */
static bool ends_only(const struct sl_inspect *in)
{
	return (in->w->sql.kinds & ~(SL_SQL_BIT(SL_SQL_TRANSACTION) | SL_SQL_BIT(SL_SQL_EMPTY))) == 0;
}

static void judge_one(struct sl_inspect *in, uint32_t i, const struct sl_ev_command *c,
                      struct limit_over *out)
{
	const struct sl_limit *l = limit_at(in, i);
	uint32_t w;

	if (l->breaker || !in_force(in, l))
		return;
	if (l->per_second != 0 && counts(c)) {
		if (sl_usage_rate(in->w->cfg.usage, in->limits.v[i].entry, in->w->now_us,
		                  NS_A_SECOND / l->per_second, l->burst))
			out->counted |= 1u << i;
		else
			note_over(in, l, l->per_second, "commands a second", "send them more slowly", out);
	}
	w = ends_only(in) ? SL_LIMIT_WINDOWS : used_up(in, i);
	if (w < SL_LIMIT_WINDOWS)
		note_over(in, l, l->window[w], windows[w].what, windows[w].hint, out);
}

_Static_assert(FLOW_LIMITS_MAX <= 32, "a bit for each in `counted`");

void limit_command(struct sl_inspect *in, const struct sl_ev_command *c, struct limit_over *out)
{
	*out = (struct limit_over){0};
	for (uint32_t i = 0; i < in->limits.nb; i++)
		judge_one(in, i, c, out);
	if (out->deny != NULL) { /* it does not run: nothing was used */
		limit_undo(in, out);
		out->counted = 0;
	}
}

void limit_undo(struct sl_inspect *in, const struct limit_over *o)
{
	for (uint32_t bits = o->counted; bits != 0; bits &= bits - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(bits);

		sl_usage_rate_undo(in->w->cfg.usage, in->limits.v[i].entry,
		                   NS_A_SECOND / limit_at(in, i)->per_second);
	}
}

/* ---- breakers ---- */

static void trip(struct sl_inspect *in, const struct sl_limit *l, uint32_t entry, uint32_t denials)
{
	sl_usage_denied_reset(in->w->cfg.usage, entry);
	if (!sl_usage_lock(in->w->cfg.usage, in->limits.identity))
		return;
	sl_count(SL_C_LOCKS);
	in->trip.on = true;
	in->trip.denials = denials;
	in->trip.window_s = l->window_s;
	in->trip.wall_us = in->w->wall_us;
	memcpy(in->trip.event_id, in->event_id, sizeof(in->trip.event_id));
	snprintf(in->trip.breaker, sizeof(in->trip.breaker), "%s", l->rule.name);
}

void limit_denied(struct sl_inspect *in)
{
	/* Under a policy that this flow is not bound to any more there is nothing to count with. */
	if (!policy_usable(in, &in->now))
		return;
	for (uint32_t i = 0; i < in->limits.nb; i++) {
		const struct sl_limit *l = limit_at(in, i);
		uint32_t n;

		if (!l->breaker || !in_force(in, l))
			continue;
		n = sl_usage_denied(in->w->cfg.usage, in->limits.v[i].entry, in->w->wall_us);
		if (n < l->denials)
			continue;
		if (!l->rule.shadow)
			trip(in, l, in->limits.v[i].entry, n);
		else if (n == l->denials)
			sl_log(SL_LOG_WARN, "limit", "%s in shadow: session %s would be locked", l->rule.name,
			       in->id_str);
	}
}

bool sl_inspect_tripped(const struct sl_inspect *in)
{
	return in->trip.on;
}

void sl_inspect_trip_take(struct sl_inspect *in, struct sl_msg_locked *out)
{
	out->session = in->id;
	snprintf(out->event_id, sizeof(out->event_id), "%s", in->trip.event_id);
	snprintf(out->resource, sizeof(out->resource), "%s", in->resource);
	snprintf(out->breaker, sizeof(out->breaker), "%s", in->trip.breaker);
	out->denials = in->trip.denials;
	out->window_s = in->trip.window_s;
	out->wall_us = in->trip.wall_us;
	memcpy(&out->identity, in->who, identity_bytes(in->who));
	in->trip.on = false;
}

/* ---- rows ---- */

static bool is_bytes(uint32_t window)
{
	return window == SL_BYTES_MINUTE || window == SL_BYTES_DAY;
}

static bool cuts(const struct sl_limit *l)
{
	return l->over == SL_OVER_CUT && !l->rule.shadow;
}

/* A window that counts rows or bytes of this flow now. */
struct meter {
	uint32_t i, window; /* of flow_limits.v; of the limit */
	uint64_t max;       /* SL_USAGE_MAX: what is over is counted too */
};

#define METERS_MAX (FLOW_LIMITS_MAX * SL_LIMIT_WINDOWS)

static uint32_t meters(const struct sl_inspect *in, struct meter *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->limits.nb; i++) {
		const struct sl_limit *l = limit_at(in, i);

		for (uint32_t w = 0; w < SL_LIMIT_WINDOWS && !l->breaker && in_force(in, l); w++) {
			if (l->window[w] != 0)
				out[n++] = (struct meter){i, w, cuts(l) ? l->window[w] : SL_USAGE_MAX};
		}
	}
	return n;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What to ask for: a share of what is left where it is least. Windows that nothing is cut for count as well,
 * so that what other sessions see is not far off; unless they are used up, and it does not matter. */
static void want(const struct sl_inspect *in, const struct meter *m, uint32_t nb, uint64_t *rows,
                 uint64_t *bytes)
{
	for (uint32_t k = 0; k < nb; k++) {
		uint64_t *n = is_bytes(m[k].window) ? bytes : rows;
		uint64_t left = sl_usage_left(in->w->cfg.usage, in->limits.v[m[k].i].entry, m[k].window,
		                              in->w->wall_us, limit_at(in, m[k].i)->window[m[k].window]);

		if (left > 0)
			*n = smaller(*n, left / LEASE_SHARE);
	}
}

/* From all of them, or from none: then the one that has too little. nb: all were spent. */
static uint32_t spend(struct sl_inspect *in, const struct meter *m, uint32_t nb, uint64_t rows,
                      uint64_t bytes)
{
	uint32_t k = 0;

	while (k < nb && sl_usage_spend(in->w->cfg.usage, in->limits.v[m[k].i].entry, m[k].window,
	                                in->w->wall_us, is_bytes(m[k].window) ? bytes : rows, m[k].max))
		k++;
	for (uint32_t done = 0; k < nb && done < k; done++)
		sl_usage_give(in->w->cfg.usage, in->limits.v[m[done].i].entry, m[done].window, in->w->wall_us,
		              is_bytes(m[done].window) ? bytes : rows);
	return k;
}

/* It has a record of its own, because it ends a reply that was allowed. */
static int cut(struct sl_inspect *in, const struct sl_event *ev, const struct meter *m, struct sl_verdict *v)
{
	const struct sl_limit *l = limit_at(in, m->i);
	char text[MESSAGE_MAX + 64];
	int n, rc;

	say(in, l, m->max, windows[m->window].what);
	n = snprintf(text, sizeof(text), "%s: cut behind %" PRIu64 " rows, %" PRIu64 " bytes", l->rule.name,
	             ev->rows.rows, ev->rows.bytes);
	(void)record_event_id(in);
	rc = record_note(in, SL_SPAN_LIT("cut"), sl_span(text, (size_t)n));
	if (rc != SL_OK)
		return rc;
	sl_count(SL_C_CUT);
	deny(in, v, SL_RSN_LIMIT, sl_fail(SL_E_POLICY_LIMIT), in->w->over);
	v->reason.event_id = sl_span_str(in->event_id);
	v->reason.hint = sl_span_str(windows[m->window].hint);
	return SL_OK;
}

int limit_rows(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	uint64_t rows = LEASE_ROWS_MAX, bytes = LEASE_BYTES_MAX, left_rows = 0, left = 0;
	struct meter m[METERS_MAX];
	uint32_t nb, over;
	int rc;

	*v = (struct sl_verdict){.action = SL_ACT_ALLOW, .rows = UINT64_MAX, .bytes = UINT64_MAX};
	if (in->limits.nb == 0)
		return SL_OK;
	/* A policy that came meanwhile is for the next command. */
	rc = policy_usable(in, &in->now) ? SL_OK : policy_bind(in);
	if (rc != SL_OK)
		return rc;
	nb = meters(in, m);
	if (nb == 0)
		return SL_OK;
	if (!in->lease.on)
		in->lease.lost = false;
	/* What the last lease did not use, because the row at hand did not fit, counts towards it. */
	if (in->lease.on && in->lease.bytes > ev->rows.bytes)
		left = in->lease.bytes - ev->rows.bytes;
	if (in->lease.on && in->lease.rows > ev->rows.rows)
		left_rows = in->lease.rows - ev->rows.rows;
	want(in, m, nb, &rows, &bytes);
	rows = rows > 0 ? rows : 1;
	bytes = bytes + left > ev->rows.next ? bytes : ev->rows.next - smaller(left, ev->rows.next);
	over = spend(in, m, nb, rows, bytes);
	if (over < nb) { /* another flow was faster, or too little is left: just this row */
		rows = 1;
		bytes = ev->rows.next - smaller(left, ev->rows.next);
		over = spend(in, m, nb, rows, bytes);
	}
	if (over < nb)
		return cut(in, ev, &m[over], v);
	in->lease.rows = (in->lease.on ? in->lease.rows : 0) + rows;
	in->lease.bytes = (in->lease.on ? in->lease.bytes : 0) + bytes;
	in->lease.on = true;
	v->rows = left_rows + rows;
	v->bytes = left + bytes;
	return SL_OK;
}

static void settle(struct sl_inspect *in, const struct meter *m, uint64_t counted, uint64_t passed)
{
	struct sl_usage *u = in->w->cfg.usage;
	uint32_t entry = in->limits.v[m->i].entry;

	if (counted > passed)
		sl_usage_give(u, entry, m->window, in->w->wall_us, counted - passed);
	else if (passed > counted)
		(void)sl_usage_spend(u, entry, m->window, in->w->wall_us, passed - counted, SL_USAGE_MAX);
}

/* What was counted and did not pass goes back; masks can also have made rows longer than they were. */
void limit_result(struct sl_inspect *in, const struct sl_ev_result *r)
{
	struct meter m[METERS_MAX];
	uint32_t nb;

	if (r->local || !in->lease.on)
		return;
	in->lease.on = false;
	if (in->lease.lost || !policy_usable(in, &in->now))
		return;
	nb = meters(in, m);
	for (uint32_t k = 0; k < nb; k++) {
		if (is_bytes(m[k].window))
			settle(in, &m[k], in->lease.bytes, r->bytes);
		else
			settle(in, &m[k], in->lease.rows, r->rows);
	}
}
