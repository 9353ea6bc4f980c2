/*
 * What a row costs in the PostgreSQL decoder, by what is masked in it: rows of ten texts of 20 characters,
 * fed as they come out of TLS; values are masked by policies/mask. A row that nobody wants, and each action
 * on 1, 3 and 10 of its columns, and all detectors on all of them. One JSON object a line. Usage: row_bench
 * [SECONDS-EACH]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_mask.h"
#include "sl_policy.h"
#include "sl_postgres.h"

#define COLUMNS    10
#define WIDTH      20
#define FEED_BYTES (16 * 1024)
#define SCRATCH    (256 * 1024)
#define TURN       16 /* feeds between two looks at the clock */
#define TEXT_OID   25

static const char policy[] =
        "{kind: Resource, version: 1, metadata: {name: shop}, spec: {protocol: postgres, address: "
        "'192.0.2.1:5432', credential: c, tls: {mode: 'off'}}}\n---\n"
        "{kind: Role, version: 1, metadata: {name: app}, spec: {groups: [app], resources: [shop], allow: "
        "[read]}}\n---\n"
        "{kind: Mask, version: 1, metadata: {name: all}, spec: {action: redact, detectors: ['*']}}\n";

static const uint8_t key[SL_MASK_KEY_BYTES] = {7};
static struct sl_mask actions[] = {
        {.name = "redact", .action = SL_MASK_REDACT, .text = "***"},
        {.name = "partial", .action = SL_MASK_PARTIAL, .keep_last = 4, .text = "***"},
        {.name = "null", .action = SL_MASK_NULL, .text = "***"},
        {.name = "hash", .action = SL_MASK_HASH, .text = "***", .key = key},
        {.name = "tokenise", .action = SL_MASK_TOKENISE, .text = "***", .key = key},
};
#define NB_ACTIONS (sizeof(actions) / sizeof(actions[0]))

/* The decoder's host. */
struct world {
	void *st;
	struct sl_masker m;
	int32_t mask;    /* of the wanted columns */
	uint32_t wanted; /* the first so many */
	bool look;
	struct sl_mask_look looked[COLUMNS];
	struct sl_mask_finds finds;
	uint64_t masked, out;
};

static uint8_t scratch[SCRATCH], value[SCRATCH], sink[SCRATCH];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "row_bench: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- what the decoder asks ---- */

static void look_at(struct world *w, const struct sl_ev_row *r)
{
	struct sl_mask_look *look = w->looked;

	for (uint32_t i = 0; i < r->nb; i++)
		look[i] = (struct sl_mask_look){.value = r->values[i].value, .column = r->values[i].column};
	sl_mask_look(&w->m, look, r->nb);
	for (uint32_t i = 0; i < r->nb; i++) {
		r->values[i].clean = look[i].clean;
		r->values[i].seen = (uint16_t)(i + 1);
	}
}

static void field(struct world *w, const struct sl_ev_field *f, struct sl_verdict *v)
{
	const struct sl_mask_value mv = {.mask = w->mask,
	                                 .format = f->column.format,
	                                 .type = f->column.type,
	                                 .column = f->column.name,
	                                 .value = f->value,
	                                 .look = f->seen > 0 ? &w->looked[f->seen - 1] : NULL};
	size_t n = 0;
	enum sl_masked rc = sl_mask(&w->m, &mv, value, sizeof(value), &n);

	must(rc != SL_MASKED_REFUSE, "a value was refused");
	if (rc == SL_MASKED_PASS)
		return;
	w->masked++;
	v->action = SL_ACT_REPLACE;
	v->replace = rc == SL_MASKED_NEW ? sl_span(value, n) : SL_SPAN_EMPTY;
}

static int on_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct world *w = ctx;

	memset(v, 0, sizeof(*v));
	v->rows = v->bytes = UINT64_MAX;
	if (ev->kind == SL_EV_ROWMETA) {
		for (uint32_t i = 0; i < ev->rowmeta.nb_columns; i++)
			ev->rowmeta.want[i] = i < w->wanted;
		v->look = w->look;
	} else if (ev->kind == SL_EV_ROW) {
		look_at(w, &ev->row);
	} else if (ev->kind == SL_EV_FIELD) {
		field(w, &ev->field, v);
	}
	return SL_OK;
}

