/* What the files of this folder share. */
#ifndef MASK_PRIV_H
#define MASK_PRIV_H

#include "sl_detect.h"
#include "sl_mask.h"

#define NESTING_MAX     8    /* arrays in composites in arrays ... */
#define NUMBER_MAX      1024 /* bytes of a number's text that is changed; a longer one is redacted */
#define HASH_TEXT_BYTES 16   /* of the HMAC, as hexadecimal digits: 32 of them fit a name too */

/* ---- where the new value goes ---- */

struct out {
	uint8_t *p;
	size_t cap, n;
	bool full; /* something did not fit: nothing of it may pass */
};

void out_put(struct out *w, const void *bytes, size_t n);
void out_text(struct out *w, const char *text);
void out_byte(struct out *w, uint8_t b);
void out_fill(struct out *w, uint8_t b, size_t n);
void out_hex(struct out *w, const uint8_t *p, size_t n);

/* ---- types ---- */

enum kind {
	KIND_UNKNOWN, /* not built in and not in the catalog */
	KIND_NONE,    /* built in, and nothing that takes its place is better than NULL */
	KIND_PLAIN,   /* the same, and it cannot hold what patterns look for */
	KIND_TEXT,
	KIND_BPCHAR,
	KIND_CHAR, /* "char": one byte */
	KIND_XML,
	KIND_JSON,
	KIND_JSONB,
	KIND_BOOL,
	KIND_INT2,
	KIND_INT4,
	KIND_INT8,
	KIND_OID,
	KIND_FLOAT4,
	KIND_FLOAT8,
	KIND_NUMERIC,
	KIND_BYTEA,
	KIND_UUID,
	KIND_DATE,
	KIND_TIME,
	KIND_TIMETZ,
	KIND_TIMESTAMP,
	KIND_TIMESTAMPTZ,
	KIND_INTERVAL,
	KIND_INET,
	KIND_CIDR,
	KIND_MACADDR,
	KIND_MACADDR8,
	KIND_BIT,
	KIND_VARBIT,
	KIND_TSVECTOR,
	KIND_ENUM,
	KIND_RANGE,
	KIND_MULTIRANGE,
	KIND_ARRAY,
	KIND_COMPOSITE,
	KINDS
};

struct type {
	enum kind kind;
	uint32_t of;          /* ARRAY: its element's, RANGE: its subtype's, MULTIRANGE: its range's OID */
	struct sl_span label; /* ENUM */
	uint8_t delimiter;    /* between the elements of an array of it */
};

/* types.c. catalog NULL: only what is built in. */
struct type type_of(const struct sl_catalog *catalog, uint32_t oid, uint8_t format);

/* What takes the place of a redacted value of the kind; false: there is nothing, it becomes NULL. */
bool type_redacted(enum kind kind, uint8_t format, struct out *w);

/* ---- one value's masking ---- */

struct job {
	const struct sl_masker *m;
	const struct sl_mask *mask; /* NULL: content */
	bool derived;
	struct sl_span column;
	const struct sl_mask_look *look;
	uint8_t *room; /* scratch that is not in use */
	size_t room_n;
	uint32_t depth;
};

/* mask.c: a value or a part of one. PASS leaves w as it was. */
enum sl_masked mask_value(struct job *j, uint32_t oid, uint8_t format, struct sl_span v, struct out *w);
/* NEW, or REFUSE when it did not fit. */
enum sl_masked mask_done(const struct out *w);

/* text.c: the actions on text, and on a part of it. NEW, NULL, or REFUSE when it did not fit. */
enum sl_masked text_action(const struct sl_mask *m, struct sl_span v, struct out *w);

const char *redact_text(const struct sl_mask *m);

/* scalar.c: the actions on what is neither text nor made of others; what they do not fit is redacted. */
enum sl_masked scalar_action(const struct sl_mask *m, const struct type *t, uint8_t format, struct sl_span v,
                             struct out *w);
/* The number in binary format as its text; 0: it is none, or longer than cap. */
size_t number_text(enum kind kind, struct sl_span v, char *text, size_t cap);

/* times.c. False: it is no time that can be read. */
bool time_cut(enum sl_mask_unit unit, enum kind kind, uint8_t format, struct sl_span v, struct out *w);
bool time_cut_text(enum sl_mask_unit unit, struct sl_span v, struct out *w);

