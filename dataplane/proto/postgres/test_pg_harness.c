#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_priv.h"
#include "sl_postgres.h"
#include "test_pg_harness.h"
#include "test_pg_text.h"

#define BYTES_MAX    (1u << 20)
#define ROUNDS       12    /* random replays */
#define ALL_CUTS     1024  /* bytes of a script that is cut everywhere */
#define BYTEWISE_MAX 16384 /* bytes of one that also comes byte by byte, and at random */

struct world {
	const struct pgh_opts *opts;
	void *st;
	struct sl_login login;
	struct {
		uint8_t *b;
		size_t n;
		int rc;
		bool tls, direct, eof;
	} in[2];
	struct {
		uint8_t *b;
		size_t n;
		bool started;
	} out[2];
	struct text events, log;
	const uint8_t *span; /* what feed() was given: pass() must stay inside */
	size_t span_n;
	bool again;     /* answer SL_AGAIN and lack room at random */
	size_t room[2]; /* left for this call of the decoder */
	bool over;      /* it said more than that, which only its last word may */
	uint32_t seed;
	char replace[64];
	size_t taken; /* bytes of blocks that the decoder holds */
	size_t taken_most;
};

static uint32_t rnd(struct world *w)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return w->seed >> 16;
}

static size_t some_room(struct world *w)
{
	if (!w->again)
		return 1u << 16;
	return rnd(w) % 3 == 0 ? rnd(w) % 8 : SL_DEC_ROOM_MIN;
}

/* ---- the flow's side of the contract ---- */

