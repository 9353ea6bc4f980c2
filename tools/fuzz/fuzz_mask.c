/*
 * Values under masks: any bytes as a value of any type in either format, under each action, derived or not,
 * by path and by content. Nothing is written past its room; a value that cannot be read is refused; what
 * stands for something derived does not depend on the value; and what is redacted whole neither. Texts that
 * are looked through as a row have the answers that each has alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_detect.h"
#include "sl_mask.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

#define FORMS_MAX 512

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint32_t types[] = {0,    16,   17,   18,   19,   20,   21,   23,   25,   26,   114,
                                 142,  600,  650,  700,  701,  774,  790,  829,  869,  1000, 1005,
                                 1007, 1009, 1015, 1021, 1042, 1043, 1082, 1083, 1114, 1115, 1184,
                                 1186, 1231, 1266, 1560, 1562, 1700, 2249, 2287, 2950, 2951, 3614,
                                 3615, 3802, 3807, 3904, 3906, 3912, 4451, 4536, 199,  4242};

static uint8_t key[SL_MASK_KEY_BYTES] = {1, 2, 3};
static const char *paths[] = {"$.a", "$.items[*].b", "$..c", "$[1]", "$.*.d"};

enum {
	REDACT,
	PARTIAL,
	NIL,
	HASH,
	TOKEN,
	DATE,
	PATHS,
	PATHS_NULL,
	PATTERN,
	NB_MASKS
};

static struct sl_mask masks[NB_MASKS] = {
        [REDACT] = {.action = SL_MASK_REDACT, .text = "#"},
        [PARTIAL] = {.action = SL_MASK_PARTIAL, .keep_first = 1, .keep_last = 2, .text = "***"},
        [NIL] = {.action = SL_MASK_NULL, .text = "***"},
        [HASH] = {.action = SL_MASK_HASH, .key = key, .text = "***"},
        [TOKEN] = {.action = SL_MASK_TOKENISE, .key = key, .text = "***"},
        [DATE] = {.action = SL_MASK_DATE, .unit = SL_MASK_MONTH, .text = "***"},
        [PATHS] = {.action = SL_MASK_PARTIAL, .keep_last = 1, .text = "***", .json = {paths, 5}},
        [PATHS_NULL] = {.action = SL_MASK_NULL, .text = "***", .json = {paths, 5}},
        [PATTERN] = {.action = SL_MASK_REDACT, .text = "[!]", .has_content = true},
};

static struct sl_match_scratch *scratches[1];
static struct sl_snapshot snapshot = {.version = 1, .masks = masks, .nb_masks = NB_MASKS, .nb_workers = 1};
static struct sl_principal who = {.snapshot_version = 1};

#define ROW_MAX 16
#define ROW_END 0x1f /* between the texts of a row */

/* All detectors, and a pattern. */
static void make_content(void)
{
	static struct sl_match_pattern p[FORMS_MAX];
	static char expr[FORMS_MAX][SL_DETECT_EXPR_MAX];
	char err[128];
	uint32_t n = 1;
	int bad;

	p[0] = (struct sl_match_pattern){"secret[0-9]+", PATTERN, SL_MATCH_START};
	snapshot.content_joins = true;
	for (uint32_t d = 0; d < sl_detect_count(); d++) {
		masks[PATTERN].detectors[d / 64] |= UINT64_C(1) << d % 64;
		for (uint32_t f = 0; f < sl_detect_forms(d) && n < FORMS_MAX; f++, n++) {
			sl_detect_pattern(d, f, expr[n], &p[n]);
			p[n].id = SL_CONTENT_DETECTOR(d, f);
		}
	}
	CHECK(n < FORMS_MAX);
	CHECK(sl_match_compile(p, n, &snapshot.content_db, &bad, err, sizeof(err)) == SL_OK);
	CHECK(sl_match_scratch_new(snapshot.content_db, &scratches[0]) == SL_OK);
	snapshot.content_scratch = scratches;
	who.mask_bits[0] = 1 << PATTERN;
}

