/*
 * The PostgreSQL decoder's inside. One struct pg per flow: what an idle session costs. What the login alone
 * needs, names, texts, a long queue and rows under a mask lie in blocks that come from the flow and go back
 * when they are empty (pg_mem.c). All is bounded by the names below.
 *
 * Two streams meet in it. Messages of the client are judged, and each that goes upstream leaves an entry in
 * the queue of expected replies (pg_queue.c). Messages of the target are matched with the head of that queue.
 * What the gateway says itself has its place in the same queue, so that answers keep their order.
 */
#ifndef PG_PRIV_H
#define PG_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_decoder.h"
#include "sl_postgres.h"
#include "sl_scram.h"

#define PG_HEADER         5           /* type and length of a message */
#define PG_STARTUP_MAX    10000       /* MAX_STARTUP_PACKET_LENGTH of PostgreSQL */
#define PG_PASSWORD_MAX   16384       /* a token as a password */
#define PG_LOGIN_MAX      16384       /* a message of the target's before the session begins */
#define PG_SMALL_MAX      10000       /* messages without content: PQ_SMALL_MESSAGE_LIMIT */
#define PG_STREAM_MAX     0x3fffffffu /* a message that streams: what PostgreSQL itself allows */
#define PG_PARAMSTAT_MAX  8192        /* a ParameterStatus in the session */
#define PG_NAME_MAX       63          /* NAMEDATALEN - 1: longer names collide in the target */
#define PG_VALUE_MAX      255         /* a start-up parameter's value */
#define PG_FORWARD_BYTES  1536        /* start-up parameters kept for the target */
#define PG_PQ_OPTIONS_MAX 8           /* unknown _pq_ options that are named back */
#define PG_GREETING_BYTES 3072        /* ParameterStatus messages of the login */
#define PG_KEYS_MAX       16          /* BackendKeyData messages that are put up with */
#define PG_STMTS_MAX      256         /* prepared statements */
#define PG_PORTALS_MAX    128
#define PG_TEXT_BYTES     (512 * 1024)   /* of prepared statements' text, together */
#define PG_TYPES_BYTES    (256 * 1024)   /* and of their parameters' types */
#define PG_PARAMS_MAX     UINT16_MAX     /* of one Bind: what the protocol can say */
#define PG_BIND_HEAD      (64 * 1024)    /* of a Bind over the message limit: what it is judged by */
#define PG_COPY_TMP       (1024 * 1024)  /* a masked value of a COPY as it is */
#define PG_COLUMNS_MAX    1664           /* MaxTupleAttributeNumber */
#define PG_WANTED_MAX     PG_COLUMNS_MAX /* columns of one result that are masked */
#define PG_REPLACE_BYTES  (256 * 1024)   /* new values of one row, or of one CopyData message */
#define PG_REPLACE_FIRST  2048           /* what a row begins with */
#define PG_SHORT_ROW      (8 * 1024)     /* a masked row up to here goes out in one piece, */
#define PG_SHORT_OUT      (32 * 1024)    /* unless it becomes longer than this */
#define PG_COPY_EDITS_MAX 4096           /* values of one CopyData message that are replaced */
#define PG_COPY_CARRY_MAX (64 * 1024)    /* of a masked value that goes over CopyData messages */
#define PG_COPY_HEAD      19             /* of the binary format: signature, flags, length of an extension */
#define PG_COLNAME_BYTES  (48 * 1024)    /* names of masked columns */
#define PG_QUEUE_MAX      2048           /* expected replies; a power of two */
#define PG_QUEUE_OWN      32             /* of them in the state itself; a power of two */
#define PG_QUEUE_SLACK    8              /* entries that one client message may add */
#define PG_SAYS_MAX       8              /* denials and notices that wait for their turn */
#define PG_SAYS_OWN       2              /* of them in the state itself: what one refused hold needs */
#define PG_NAMED_FIRST    8              /* statements or portals in a table that was just taken */
#define PG_SAY_MESSAGE    512
#define PG_SAY_HINT       256
#define PG_SAY_ID         64
#define PG_SCRAM_MIN_ITER 4096
#define PG_SCRAM_MAX_ITER 100000 /* about 50 ms of a worker: a target that asks for more is refused */
#define PG_SCRAM_AUTH_MAX 1024   /* AuthMessage */
#define PG_SASL_MAX       (PG_HEADER + 64 + SL_SCRAM_FINAL_MAX) /* a client's message of SCRAM */

