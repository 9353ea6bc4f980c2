/*
 * What masking a value costs: nanoseconds of a field by action and type, and the speed at which all detectors
 * look through texts, beside the pattern engine alone over the same bytes: text by text, and rows of texts in
 * one scan each; and what a byte costs in texts full of what nearly is a find. One JSON object a line. Usage:
 * mask_bench [SECONDS-EACH]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_mask.h"
#include "sl_policy.h"

#define SCRATCH 65536
#define TURN    64 /* values between two looks at the clock */

static const char policy[] =
        "{kind: Resource, version: 1, metadata: {name: shop}, spec: {protocol: postgres, address: "
        "'192.0.2.1:5432', "
        "credential: c, tls: {mode: 'off'}}}\n---\n"
        "{kind: Role, version: 1, metadata: {name: app}, spec: {groups: [app], resources: [shop], allow: "
        "[read]}}\n"
        "---\n"
        "{kind: Mask, version: 1, metadata: {name: all}, spec: {action: redact, detectors: ['*']}}\n";

static const uint8_t key[SL_MASK_KEY_BYTES] = {7};
static const char *const paths[] = {"$.ssn", "$.items[*].card"};

static struct sl_mask actions[] = {
        {.name = "redact", .action = SL_MASK_REDACT, .text = "***"},
        {.name = "partial", .action = SL_MASK_PARTIAL, .keep_last = 4, .text = "***"},
        {.name = "null", .action = SL_MASK_NULL, .text = "***"},
        {.name = "hash", .action = SL_MASK_HASH, .text = "***"},
        {.name = "tokenise", .action = SL_MASK_TOKENISE, .text = "***"},
        {.name = "date", .action = SL_MASK_DATE, .unit = SL_MASK_YEAR, .text = "***"},
        {.name = "json",
         .action = SL_MASK_REDACT,
         .text = "***",
         .json = {(const char **)(uintptr_t)paths, 2}},
};
#define NB_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static const struct {
	const char *name;
	uint32_t type;
	uint8_t format;
	struct sl_span value;
} values[] = {
        {"text", 25, 0, SL_SPAN_LIT("4111-1111-1111-1111")},
        {"name", 25, 0, SL_SPAN_LIT("Ann-Kathrin Mustermann 42")},
        {"int8", 20, 1, SL_SPAN_LIT("\0\x0e\x9b\x01\xba\x4c\x31\xc7")},
        {"uuid", 2950, 0, SL_SPAN_LIT("6f9619ff-8b86-d011-b42d-00cf4fc964ff")},
        {"timestamptz", 1184, 0, SL_SPAN_LIT("1984-05-06 10:11:12.345+02")},
        {"jsonb", 3802, 0,
         SL_SPAN_LIT("{\"id\": 7, \"ssn\": \"123-45-6789\", \"name\": \"Ann\", \"items\": [{\"card\": "
                     "\"4111111111111111\", "
                     "\"n\": 2}, {\"card\": \"5500005555555559\", \"n\": 1}], \"note\": \"fragile, ring "
                     "twice\"}")},
        {"text[]", 1009, 0, SL_SPAN_LIT("{4111111111111111,\"5500 0055 5555 5559\",x}")},
};
#define NB_VALUES (sizeof(values) / sizeof(values[0]))

/* Texts as tables hold them; the first two have a find. */
static const char *const texts[] = {
        "please send the contract to ann.smith@example.com and put billing in copy before noon, thank you",
        "Paid with 4111 1111 1111 1111 on the phone although we told them not to read it out to anyone",
        "Customer called about the late delivery of order 20261117-4432, wants it by Friday or a refund.",
        "ok",
        "Berliner Strasse 17, 10115 Berlin, second courtyard, ring twice at Schmidt & Partner",
        "The quick brown fox jumps over the lazy dog while the band plays on and nobody watches the clock.",
        "shipped",
        "Reference INV-2026-004711, net 30, paid in full on receipt; see thread from last week for details.",
        "https://shop.example.com/products/7731?ref=newsletter&utm_campaign=autumn",
        "Replaced the gasket and the left bearing, ran the pump for 45 minutes at 2900 rpm, no leak",
        "a6f2c19b",
        "Warehouse 12, aisle 7, shelf C, 240 pieces left, next count planned for calendar week 49.",
        "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore",
        "en-GB",
        "Meeting moved to 14:30 in room 3.21, bring the numbers of the third quarter and the open questions.",
        "status=open;priority=2;owner=team-green;sla=4h",
};
#define NB_TEXTS (sizeof(texts) / sizeof(texts[0]))

/* A row of numbers: of orders, customers, articles. */
static const char *const numbers[] = {
        "200417355",  "4711000815",   "918273645", "10045000123", "305419896",
        "7731002284", "123456789012", "8845001",   "60022841979", "555000133",
};

/* A row of short texts, as hashes are. */
static const char *const shorts[] = {
        "c4ca4238a0b923820dcc", "c81e728d9d4c2f636f06", "eccbc87e4b5ce2fe2830", "a87ff679a2f3e71d9181",
        "e4da3b7fbbce2345d777", "1679091c5a880faf6fb5", "8f14e45fceea167a5a36", "c9f0f895fb98ab9159f5",
        "45c48cce2e2d7fbdea1a", "d3d9446802a44259755d",
};

