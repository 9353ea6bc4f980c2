/*
 * Records: what the gateway remembers. Each is one msgpack map with short text keys. The worker encodes them
 * into fixed blocks; the store thread chains and commits them; the management core and `sluice` read them.
 *
 * Common keys of every record: "k" kind (int), "t" wall time (us since 1970), "n" the record's number in its
 * session (0, 1, 2 ... without a gap). The event id that a caller sees in a denial is "<session id>.<n>".
 */
#ifndef SL_RECORD_H
#define SL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_addr.h"
#include "sl_err.h"
#include "sl_id.h"
#include "sl_span.h"

/* Bytes of one encoded record at most. Longer statements and replies are split over several DATA/TEXT
 * records. */
#define SL_RECORD_MAX 8192
/* Bytes of statement text or of reply data that one record carries. The rest follows in SL_REC_MORE records.
 */
#define SL_RECORD_TEXT_MAX     6144
#define SL_RECORD_PAIRS_MAX    40 /* pairs of one record, the common ones included */
#define SL_RECORD_PAIRS_COMMON 3
#define SL_RECORD_KEY_MAX      15 /* bytes of a key: a-z, 0-9 */

enum sl_record_kind {
	SL_REC_SESSION = 1,  /* login done: user(u) issuer(iss) groups(g: array) resource(r) database(db)
	                        client(c) protocol(p) target user(tu) tls(tls) app(app)
	                        id of the session credential(cr), when it was one */
	SL_REC_REFUSED = 2,  /* a session that did not come to be: reason(rs) and what is known of user,
	                        resource, client */
	SL_REC_COMMAND = 3,  /* cmd(cmd) phase(ph) text(x) verdict(v: allow deny hold) rule(ru) message(m)
	                        policy(pv) statement kinds(sk) hash(h) total length(l) approval(ap) params(pa:
	                        array, nil for NULL) verdict that rules in shadow would have given(sv)
	                        and its rule(sr), when it differs; rules that log(lr: array) */
	SL_REC_MORE = 4,     /* the rest of the text of the record before: text(x) last(z: bool) */
	SL_REC_DECISION = 5, /* a hold's end: cmd, approval(ap), outcome(o: approved denied expired
	                        cancelled), by(by), note(m) */
	SL_REC_RESULT = 6, /* cmd(cmd) outcome tag(o) rows(nr) bytes(nb) masked fields(nm) error sqlstate(es)
	                      error text(m) */
	SL_REC_DATA = 7,   /* bytes to the caller as the caller saw them: cmd(cmd) data(d: bin) skipped
	                      bytes(sk: when over the limit) */
	SL_REC_NOTE = 8,   /* anything else worth keeping: code(o) text(m) */
	SL_REC_END = 9,    /* session end: reason(rs) commands(nc) denied(nd) bytes in(bi) bytes out(bo) */
	SL_REC_GAP = 10,   /* made for a session that had no end, at start-up (the gateway died) or when its
	                      worker has died: reason(rs) */
};

/* ---- writing (worker: no allocation) ---- */
struct sl_record_writer {
	uint8_t *buf;
	size_t cap;
	size_t n;
	bool overflow;
	uint32_t nb_pairs; /* still to come */
	uint32_t nb_items; /* of the array begun last, still to come */
};

/* Starts a record of nb_pairs keys besides the three common ones. */
void sl_record_begin(struct sl_record_writer *w, uint8_t *buf, size_t cap, enum sl_record_kind kind,
                     uint64_t wall_us, uint64_t number, uint32_t nb_pairs);
void sl_record_str(struct sl_record_writer *w, const char *key, struct sl_span v);
void sl_record_bin(struct sl_record_writer *w, const char *key, struct sl_span v);
void sl_record_uint(struct sl_record_writer *w, const char *key, uint64_t v);
void sl_record_bool(struct sl_record_writer *w, const char *key, bool v);
void sl_record_nil(struct sl_record_writer *w, const char *key);
/* An array of nb values; then nb calls of sl_record_item() (NULL p: nil) follow. */
void sl_record_array(struct sl_record_writer *w, const char *key, uint32_t nb);
void sl_record_item(struct sl_record_writer *w, struct sl_span v);
/* The length, or SL_E_LIMIT when it did not fit or the pairs do not add up. */
int sl_record_end(struct sl_record_writer *w);

/* ---- reading ---- */
struct sl_record_value {
	enum {
		SL_RV_NONE,
		SL_RV_NIL,
		SL_RV_UINT,
		SL_RV_BOOL,
		SL_RV_STR,
		SL_RV_BIN,
		SL_RV_ARRAY
	} type;
	uint64_t u;
	struct sl_span s;  /* STR, BIN: the bytes; ARRAY: its encoded items */
	uint32_t nb_items; /* ARRAY */
};

/* 0 when the bytes are one whole record with the common keys in place; SL_E_STORE_CORRUPT else. Every byte is
 * checked. */
int sl_record_check(struct sl_span rec);
/* The value under key; type SL_RV_NONE when absent. The record must have passed sl_record_check(). */
struct sl_record_value sl_record_get(struct sl_span rec, const char *key);
/* Walks an array: the next item, or SL_RV_NONE at its end. `rest` starts as value.s. */
struct sl_record_value sl_record_next(struct sl_span *rest);
/* Walks all pairs of a checked record: rest = sl_record_pairs(rec), then sl_record_pair() until it is false.
 */
struct sl_span sl_record_pairs(struct sl_span rec);
bool sl_record_pair(struct sl_span *rest, struct sl_span *key, struct sl_record_value *v);

/* ---- names, as the REST API and the tools show them ---- */
const char *sl_record_kind_name(enum sl_record_kind kind); /* "session" ... */
/* The long name of a key in a record of this kind ("u" -> "user"); NULL unknown, and for "k". */
const char *sl_record_key_name(enum sl_record_kind kind, struct sl_span key);

#endif