#define PG_MINOR_MAX  2    /* protocol 3.2: of PostgreSQL 18 */
#define PG_MINOR_KEYS 2    /* from here on cancel keys have other lengths than 4 bytes */
#define PG_KEY_SHORT  4    /* bytes of a cancel key, before */
#define PG_KEY_MAX    256  /* and since */
#define PG_TLS_RECORD 0x16 /* first byte of a ClientHello */

#define PG_CODE_CANCEL 80877102u
#define PG_CODE_SSL    80877103u
#define PG_CODE_GSSENC 80877104u

/* A statement of the gateway's own that fails at parse whatever the target's catalog holds: it aborts the
 * transaction. */
#define PG_FAILING_SQL "SLUICE DENIED"

enum pg_client_state {
	PG_C_STARTUP = 0,
	PG_C_PASSWORD, /* a token as the password */
	PG_C_SASL,     /* a session credential, by SCRAM */
	PG_C_LOGIN,    /* accepted; the target's login is under way */
	PG_C_READY,
	PG_C_CLOSED,
};

enum pg_target_state {
	PG_T_NONE = 0, /* not connected */
	PG_T_SSL,      /* SSLRequest sent */
	PG_T_AUTH,     /* StartupMessage sent */
	PG_T_SASL_FIRST,
	PG_T_SASL_FINAL,
	PG_T_SASL_DONE, /* server signature verified; AuthenticationOk must follow */
	PG_T_SENT,      /* a password went out: AuthenticationOk must follow */
	PG_T_PARAMS,    /* until the first ReadyForQuery */
	PG_T_CATALOG,   /* the query of a connection of our own is running */
	PG_T_READY,
};

/* What a reply is expected for. */
enum pg_reply {
	PG_Q_SIMPLE = 1,
	PG_Q_FUNCTION,
	PG_Q_PARSE,
	PG_Q_BIND,
	PG_Q_DESC_STMT,
	PG_Q_DESC_PORTAL,
	PG_Q_EXECUTE,
	PG_Q_CLOSE_STMT,
	PG_Q_CLOSE_PORTAL,
	PG_Q_SYNC,
	PG_Q_NOTICE, /* nothing of the target's: our own NoticeResponse has its turn here */
};

#define PG_QF_OURS   1 /* asked by us: the answer is swallowed */
#define PG_QF_DENIED 2 /* a failing statement of ours in the place of a denied one; slot is the says slot */
#define PG_NO_SLOT   0xffff

struct pg_entry {
	uint8_t kind, flags;
	uint16_t slot; /* of the statement, portal or say; SIMPLE: of the statement that it DEALLOCATEs */
	uint32_t mark; /* of the command */
	uint64_t seq;  /* the slot's seq then; the segment for SYNC, SIMPLE, FUNCTION */
	uint64_t cmd;
};

/* Text of a prepared statement, followed by its parameter types; shared by a statement and its portals. */
struct pg_text {
	uint32_t n;
	uint16_t refs, nb_types;
	bool unread; /* the target may have read it by other settings than ours */
	uint8_t bytes[];
};

/* A statement or a portal. Several of one name may live until the target has said which one holds. */
struct pg_named {
	bool used, pending; /* pending: the target has not confirmed it */
	bool running;       /* portal: an Execute of it has no answer yet */
	bool executed, suspended;
	uint8_t name_n;
	uint64_t seq, seg; /* seg: the pipeline segment (Sync to Sync) that it was made in */
	struct pg_text *text;
	uint64_t cmd;
	uint32_t mark; /* of cmd */
	uint64_t acts; /* pg.acts when it was made, and when a portal ran last */
	uint8_t names; /* enum sl_names, of its statement */
	uint16_t gone; /* portal: the slot of the statement that it DEALLOCATEs, or PG_NO_SLOT */
	uint64_t gone_seq;
	char name[PG_NAME_MAX + 1];
};

/* A table of them, as large as it had to be; slots keep their numbers when it grows. */
struct pg_names {
	struct pg_named *v;
	uint16_t nb, max; /* slots there are; and may be */
};