static bool has(struct sl_span s, const char *what)
{
	return s.n > 0 && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

#define S(s) (int)(s).n, (const char *)(s).p

/* Verdicts on texts with MARK have one. */
static const char *mark(const struct sl_event *ev)
{
	assert_true(ev->mark == 0 || ev->mark == 5);
	return ev->mark == 5 ? " mark" : "";
}

static void log_command(struct text *t, const struct sl_event *ev)
{
	static const char *const phases[] = {"", "simple", "prepare", "execute", "other"};
	const struct sl_ev_command *c = &ev->command;

	pgt_put(t, "!: COMMAND %u %s%s ", (unsigned)ev->cmd, phases[c->phase], c->unread ? " unread" : "");
	if (c->phase == SL_PHASE_OTHER)
		pgt_put(t, "%.*s", S(c->op));
	else
		pgt_put(t, "%.*s", S(c->text));
	for (uint32_t i = 0; i < c->nb_params; i++) {
		if (c->params[i].value.p == NULL)
			pgt_put(t, "|NULL");
		else
			pgt_put(t, "|%.*s:%u", S(c->params[i].value), c->params[i].type);
		if (c->params[i].more > 0)
			pgt_put(t, "+%u", c->params[i].more);
	}
	if (c->nb_more > 0)
		pgt_put(t, " and %u more", c->nb_more);
	pgt_put(t, "\n");
}

static void log_event(struct text *t, const struct sl_event *ev)
{
	switch (ev->kind) {
	case SL_EV_AUTH:
		if (ev->auth.step == SL_AUTH_SALT) {
			pgt_put(t, "!: SALT %.*s\n", S(ev->auth.user));
			break;
		}
		if (ev->auth.step == SL_AUTH_PROOF) {
			pgt_put(t, "!: PROOF %.*s|%.*s|%zu\n", S(ev->auth.user), S(ev->auth.token),
			        ev->auth.proof.n);
			break;
		}
		pgt_put(t, "!: AUTH %.*s|%.*s|%.*s\n", S(ev->auth.user), S(ev->auth.database),
		        S(ev->auth.token));
		break;
	case SL_EV_SESSION:
		pgt_put(t, "!: SESSION %.*s\n", S(ev->session.server_version));
		break;
	case SL_EV_COMMAND:
		log_command(t, ev);
		break;
	case SL_EV_RESULT:
		pgt_put(t, "!: RESULT %u %.*s rows=%u masked=%u%s%s%s%.*s%s\n", (unsigned)ev->cmd,
		        S(ev->result.tag), (unsigned)ev->result.rows, ev->result.masked,
		        ev->result.failed ? " failed" : "", ev->result.local ? " local" : "",
		        ev->result.sqlstate.n > 0 ? " " : "", S(ev->result.sqlstate), mark(ev));
		break;
	case SL_EV_ROWS:
		pgt_put(t, "!: ROWS %u %u %u\n", (unsigned)ev->cmd, (unsigned)ev->rows.rows,
		        (unsigned)ev->rows.next);
		break;
	case SL_EV_ROWMETA:
		pgt_put(t, "!: ROWMETA %u %u%s%s%.*s\n", (unsigned)ev->cmd, ev->rowmeta.nb_columns, mark(ev),
		        ev->rowmeta.copy != NULL && ev->rowmeta.copy->kept.n > 0 ? " kept " : "",
		        S(ev->rowmeta.copy != NULL ? ev->rowmeta.copy->kept : SL_SPAN_EMPTY));
		break;
	case SL_EV_ROW: /* as the row is long or short, and there is room or not */
		break;
	case SL_EV_FIELD:
		if (has(ev->field.column.name, "clean"))
			break;
		pgt_put(t, "!: FIELD %.*s=", S(ev->field.column.name));
		pgt_bytes(t, ev->field.value.p, ev->field.value.n);
		pgt_put(t, "%s\n", mark(ev));
		break;
	case SL_EV_CATALOG:
		pgt_put(t, "!: CATALOG%s", ev->catalog.end ? " end" : "");
		for (int i = 0; i < SL_CATALOG_ROW && !ev->catalog.end; i++)
			pgt_put(t, " %.*s",
			        S(ev->catalog.col[i].p == NULL ? SL_SPAN_LIT("-") : ev->catalog.col[i]));
		pgt_put(t, "\n");
		break;
	case SL_EV_CANCEL:
		pgt_put(t, "!: CANCEL %u ", ev->cancel.pid);
		pgt_key(t, ev->cancel.key.p, ev->cancel.key.n);
		pgt_put(t, "\n");
		break;
	case SL_EV_REPORT:
		pgt_put(t, "!: REPORT %u %u%s %.*s%s", (unsigned)ev->cmd, (unsigned)ev->report.kind,
		        ev->report.unread ? " unread" : "", S(ev->report.sqlstate), mark(ev));
		for (int i = 0; i < SL_REPORT_TEXTS; i++)
			pgt_put(t, "|%.*s", S(ev->report.text[i]));
		pgt_put(t, "\n");
		break;
	case SL_EV_ERROR:
		pgt_put(t, "!: ERROR %s\n", sl_err_name(ev->error.err));
		break;
	default:
		pgt_put(t, "!: event %d\n", (int)ev->kind);
	}
}

static void deny(struct sl_verdict *v, const char *message)
{
	v->action = SL_ACT_DENY;
	v->reason.code = SL_RSN_POLICY;
	v->reason.message = sl_span_str(message);
	v->reason.event_id = SL_SPAN_LIT("EV");
}

/* A value of a COPY: in brackets, "nul" by NULL, "bad" is denied, "keep" allowed, "esc" by what needs
 * escapes, "big" by 300 "x".
 */
static void verdict_copy(struct world *w, const struct sl_ev_field *f, struct sl_verdict *v)
{
	size_t n = f->value.n < sizeof(w->replace) - 2 ? f->value.n : sizeof(w->replace) - 2;

	if (sl_span_is(f->value, "keep"))
		return;
	v->action = sl_span_is(f->value, "bad") ? SL_ACT_DENY : SL_ACT_REPLACE;
	v->reason.code = SL_RSN_UNREADABLE;
	if (sl_span_is(f->value, "nul"))
		return;
	w->replace[0] = '<';
	if (n > 0)
		memcpy(w->replace + 1, f->value.p, n);
	w->replace[n + 1] = '>';
	v->replace = sl_span(w->replace, n + 2);
	if (sl_span_is(f->value, "esc"))
		v->replace = SL_SPAN_LIT("a\tb\nc\\d\"e,f");
}

/* Columns: ssn is replaced by "#", long by 40 "x", nul by NULL; bad is denied, keep allowed; ssn in binary is
 * denied. */
static void verdict_field(struct world *w, const struct sl_ev_field *f, struct sl_verdict *v)
{
	assert_true(f->seen == 0 || f->seen == 1 + f->value.n); /* as ROW gave it */
	if (f->column.name.n == 0) {
		verdict_copy(w, f, v);
		return;
	}
	if (has(f->column.name, "bad") || f->column.format == 1) {
		v->action = SL_ACT_DENY;
		v->reason.code = SL_RSN_UNREADABLE;
		return;
	}
	if (has(f->column.name, "keep") || has(f->column.name, "clean"))
		return;
	v->action = SL_ACT_REPLACE;
	if (has(f->column.name, "nul"))
		return;
	memset(w->replace, 'x', 40);
	w->replace[0] = has(f->column.name, "long") ? 'x' : '#';
	v->replace = sl_span(w->replace, has(f->column.name, "long") ? 40 : 1);
}

/* What the management core would say to a session credential: nonce and signature are zeros. */
static const struct sl_auth_more auth_more = {.salt = SL_SPAN_LIT("saltsaltsaltsalt"), .iterations = 4096};

static bool parks(const struct sl_ev_auth *a)
{
	return has(a->token, "park") || (a->step != SL_AUTH_TOKEN && has(a->user, "park"));
}

static void verdict_report(const struct sl_ev_report *r, struct sl_verdict *v)
{
	for (int i = 0; i < SL_REPORT_TEXTS; i++) {
		if (has(r->text[i], "HIDE"))
			v->action = SL_ACT_REPLACE;
		if (has(r->text[i], "NAMES"))
			v->nameless = true;
	}
	if (r->unread)
		v->action = SL_ACT_REPLACE;
	v->replace = SL_SPAN_LIT("hidden");
}

static void verdict_copy_meta(struct world *w, const struct sl_ev_rowmeta *m, struct sl_verdict *v)
{
	struct sl_span kept = m->copy->kept;
	bool binary = m->copy->binary;

	if (w->opts->mask_copy)
		deny(v, "COPY denied");
	if (w->opts->copy_want == NULL)
		return;
	for (const char *p = w->opts->copy_want; *p != '\0'; p++)
		m->want[*p - '0'] = 7;
	*m->copy = w->opts->copy;
	m->copy->binary = binary;
	m->copy->kept = kept;
}

static void verdicts(struct world *w, const struct sl_event *ev, struct sl_verdict *v)
{
	static const char *const wanted[] = {"ssn", "long", "nul", "bad", "keep", "clean"};
	static const struct {
		const char *word;
		uint8_t bits;
	} names[] = {{"FETCH", SL_NAMES_FETCH},
	             {"EXECUTE", SL_NAMES_EXECUTE | SL_NAMES_OPEN},
	             {"DECLARE", SL_NAMES_OPEN},
	             {"DEALLOCATE", SL_NAMES_DEALLOCATE},
	             {"PREPARE", SL_NAMES_PREPARE}};

	v->auth = &auth_more;
	if (ev->kind == SL_EV_COMMAND && has(ev->command.text, "MARK"))
		v->mark = 5;
	for (uint32_t i = 0; ev->kind == SL_EV_COMMAND && i < sizeof(names) / sizeof(names[0]); i++)
		v->names |= has(ev->command.text, names[i].word) ? names[i].bits : 0;
	if (ev->kind == SL_EV_COMMAND && has(ev->command.text, "FETCH "))
		v->name = sl_span_sub(ev->command.text, sizeof("FETCH ") - 1, ev->command.text.n);
	if (ev->kind == SL_EV_COMMAND && has(ev->command.text, "DEALLOCATE "))
		v->name = sl_span_sub(ev->command.text, sizeof("DEALLOCATE ") - 1, ev->command.text.n);
	if (ev->kind == SL_EV_COMMAND && has(ev->command.text, "PREPARE "))
		v->name = sl_span_sub(ev->command.text, sizeof("PREPARE ") - 1, ev->command.text.n);
	if (ev->kind == SL_EV_COMMAND && ev->command.phase != SL_PHASE_PREPARE &&
	    has(ev->command.text, "KEEP"))
		v->keep = ev->command.text;
	if (ev->kind == SL_EV_AUTH && parks(&ev->auth))
		v->action = SL_ACT_PARK;
	else if (ev->kind == SL_EV_AUTH && has(ev->auth.token, "bad"))
		deny(v, "bad token");
	else if (ev->kind == SL_EV_SESSION && w->opts->session_denied)
		deny(v, "no session");
	else if (ev->kind == SL_EV_COMMAND &&
	         (has(ev->command.text, "DENY") || ev->command.phase == SL_PHASE_OTHER ||
	          (has(ev->command.text, "NAMED") && !ev->command.named)))
		deny(v, "denied");
	else if (ev->kind == SL_EV_COMMAND && ev->command.phase != SL_PHASE_PREPARE &&
	         has(ev->command.text, "HOLD")) {
		deny(v, "held");
		v->action = SL_ACT_PARK;
		v->reason.code = SL_RSN_HELD;
	} else if (ev->kind == SL_EV_FIELD) {
		verdict_field(w, &ev->field, v);
	} else if (ev->kind == SL_EV_ROW) {
		for (uint32_t i = 0; i < ev->row.nb; i++) {
			assert_true(ev->row.values[i].want == 7 && !ev->row.values[i].clean &&
			            ev->row.values[i].seen == 0);
			ev->row.values[i].seen = (uint16_t)(1 + ev->row.values[i].value.n);
			ev->row.values[i].clean = has(ev->row.values[i].column, "clean");
		}
	} else if (ev->kind == SL_EV_ROWS) {
		v->bytes = UINT64_MAX;
		v->rows = w->opts->rows_max != 0 ? w->opts->rows_lease : UINT64_MAX;
		if (w->opts->rows_max != 0 && ev->rows.rows >= w->opts->rows_max) {
			deny(v, "over");
			v->reason.code = SL_RSN_LIMIT;
		}
	} else if (ev->kind == SL_EV_REPORT) {
		verdict_report(&ev->report, v);
	} else if (ev->kind == SL_EV_ROWMETA && ev->rowmeta.copy != NULL) {
		verdict_copy_meta(w, &ev->rowmeta, v);
	} else if (ev->kind == SL_EV_ROWMETA) {
		for (uint32_t i = 0; i < ev->rowmeta.nb_columns; i++) {
			for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++)
				if (has(ev->rowmeta.columns[i].name, wanted[k]))
					ev->rowmeta.want[i] = 7;
			v->look |= has(ev->rowmeta.columns[i].name, "clean");
		}
	}
}

