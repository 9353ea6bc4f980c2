/*
 * The PostgreSQL decoder from both sides. The input is a script: each step gives bytes to a side (raw, or
 * framed as a message), a verdict for what is parked, an end. Verdicts, SL_AGAIN and room come from the same
 * input.
 *
 * Held as invariants: what goes to either side is whole messages one behind the other, whatever the other
 * side sends; no Query or Parse whose text was to be denied ever goes to the target; pass() stays inside what
 * was fed; nothing but SL_E_PROTO_TARGET and the like comes of a hostile target, never a crash.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "sl_postgres.h"

#define SIDE_BYTES 65536
#define MARKER     "DENY"
/* The first byte of an input. */
#define RANDOM      1 /* verdicts, SL_AGAIN and room come from the input; else from markers in texts */
#define IN_SESSION  2
#define BINDING     4 /* the target's certificate has a channel binding */
#define OFFER_TLS   8
#define REQUIRE_TLS 16
#define SMALL       32 /* a message limit of 1 KB */
#define SCARCE      64
#define OWN         128 /* a connection of the gateway's own, when it logs in before a client does */
#define NOT_TEXT    255

/* Follows a stream of messages: type, length, body. Text of Query and Parse is searched for the marker. */
struct check {
	uint8_t head[5];
	uint32_t head_n, left;
	uint8_t seen; /* bytes of the marker seen so far */
	uint8_t text; /* strings still to come before the text; NOT_TEXT: none, or it is over */
};

struct world {
	const uint8_t *p, *end;
	void *st;
	bool session; /* past the login: streams are checked */
	uint8_t in[2][SIDE_BYTES];
	size_t in_n[2];
	bool ended;
	struct check check[2];
	const uint8_t *span;
	size_t span_n;
	bool parked;
	uint8_t verdict_byte;
	size_t taken, nb_takes;
	bool scarce;    /* a block now and then is not to be had */
	bool direct[2]; /* what the side has sent and was not consumed is TLS's */
};

static uint8_t take(struct world *w)
{
	return w->p < w->end ? *w->p++ : 0;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_byte(struct check *c, enum sl_side to, uint8_t b)
{
	static const char client_types[] = "RSKZTDCI123ntsENAGHdcVvW", target_types[] = "QPBDECHSFdcfXp";

	if (c->left == 0) {
		c->head[c->head_n++] = b;
		if (c->head_n == 1) {
			must(b != 0 && strchr(to == SL_CLIENT ? client_types : target_types, b) != NULL);
			c->text = NOT_TEXT;
			if (to == SL_TARGET && (b == 'Q' || b == 'P'))
				c->text = b == 'P'; /* Parse: behind the statement's name */
			c->seen = 0;
		}
		if (c->head_n < 5)
			return;
		c->left = sl_get_be32(c->head + 1);
		must(c->left >= 4);
		c->left -= 4;
		c->head_n = 0;
		return;
	}
	c->left--;
	if (b == 0 && c->text != NOT_TEXT)
		c->text = c->text == 0 ? NOT_TEXT : 0;
	if (c->text != 0)
		return;
	if (b == (uint8_t)MARKER[c->seen])
		c->seen++;
	else
		c->seen = b == (uint8_t)MARKER[0];
	must(c->seen < sizeof(MARKER) - 1);
}

static int on_add(void *ctx, enum sl_side to, struct sl_span b)
{
	struct world *w = ctx;

	for (size_t i = 0; i < b.n && w->session; i++)
		check_byte(&w->check[to], to, b.p[i]);
	return SL_OK;
}

static int on_pass(void *ctx, enum sl_side to, struct sl_span b)
{
	struct world *w = ctx;

	must(b.n > 0 && b.p >= w->span && b.p + b.n <= w->span + w->span_n);
	return on_add(ctx, to, b);
}

static size_t on_room(void *ctx, enum sl_side to)
{
	struct world *w = ctx;

	(void)to;
	return w->verdict_byte & RANDOM && (take(w) & 7) == 0 ? take(w) : 1u << 16;
}

static int on_upgrade(void *ctx, enum sl_side side)
{
	struct world *w = ctx;

	return side == SL_TARGET || (w->verdict_byte & OFFER_TLS) ? SL_OK : SL_E_PROTO_UNSUPPORTED;
}

static int on_upgrade_direct(void *ctx, enum sl_side side)
{
	((struct world *)ctx)->direct[side] = true;
	return on_upgrade(ctx, side);
}

static size_t on_channel_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	struct world *w = ctx;

	(void)side;
	memset(out, 'b', 32);
	return w->verdict_byte & BINDING ? 32 : 0;
}

