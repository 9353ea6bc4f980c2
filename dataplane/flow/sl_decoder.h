/*
 * The decoder contract. A decoder turns one protocol's bytes into events and applies verdicts to the bytes.
 * It does no I/O, reads no clock, owns no memory but what it was given and knows no policy: all it knows
 * comes through this page. The flow (sl_flow.h) drives it; the tests and the fuzz targets drive it the same
 * way.
 *
 * Bytes. The flow calls feed() with the bytes that one side has sent and that were not consumed yet, as one
 * contiguous span that starts where the last feed() of that side stopped. The decoder consumes a prefix of
 * it: each byte consumed was passed on (pass), or skipped, exactly once. What it cannot decide yet it does
 * not consume. It may add bytes of its own to either side at any time (add). The same bytes, however they are
 * cut, give the same events and output.
 *
 * Room. Before it handles a message, a decoder makes sure that io->room() of the sides it may write to is at
 * least SL_DEC_ROOM_MIN, and returns SL_AGAIN when it is not: the flow calls again when there is. Bytes
 * passed through of a message already judged are limited to room likewise. So it does with a message that has
 * to wait until the other side has said more.
 *
 * Memory. A decoder begins with state_bytes, which is what an idle session should cost. Tables that grow with
 * what the peers do it takes from the flow in blocks (take) and gives back when they are empty, all of them
 * at close; a flow never holds more than take_max. A block that is not to be had is a bound like any other:
 * the decoder refuses what needs it in its own dialect, or leaves its state as it was and returns SL_AGAIN.
 * What it needs to go on at all, and to refuse, must lie in state_bytes.
 *
 * Events. io->event() is a call: the verdict is there when it returns. It returns
 *   SL_OK    *v is filled;
 *   SL_AGAIN there is no room to record it: the decoder leaves its state as it was before that message,
 * consumes nothing of it, and returns SL_AGAIN; < 0      the flow must end: the decoder returns the error. An
 * event that was answered SL_OK is never raised again for the same message. The exception that proves it: a
 * command that was parked is not raised again either; resume() brings its verdict.
 *
 * Parking. A verdict SL_PARK on AUTH or COMMAND parks that direction: feed() of the client's side consumes
 * nothing of the message (and what comes behind it) and returns SL_PARK until resume(). The target's side
 * goes on meanwhile. For a held COMMAND the decoder keeps v->reason and tells the client, in its turn behind
 * earlier replies, where the protocol can, when resume() says PARK: it may be decided at once, without having
 * waited for anybody.
 *
 * Errors. Any return < 0 ends the flow: the flow calls inject(SL_INJ_BYE) so that the client may get a last
 * word in its dialect (where state allows it), sends what is queued towards the client, closes both sides,
 * records it. Nothing more of what was not consumed goes on. There is no way to pass unread bytes.
 */
#ifndef SL_DECODER_H
#define SL_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_login_name.h"
#include "sl_span.h"

/* Bytes that a decoder may add on a side while it handles one message. More goes only into room that is
 * there. */
#define SL_DEC_ROOM_MIN 4096

#define SL_DEC_BINDING_MAX 64          /* bytes of channel binding data */
#define SL_CANCEL_KEY_MAX  32          /* bytes of a cancel key of the gateway's */
#define SL_KEEP_MAX        (32 * 1024) /* bytes that a command's verdict may give to keep */

enum sl_side {
	SL_CLIENT = 0,
	SL_TARGET = 1,
};

enum sl_event_kind {
	SL_EV_AUTH = 1, /* the caller has said who it is */
	SL_EV_SESSION,  /* the target has accepted the login; before the client hears of it */
	SL_EV_COMMAND,  /* something that the client wants done */
	SL_EV_RESULT,   /* a command's outcome, when its reply is complete */
	SL_EV_ROWMETA,  /* the columns of rows to come */
	SL_EV_ROWS,     /* rows are about to pass: how many may? */
	SL_EV_ROW,      /* the values of one row that ROWMETA's verdict asked for, before their FIELDs */
	SL_EV_FIELD,    /* one value that ROWMETA's verdict asked for */
	SL_EV_CATALOG,  /* a row of the answer to sl_login.query */
	SL_EV_CANCEL,   /* a request to cancel what another flow is doing */
	SL_EV_ERROR,    /* the peer's message was refused; the flow ends after it */
	SL_EV_REPORT,   /* free text of the target's is about to pass: an error, a notice, a notification */
	SL_EV_NOTE,     /* something to keep in the record: target notices of weight, refused options */
};