/* Something that the gateway says when its turn comes. */
struct pg_say {
	char sqlstate[6];
	uint16_t message_n, hint_n, id_n;
	char message[PG_SAY_MESSAGE], hint[PG_SAY_HINT], id[PG_SAY_ID];
};

/* The verdict on the client's message in hand; it outlives the call when the message is parked or had no
 * room. */
enum pg_judged {
	PG_J_NONE = 0,
	PG_J_PARKED,
	PG_J_ALLOWED,
	PG_J_DENIED,
};

/* The column of a wanted value. */
struct pg_wanted {
	uint16_t index, want, attr, name_off;
	uint8_t name_n, format;
	uint32_t table, type;
};

/* What the verdict on a command gave to keep. */
struct pg_keep {
	uint64_t cmd;
	uint32_t n;
	uint8_t bytes[];
};

enum pg_copy_state {
	PG_COPY_START = 0, /* text, CSV: in front of a field */
	PG_COPY_PLAIN,
	PG_COPY_BACKSLASH, /* text: behind one */
	PG_COPY_QUOTED,
	PG_COPY_ESCAPE, /* CSV: behind an escape in quotes (which may be the closing quote) */
	PG_COPY_CLOSED, /* CSV: behind the closing quote */
	PG_COPY_BINARY, /* the header of the binary format */
	PG_COPY_EXTENSION,
	PG_COPY_TUPLE, /* the number of fields */
	PG_COPY_LENGTH,
	PG_COPY_VALUE,
	PG_COPY_END,
};

/* The data of a COPY under masks, over its messages. */
struct pg_copy {
	struct sl_copy format;
	enum pg_copy_state state;
	bool header; /* the line in hand has the names */
	bool broken;
	uint8_t word[PG_COPY_HEAD], word_n; /* a number that is not whole */
	uint32_t left;                      /* bytes of the value, or of the extension */
	uint32_t start;                     /* of the field in hand, in the message in hand */
	uint8_t *carry;                     /* what former messages had of the masked field in hand */
	uint32_t carry_n, carry_size;
};

/* The columns of a result that are masked, and behind them their names. */
struct pg_mask {
	uint32_t bytes; /* of the block */
	struct pg_wanted wanted[];
};

/* One value of the row in hand that is replaced: `del` bytes at `off` of the message by `ins` bytes of the
 * new values. */
struct pg_edit {
	uint32_t off, del, at, ins;
};

struct pg_rows {
	bool have;    /* a RowDescription holds for the rows to come */
	bool refused; /* its rows cannot be masked */
	bool look;    /* ROW is wanted */
	uint16_t nb_columns, nb_wanted;
	uint64_t rows, bytes;
	/* What may still pass before ROWS is asked again; what was counted so far; the row in hand is
	 * counted. */
	uint64_t left_rows, left_bytes, counted;
	bool metered;
	uint32_t masked;
	/* The row in hand: judged up to column `col` at `off`; then passed out with its edits, of which
	 * `edit` is out up to `put`. */
	bool judging, emitting;
	uint16_t col, next;
	uint32_t nb_edits, edit, put;
	uint32_t off, used, total, skip;
	struct pg_mask *mask;  /* nb_wanted > 0 */
	struct pg_edit *edits; /* edits_max of them, while a row is in hand */
	uint32_t edits_max;
	uint8_t *replaced;      /* and its new values */
	uint32_t replaced_size; /* room there */
	struct pg_copy *copy;   /* the rows are CopyData under masks */
};

struct pg_scram {
	char gs2; /* 'p' bound; 'y' could have been, the target did not offer it; 'n' neither */
	uint8_t binding[SL_DEC_BINDING_MAX];
	size_t binding_n;
	char nonce[25]; /* base64 of login.nonce */
	char first_bare[40];
	uint8_t server_signature[32];
};

/* A client's SCRAM exchange; over before the target's login begins. */
struct pg_sasl {
	uint8_t binding[SL_SCRAM_BINDING_MAX];
	size_t binding_n;
	struct sl_scram_server scram;
};

/* What is only needed from the StartupMessage to the session's begin. */
struct pg_start {
	char user[PG_VALUE_MAX + 1], database[PG_VALUE_MAX + 1], app[PG_VALUE_MAX + 1];
	uint8_t forward[PG_FORWARD_BYTES];
	uint32_t forward_n;
	struct pg_scram scram;
	bool sasl_asked; /* the server-first-message went out */
	union {
		struct pg_sasl sasl;
		uint8_t greeting[PG_GREETING_BYTES];
	};
	uint32_t greeting_n;
	char version[64];
};