static bool has(struct sl_span s, const char *what)
{
	return s.n > 0 && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* What a session credential's login gets; the nonce is known, so that a corpus can go on from it. */
static const struct sl_auth_more auth_more = {.salt = SL_SPAN_LIT("saltsaltsaltsalt"), .iterations = 4096};

static bool marked(struct sl_span s)
{
	return has(s, MARKER);
}

static enum sl_action command(const struct sl_ev_command *c, uint8_t r)
{
	if (marked(c->text) || (r & 0x70) == 0x10)
		return SL_ACT_DENY;
	if ((r & 0x70) == 0x20 || (c->phase != SL_PHASE_PREPARE && has(c->text, "HOLD")))
		return SL_ACT_PARK;
	return SL_ACT_ALLOW;
}

/* As a text says it. */
static uint8_t names(struct sl_span text)
{
	return (uint8_t)((has(text, "fetch") ? SL_NAMES_FETCH : 0) |
	                 (has(text, "execute") ? SL_NAMES_EXECUTE | SL_NAMES_OPEN : 0) |
	                 (has(text, "declare") ? SL_NAMES_OPEN : 0) |
	                 (has(text, "deallocate") ? SL_NAMES_DEALLOCATE : 0) |
	                 (has(text, "prepare") ? SL_NAMES_PREPARE : 0));
}

/* Each other column, in a format that hangs on r; a COPY of no bytes to go by is refused at times. */
static void rowmeta(const struct sl_ev_rowmeta *m, uint8_t r, struct sl_verdict *v)
{
	struct sl_copy *copy = m->copy;

	for (uint32_t i = 0; i < m->nb_columns; i++)
		m->want[i] = copy != NULL ? (i ^ r) & 1 : m->columns[i].name.n % 2;
	v->look = copy == NULL && (r & 1) != 0;
	if (copy == NULL)
		return;
	must(copy->kept.n <= SL_KEEP_MAX);
	v->action = (r & 14) == 14 ? SL_ACT_DENY : SL_ACT_ALLOW;
	copy->csv = (r & 16) != 0;
	copy->header = (r & 32) != 0;
	copy->delimiter = r & 64 ? ',' : '\t';
	copy->quote = '"';
	copy->escape = r & 128 ? '\\' : '"';
	copy->null_n = copy->csv ? 0 : 2;
	memcpy(copy->null, "\\N", 2);
}

static void report(const struct sl_ev_report *p, uint8_t r, struct sl_verdict *v)
{
	for (int i = 0; i < SL_REPORT_TEXTS; i++)
		must(p->text[i].n <= SIDE_BYTES);
	v->action = r & 16 ? SL_ACT_ALLOW : SL_ACT_REPLACE;
	v->nameless = (r & 32) != 0;
	v->replace = SL_SPAN_LIT("withheld");
}

static int on_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	static const uint8_t by[300];
	struct world *w = ctx;
	uint8_t r = 0;

	if (w->verdict_byte & RANDOM) {
		r = take(w);
		if ((r & 15) == 0)
			return SL_AGAIN;
	}
	v->reason.code = (enum sl_reason_code)(r % 14);
	v->reason.message = SL_SPAN_LIT("no");
	v->reason.event_id = SL_SPAN_LIT("1");
	v->auth = &auth_more;
	switch (ev->kind) {
	case SL_EV_AUTH:
		v->action = r & 16 || has(ev->auth.token, "park") ? SL_ACT_PARK
		            : has(ev->auth.token, "bad")          ? SL_ACT_DENY
		                                                  : SL_ACT_ALLOW;
		w->parked = v->action == SL_ACT_PARK;
		break;
	case SL_EV_SESSION:
		if (r & 32)
			v->action = SL_ACT_DENY;
		break;
	case SL_EV_COMMAND:
		must(ev->cmd > 0);
		for (uint32_t i = 0; i < ev->command.nb_params; i++)
			must(ev->command.params[i].value.n <= SIDE_BYTES);
		v->action = command(&ev->command, r);
		v->mark = r;
		v->keep = sl_span_sub(ev->command.text, 0, r);
		v->names = names(ev->command.text);
		v->name = has(ev->command.text, "from f")         ? SL_SPAN_LIT("f")
		          : has(ev->command.text, "deallocate s") ? SL_SPAN_LIT("s")
		                                                  : SL_SPAN_EMPTY;
		w->parked = v->action == SL_ACT_PARK;
		break;
	case SL_EV_ROWMETA:
		rowmeta(&ev->rowmeta, r, v);
		break;
	case SL_EV_REPORT:
		report(&ev->report, r, v);
		break;
	case SL_EV_ROWS:
		must(ev->rows.next > 0);
		v->action = (r & 112) == 112 ? SL_ACT_DENY : SL_ACT_ALLOW;
		v->rows = (r & 3) + 1;
		v->bytes = ev->rows.next + r;
		break;
	case SL_EV_ROW:
		must(ev->row.nb > 0);
		for (uint32_t i = 0; i < ev->row.nb; i++) {
			must(ev->row.values[i].want == 1 && ev->row.values[i].value.n <= SIDE_BYTES);
			ev->row.values[i].clean = (r >> i % 8 & 1) != 0;
		}
		break;
	case SL_EV_FIELD:
		must(ev->field.want == 1);
		v->action = r & 64                                                ? SL_ACT_ALLOW
		            : (r & 48) == 48 || has(ev->field.column.name, "bad") ? SL_ACT_DENY
		                                                                  : SL_ACT_REPLACE;
		v->replace = r & 128 || has(ev->field.column.name, "nul") ? SL_SPAN_EMPTY
		                                                          : sl_span(by, (size_t)r + 1);
		break;
	default:
		break;
	}
	return SL_OK;
}

