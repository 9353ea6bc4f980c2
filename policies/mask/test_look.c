/*
 * A row looked through in one scan, beside each of its values by itself: the same is found, nothing more and
 * nothing less. And the work that a text makes stays in proportion to its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_detect.h"
#include "sl_mask.h"

#define TEXT_OID  25
#define FORMS_MAX 512
#define ROW_MAX   12
#define VALUE_MAX 400
#define OUT_MAX   (1u << 17)

enum {
	ALL,
	PATTERN,
	NIL,
	FOREIGN, /* not the caller's */
	NB_MASKS
};

enum {
	OWN_LONG,  /* without an end to its length, with a validator */
	OWN_WORDS, /* with words near by */
	NB_OWN
};

static const char *own_words[] = {"badge", "staff no"}, *own_names[] = {"*badge*"};
static struct sl_detector own[NB_OWN] = {
        [OWN_LONG] = {.name = "own-long", .validator = -1},
        [OWN_WORDS] = {.name = "own-words", .validator = -1},
};
static struct sl_mask masks[NB_MASKS] = {
        [ALL] = {.action = SL_MASK_REDACT, .text = "#", .has_content = true},
        [PATTERN] = {.action = SL_MASK_REDACT, .text = "***", .has_content = true},
        [NIL] = {.action = SL_MASK_NULL, .text = "***", .has_content = true},
        [FOREIGN] = {.action = SL_MASK_REDACT, .text = "?", .has_content = true},
};
static struct sl_match_scratch *scratches[1];
static struct sl_snapshot snapshot = {.version = 1,
                                      .masks = masks,
                                      .nb_masks = NB_MASKS,
                                      .detectors = own,
                                      .nb_detectors = NB_OWN,
                                      .content_joins = true,
                                      .nb_workers = 1};
static struct sl_principal who = {.snapshot_version = 1, .any_content_mask = true};
static uint8_t room[16384], out[OUT_MAX], again[OUT_MAX];
static struct sl_mask_finds finds;
static struct sl_masker masker = {
        .snapshot = &snapshot, .who = &who, .scratch = room, .scratch_n = sizeof(room), .finds = &finds};

static int set_up(void **state)
{
	static struct sl_match_pattern p[FORMS_MAX];
	static char expr[FORMS_MAX][SL_DETECT_EXPR_MAX];
	const uint32_t first = sl_detect_count();
	uint32_t n = 0;
	char err[128];
	int bad;

	(void)state;
	p[n++] = (struct sl_match_pattern){"secret[0-9]+", PATTERN, SL_MATCH_START};
	p[n++] = (struct sl_match_pattern){"begin.*end", PATTERN, SL_MATCH_START | SL_MATCH_DOTALL};
	p[n++] = (struct sl_match_pattern){"forget.{0,9}me", NIL, SL_MATCH_START | SL_MATCH_DOTALL};
	p[n++] = (struct sl_match_pattern){"[a-z]+", FOREIGN, SL_MATCH_START};
	p[n++] = (struct sl_match_pattern){"#[^z]*[0-9,]", SL_CONTENT_DETECTOR(first + OWN_LONG, 0),
	                                   SL_MATCH_START | SL_MATCH_DOTALL};
	p[n++] = (struct sl_match_pattern){"[0-9]{3,}", SL_CONTENT_DETECTOR(first + OWN_WORDS, 0),
	                                   SL_MATCH_START};
	own[OWN_LONG].validator = sl_detect_validator(SL_SPAN_LIT("us-ssn"));
	own[OWN_WORDS].context = (struct sl_strings){own_words, 2};
	own[OWN_WORDS].columns = (struct sl_strings){own_names, 1};
	for (uint32_t d = 0; d < first + NB_OWN; d++)
		masks[ALL].detectors[d / 64] |= UINT64_C(1) << d % 64;
	for (uint32_t d = 0; d < first; d++) {
		for (uint32_t f = 0; f < sl_detect_forms(d) && n < FORMS_MAX; f++, n++) {
			sl_detect_pattern(d, f, expr[n], &p[n]);
			p[n].id = SL_CONTENT_DETECTOR(d, f);
		}
	}
	who.mask_bits[0] = 1 << ALL | 1 << PATTERN | 1 << NIL;
	snapshot.content_scratch = scratches;
	return sl_match_compile(p, n, &snapshot.content_db, &bad, err, sizeof(err)) != SL_OK ||
	       sl_match_scratch_new(snapshot.content_db, &scratches[0]) != SL_OK;
}