/*
 * A token comes in one event. A user name of a session credential (sl_credential_name_split) makes two: SALT,
 * of which the verdict ALLOW brings salt and nonce, then PROOF, of which it brings the server's own proof.
 */
struct sl_ev_auth {
	enum sl_auth_step step;
	struct sl_span user;     /* as the client gave it: names the resource unless the listener does */
	struct sl_span database; /* "" when not given */
	struct sl_span app;      /* application_name or like */
	struct sl_span token;    /* the secret that was presented; never recorded. PROOF: the AuthMessage */
	struct sl_span proof;    /* SL_AUTH_PROOF_N bytes, PROOF only */
};

struct sl_ev_session {
	struct sl_span server_version;
	uint8_t cancel_key_n; /* bytes of sl_login.cancel_key that the client gets */
};

enum sl_phase {
	SL_PHASE_SIMPLE = 1, /* judged and run at once */
	SL_PHASE_PREPARE,    /* judged now, run later: a hold is put off until EXECUTE */
	SL_PHASE_EXECUTE,    /* a prepared statement is to be run, with its parameters */
	SL_PHASE_OTHER,      /* a protocol command without text: `op` says which */
};

struct sl_param {
	struct sl_span value; /* p NULL: SQL NULL */
	uint8_t format;       /* 0 text, 1 binary */
	uint32_t type;        /* the protocol's type number, 0 unknown */
	uint32_t more;        /* bytes of it behind the value: the message is passed on as it comes */
};

struct sl_ev_command {
	enum sl_phase phase;
	struct sl_span text; /* the statement, whole */
	struct sl_span op;   /* "query", "parse", "execute", "copy fail" ...; "function call N" names its
	                        function by number */
	const struct sl_param *params;
	uint32_t nb_params;
	bool named;       /* what PREPARE and EXECUTE make has a name that statements can go on with it by */
	bool unread;      /* the target may read the text by other rules than ours, or have read it so when it
	                     was prepared: it is opaque */
	uint32_t nb_more; /* parameters behind these, that were not read */
};

struct sl_ev_result {
	struct sl_span tag; /* "SELECT 3"; "" when it failed */
	uint64_t rows, bytes;
	uint32_t masked;    /* fields */
	bool failed, local; /* local: refused by us, the target never saw it */
	struct sl_span sqlstate, message;
};

struct sl_column {
	struct sl_span name;
	uint32_t table; /* the target's number of the table it comes from, 0 none */
	uint16_t attr;  /* and of the column in it, 0 none */
	uint32_t type;
	uint8_t format; /* 0 text, 1 binary */
};

#define SL_COPY_NULL_MAX 64 /* bytes of the text that stands for NULL */

/* How the target writes the data of a COPY. */
struct sl_copy {
	bool binary;
	struct sl_span kept; /* what the verdict on the COMMAND gave to keep; empty: nothing */
	/* Out, when columns are wanted and it is not binary. */
	bool csv, header;
	uint8_t delimiter, quote, escape; /* the latter two in CSV */
	uint8_t null_n;
	char null[SL_COPY_NULL_MAX];
};

/*
 * A denial refuses the rows: what else comes of the result is dropped, and the client gets the reason.
 */
struct sl_ev_rowmeta {
	/* Of a COPY they have neither name nor type: the verdict fills in the types of those that it wants.
	 */
	struct sl_column *columns;
	uint32_t nb_columns;
	struct sl_copy *copy; /* the rows come as the data of a COPY; NULL: they do not */
	/* Out: for each column, 0 pass it unread, else raise FIELD for each value of it with this number.
	 * Size nb_columns. */
	uint16_t *want;
};

/*
 * Raised before the first row of a result, and again when what the last verdict allowed has been used up. A
 * denial ends the result in front of the row at hand: the client gets the reason, and what else comes of the
 * result is dropped.
 */
struct sl_ev_rows {
	uint64_t rows, bytes; /* of this result that have passed */
	uint64_t next;        /* bytes of the row at hand */
};

/*
 * Raised where ROWMETA's verdict has `look`, for rows that the decoder has whole and reads in one go; it may
 * leave it out. For a value that is set `clean` no FIELD is raised: it passes as it is. To leave all of them
 * is always right.
 */