/* In a heap block of its own, so that a read past the span shows. */
static void feed(struct world *w, enum sl_side s, size_t limit)
{
	size_t n = w->in_n[s] < limit ? w->in_n[s] : limit, used = 0;
	uint8_t *copy = malloc(n > 0 ? n : 1);
	int rc;

	if (copy == NULL)
		return;
	memcpy(copy, w->in[s], n);
	w->span = copy;
	w->span_n = n;
	rc = sl_postgres_decoder.feed(w->st, s, sl_span(copy, n), &used);
	free(copy);
	if (rc < 0) {
		struct sl_reason r = {.code = SL_RSN_PROTOCOL, .err = rc, .message = SL_SPAN_LIT("bye")};

		(void)sl_postgres_decoder.inject(w->st, SL_INJ_BYE, &r);
		w->ended = true;
		return;
	}
	must(used <= n);
	if (w->direct[s]) {
		w->direct[s] = false;
		used = n = w->in_n[s];
	}
	memmove(w->in[s], w->in[s] + used, w->in_n[s] - used);
	w->in_n[s] -= used;
	if (rc == SL_CLOSED)
		w->ended = s == SL_CLIENT;
}

static void give(struct world *w, enum sl_side s, const void *b, size_t n)
{
	if (n > SIDE_BYTES - w->in_n[s])
		n = SIDE_BYTES - w->in_n[s];
	memcpy(w->in[s] + w->in_n[s], b, n);
	w->in_n[s] += n;
}

/* op: 8 TLS, 16 at once, 32 protocol 3.2, 64 TLS and channel binding required, 128 no binding. */
static void login(struct world *w, uint8_t op)
{
	struct sl_login l = {
	        .user = SL_SPAN_LIT("svc"), .secret = SL_SPAN_LIT("pw"), .database = SL_SPAN_LIT("db")};

	l.tls_offered = (op & 8) != 0;
	l.tls_direct = (op & 16) != 0;
	l.minor = op & 32 ? 2 : 0;
	l.tls_required = (op & 64) != 0;
	l.binding = op & 64 ? SL_BINDING_REQUIRE : op & 128 ? SL_BINDING_OFF : SL_BINDING_PREFER;
	if (op != 0 && (w->verdict_byte & OWN))
		l.query = SL_SPAN_LIT("catalog");
	(void)sl_postgres_decoder.login(w->st, &l);
	w->direct[SL_TARGET] = false; /* nothing was fed: all that comes is inside */
}

/* A whole login, so that the session is reached with each input. */
static void enter_session(struct world *w)
{
	static const char client[] = "\0\0\0\x10\0\3\0\0user\0a\0\0p\0\0\0\6t";
	static const char target[] =
	        "R\0\0\0\x08\0\0\0\0S\0\0\0\x19"
	        "client_encoding\0UTF8\0"
	        "S\0\0\0\x23standard_conforming_strings\0on\0K\0\0\0\x0c\0\0\0\1\0\0\0\2Z\0\0\0\5I";

	give(w, SL_CLIENT, client, sizeof(client));
	feed(w, SL_CLIENT, SIZE_MAX);
	login(w, 0);
	give(w, SL_TARGET, target, sizeof(target) - 1);
	feed(w, SL_TARGET, SIZE_MAX);
	must(!w->ended && w->in_n[0] == 0 && w->in_n[1] == 0);
	w->session = true;
}