static int on_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct world *w = ctx;

	if (w->again && rnd(w) % 3 == 0)
		return SL_AGAIN;
	if ((ev->kind != SL_EV_ROWS || w->opts->rows_max != 0) &&
	    (ev->kind != SL_EV_REPORT || w->opts->reports))
		log_event(&w->events, ev);
	verdicts(w, ev, v);
	return SL_OK;
}

static int on_add(void *ctx, enum sl_side to, struct sl_span b)
{
	struct world *w = ctx;

	w->over |= b.n > w->room[to];
	w->room[to] -= b.n < w->room[to] ? b.n : w->room[to];
	assert_true(w->out[to].n + b.n <= BYTES_MAX);
	if (b.n > 0)
		memcpy(w->out[to].b + w->out[to].n, b.p, b.n);
	w->out[to].n += b.n;
	return 0;
}

static int on_pass(void *ctx, enum sl_side to, struct sl_span b)
{
	struct world *w = ctx;

	assert_true(b.n > 0 && b.p >= w->span && b.p + b.n <= w->span + w->span_n);
	return on_add(ctx, to, b);
}

static size_t on_room(void *ctx, enum sl_side to)
{
	return ((struct world *)ctx)->room[to];
}

static int on_upgrade(void *ctx, enum sl_side side)
{
	struct world *w = ctx;

	pgt_put(&w->events, "!: UPGRADE %c\n", side == SL_CLIENT ? 'C' : 'T');
	w->in[side].tls = true;
	return SL_OK;
}