static enum sl_masked run(struct sl_mask_value *v, struct sl_span bytes, uint8_t *out, size_t cap, size_t *n)
{
	static uint8_t room[4096];
	struct sl_masker m = {.snapshot = &snapshot, .who = &who, .scratch = room, .scratch_n = sizeof(room)};
	uint8_t *copy = malloc(bytes.n + 1); /* so that a read past its end is seen */
	enum sl_masked rc;

	CHECK(copy != NULL);
	if (bytes.n > 0)
		memcpy(copy, bytes.p, bytes.n);
	v->value = sl_span(copy, bytes.n);
	rc = sl_mask(&m, v, out, cap, n);
	CHECK(*n <= cap && (rc == SL_MASKED_NEW || *n == 0));
	free(copy);
	return rc;
}

/* Each text by itself, in a block of its own, and by the look at all of them. */
static void row(struct sl_span bytes)
{
	static uint8_t room[4096], out[2][8192];
	static struct sl_mask_finds finds;
	struct sl_masker m = {.snapshot = &snapshot,
	                      .who = &who,
	                      .scratch = room,
	                      .scratch_n = sizeof(room),
	                      .finds = &finds};
	struct sl_mask_look look[ROW_MAX];
	uint32_t nb = 0;

	for (size_t at = 0, n; nb < ROW_MAX && at <= bytes.n; at += n + 1) {
		const uint8_t *end = memchr(bytes.p + at, ROW_END, bytes.n - at);
		uint8_t *copy;

		n = end != NULL ? (size_t)(end - bytes.p) - at : bytes.n - at;
		copy = malloc(n + 1);
		CHECK(copy != NULL);
		memcpy(copy, bytes.p + at, n);
		look[nb++] =
		        (struct sl_mask_look){.value = sl_span(copy, n), .column = SL_SPAN_LIT("card ssn")};
	}
	sl_mask_look(&m, look, nb);
	for (uint32_t i = 0; i < nb; i++) {
		struct sl_mask_value v = {.mask = SL_MASK_CONTENT,
		                          .type = 25,
		                          .column = look[i].column,
		                          .value = look[i].value};
		size_t n[2];
		enum sl_masked alone = sl_mask(&m, &v, out[0], sizeof(out[0]), &n[0]);

		v.look = &look[i];
		CHECK(sl_mask(&m, &v, out[1], sizeof(out[1]), &n[1]) == alone && n[0] == n[1] &&
		      memcmp(out[0], out[1], n[0]) == 0);
		CHECK(!look[i].clean || alone == SL_MASKED_PASS);
		free((void *)(uintptr_t)look[i].value.p);
	}
}

/* Not with the first input: compiling takes longer than one may on a busy machine. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	make_content();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sl_mask_value v = {.column = SL_SPAN_LIT("card ssn")};
	uint8_t *out, *other;
	size_t cap, made, made_other;
	enum sl_masked rc;

	if (n < 4)
		return 0;
	v.type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	v.mask = (int32_t)(data[1] % (NB_MASKS + 1)) - 1;
	v.format = data[2] & 1;
	v.derived = (data[2] & 2) != 0 && v.mask >= 0;
	who.any_content_mask = (data[2] & 4) != 0 || v.mask < 0;
	if ((data[2] & 16) != 0) {
		who.any_content_mask = true;
		row(sl_span(data + 4, n - 4));
		return 0;
	}
	cap = (data[2] & 8) != 0 ? data[3] : 8192;
	out = malloc(cap + 1);
	other = malloc(cap + 1);
	CHECK(out != NULL && other != NULL);
	rc = run(&v, sl_span(data + 4, n - 4), out, cap, &made);
	CHECK(rc != SL_MASKED_PASS || v.mask < 0 || masks[v.mask].json.nb > 0 || made == 0);
	if (v.derived) {
		CHECK(run(&v, SL_SPAN_LIT("0"), other, cap, &made_other) == rc);
		CHECK(made == made_other && memcmp(out, other, made) == 0);
	}
	/* The same value has the same answer. */
	CHECK(run(&v, sl_span(data + 4, n - 4), other, cap, &made_other) == rc);
	CHECK(made == made_other && memcmp(out, other, made) == 0);
	free(out);
	free(other);
	return 0;
}