static int tear_down(void **state)
{
	(void)state;
	sl_match_scratch_free(scratches[0]);
	sl_match_free(snapshot.content_db);
	return 0;
}

static enum sl_masked mask(const struct sl_mask_look *l, bool with, uint8_t *to, size_t *n)
{
	const struct sl_mask_value v = {.mask = SL_MASK_CONTENT,
	                                .type = TEXT_OID,
	                                .column = l->column,
	                                .value = l->value,
	                                .look = with ? l : NULL};

	return sl_mask(&masker, &v, to, OUT_MAX, n);
}

struct seen {
	uint32_t clean, known, left, found;
};

/* Each value of the row has the same answer with the look and without. */
static void check_row(struct sl_mask_look *row, uint32_t nb, const char *what, struct seen *seen)
{
	sl_mask_look(&masker, row, nb);
	for (uint32_t i = 0; i < nb; i++) {
		size_t n, k;
		enum sl_masked rc = mask(&row[i], true, out, &n), alone = mask(&row[i], false, again, &k);

		if (rc != alone || n != k || memcmp(out, again, n) != 0 ||
		    (row[i].clean && rc != SL_MASKED_PASS))
			fail_msg("%s, value %u of %u: \"%.*s\" becomes \"%.*s\" (%d), alone \"%.*s\" (%d)",
			         what, i, nb, (int)row[i].value.n, (const char *)row[i].value.p, (int)n,
			         (char *)out, rc, (int)k, (char *)again, alone);
		seen->clean += row[i].clean;
		seen->known += !row[i].clean && row[i].known;
		seen->left += !row[i].clean && !row[i].known;
		seen->found += rc != SL_MASKED_PASS;
	}
}

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static const char *const parts[] = {
        "ann.smith@example.com",
        "4111 1111 1111 1111",
        "4111111111111111",
        "078-05-1120",
        "DE89370400440532013000",
        "password=hunter2hunter2",
        "pwd=",
        "hunter2hunter2",
        "aws",
        "aws_",
        "secret_key=",
        "wJalrXUtnFEMI/K7MDENG/bPxRf1CYEXAMPLEK3Y",
        "https://bob:swordfish@db.example.com/",
        "https://",
        "bob:swordfish@db",
        "Authorization: Bearer ",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END RSA PRIVATE KEY-----",
        "AccountKey=",
        "192.0.2.17",
        "2001:db8::17",
        "+49 30 1234567",
        "secret1234",
        "secret",
        "begin",
        "end",
        "forget",
        "me",
        "#536,",
        "90 4399",
        "#536904399",
        "z",
        "badge ",
        "staff no ",
        "123456",
        "ssn ",
        "123456782",
        "\xc3\xa9",
        "\xc3",
        " ",
        ",",
        "-",
        "1",
};

static size_t random_value(uint64_t *seed, char *to)
{
	size_t n = 0;

	for (uint64_t i = rnd(seed) % 5; i > 0; i--) {
		const char *p = parts[rnd(seed) % (sizeof(parts) / sizeof(parts[0]))];
		size_t len = strlen(p);

		if (rnd(seed) % 8 == 0)
			len = rnd(seed) % (len + 1);
		memcpy(to + n, p, len);
		n += len;
		if (rnd(seed) % 16 == 0)
			to[n++] = '\0';
	}
	return n;
}