static int on_upgrade_direct(void *ctx, enum sl_side side)
{
	struct world *w = ctx;

	pgt_put(&w->events, "!: UPGRADE %c direct\n", side == SL_CLIENT ? 'C' : 'T');
	w->in[side].tls = w->in[side].direct = true;
	return SL_OK;
}

static size_t on_channel_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	struct world *w = ctx;

	if (!w->in[side].tls || w->opts->no_binding)
		return 0;
	memset(out, 'b', 32);
	return 32;
}

/* Of the exact size, so that a byte behind it shows. */
static void *on_take(void *ctx, size_t bytes)
{
	struct world *w = ctx;

	if (w->opts->no_blocks && w->taken_most > 0)
		return NULL;
	w->taken += bytes;
	assert_true(w->taken <= sl_postgres_decoder.take_max);
	if (w->taken > w->taken_most)
		w->taken_most = w->taken;
	return memset(malloc(bytes), 0xa5, bytes);
}

static void on_give(void *ctx, void *p, size_t bytes)
{
	struct world *w = ctx;

	assert_true(p != NULL && bytes <= w->taken);
	w->taken -= bytes;
	free(p);
}

/* ---- replay ---- */

/* Feeds a side what it has; a heap copy, so that a read past the span shows. Returns true when anything
 * moved. */