/* A Bind, as far as it was read. */
struct pg_bind {
	struct sl_span portal, stmt;
	uint16_t nb_params;
	uint32_t nb_read; /* of them; in pg_tmp */
};

/* Where the bytes of a Bind that streams have come to. */
struct pg_follow {
	bool on;
	uint8_t place;
	uint32_t left, number, nb_params;
};

/* Good for one call. */
union pg_tmp {
	uint8_t bytes[PG_COPY_TMP];
	struct sl_param params[PG_PARAMS_MAX];
	struct {
		struct sl_column columns[PG_COLUMNS_MAX];
		uint16_t want[PG_COLUMNS_MAX];
	} meta;
	struct {
		struct sl_row_value
		        values[PG_COLUMNS_MAX]; /* the wanted ones of a short row that are not NULL */
		uint16_t index[PG_COLUMNS_MAX]; /* in pg_mask */
		uint8_t out[PG_SHORT_OUT];
	} row;
};

struct pg {
	struct sl_decoder_cfg cfg;
	struct sl_io io;
	enum pg_client_state cs;
	enum pg_target_state ts;

	/* Start-up and login. */
	bool client_tls, target_tls, ssl_asked, gss_asked;
	bool auth_parked, auth_allowed, auth_denied;
	bool last_word; /* the client was told that this is the end */
	struct pg_start *start;
	struct sl_login login;
	bool logging_in;
	bool scs_on, utf8; /* the target's standard_conforming_strings, client_encoding */
	bool server_utf8;  /* its database's encoding: in others names beyond ASCII are folded otherwise */
	/* It was off in this session: texts prepared then are read so later, and what is in flight is not
	 * told of a change in time. So the session's statements stay unread. */
	bool scs_was_off;
	bool negotiated;                    /* the target has said which minor version it speaks */
	uint8_t client_minor, target_minor; /* of the protocol's version */
	uint16_t target_key_n;
	uint8_t target_pid[4], target_key[PG_KEY_SHORT];
	uint8_t *target_key_long; /* a block of target_key_n bytes, when there are more than PG_KEY_SHORT */
	uint32_t nb_keys;
	bool catalog_rows, catalog_told, catalog_done; /* of a connection of our own: rows come, all came, it
	                                                  is over */

	/* The client's stream. */
	uint32_t c_left, c_skip; /* of the message in hand: bytes still to pass, to skip */
	struct pg_follow follow; /* it is a Bind over the message limit */
	bool terminated;
	bool discard;       /* the client's messages are dropped up to Sync */
	bool discard_local; /* and that Sync is answered here */
	bool segment_up;    /* extended messages went upstream since the last Sync */
	bool segment_ran;   /* and the target has run something that may change settings */
	bool flushed;       /* and a Flush behind them */
	bool copy_in;       /* the target waits for CopyData */
	uint16_t described; /* portal that the last RowDescription asked for belongs to; PG_NO_SLOT none */
	uint64_t described_seq;
	uint64_t seg, seq; /* never wrap: a session can be as old as it likes */
	/* Counts what has gone upstream and can change what a name means there: all that runs, and Close. */
	uint64_t acts, opened; /* opened: the last that could open a cursor by a name */
	uint64_t queried;      /* the last Query: it took the place of the portal without a name */
	/* One whose names are looked up late may live that is not known any more; since that segment. */
	bool lost_late;
	uint64_t lost_seg;
	uint64_t next_cmd, last_cmd;
	enum pg_judged judged;
	uint16_t judged_say;
	uint16_t judged_notice; /* PARKED: what the client is told when it is known that it waits */
	uint64_t judged_cmd;
	uint32_t judged_mark;
	uint8_t judged_names;
	bool judged_far;      /* it reads a portal whose own cursor may have gone */
	uint16_t judged_gone; /* the statement that it DEALLOCATEs, PG_NO_SLOT: none that is known */
	uint64_t judged_gone_seq;
	uint64_t judged_seq; /* of the statement that was judged */