static void test_rows(void **state)
{
	static const char *const columns[] = {"note", "ssn", "badge number", ""};
	static char text[ROW_MAX][VALUE_MAX];
	struct sl_mask_look row[ROW_MAX];
	struct seen seen = {0};
	uint64_t seed = (uint64_t)time(NULL), first = seed;
	char what[64];

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	snprintf(what, sizeof(what), "seed %llu", (unsigned long long)first);
	for (int round = 0; round < 1500; round++) {
		uint32_t nb = 1 + (uint32_t)(rnd(&seed) % ROW_MAX);

		for (uint32_t i = 0; i < nb; i++)
			row[i] = (struct sl_mask_look){
			        .value = sl_span((uint8_t *)text[i], random_value(&seed, text[i])),
			        .column = sl_span_str(columns[rnd(&seed) % 4])};
		check_row(row, nb, what, &seen);
	}
	assert_true(seen.known > 2000 && seen.clean > 500 && seen.found >= seen.known);
	assert_true(seen.left < seen.known / 2); /* some of these patterns go on over any bytes */
}

static uint32_t row_of(struct sl_mask_look *row, const char *const *v)
{
	uint32_t nb = 0;

	for (; v[nb] != NULL; nb++)
		row[nb] = (struct sl_mask_look){.value = sl_span_str(v[nb]), .column = SL_SPAN_LIT("note")};
	return nb;
}

/* What would be a find if the texts were one is none. */
static void test_across(void **state)
{
	static const char *const rows[][5] = {
	        {"aws", "sk=wJalrXUtnFEMI/K7MDENG/bPxRf1CYEXAMPLEK3Y", NULL},
	        {"aws sk=", "wJalrXUtnFEMI/K7MDENG/bPxRf1CYEXAMPLEK3Y", NULL},
	        {"begin", "and", "end", NULL},
	        {"forget", "me", NULL},
	        {"4111 1111", "1111 1111", NULL},
	        {"password=", "hunter2hunter2", NULL},
	        {"AccountKey=", "abcdefghijkl", NULL},
	        {"ann@", "example.com", NULL},
	        {"ssn", "123456782", NULL},
	        {"-----BEGIN RSA PRIVATE KEY--", "---", NULL},
	        {"secret", "12", NULL},
	};
	struct sl_mask_look row[4];

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct seen seen = {0};

		check_row(row, row_of(row, rows[r]), "across", &seen);
		if (seen.found != 0)
			fail_msg("found across the texts of row %zu", r);
	}
}

/* The value becomes this, by the look that was kept. */
static void becomes(const char *value, const char *want)
{
	const char *const v[] = {"ok", value, "123", NULL};
	struct sl_mask_look row[3];
	struct seen seen = {0};
	size_t n;

	check_row(row, row_of(row, v), value, &seen);
	if (!row[1].known || row[1].clean)
		fail_msg("\"%s\" is looked at again", value);
	assert_int_equal(mask(&row[1], true, out, &n), want != NULL ? SL_MASKED_NEW : SL_MASKED_NULL);
	if (want != NULL && (n != strlen(want) || memcmp(out, want, n) != 0))
		fail_msg("\"%s\" becomes \"%.*s\"", value, (int)n, (char *)out);
}

/* At both ends, beside and inside of each other, and of several masks. */
static void test_places(void **state)
{
	(void)state;
	becomes("ann@example.com", "#");
	becomes("ann@example.com is 4111 1111 1111 1111", "# is #");
	becomes("192.0.2.1,192.0.2.2,192.0.2.3", "#,#,#");
	becomes("https://bob:4111111111111111@db/", "https://bob:#@db/");
	becomes("begin 4111111111111111 end", "***");
	becomes("secret1 begin secret2 end ann@example.com", "*** *** #");
	becomes("secret1 ann@example.com forget-me x", NULL);
	becomes("staff no 4711", "staff no #");
	becomes("#536,90,4399", "#");
	becomes("\xc3\xa9"
	        "secret77",
	        "\xc3\xa9***");
}

/* More finds than are kept: what is left over is scanned by itself. */
static void test_many(void **state)
{
	static char text[2][4000];
	struct sl_mask_look row[3] = {{.value = SL_SPAN_LIT("10.0.0.1")}};
	struct seen seen = {0};

	(void)state;
	for (int k = 0; k < 2; k++) {
		size_t n = 0;

		while (n + 12 < sizeof(text[k]))
			n += (size_t)snprintf(text[k] + n, 12, "10.0.%zu.%zu ", n % 7, n % 11);
		row[1 + k].value = sl_span((uint8_t *)text[k], n);
	}
	check_row(row, 3, "many", &seen);
	assert_true(row[0].known && !row[2].known);
	assert_int_equal(seen.found, 3);
}