static bool feed(struct world *w, enum sl_side s, size_t limit)
{
	size_t n = w->in[s].n < limit ? w->in[s].n : limit, used = 0, before = w->events.n;
	uint8_t *copy = malloc(n > 0 ? n : 1);
	size_t out = w->out[0].n + w->out[1].n;

	if (n > 0)
		memcpy(copy, w->in[s].b, n);
	w->span = copy;
	w->span_n = n;
	w->room[SL_CLIENT] = some_room(w);
	w->room[SL_TARGET] = some_room(w);
	w->over = false;
	w->in[s].rc = sl_postgres_decoder.feed(w->st, s, sl_span(copy, n), &used);
	free(copy);
	if (w->in[s].rc < 0)
		return false;
	assert_true(used <= n && !w->over);
	if (w->in[s].direct) { /* all that was not consumed is TLS's */
		w->in[s].direct = false;
		w->in[s].n = used = 0;
	}
	memmove(w->in[s].b, w->in[s].b + used, w->in[s].n - used);
	w->in[s].n -= used;
	return used > 0 || w->events.n > before || w->out[0].n + w->out[1].n > out;
}

/* Both sides until nothing moves. With random SL_AGAIN "nothing moved" proves nothing at first. */
static void settle(struct world *w, enum sl_side first)
{
	int quiet = 0;

	while (quiet < (w->again ? 60 : 2)) {
		bool moved = false;

		for (int i = 0; i < 2; i++) {
			enum sl_side s = i == 0 ? first : (enum sl_side) !first;

			if (w->in[s].rc < 0)
				return;
			if (!w->in[s].eof && (w->in[s].n > 0 || w->again))
				moved = feed(w, s, SIZE_MAX) || moved;
		}
		quiet = moved ? 0 : quiet + 1;
	}
}

enum how {
	WHOLE,
	BYTES,
	CUT,
	RANDOM,
};

static void give(struct world *w, enum sl_side s, const uint8_t *b, size_t n, enum how how, size_t cut)
{
	for (size_t at = 0; at < n;) {
		size_t k = how == WHOLE ? n : how == CUT ? (at == 0 && cut < n ? cut : n - at) : cut;

		if (how == RANDOM)
			k = 1 + rnd(w) % 40;
		k = k == 0 || k > n - at ? n - at : k;
		assert_true(w->in[s].n + k <= BYTES_MAX);
		memcpy(w->in[s].b + w->in[s].n, b + at, k);
		w->in[s].n += k;
		at += k;
		settle(w, s);
	}
}

static enum sl_reason_code reason_of(const char *s)
{
	return strcmp(s, "refused") == 0       ? SL_RSN_REFUSED
	       : strcmp(s, "cancelled") == 0   ? SL_RSN_CANCELLED
	       : strcmp(s, "unavailable") == 0 ? SL_RSN_UNAVAILABLE
	       : strcmp(s, "shutdown") == 0    ? SL_RSN_SHUTDOWN
	       : strcmp(s, "protocol") == 0    ? SL_RSN_PROTOCOL
	                                       : SL_RSN_AUTH;
}

