/*
 * Detectors: what personal data and secrets look like. Each has expressions that Hyperscan looks for all at
 * once, and a validator that decides about what was found: check digits, dates, lengths, words near by, the
 * name of the column. Immutable tables; any thread; no allocation. A value's ends together cost in proportion
 * to its length.
 *
 * The expressions report ends only (no SL_MATCH_START): where the find begins is the validator's to say.
 */
#ifndef SL_DETECT_H
#define SL_DETECT_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_match.h"
#include "sl_span.h"

#define SL_DETECT_FORMS_MAX   4   /* ways to write one kind of thing */
#define SL_DETECT_EXPR_MAX    160 /* bytes of an expression, with its NUL */
#define SL_DETECT_SPAN_MAX    512 /* bytes of one find; a private key takes what there is up to its end */
#define SL_DETECT_CONTEXT_MAX 48  /* bytes in front of a find in which its context words are looked for */

/* Number of built-in detectors. They are numbered from 0, sorted by name. */
uint32_t sl_detect_count(void);
const char *sl_detect_name(uint32_t detector); /* "card", "us-ssn" ... */
const char *sl_detect_what(uint32_t detector); /* one line for people */

/* The detector of that name, or -1. */
int32_t sl_detect_find(struct sl_span name);

/* How many forms it has; each is one expression. */
uint32_t sl_detect_forms(uint32_t detector);

/*
 * The expression and flags (enum sl_match_flags) of a form. Written to expr (SL_DETECT_EXPR_MAX bytes), to
 * which out->expression points; out->id is left alone.
 */
void sl_detect_pattern(uint32_t detector, uint32_t form, char *expr, struct sl_match_pattern *out);

/*
 * Can what its expression matches go across a NUL byte, with its last byte behind it? Where texts stand
 * behind each other with NULs between them, the others only match within one of them.
 */
bool sl_detect_crosses(uint32_t detector, uint32_t form);

/* A find: bytes [from, to) of the value. */
struct sl_detect_spot {
	size_t from, to;
};

#define SL_DETECT_CLASSES  10 /* kinds of bytes that finds are made of */
#define SL_DETECT_TEXT_MAX 64 /* of a number without its separators, with a NUL */

/*
 * What was worked out for one end of a value and is good for the next ones: the run of bytes around it, the
 * number in front of it, letters that words near by can begin with. For one value and column, begun with
 * sl_detect_begin(); ends may come in any order, and cost least in that of the text.
 */
struct sl_detect_memo {
	uint32_t runs; /* 1 << class: the run is known */
	bool has_number, has_before, has_column;
	bool alone;                              /* the number does not go on beyond its ends */
	uint32_t before_letters, column_letters; /* sl_detect_letters() */
	uint32_t missed;                         /* detector of which it is known ... */
	size_t missed_from, missed_to; /* ... that no end behind this up to that is one; 0: of none */
	size_t before_to;
	size_t number_from, number_to, number_n;
	size_t run_from[SL_DETECT_CLASSES], run_to[SL_DETECT_CLASSES];
	char number[SL_DETECT_TEXT_MAX];
};

static inline void sl_detect_begin(struct sl_detect_memo *m)
{
	m->runs = 0;
	m->has_number = m->has_before = m->has_column = false;
	m->missed_to = 0;
}

/*
 * The expression of this form ended at `end` in the value: is it really one? `column` is the name under which
 * the value goes to the caller ("" when there is none): a name that says what it holds counts as context.
 * True and *out, which always has at least one byte, all of them inside the value.
 *
 * A caller does not ask again about ends inside of what the same detector has found: that keeps the whole
 * scan linear, whatever the value.
 */
bool sl_detect_check(uint32_t detector, uint32_t form, struct sl_span value, size_t end,
                     struct sl_span column, struct sl_detect_memo *memo, struct sl_detect_spot *out);

/*
 * Validators by name, for detectors that a policy defines itself: "luhn", "mod97", and the check digits (and
 * dates) of a built-in detector of numbers by its name ("us-ssn", "de-idnr" ...). -1: there is none.
 */
int32_t sl_detect_validator(struct sl_span name);
/* What is no letter and no digit is left out; of up to 63 letters and digits. */
bool sl_detect_validate(int32_t validator, struct sl_span text);

/* With which letters a word can begin in the text: 1 << (letter - 'a'). */
uint32_t sl_detect_letters(struct sl_span text);
/* Is it worth looking for the word, which is not empty, in a text with these letters? */
static inline bool sl_detect_may_have(uint32_t letters, const char *word)
{
	return *word < 'a' || *word > 'z' || (letters >> (*word - 'a') & 1) != 0;
}

/* Does the word (in lower case) stand in the text by itself? A blank in it is any one byte that is no letter
 * and no digit. */
bool sl_detect_has_word(struct sl_span text, struct sl_span word);

#endif