/* What was found is of that value, caller and snapshot only. */
static void test_stale(void **state)
{
	char text[] = "ann@example.com";
	struct sl_mask_look l = {.value = sl_span((uint8_t *)text, sizeof(text) - 1)}, other;
	struct sl_principal nobody = {.snapshot_version = 1, .any_content_mask = true};
	struct sl_mask_value v = {.mask = SL_MASK_CONTENT, .type = TEXT_OID, .look = &l};
	size_t n;

	(void)state;
	sl_mask_look(&masker, &l, 1);
	assert_true(l.known && !l.clean);
	v.value = SL_SPAN_LIT("ann.example.com");
	assert_int_equal(sl_mask(&masker, &v, out, sizeof(out), &n), SL_MASKED_PASS);
	v.value = l.value;
	masker.who = &nobody;
	assert_int_equal(sl_mask(&masker, &v, out, sizeof(out), &n), SL_MASKED_PASS);
	masker.who = &who;
	assert_int_equal(sl_mask(&masker, &v, out, sizeof(out), &n), SL_MASKED_NEW);
	masker.finds = NULL; /* nothing is kept */
	other = l;
	sl_mask_look(&masker, &other, 1);
	assert_true(!other.clean && !other.known);
	assert_int_equal(mask(&other, true, out, &n), SL_MASKED_NEW);
	masker.finds = &finds;
}

/* ---- work ---- */

#define BOUND_SMALL 8192
#define BOUND_LARGE (4 * BOUND_SMALL)
#define BOUND_TIMES 8 /* of four times the bytes; work by the square of the length makes it 16 */
#define BOUND_RUNS  3

/* A head, and what fills the text behind it. */
static const struct {
	const char *head, *part;
} near_finds[] = {
        {"", "123456782 "},
        {"", "4111 1111 1111 1112 "},
        {"", "DE12 3456 "},
        {"", "a@"},
        {"", "1.1.1.1."},
        {"", "1:1:"},
        {"", "ya29.a."},
        {"", "eyJa-"},
        {"", "eyJa."},
        {"", "eyJhbGciOiI-"},
        {"", "eyJhbGciOiJ9."},
        {"", "1AAAAAAAAAAAAAAAAAAAAAAAAA "},
        {"", "a://a"},
        {"", "pwd=\"\" "},
        {"", "$argon2id$v=1$m=1"},
        {"", "-----BEGIN PRIVATE KEY----"},
        {"#", ","},
        {"#", ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,1"},
        {"#1111111111111111111111111111111111111111111111111111111111111111", ","},
        {"begin", "end"},
};

static double seconds(size_t k, size_t bytes)
{
	static uint8_t text[BOUND_LARGE];
	size_t head = strlen(near_finds[k].head), part = strlen(near_finds[k].part), n;
	struct sl_mask_look l = {.value = sl_span(text, bytes), .column = SL_SPAN_LIT("note")};
	double best = 1e9;

	for (size_t i = 0; i < bytes; i++)
		text[i] = (uint8_t)(i < head ? near_finds[k].head[i] : near_finds[k].part[(i - head) % part]);
	for (int i = 0; i < BOUND_RUNS; i++) {
		struct timespec from, to;
		double took;

		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		(void)mask(&l, false, out, &n);
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
		best = took < best ? took : best;
	}
	return best;
}

static void test_bound(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(near_finds) / sizeof(near_finds[0]); k++) {
		double times = 0;

		for (int i = 0; i < 3; i++) { /* what else the machine does may have met one of them */
			times = seconds(k, BOUND_LARGE) / seconds(k, BOUND_SMALL);
			if (times < BOUND_TIMES)
				break;
		}
		if (times >= BOUND_TIMES)
			fail_msg("\"%s%s...\": four times the text takes %.1f times as long",
			         near_finds[k].head, near_finds[k].part, times);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows), cmocka_unit_test(test_across), cmocka_unit_test(test_places),
	        cmocka_unit_test(test_many), cmocka_unit_test(test_stale),  cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