static void control(struct world *w, char what, char *rest)
{
	struct sl_verdict v = {.auth = &auth_more};
	char *word = pgt_part(&rest, ' ');

	w->room[SL_CLIENT] = w->room[SL_TARGET] = SL_DEC_ROOM_MIN;
	if (what == 'L') {
		struct sl_login l = {.user = SL_SPAN_LIT("svc"),
		                     .secret = SL_SPAN_LIT("pw"),
		                     .database = SL_SPAN_LIT("db")};

		l.tls_offered = strcmp(word, "tls") == 0;
		l.tls_required = strcmp(word, "tlsreq") == 0;
		l.tls_direct = strcmp(word, "direct") == 0;
		l.minor = strcmp(word, "3.2") == 0 ? 2 : 0;
		if (strcmp(word, "bind") == 0) {
			l.tls_required = true;
			l.binding = SL_BINDING_REQUIRE;
		} else if (strcmp(word, "nobind") == 0) {
			l.tls_required = true;
			l.binding = SL_BINDING_OFF;
		}
		if (w->opts->catalog)
			l.query = SL_SPAN_LIT("catalog");
		l.cancel_pid = 77;
		sl_put_be32(l.cancel_key, 88);
		assert_int_equal(sl_postgres_decoder.login(w->st, &l), SL_OK);
		w->in[SL_TARGET].direct = false; /* nothing was fed: all that comes is inside */
	} else if (what == 'R') {
		if (strcmp(word, "deny") == 0) {
			const char *code = pgt_part(&rest, ' ');

			deny(&v, rest == NULL ? "" : rest);
			v.reason.code = reason_of(code);
		} else if (strcmp(word, "wait") == 0) {
			v.action = SL_ACT_PARK;
		}
		assert_int_equal(sl_postgres_decoder.resume(w->st, &v), SL_OK);
	} else if (what == 'N') {
		struct pg *d = w->st;

		d->seq += UINT32_C(1) << 31;
		d->acts += UINT32_C(1) << 31;
	} else if (what == 'B') {
		v.reason.code = reason_of(word);
		v.reason.message = sl_span_str(rest == NULL ? "" : rest);
		assert_int_equal(sl_postgres_decoder.inject(w->st, SL_INJ_BYE, &v.reason), SL_OK);
	} else {
		enum sl_side s = word[0] == 'C' ? SL_CLIENT : SL_TARGET;
		bool again = w->again;

		w->again = false; /* called once: there is no second try */
		w->in[s].rc = sl_postgres_decoder.eof(w->st, s);
		w->again = again;
		w->in[s].eof = true;
	}
	settle(w, SL_CLIENT);
}

static void log_step(struct world *w)
{
	static const char *const names[] = {"ok", "more", "park", "again", "closed"};

	pgt_put(&w->log, "%.*s", (int)w->events.n, w->events.b);
	w->events.n = 0;
	for (int s = 0; s < 2; s++) {
		pgt_render((enum sl_side)s, w->out[s].b, w->out[s].n, &w->out[s].started, &w->log);
		w->out[s].n = 0;
	}
	for (int s = 0; s < 2; s++) {
		int rc = w->in[s].rc;

		if (rc < 0)
			pgt_put(&w->log, "=: %s\n", sl_err_name(rc));
		else if (rc >= SL_PARK && (rc != SL_AGAIN || w->in[s].n > 0) && s == SL_CLIENT &&
		         !w->opts->catalog)
			pgt_put(&w->log, "=: %s\n", names[rc]);
	}
}

/* Made once: thousands of replays use it. */
static struct {
	char *events, *log;
	uint8_t *in[2], *out[2];
	void *st, *scratch;
} memory;

static void memory_make(void)
{
	memory.events = malloc(PGT_TEXT_MAX);
	memory.log = malloc(PGT_TEXT_MAX);
	for (int i = 0; i < 2; i++) {
		memory.in[i] = malloc(BYTES_MAX);
		memory.out[i] = malloc(BYTES_MAX);
	}
	memory.st = aligned_alloc(64, (sl_postgres_decoder.state_bytes + 63) & ~(size_t)63);
	memory.scratch = malloc(sl_postgres_decoder.scratch_bytes);
}

static void world_init(struct world *w, const struct pgh_opts *opts)
{
	const struct sl_io io = {w,       on_event,   on_pass,           on_add,
	                         on_room, on_upgrade, on_upgrade_direct, on_channel_binding,
	                         on_take, on_give};
	struct sl_decoder_cfg cfg = {0};

	memset(w, 0, sizeof(*w));
	w->opts = opts;
	if (memory.st == NULL)
		memory_make();
	w->events.b = memory.events;
	w->log.b = memory.log;
	for (int i = 0; i < 2; i++) {
		w->in[i].b = memory.in[i];
		w->out[i].b = memory.out[i];
	}
	w->st = memory.st;
	memset(w->st, 0, sl_postgres_decoder.state_bytes);
	cfg.scratch = memory.scratch;
	cfg.client_tls_offered = opts->tls_offered;
	cfg.client_tls_required = opts->tls_required;
	cfg.message_max = opts->message_max == 0 ? 65536 : opts->message_max;
	assert_int_equal(sl_postgres_decoder.open(w->st, &cfg, &io), SL_OK);
}