static void step_bytes(struct world *w, uint8_t op, bool framed)
{
	enum sl_side s = op & 8 ? SL_TARGET : SL_CLIENT;
	size_t n = take(w);
	uint8_t head[5] = {0};

	if (n > (size_t)(w->end - w->p))
		n = (size_t)(w->end - w->p);
	if (framed) {
		head[0] = take(w);
		n = n > (size_t)(w->end - w->p) ? (size_t)(w->end - w->p) : n;
		sl_put_be32(head + 1, (uint32_t)(n + 4));
		give(w, s, head, 5);
	}
	give(w, s, w->p, n);
	w->p += n;
	if (op & 16)
		feed(w, s, op & 32 ? take(w) : SIZE_MAX);
}

static void step(struct world *w)
{
	uint8_t op = take(w);
	struct sl_verdict v = {.auth = &auth_more};

	switch (op & 7) {
	case 0:
	case 1:
		step_bytes(w, op, false);
		break;
	case 2:
	case 3:
	case 4:
		step_bytes(w, op, true);
		break;
	case 5:
		if (w->parked) {
			v.action = op & 8 ? SL_ACT_DENY : SL_ACT_ALLOW;
			v.reason.message = SL_SPAN_LIT("no");
			w->parked = w->session && (op & 16) != 0; /* a command: told that it waits */
			if (w->parked)
				v.action = SL_ACT_PARK;
			must(sl_postgres_decoder.resume(w->st, &v) == SL_OK);
		} else if (!w->session) {
			login(w, op);
		}
		break;
	case 6:
		feed(w, SL_TARGET, SIZE_MAX);
		if (!w->ended)
			feed(w, SL_CLIENT, SIZE_MAX);
		break;
	default:
		if (op == 0xff)
			w->ended = sl_postgres_decoder.eof(w->st, take(w) & 1 ? SL_CLIENT : SL_TARGET) <= 0;
		break;
	}
}

static void *on_take(void *ctx, size_t bytes)
{
	struct world *w = ctx;

	w->nb_takes++;
	if (w->scarce && w->nb_takes % 3 == 0)
		return NULL;
	w->taken += bytes;
	must(w->taken <= sl_postgres_decoder.take_max);
	return malloc(bytes);
}

static void on_give(void *ctx, void *p, size_t bytes)
{
	struct world *w = ctx;

	must(p != NULL && bytes <= w->taken);
	w->taken -= bytes;
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	static void *st;
	static void *scratch;
	struct sl_decoder_cfg cfg = {.message_max = 4096};
	const struct sl_io io = {&w,      on_event,   on_pass,           on_add,
	                         on_room, on_upgrade, on_upgrade_direct, on_channel_binding,
	                         on_take, on_give};
	uint8_t out[300];

	if (size < 2)
		return 0;
	if (st == NULL)
		st = aligned_alloc(64, (sl_postgres_decoder.state_bytes + 63) & ~(size_t)63);
	if (scratch == NULL)
		scratch = malloc(sl_postgres_decoder.scratch_bytes);
	if (st == NULL || scratch == NULL)
		return 0;
	cfg.scratch = scratch;
	memset(&w, 0, sizeof(w));
	memset(st, 0, sl_postgres_decoder.state_bytes);
	w.st = st;
	w.p = data + 1;
	w.end = data + size;
	w.scarce = (data[0] & SCARCE) != 0;
	w.verdict_byte = data[0] & OFFER_TLS; /* no verdicts of the input on the way into the session */
	cfg.client_tls_offered = (data[0] & OFFER_TLS) != 0;
	cfg.client_tls_required = (data[0] & REQUIRE_TLS) != 0 && (data[0] & IN_SESSION) == 0;
	if (data[0] & SMALL)
		cfg.message_max = 1024;
	must(sl_postgres_decoder.open(st, &cfg, &io) == SL_OK);
	if (data[0] & IN_SESSION)
		enter_session(&w);
	w.verdict_byte = data[0];
	while (w.p < w.end && !w.ended)
		step(&w);
	(void)sl_postgres_decoder.cancel_request(st, out, sizeof(out));
	sl_postgres_decoder.close(st);
	must(w.taken == 0);
	return 0;
}