struct sl_row_value {
	uint16_t want; /* what ROWMETA gave for its column */
	bool clean;    /* out; false at first */
	uint16_t seen; /* out; 0 at first: what FIELD brings back for it */
	struct sl_span column, value;
};

struct sl_ev_row {
	struct sl_row_value *values; /* none of them NULL */
	uint32_t nb;
};

struct sl_ev_field {
	uint16_t want; /* what ROWMETA gave for this column */
	uint16_t seen; /* what ROW gave for this value, when it was raised just before in the same call; else
	                  0 */
	struct sl_column column;
	struct sl_span value; /* never NULL values: those pass */
};

#define SL_CATALOG_ROW 7 /* values of a row */

struct sl_ev_catalog {
	bool end;                           /* the answer is complete; no row */
	struct sl_span col[SL_CATALOG_ROW]; /* p NULL: SQL NULL */
};

struct sl_ev_cancel {
	uint32_t pid; /* what this gateway gave to a client, if it did */
	struct sl_span key;
};

struct sl_ev_error {
	int err;
	enum sl_side side;
	struct sl_span text; /* what was wrong, for the record */
};

enum sl_report_kind {
	SL_REPORT_ERROR = 1,
	SL_REPORT_NOTICE,
	SL_REPORT_NOTIFICATION, /* its payload is its MESSAGE */
};

enum sl_report_text {
	SL_REPORT_MESSAGE,
	SL_REPORT_DETAIL,
	SL_REPORT_HINT,
	SL_REPORT_WHERE,
	SL_REPORT_QUERY,
	SL_REPORT_TEXTS
};

/*
 * cmd is 0 where it is not known of which command it is. The verdict is ALLOW, or REPLACE: `replace` stands
 * for the message, and of the rest only what is no free text passes (severity, SQLSTATE, positions, names of
 * objects unless v->nameless).
 */
struct sl_ev_report {
	enum sl_report_kind kind;
	bool unread; /* larger than the decoder reads: sqlstate and texts are not here */
	struct sl_span sqlstate;
	struct sl_span text[SL_REPORT_TEXTS]; /* empty: not there */
};

struct sl_ev_note {
	struct sl_span code, text;
};

struct sl_event {
	enum sl_event_kind kind;
	uint32_t stream; /* 0 in protocols with one */
	uint64_t cmd;    /* the command's number in the session, from 1 in order of arrival; 0 none */
	/* What the verdict on that COMMAND had for a mark: in ROWMETA, ROWS, ROW, FIELD, REPORT and RESULT of
	 * its reply; 0 none. */
	uint32_t mark;
	union {
		struct sl_ev_auth auth;
		struct sl_ev_session session;
		struct sl_ev_command command;
		struct sl_ev_result result;
		struct sl_ev_rowmeta rowmeta;
		struct sl_ev_rows rows;
		struct sl_ev_row row;
		struct sl_ev_field field;
		struct sl_ev_catalog catalog;
		struct sl_ev_cancel cancel;
		struct sl_ev_error error;
		struct sl_ev_report report;
		struct sl_ev_note note;
	};
};

enum sl_action {
	SL_ACT_ALLOW = 0,
	SL_ACT_DENY,
	SL_ACT_REPLACE, /* FIELD: v->replace stands in for the value (p NULL: SQL NULL); REPORT: for its
	                   message. Good until the next event */
	SL_ACT_PARK,    /* AUTH, COMMAND: resume() will say */
};

enum sl_reason_code {
	SL_RSN_NONE = 0,
	SL_RSN_POLICY,      /* a rule, or no rule: 42501 and the like */
	SL_RSN_HELD,        /* waits for approval (with PARK) */
	SL_RSN_REFUSED,     /* the approver said no */
	SL_RSN_EXPIRED,     /* nobody said anything in time */
	SL_RSN_CANCELLED,   /* the client asked to cancel */
	SL_RSN_AUTH,        /* not authenticated, or not allowed on this resource */
	SL_RSN_UNAVAILABLE, /* store, provider or target down: try later */
	SL_RSN_SHUTDOWN,    /* killed by an operator, drain, token expired */
	SL_RSN_PROTOCOL,    /* the peer broke the protocol */
	SL_RSN_UNREADABLE,  /* a result that cannot be masked */
	SL_RSN_LIMIT,       /* over a limit of the policy: 53400 and the like */
	SL_RSN_SESSIONS,    /* too many sessions of the caller */
	SL_RSN_LOCKED,      /* the caller's identity is locked */
};