static const struct {
	const char *name;
	const char *const *v;
	uint32_t nb;
} rows[] = {
        {"texts, two with a find", texts, NB_TEXTS},
        {"texts without a find", texts + 2, NB_TEXTS - 2},
        {"numbers", numbers, sizeof(numbers) / sizeof(numbers[0])},
        {"shorts", shorts, sizeof(shorts) / sizeof(shorts[0])},
};
#define ROW_MAX NB_TEXTS

static uint8_t scratch[SCRATCH], out[SCRATCH];

/* Of this process: what others do meanwhile does not count. */
static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int field(size_t action, size_t value, double seconds)
{
	struct sl_snapshot s = {.version = 1, .masks = actions, .nb_masks = NB_ACTIONS};
	struct sl_principal who = {.snapshot_version = 1};
	struct sl_masker m = {.snapshot = &s, .who = &who, .scratch = scratch, .scratch_n = sizeof(scratch)};
	struct sl_mask_value v = {.mask = (int32_t)action,
	                          .type = values[value].type,
	                          .format = values[value].format,
	                          .value = values[value].value};
	double from = now(), took = 0;
	uint64_t nb = 0;
	size_t n;

	while (took < seconds) {
		for (int i = 0; i < TURN; i++) {
			enum sl_masked rc = sl_mask(&m, &v, out, sizeof(out), &n);

			if (rc != SL_MASKED_NEW && rc != SL_MASKED_NULL) {
				fprintf(stderr, "%s of %s fails\n", actions[action].name, values[value].name);
				return -1;
			}
		}
		nb += TURN;
		took = now() - from;
	}
	printf("{\"action\": \"%s\", \"type\": \"%s\", \"format\": \"%s\", \"bytes\": %zu, \"ns\": %.0f}\n",
	       actions[action].name, values[value].name, values[value].format == 0 ? "text" : "binary",
	       values[value].value.n, took * 1e9 / (double)nb);
	return 0;
}

static int count(void *ctx, uint32_t id, size_t from, size_t to)
{
	(void)id;
	(void)from;
	(void)to;
	++*(uint64_t *)ctx;
	return 0;
}

enum how {
	RAW,     /* the engine, value by value */
	RAW_ROW, /* the engine, over all of the row at once */
	MASKED,  /* sl_mask(), value by value */
	LOOKED,  /* sl_mask_look() over the row, and sl_mask() for what is left: as a gateway does */
	HOWS
};

static const char *const how_names[HOWS] = {"raw", "raw row", "detectors", "detectors row"};

static uint64_t finds_of(const struct sl_masker *m, struct sl_span value, const struct sl_mask_look *look)
{
	const struct sl_mask_value v = {.mask = SL_MASK_CONTENT,
	                                .type = 25,
	                                .column = SL_SPAN_LIT("note"),
	                                .value = value,
	                                .look = look};
	size_t n;

	return sl_mask(m, &v, out, sizeof(out), &n) == SL_MASKED_NEW;
}

static uint64_t scan(const struct sl_masker *m, struct sl_span bytes)
{
	uint64_t n = 0;

	(void)sl_match_scan(m->snapshot->content_db, m->snapshot->content_scratch[0], bytes, count, &n);
	return n;
}

/* Once over a row. Returns what was found. */
static uint64_t once(const struct sl_masker *m, enum how how, const struct sl_span *v, uint32_t nb,
                     struct sl_span joined)
{
	struct sl_mask_look look[ROW_MAX];
	uint64_t finds = 0;

	if (how == RAW_ROW)
		return scan(m, joined);
	for (uint32_t i = 0; i < nb; i++)
		look[i] = (struct sl_mask_look){.value = v[i], .column = SL_SPAN_LIT("note")};
	if (how == LOOKED)
		sl_mask_look(m, look, nb);
	for (uint32_t i = 0; i < nb; i++) {
		if (how == RAW)
			finds += scan(m, v[i]);
		else if (how == MASKED || !look[i].clean)
			finds += finds_of(m, v[i], how == LOOKED ? &look[i] : NULL);
	}
	return finds;
}

struct row {
	struct sl_span v[ROW_MAX], joined;
	uint32_t nb;
	uint64_t bytes;
	char text[ROW_MAX * 128];
};

static void make_row(struct row *r, const char *const *texts_of, uint32_t nb)
{
	size_t n = 0;

	r->nb = nb;
	for (uint32_t i = 0; i < nb; i++) {
		r->v[i] = sl_span_str(texts_of[i]);
		memcpy(r->text + n, r->v[i].p, r->v[i].n);
		n += r->v[i].n;
		r->text[n++] = 0;
	}
	r->joined = sl_span((uint8_t *)r->text, n - 1);
	r->bytes = n - nb;
}

/* All ways in turn, so that what else the machine does meets each of them: of each the ns of its best turn.
 */