	/* The target's stream. */
	uint32_t t_left, t_skip;
	uint8_t tx;     /* of the last ReadyForQuery */
	bool q_skip;    /* the target drops what stands in the queue up to Sync */
	bool got_t;     /* Describe statement: ParameterDescription came */
	bool got_error; /* head: its ErrorResponse came, ReadyForQuery is due */
	bool got_reply; /* FunctionCall: its answer came */
	bool copy_out, copy_done;
	bool drop;     /* the result was refused: replies are swallowed up to ReadyForQuery */
	bool cut;      /* because of a limit */
	bool resulted; /* the RESULT of the error in hand was raised */
	bool fatal;    /* the target has said that it ends the session */
	bool sql_deallocated;
	uint64_t failed_cmd;

	uint32_t q_head, q_tail, q_size;  /* q_size: entries that the ring has, a power of two */
	struct pg_entry *queue;           /* own_queue, or a block */
	struct pg_say *says[PG_SAYS_MAX]; /* the first ones own_says, the others blocks while they are used */
	struct pg_names stmts, portals;
	uint32_t text_live, types_live; /* bytes of all texts, and types */
	struct pg_rows rows;
	struct pg_keep *keep; /* of the last command that had something to keep */
	union pg_tmp *tmp;
	struct pg_entry own_queue[PG_QUEUE_OWN];
	struct pg_say own_says[PG_SAYS_OWN];
};

/* A message whose header is known. `all` holds what is there of it, header included. */
struct pg_msg {
	uint8_t type;
	uint32_t size; /* header included */
	struct sl_span all, body;
	struct sl_span behind; /* what lies behind it, when all of it is there */
};

/* ---- pg_write.c: what the gateway says ---- */
int pg_add(struct pg *d, enum sl_side to, const void *p, size_t n);
int pg_event(struct pg *d, const struct sl_event *ev, struct sl_verdict *v);
/* The same, of the command that the entry is for. */
int pg_event_for(struct pg *d, const struct pg_entry *e, struct sl_event *ev, struct sl_verdict *v);
/* True when a message of the gateway's own may go to the client now: none is half passed. */
bool pg_client_free(const struct pg *d);
bool pg_has_room(struct pg *d);
/* ErrorResponse or NoticeResponse; severity is its S and V field. */
int pg_write_say(struct pg *d, char type, const char *severity, const struct pg_say *s);
void pg_say_set(struct pg_say *s, const char *sqlstate, struct sl_span message, struct sl_span id,
                struct sl_span hint);
void pg_say_reason(struct pg_say *s, const struct sl_reason *r, const char *fallback);
/* A free slot of says, or PG_NO_SLOT. */
uint16_t pg_say_new(struct pg *d);
void pg_say_free(struct pg *d, uint16_t slot);
int pg_write_ready(struct pg *d);
/*
 * Ends the flow: raises ERROR, tells the client (FATAL) where it can, returns err. SL_AGAIN when the event
 * had no room: nothing has changed then. `text` says what was wrong.
 */
int pg_fatal(struct pg *d, enum sl_side side, int err, const char *sqlstate, const char *text);
int pg_broken(struct pg *d, const char *text); /* the client broke the protocol: 08P01 */
int pg_target_broken(struct pg *d, const char *text);
/* Query with our text. */
int pg_send_query(struct pg *d, struct sl_span sql);
int pg_send_failing_parse(struct pg *d);
int pg_send_flush(struct pg *d);
int pg_send_describe_portal(struct pg *d, struct sl_span name);

/* ---- reading (pg_write.c) ---- */
/* Takes the header of a message. SL_OK, SL_MORE; a length < 4 gives size 0. */
int pg_header(struct sl_span b, struct pg_msg *m);
/* Takes a NUL-terminated string off *b. 0, or SL_E_PROTO_MALFORMED. */
int pg_get_str(struct sl_span *b, struct sl_span *out);
int pg_get_16(struct sl_span *b, uint16_t *out);
int pg_get_32(struct sl_span *b, uint32_t *out);
int pg_get_bytes(struct sl_span *b, size_t n, struct sl_span *out);
bool pg_span_ieq(struct sl_span a, const char *s);
struct pg_fields {
	struct sl_span severity, sqlstate, text[SL_REPORT_TEXTS];
};
/* ErrorResponse and NoticeResponse. A missing field is empty. 0, or SL_E_PROTO_MALFORMED. */
int pg_get_fields(struct sl_span body, struct pg_fields *f);