struct sl_reason {
	enum sl_reason_code code;
	int err;                 /* of the error table, 0 none */
	struct sl_span event_id; /* "" none */
	struct sl_span message;  /* one line for the client; UTF-8 */
	struct sl_span hint;     /* "" none */
};

/* With ALLOW on AUTH, for a session credential. */
struct sl_auth_more {
	struct sl_span salt; /* SALT: these three */
	uint32_t iterations;
	uint8_t nonce[18];                  /* random, for this login alone */
	uint8_t signature[SL_AUTH_PROOF_N]; /* PROOF: ServerSignature */
};

/*
 * What a statement does by names that the protocol's portals and statements share with SQL's cursors and
 * prepared statements; bits. What cannot be read may do all of it.
 */
enum sl_names {
	SL_NAMES_FETCH = 1,      /* reads a cursor by its name: FETCH, MOVE */
	SL_NAMES_EXECUTE = 2,    /* runs a prepared statement by its name */
	SL_NAMES_OPEN = 4,       /* can open a cursor by a name that a portal had */
	SL_NAMES_DEALLOCATE = 8, /* removes a prepared statement */
	SL_NAMES_PREPARE = 16,   /* makes one */
	/* These look the name up each time that they are described or run: it can be gone, or something else,
	 * behind any command. */
	SL_NAMES_LATE = SL_NAMES_FETCH | SL_NAMES_EXECUTE,
};

struct sl_verdict {
	enum sl_action action;
	struct sl_span replace;
	struct sl_reason reason;         /* spans good until the next call into the flow */
	const struct sl_auth_more *auth; /* good for the call */
	/* Verdict on COMMAND, also when it is parked: comes back with each event of its reply. */
	uint32_t mark;
	/* The same, for the ROWMETA of its COPY; good for the call, SL_KEEP_MAX bytes at most. A decoder may
	 * have room for one: it refuses the next as long as the last one is needed. */
	struct sl_span keep;
	uint8_t names; /* Verdict on COMMAND, also when it is parked: enum sl_names; */
	/* and of FETCH or DEALLOCATE the name, where that is all of the text; good for the call. Empty: it
	 * can be any. */
	struct sl_span name;
	bool nameless; /* Verdict on REPORT */
	bool look;     /* Verdict on ROWMETA: raise ROW, too */
	/* Verdict on ROWS only: as many rows and bytes may pass from here on, the row at hand among them. */
	uint64_t rows, bytes;
};

struct sl_io {
	void *ctx;
	int (*event)(void *ctx, const struct sl_event *ev, struct sl_verdict *v);
	/* Forwards bytes that lie inside the span given to feed(), to the other side. 0, < 0 over the hard
	 * bound. */
	int (*pass)(void *ctx, enum sl_side to, struct sl_span bytes);
	/* Sends bytes of the decoder's own; copied. 0, < 0 over the hard bound. */
	int (*add)(void *ctx, enum sl_side to, struct sl_span bytes);
	/* Bytes that may be sent to a side before it counts as full. */
	size_t (*room)(void *ctx, enum sl_side to);
	/*
	 * From the next byte on, that side speaks TLS: everything added before goes out in clear first. The
	 * side's feed() goes on when the handshake is done. SL_E_TLS_PIGGYBACK when that side has sent clear
	 * bytes behind the request. SL_E_PROTO_UNSUPPORTED when no TLS is configured there.
	 */
	int (*upgrade)(void *ctx, enum sl_side side);
	/*
	 * As upgrade, for TLS that begins with the connection: the bytes that were not consumed are its
	 * first. The peers must agree on the protocol's ALPN name (RFC 7301), or the flow ends with
	 * SL_E_TLS_ALPN. The feed that asks for it consumes nothing and returns SL_AGAIN; login() may ask for
	 * it as well, of a target that has said nothing: what it has said in clear is SL_E_TLS_PIGGYBACK.
	 */
	int (*upgrade_direct)(void *ctx, enum sl_side side);
	/*
	 * tls-server-end-point (RFC 5929) of the certificate that was shown on that side. Returns its bytes,
	 * SL_DEC_BINDING_MAX at most; 0: the side has no TLS, or none is defined for the certificate.
	 */
	size_t (*channel_binding)(void *ctx, enum sl_side side, uint8_t *out);
	/* A block of at least so many bytes, not cleared. NULL: none to be had now. */
	void *(*take)(void *ctx, size_t bytes);
	/* bytes: as they were taken. Cleared by the flow. NULL is fine. */
	void (*give)(void *ctx, void *p, size_t bytes);
};