static void look(const struct sl_masker *m, const struct row *r, double seconds, double ns[HOWS],
                 uint64_t finds[HOWS])
{
	double from = now();

	for (int h = 0; h < HOWS; h++)
		ns[h] = 0;
	while (now() - from < seconds) {
		for (int h = 0; h < HOWS; h++) {
			double begin = now(), took;

			for (int i = 0; i < TURN; i++)
				finds[h] = once(m, (enum how)h, r->v, r->nb, r->joined);
			took = (now() - begin) * 1e9 / TURN;
			ns[h] = ns[h] == 0 || took < ns[h] ? took : ns[h];
		}
	}
}

static int content_row(const struct sl_masker *m, size_t row, double seconds)
{
	static struct row r;
	double ns[HOWS];
	uint64_t finds[HOWS] = {0};

	make_row(&r, rows[row].v, rows[row].nb);
	look(m, &r, HOWS * seconds, ns, finds);
	for (int h = 0; h < HOWS; h++)
		printf("{\"content\": \"%s\", \"row\": \"%s\", \"values\": %u, \"bytes\": %llu, \"ns\": "
		       "%.0f, "
		       "\"gbps\": %.3f, \"of_raw\": %.3f, \"of_raw_row\": %.3f, \"finds\": %llu}\n",
		       how_names[h], rows[row].name, r.nb, (unsigned long long)r.bytes, ns[h] / r.nb,
		       (double)r.bytes * 8 / ns[h], ns[RAW] / ns[h], ns[RAW_ROW] / ns[h],
		       (unsigned long long)finds[h]);
	return finds[MASKED] == finds[LOOKED] ? 0 : -1;
}

/* Texts that are made of what nearly is a find, over and over, and the time that a byte of them takes. */
static const struct {
	const char *name, *part;
} near_finds[] = {
        {"numbers", "123456782 "},
        {"cards", "4111 1111 1111 1112 "},
        {"accounts", "DE12 3456 "},
        {"addresses", "a@"},
        {"ip4", "1.1.1.1."},
        {"ip6", "1:1:"},
        {"tokens", "ya29.a."},
        {"jwt", "eyJa-"},
        {"jwt with alg", "eyJhbGciOiI-"},
        {"bitcoin", "1AAAAAAAAAAAAAAAAAAAAAAAAA "},
        {"urls", "a://a"},
        {"passwords", "pwd=\"\" "},
        {"keys", "-----BEGIN PRIVATE KEY----"},
};
#define NEAR_BYTES (64 * 1024)

static void worst(const struct sl_masker *m, double seconds)
{
	static uint8_t text[NEAR_BYTES];

	for (size_t k = 0; k < sizeof(near_finds) / sizeof(near_finds[0]); k++) {
		size_t n = strlen(near_finds[k].part);
		const struct sl_span v = sl_span(text, sizeof(text));
		double ns[2] = {0, 0}, from = now();
		uint64_t finds = 0;

		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (uint8_t)near_finds[k].part[i % n];
		do {
			for (int h = 0; h < 2; h++) {
				double begin = now(), took;

				finds = h == 0 ? scan(m, v) : finds_of(m, v, NULL);
				took = (now() - begin) * 1e9 / NEAR_BYTES;
				ns[h] = ns[h] == 0 || took < ns[h] ? took : ns[h];
			}
		} while (now() - from < seconds);
		printf("{\"near\": \"%s\", \"bytes\": %d, \"raw_ns_byte\": %.2f, \"ns_byte\": %.2f, "
		       "\"finds\": %llu}\n",
		       near_finds[k].name, NEAR_BYTES, ns[0], ns[1], (unsigned long long)finds);
	}
}

static int content(double seconds)
{
	struct sl_caller caller = {.subject = SL_SPAN_LIT("s"), .groups = SL_SPAN_LIT("app")};
	struct sl_policy_source src = {.file = "bench", .text = sl_span(policy, sizeof(policy) - 1)};
	struct sl_policy_error err;
	struct sl_snapshot *s = NULL;
	struct sl_principal who;
	static struct sl_mask_finds found;
	struct sl_masker m = {.who = &who, .scratch = scratch, .scratch_n = sizeof(scratch), .finds = &found};
	int rc = 0;
	char why[1200];

	if (sl_policy_compile(&src, 1, 1, 1, &s, &err) != SL_OK) {
		fprintf(stderr, "%s\n", sl_policy_error_str(&err, why, sizeof(why)));
		return -1;
	}
	if (!sl_eval_bind(s, &caller, &s->resources[0], SL_SPAN_LIT("shop"), &who)) {
		sl_policy_free(s);
		return -1;
	}
	m.snapshot = s;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && rc == 0; i++)
		rc = content_row(&m, i, seconds);
	worst(&m, seconds);
	sl_policy_free(s);
	return rc;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.2;

	if (!(seconds > 0))
		return 2;
	for (size_t a = 0; a < NB_ACTIONS; a++) {
		actions[a].key = key;
		for (size_t v = 0; v < NB_VALUES; v++)
			if (field(a, v, seconds) < 0)
				return 1;
	}
	return content(5 * seconds) < 0;
}