/* token.c. False: there are too few values of its form, or it is too long: it is hashed instead. */
bool token_text(const struct sl_mask *m, struct sl_span v, struct out *w);
/* digits in place, again and again until the result fits. */
bool token_digits(const struct sl_mask *m, char *digits, size_t n, bool (*fits)(const void *ctx),
                  const void *ctx);
bool token_bytes(const struct sl_mask *m, uint8_t *b, size_t n);

/* nested.c */
enum sl_masked array_mask(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                          struct out *w);
void array_empty(const struct type *t, uint8_t format, struct out *w);
enum sl_masked composite_mask(struct job *j, uint8_t format, struct sl_span v, struct out *w);
enum sl_masked range_content(struct job *j, const struct type *t, uint8_t format, struct sl_span v,
                             struct out *w);

/* crypto.c: HMAC-SHA-256 over a byte that keeps kinds of values apart, and the value (hex: its digits). */
void mask_hmac(const uint8_t key[SL_MASK_KEY_BYTES], char domain, struct sl_span v, uint8_t out[32]);
void mask_hmac_hex(const uint8_t key[SL_MASK_KEY_BYTES], char domain, struct sl_span v, uint8_t out[32]);

/* ---- content: what patterns and detectors find ---- */

/* Parts of one value that are masked. With more, neighbours grow together: more is hidden, never less. */
#define SPOTS_MAX 256

struct spot {
	size_t from, to;
	uint32_t mask;
};

/* What is known of the last match of a detector of the policy's own. */
struct own_match {
	size_t from, to, nb; /* nb: its letters and digits */
	bool fits;           /* what the validator said */
};

/* The matches of one value. */
struct finder {
	const struct sl_snapshot *s;
	const struct sl_principal *p;
	uint64_t asked[SL_POLICY_DETECTORS_MAX / 64]; /* detectors of which mask_of[] is known */
	int16_t mask_of[SL_POLICY_DETECTORS_MAX];     /* the caller's mask for it, -1 none */
	struct sl_span value, column;
	uint64_t seen[SL_POLICY_DETECTORS_MAX / 64]; /* detectors with a find, which ends at done[] */
	size_t done[SL_POLICY_DETECTORS_MAX];
	struct sl_detect_memo memo;
	/* 1 << the place of a detector of the policy's own */
	uint32_t own_seen, own_named, own_has_name; /* own[] is its; its names of columns were asked; fit */
	struct own_match own[SL_POLICY_DETECTORS_OWN];
};

void finder_for(struct finder *f, const struct sl_masker *m);
void finder_begin(struct finder *f, struct sl_span value, struct sl_span column);

/* Has the caller a mask for this id in content_db? */
bool finder_asks(struct finder *f, uint32_t id);

/* The engine reports a match of the value by its id in content_db. True: something is to be masked. */
bool finder_match(struct finder *f, uint32_t id, size_t from, size_t to, struct spot *out);

/* It is none here: could it be one under another name of the column? */
bool finder_names(struct finder *f, uint32_t id);

struct spots {
	struct finder finder;
	uint32_t nb;
	bool null;                /* a mask of the found ones makes the whole value NULL */
	bool first;               /* only whether there is one is asked */
	bool named;               /* there may be one where the column has another name */
	struct spot v[SPOTS_MAX]; /* by place, apart from each other */
};

/* False: the engine failed, and the value cannot pass. */
bool content_scan(const struct job *j, struct sl_span value, bool first, struct spots *t);
/* The mask of a find that touches these bytes; NULL: none does. */
const struct sl_mask *spot_at(const struct spots *t, size_t from, size_t n);

enum sl_masked content_text(struct job *j, struct sl_span v, struct out *w);
/* Only whether they find anything: NEW, and the mask that did; PASS; REFUSE: it could not be scanned. */
enum sl_masked content_find(struct job *j, struct sl_span v, const struct sl_mask **mask);

/* ---- detectors ---- */

/* The form of a detector (by its number in content_db) matched [from, to) of the value: is it really one?
 * from counts for detectors of the policy's own only. True and *out as of sl_detect_check(). */
bool mask_detected(struct finder *f, uint32_t detector, uint32_t form, size_t from, size_t to,
                   struct sl_detect_spot *out);

#endif