static int on_add(void *ctx, enum sl_side to, struct sl_span b)
{
	struct world *w = ctx;

	(void)to;
	must(b.n <= sizeof(sink), "an addition is too long");
	memcpy(sink, b.p, b.n);
	w->out += b.n;
	return SL_OK;
}

static size_t on_room(void *ctx, enum sl_side to)
{
	(void)ctx;
	(void)to;
	return 1u << 18;
}

static int on_upgrade(void *ctx, enum sl_side side)
{
	(void)ctx;
	(void)side;
	return SL_E_PROTO_UNSUPPORTED;
}

static size_t on_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	(void)ctx;
	(void)side;
	(void)out;
	return 0;
}

static void *on_take(void *ctx, size_t bytes)
{
	(void)ctx;
	return malloc(bytes);
}

static void on_give(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(p);
}

/* ---- bytes ---- */

static size_t message(uint8_t *to, char type, const void *body, size_t n)
{
	to[0] = (uint8_t)type;
	sl_put_be32(to + 1, (uint32_t)n + 4);
	memcpy(to + 5, body, n);
	return n + 5;
}

static size_t row_description(uint8_t *to)
{
	static const uint8_t type[] = {0,        0,   0,   0,   0,   0,   0,   0, 0,
	                               TEXT_OID, 255, 255, 255, 255, 255, 255, 0, 0};
	uint8_t b[COLUMNS * 32];
	size_t n = 2;

	sl_put_be16(b, COLUMNS);
	for (int i = 0; i < COLUMNS; i++) {
		n += (size_t)snprintf((char *)b + n, 8, "f%d", i) + 1;
		memcpy(b + n, type, sizeof(type));
		n += sizeof(type);
	}
	return message(to, 'T', b, n);
}

/* Values like hashes. */
static size_t data_row(uint8_t *to, uint32_t *seed)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t b[2 + COLUMNS * (4 + WIDTH)];
	size_t n = 2;

	sl_put_be16(b, COLUMNS);
	for (int i = 0; i < COLUMNS; i++) {
		sl_put_be32(b + n, WIDTH);
		n += 4;
		for (int k = 0; k < WIDTH; k++) {
			*seed = *seed * 1664525 + 1013904223;
			b[n++] = (uint8_t)digits[*seed >> 28];
		}
	}
	return message(to, 'D', b, n);
}

/* ---- a session ---- */

static void feed(struct world *w, enum sl_side from, const void *p, size_t n)
{
	size_t used = 0;
	int rc = sl_postgres_decoder.feed(w->st, from, sl_span(p, n), &used);

	must(rc >= 0 && used == n, "the decoder does not take it");
}

/* Through a login to the RowDescription of a query. */
static void begin(struct world *w)
{
	static const char startup[] = "\0\0\0\x14\0\3\0\0user\0agent\0";
	static const char said[] = "R\0\0\0\x08\0\0\0\0S\0\0\0\x19"
	                           "client_encoding\0UTF8\0"
	                           "S\0\0\0\x23"
	                           "standard_conforming_strings\0on\0S\0\0\0\x18"
	                           "server_version\0"
	                           "15.1\0"
	                           "K\0\0\0\x0c\0\0\0\1\0\0\0\2Z\0\0\0\5I";
	struct sl_login l = {
	        .user = SL_SPAN_LIT("svc"), .secret = SL_SPAN_LIT("x"), .database = SL_SPAN_LIT("db")};
	uint8_t b[1024];

	feed(w, SL_CLIENT, startup, sizeof(startup));
	feed(w, SL_CLIENT, b, message(b, 'p', "token", 6));
	must(sl_postgres_decoder.login(w->st, &l) == SL_OK, "no login");
	feed(w, SL_TARGET, said, sizeof(said) - 1);
	feed(w, SL_CLIENT, b, message(b, 'Q', "select", 7));
	feed(w, SL_TARGET, b, row_description(b));
}