/* ---- pg_mem.c: blocks ---- */
/* What a flow may hold at most: the tables in full, and twice as large while one grows. */
#define PG_TAKE_MAX (2 * 1024 * 1024)
void *pg_take(struct pg *d, size_t bytes);
void pg_give(struct pg *d, void *p, size_t bytes);
/* Room for the entries that one client message may add. False: not now. */
bool pg_queue_ready(struct pg *d);
/* Another free slot in the table. False: it is full, or there is no memory. */
bool pg_names_grow(struct pg *d, struct pg_names *t);
/* Twice and more room for the new values of the row in hand, at least `need`. */
bool pg_row_grow(struct pg *d, uint32_t need);
void pg_row_free(struct pg *d);
void pg_mask_free(struct pg *d);
/* Room for one more edit, up to max. */
bool pg_edits_grow(struct pg *d, uint32_t max);
/* Keeps bytes for a command. False: what is kept is still needed, or there is no memory. */
bool pg_keep(struct pg *d, uint64_t cmd, struct sl_span bytes);
void pg_keep_free(struct pg *d);
void pg_start_free(struct pg *d);
/* The session rests: tables that are empty go back. */
void pg_trim(struct pg *d);
void pg_free_all(struct pg *d);

/* ---- pg_queue.c ---- */
uint32_t pg_queue_n(const struct pg *d);
struct pg_entry *pg_queue_head(struct pg *d);
struct pg_entry *pg_queue_at(const struct pg *d, uint32_t i); /* i from q_head to q_tail - 1 */
struct pg_entry *pg_queue_push(struct pg *d, enum pg_reply kind, uint64_t cmd, uint32_t mark);
void pg_queue_pop(struct pg *d);
bool pg_queue_has_sync(const struct pg *d);
bool pg_queue_has_ready(const struct pg *d); /* a ReadyForQuery is due */
/* Gives everything at the head that needs no reply its turn. SL_OK, SL_AGAIN, < 0. */
int pg_pump(struct pg *d);
int pg_result(struct pg *d, const struct sl_ev_result *r, const struct pg_entry *e);

/* ---- pg_bind.c ---- */
/* How much of a Bind of that size must be there to judge it. */
uint32_t pg_bind_head(const struct pg *d, uint32_t size);
/* SL_OK, SL_E_PROTO_MALFORMED; SL_E_FLOW_MESSAGE_SIZE: its head holds no parameter. */
int pg_bind_read(struct pg *d, const struct pg_msg *m, struct pg_bind *o);
/* FunctionCall, whole: the function by its number in pg_proc, and the arguments. SL_OK, SL_E_PROTO_MALFORMED.
 */
int pg_call_read(struct pg *d, const struct pg_msg *m, struct pg_bind *o, uint32_t *function);
void pg_follow_begin(struct pg_follow *f);
/* The next bytes, from the message's header on. Returns how many of them add up. */
size_t pg_follow(struct pg_follow *f, struct sl_span b);
/* The message may end here. */
bool pg_follow_done(const struct pg_follow *f);