/* Fixed facts about the flow, good as long as the decoder lives. */
struct sl_decoder_cfg {
	bool client_tls_offered;  /* the listener has a certificate */
	bool client_tls_required; /* a secret in clear is refused */
	size_t message_max; /* bytes of a message that must be read whole (statement, parameters, masked row)
	                     */
	/* scratch_bytes, shared by all flows of the thread: what is in it is good for one call of feed(). */
	void *scratch;
};

/* SCRAM channel binding (RFC 5802) towards the target. */
enum sl_binding {
	SL_BINDING_PREFER = 0, /* where TLS has it and the target offers it */
	SL_BINDING_REQUIRE,    /* any other login is refused */
	SL_BINDING_OFF,
};

/* For login(): lent until SESSION has been raised or the flow closed. */
struct sl_login {
	struct sl_span user; /* at the target */
	struct sl_span secret;
	struct sl_span database; /* "" the target's default */
	bool tls_required;       /* towards the target: refuse when it has none */
	bool tls_offered;        /* try TLS */
	bool tls_direct;         /* begin with it, unasked; with tls_required only */
	enum sl_binding binding;
	uint16_t minor;      /* of the protocol's version, that is asked for at most */
	uint8_t nonce[18];   /* random, for this login alone */
	uint32_t cancel_pid; /* what the client gets as its cancel key: this, and as much as its protocol has
	                        of */
	uint8_t cancel_key[SL_CANCEL_KEY_MAX];
	/*
	 * A connection of the gateway's own, without a client: behind the login the decoder asks this and
	 * raises CATALOG for each row of the answer and at its end, then its feed() returns SL_CLOSED. There
	 * is no SESSION event. Empty: a client's session.
	 */
	struct sl_span query;
};

enum sl_inject {
	SL_INJ_BYE,    /* last word to the client: reason says why; then the flow closes it */
	SL_INJ_CANCEL, /* on a fresh connection to the target: ask it to cancel what this decoder's session is
	                  doing */
};

/*
 * A decoder. state_bytes of zeroed memory, 64-byte aligned, is what it begins with. All calls from one
 * thread.
 */
struct sl_decoder {
	const char *name;
	const char *alpn; /* its name in TLS (RFC 7301); NULL: none */
	size_t state_bytes, scratch_bytes;
	size_t take_max; /* bytes that one flow may hold of io->take() at a time */
	int (*open)(void *st, const struct sl_decoder_cfg *cfg, const struct sl_io *io);
	/*
	 * Returns SL_OK (all consumed that can be now), SL_MORE (a message is not whole: at least *consumed +
	 * something more is needed), SL_PARK, SL_AGAIN, SL_CLOSED (this side has said goodbye in order), < 0.
	 * *consumed is set in every case but < 0.
	 */
	int (*feed)(void *st, enum sl_side from, struct sl_span bytes, size_t *consumed);
	/* The verdict of what was parked: ALLOW or DENY with its reason. Then the flow feeds again. PARK: the
	 * held COMMAND waits for a person, and stays parked. */
	int (*resume)(void *st, const struct sl_verdict *v);
	/* The target's connection is open: begin the handshake there. */
	int (*login)(void *st, const struct sl_login *l);
	/* Says something of the gateway's own. 0, SL_AGAIN (not now), < 0 (cannot in this state). */
	int (*inject)(void *st, enum sl_inject what, const struct sl_reason *reason);
	/* A side has closed its sending half (FIN) and all its bytes were fed. SL_OK: the other half may
	 * close too. */
	int (*eof)(void *st, enum sl_side from);
	/*
	 * For cancel: fills the bytes that a fresh connection to the target must carry. Returns their number,
	 * or 0 when there is nothing to cancel. A decoder without cancelling has NULL here.
	 */
	size_t (*cancel_request)(void *st, uint8_t *out, size_t cap);
	/* Clears secrets and gives all blocks back. Once, also behind an open that failed. */
	void (*close)(void *st);
};

#endif