static double ns_of_row(struct world *w, const struct sl_decoder_cfg *cfg, double seconds)
{
	const struct sl_io io = {.ctx = w,
	                         .event = on_event,
	                         .pass = on_add,
	                         .add = on_add,
	                         .room = on_room,
	                         .upgrade = on_upgrade,
	                         .upgrade_direct = on_upgrade,
	                         .channel_binding = on_binding,
	                         .take = on_take,
	                         .give = on_give};
	static uint8_t rows[FEED_BYTES];
	uint32_t nb = 0, seed = 1;
	size_t n = 0;
	double best = 0, from = now();

	memset(w->st, 0, sl_postgres_decoder.state_bytes);
	must(sl_postgres_decoder.open(w->st, cfg, &io) == SL_OK, "no decoder");
	begin(w);
	for (; n + 512 < sizeof(rows); nb++)
		n += data_row(rows + n, &seed);
	while (now() - from < seconds) {
		double t = now();

		for (int i = 0; i < TURN; i++)
			feed(w, SL_TARGET, rows, n);
		t = (now() - t) * 1e9 / TURN / nb;
		best = best == 0 || t < best ? t : best;
	}
	sl_postgres_decoder.close(w->st);
	return best;
}

static void say(const char *what, uint32_t fields, double ns, double none)
{
	printf("{\"row\": \"%s\", \"fields\": %u, \"ns\": %.0f, \"field_ns\": %.0f}\n", what, fields, ns,
	       fields > 0 ? (ns - none) / fields : 0);
}

static void run(struct world *w, const struct sl_decoder_cfg *cfg, double seconds)
{
	static const uint32_t counts[] = {1, 3, COLUMNS};
	struct sl_snapshot s = {.version = 1, .masks = actions, .nb_masks = NB_ACTIONS};
	struct sl_principal who = {.snapshot_version = 1};
	double none = ns_of_row(w, cfg, seconds);

	say("none", 0, none, 0);
	w->m.snapshot = &s;
	w->m.who = &who;
	for (size_t a = 0; a < NB_ACTIONS; a++) {
		w->mask = (int32_t)a;
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			w->wanted = counts[i];
			say(actions[a].name, counts[i], ns_of_row(w, cfg, seconds), none);
		}
	}
	must(w->masked > 0, "nothing was masked");
}

static void detectors(struct world *w, const struct sl_decoder_cfg *cfg, double seconds)
{
	struct sl_caller caller = {.subject = SL_SPAN_LIT("s"), .groups = SL_SPAN_LIT("app")};
	struct sl_policy_source src = {.file = "bench", .text = sl_span(policy, sizeof(policy) - 1)};
	struct sl_policy_error err;
	struct sl_snapshot *s = NULL;
	struct sl_principal who;
	double none;

	w->wanted = 0;
	none = ns_of_row(w, cfg, seconds);
	must(sl_policy_compile(&src, 1, 1, 1, &s, &err) == SL_OK, "the policy is wrong");
	must(sl_eval_bind(s, &caller, &s->resources[0], SL_SPAN_LIT("shop"), &who), "no role");
	w->m.snapshot = s;
	w->m.who = &who;
	w->mask = SL_MASK_CONTENT;
	w->wanted = COLUMNS;
	for (int i = 0; i < 2; i++) {
		w->look = i == 0;
		say(w->look ? "detectors" : "detectors, field by field", COLUMNS, ns_of_row(w, cfg, seconds),
		    none);
	}
	sl_policy_free(s);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.2;
	static struct world w = {.m = {.scratch = scratch, .scratch_n = sizeof(scratch), .finds = &w.finds}};
	struct sl_decoder_cfg cfg = {.message_max = 1 << 20};

	if (!(seconds > 0))
		return 2;
	w.st = aligned_alloc(64, (sl_postgres_decoder.state_bytes + 63) & ~(size_t)63);
	cfg.scratch = malloc(sl_postgres_decoder.scratch_bytes);
	must(w.st != NULL && cfg.scratch != NULL, "no memory");
	run(&w, &cfg, seconds);
	detectors(&w, &cfg, seconds);
	free(cfg.scratch);
	free(w.st);
	return 0;
}