/* ---- pg_names.c ---- */
/* The newest of that name, or PG_NO_SLOT. */
uint16_t pg_stmt_find(const struct pg *d, struct sl_span name);
uint16_t pg_portal_find(const struct pg *d, struct sl_span name);
struct pg_named *pg_stmt(const struct pg *d, uint16_t slot);
struct pg_named *pg_portal(const struct pg *d, uint16_t slot);
/* The one in that slot, if it is still that one; NULL. */
struct pg_named *pg_stmt_at(const struct pg *d, uint16_t slot, uint64_t seq);
struct pg_named *pg_portal_at(const struct pg *d, uint16_t slot, uint64_t seq);
/* A free slot: PG_NO_SLOT when there is none. *waiting: one may come free when replies arrive. */
uint16_t pg_stmt_free_slot(struct pg *d, bool *waiting);
uint16_t pg_portal_free_slot(struct pg *d, bool *waiting);
/* Keeps a statement's text and types (4 bytes each, network order), with one reference. NULL: no room. */
struct pg_text *pg_text_keep(struct pg *d, struct sl_span sql, struct sl_span types, bool unread);
struct sl_span pg_text_sql(const struct pg_text *t);
uint32_t pg_text_type(const struct pg_text *t, uint32_t i);
void pg_text_unref(struct pg *d, struct pg_text *t);
/* The target has said of which types the parameters of a statement are (4 bytes each). */
void pg_stmt_types(struct pg *d, uint16_t slot, uint64_t seq, struct sl_span types);
/* Both are of the command that was judged last. Takes over the reference. */
void pg_stmt_make(struct pg *d, uint16_t slot, struct sl_span name, struct pg_text *text);
/* Takes one of its own. */
void pg_portal_make(struct pg *d, uint16_t slot, struct sl_span name, struct pg_text *text);
/* May its name mean something else by now, or nothing, without the target's having said so? */
bool pg_stmt_stale(const struct pg *d, uint16_t slot);
bool pg_portal_stale(const struct pg *d, uint16_t slot);
/* Is there one of that name that goes by a name itself, of which that is so? Empty: one that does, of any. */
bool pg_portals_stale(const struct pg *d, struct sl_span name);
/* Is there a statement with a name that may fetch? */
bool pg_stmts_fetch(const struct pg *d);
/* The target has confirmed it: older ones of its name are gone. */
void pg_stmt_confirm(struct pg *d, uint16_t slot, uint64_t seq);
void pg_portal_confirm(struct pg *d, uint16_t slot, uint64_t seq);
/* It never came to be. */
void pg_stmt_fail(struct pg *d, uint16_t slot, uint64_t seq);
void pg_portal_fail(struct pg *d, uint16_t slot, uint64_t seq);
/* Closed: it and older ones of its name are gone. */
void pg_stmt_close(struct pg *d, uint16_t slot, uint64_t seq);
void pg_portal_close(struct pg *d, uint16_t slot, uint64_t seq);
/* A transaction has ended with that segment: its portals are gone. */
void pg_portals_end(struct pg *d, uint64_t seg);
/* SQL has removed all statements that have a name; those that the target had confirmed. */
void pg_stmts_gone(struct pg *d);
/* SQL may have made another in any one's place: those that the target had confirmed are forgotten. */
void pg_stmts_forget(struct pg *d);
/* SQL may give the name to a statement of its own, that of no Parse: who had it is forgotten; "": all that
 * have a name. */
void pg_stmts_taken(struct pg *d, struct sl_span name);

/* ---- the sides ---- */
/* One step on the bytes of a side. SL_OK: go on (*used bytes were consumed); all else ends the feed. */
int pg_startup_step(struct pg *d, struct sl_span b, size_t *used);
int pg_password_step(struct pg *d, struct sl_span b, size_t *used);
int pg_client_step(struct pg *d, struct sl_span b, size_t *used);
/* The parked command waits for a person: the client is told, in its turn. SL_OK, < 0. */
int pg_waits(struct pg *d);
int pg_login_step(struct pg *d, struct sl_span b, size_t *used);
int pg_target_step(struct pg *d, struct sl_span b, size_t *used);
int pg_auth_resume(struct pg *d, const struct sl_verdict *v);
/* Raises AUTH; v is its verdict. SL_OK, SL_AGAIN, < 0. */
int pg_auth_event(struct pg *d, struct sl_ev_auth *auth, struct sl_verdict *v);
/* pg_auth_sasl.c: a session credential's login. AuthenticationSASL goes out. */
int pg_sasl_ask(struct pg *d);
/* Reads the message in hand and raises its AUTH event. SL_OK with the verdict, SL_AGAIN, < 0. */
int pg_sasl_judge(struct pg *d, const struct pg_msg *m, struct sl_verdict *v);
/* The verdict was ALLOW: says what comes next. */
int pg_sasl_allowed(struct pg *d, const struct sl_verdict *v);
int pg_login_begin(struct pg *d, const struct sl_login *l);
/* pg_catalog.c: a connection without a client. Before its login; behind it; and each message from then on. */
int pg_catalog_open(struct pg *d);
int pg_catalog_ask(struct pg *d);
int pg_catalog_message(struct pg *d, const struct pg_msg *m);
/* BackendKeyData's body. SL_OK, SL_AGAIN, or an error that was told. */
int pg_key_keep(struct pg *d, struct sl_span body);
const uint8_t *pg_key(const struct pg *d);
void pg_key_free(struct pg *d);
/* ParameterStatus: checks what must hold. SL_OK or an error that was told. */
int pg_parameter_status(struct pg *d, struct sl_span body);