static void world_close(struct world *w)
{
	sl_postgres_decoder.close(w->st);
	assert_int_equal(w->taken, 0);
}

/* Runs the transcript's inputs; w->log has what came of each. Returns the longest input in bytes. */
static size_t replay(struct world *w, const char *transcript, enum how how, size_t cut)
{
	char *copy = strdup(transcript), *rest = copy, *line;
	uint8_t *bytes = malloc(BYTES_MAX);
	size_t n = 0, longest = 0;
	char side = 0;

	for (;;) {
		line = pgt_part(&rest, '\n');
		if (side != 0 && (line == NULL || line[0] != side)) {
			give(w, side == 'C' ? SL_CLIENT : SL_TARGET, bytes, n, how, cut);
			longest = n > longest ? n : longest;
			n = 0;
			side = 0;
			pgt_put(&w->log, "--\n");
			log_step(w);
		}
		if (line == NULL)
			break;
		if (line[0] == 'C' || line[0] == 'T') {
			side = line[0];
			n += pgt_build(side == 'C' ? SL_CLIENT : SL_TARGET, line + 3, bytes + n);
		} else if (line[0] != '\0' && strchr("LRBFN", line[0]) != NULL) {
			control(w, line[0], line[2] == '\0' ? line + 2 : line + 3);
			pgt_put(&w->log, "--\n");
			log_step(w);
		}
	}
	free(bytes);
	free(copy);
	return longest;
}

/* The transcript's expectations, in the log's form and order: events, to the client, to the target, results.
 */
static void expected(const char *transcript, struct text *out)
{
	static const char *const order[] = {"!:", ">C", ">T", "=:"};
	const char *p = transcript;

	while (*p != '\0') {
		const char *block, *q;

		while (*p != '\0' && strchr("CT", *p) == NULL && strchr("LRBFN", *p) == NULL)
			p = strchr(p, '\n') + 1;
		if (*p == '\0')
			break;
		if (strchr("CT", *p) != NULL) {
			char side = *p;

			while (*p == side)
				p = strchr(p, '\n') + 1;
		} else {
			p = strchr(p, '\n') + 1;
		}
		pgt_put(out, "--\n");
		block = p;
		for (size_t k = 0; k < 4; k++)
			for (q = block; *q == '!' || *q == '>' || *q == '='; q = strchr(q, '\n') + 1)
				if (strncmp(q, order[k], 2) == 0)
					pgt_put(out, "%.*s", (int)(strchr(q, '\n') - q) + 1, q);
	}
}

/* One replay, of which the whole log must be what is wanted. `at` is the cut, or the seed. */
static void round_of(const char *transcript, const struct pgh_opts *opts, const char *want, enum how how,
                     size_t at)
{
	struct world w;

	world_init(&w, opts);
	w.again = how == RANDOM;
	w.seed = (uint32_t)at;
	(void)replay(&w, transcript, how, at);
	if (strcmp(w.log.b, want) != 0)
		print_message("differs: how %d, cut or seed %zu\n", (int)how, at);
	assert_string_equal(w.log.b, want);
	world_close(&w);
}

void pgh_run(const char *transcript, const struct pgh_opts *opts)
{
	static const struct pgh_opts none;
	struct world w;
	struct text want = {0, malloc(PGT_TEXT_MAX)};
	size_t longest, step;

	if (opts == NULL)
		opts = &none;
	want.b[0] = '\0';
	expected(transcript, &want);
	world_init(&w, opts);
	longest = replay(&w, transcript, WHOLE, 0);
	assert_string_equal(w.log.b, want.b);
	world_close(&w);

	/* Every round reads the whole script, so that the longer it is the fewer cuts are tried; with an odd
	 * step each place of a short message that comes often is met. */
	step = longest <= ALL_CUTS ? 1 : (longest / (ALL_CUTS * ALL_CUTS / longest + 2)) | 1;
	if (longest <= BYTEWISE_MAX)
		round_of(transcript, opts, want.b, BYTES, 1);
	for (size_t cut = step; cut <= longest; cut += step)
		round_of(transcript, opts, want.b, CUT, cut);
	for (size_t seed = 1; longest <= BYTEWISE_MAX && seed <= ROUNDS; seed++)
		round_of(transcript, opts, want.b, RANDOM, seed);
	free(want.b);
}