/* ---- pg_report.c ---- */
/* An ErrorResponse, NoticeResponse or NotificationResponse that is whole: raises REPORT, and passes or
 * replaces it. e NULL: of no command. SL_OK, SL_AGAIN, < 0. */
int pg_report(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, enum sl_report_kind kind);
int pg_notice(struct pg *d, const struct pg_msg *m, const struct pg_entry *e);
int pg_notification(struct pg *d, const struct pg_msg *m);

/* ---- pg_copy.c ---- */
/* CopyOutResponse: raises ROWMETA and keeps what is wanted. */
int pg_copy_describe(struct pg *d, const struct pg_msg *m, const struct pg_entry *e);
/* A CopyData of which values are wanted; as pg_rows_judge. */
int pg_copy_judge(struct pg *d, const struct pg_msg *m, const struct pg_entry *e);
/* CopyDone may come here. */
bool pg_copy_whole(const struct pg *d);
void pg_copy_free(struct pg *d);

/* ---- pg_rows.c ---- */
/* ROWMETA for the columns in tmp->meta. */
int pg_rows_meta(struct pg *d, uint16_t nb, struct sl_copy *copy, const struct pg_entry *e,
                 struct sl_verdict *v);
/* Keeps which of them are wanted. */
void pg_rows_keep(struct pg *d, uint16_t nb);
/* FIELD for a value of a wanted column, by its place in pg_mask. */
int pg_rows_field(struct pg *d, uint16_t place, struct sl_span value, uint16_t seen, const struct pg_entry *e,
                  struct sl_verdict *v);
/* Rows and DataRow messages of which nothing is wanted, behind the one that was just let through: so many as
 * lie whole in b and may pass. Returns their bytes. */
uint32_t pg_rows_run(struct pg *d, struct sl_span b);
/* Puts n bytes, which the caller writes, into the place of `del` bytes of the message in hand. NULL: no room.
 */
uint8_t *pg_rows_edit(struct pg *d, uint32_t off, uint32_t del, size_t n);
/* The row is judged: it goes out with its edits. */
int pg_rows_out(struct pg *d, const struct pg_msg *m);
/* RowDescription: raises ROWMETA and keeps what is wanted. */
int pg_rows_describe(struct pg *d, const struct pg_msg *m, const struct pg_entry *e);
/* Results without columns of their own (COPY, function call) under a pseudo column. *wanted: they would have
 * to be masked. */
int pg_rows_opaque(struct pg *d, const char *name, const struct pg_entry *e, bool *wanted);
/* May this row pass? SL_OK: it may, and was counted; or the result was cut (drop is set). */
int pg_rows_meter(struct pg *d, const struct pg_msg *m, const struct pg_entry *e);
/* A DataRow of which values are wanted. SL_OK: it is on its way (passed, emitting, or the result was
 * refused). */
int pg_rows_judge(struct pg *d, const struct pg_msg *m, const struct pg_entry *e);
int pg_rows_emit(struct pg *d, struct sl_span b, size_t *used);
void pg_rows_reset(struct pg *d);
/* Replaces the rest of the result in hand by an ErrorResponse. */
int pg_rows_refuse(struct pg *d, const char *text, const struct sl_reason *r);

/* ---- pg_row.c ---- */
/* As pg_rows_judge, for a row that is short; *done false: it has to go that way, and nothing has happened. */
int pg_row_short(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, bool *done);

/* ---- pg_scram.c ---- */
/* Fills the client-first-message as s->gs2 says; returns its length. */
size_t pg_scram_first(struct pg_scram *s, const uint8_t nonce[18], char *out, size_t cap);
/* server-first-message to client-final-message. Its length, or SL_E_PROTO_TARGET_AUTH. */
int pg_scram_final(struct pg_scram *s, struct sl_span secret, struct sl_span server_first, char *out,
                   size_t cap);
/* Verifies the server-final-message. 0, or SL_E_PROTO_TARGET_AUTH. */
int pg_scram_verify(const struct pg_scram *s, struct sl_span server_final);
/* "md5" and 32 hex digits and NUL. */
int pg_md5_answer(struct sl_span user, struct sl_span secret, const uint8_t salt[4], char out[36]);

#endif
