/*
 * What the files of inspection share. A worker's state and a flow's; every function here runs on that worker.
 */
#ifndef INSPECT_PRIV_H
#define INSPECT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_inspect.h"
#include "sl_mask.h"
#include "sl_protect.h"
#include "sl_sql_uses.h"
#include "sqltext.h"

#define EVENT_ID_MAX       48  /* "<session>.<number>" and NUL */
#define MESSAGE_MAX        512 /* one line for the client */
#define LOOK_MAX           256 /* values of a row that are looked through in one scan */
#define MASK_SCRATCH_MAX   (256u * 1024)
#define CHUNK_MAX          SL_RECORD_TEXT_MAX
#define PARAM_TEXT_MAX     512  /* bytes of one parameter in a record */
#define PARAMS_MAX         3072 /* of all of them, encoded */
#define RECORD_HEAD_MAX    2632 /* what a COMMAND record needs besides text and parameters */
#define NAME_RECORD_MAX    256  /* bytes of a rule's name, an application's name and the like in a record */
#define MESSAGE_RECORD_MAX 512
#define ERROR_TEXT_MAX     200 /* of the target's error message, when no mask applies */
#define POLICY_GEN         31  /* of a binding's generation, in a want number */
#define SNAPSHOTS_MAX      64  /* policy versions in use on a worker at a time */
#define FLOW_LIMITS_MAX    32  /* limits of one flow; those per role count once for each role */

/* In a command's mark, beside those of enum sl_protect_mark: the target's catalog may be another one then. */
#define MARK_CATALOG (UINT32_C(1) << 31)
/* It goes on with what others have made: what the session remembers when the rows come counts, too. */
#define MARK_GOES_ON (UINT32_C(1) << 30)
/* A portal with a name: a function of the target can have put a cursor in its place by then. */
#define MARK_NAMED (UINT32_C(1) << 29)

/* ---- the policy in use: policy.c ---- */

/* A snapshot that the worker holds one count of. It leaves the worker when it is not current and no flow pins
 * it. */
struct slot {
	struct sl_snapshot *s; /* NULL: free */
	uint32_t nb_pins;
	bool released; /* waits for sl_inspect_released() */
};

/* A flow's standing under one snapshot. */
struct binding {
	struct slot *slot; /* NULL: none; valid while pinned, or while it is the worker's current one */
	uint64_t version;
	struct sl_principal p;
	bool has_role;
	bool hides; /* masks hide columns */
	bool pinned;
	struct sl_catalog *catalog; /* counted; NULL: not needed, or not given yet */
	uint8_t gen;                /* names this binding in want numbers; 6 bits */
	uint32_t sticky;            /* `before`: what the session remembered when it was the newest */
	uint8_t era;                /* changes with the masks of columns, not with each policy; 7 bits */
	uint64_t last_cmd;          /* the last command that it let through and that will have a result */
};

/* ---- limits: limit.c ---- */

/* What a flow is counted under. */
struct flow_limits {
	uint32_t identity; /* its entry in the table of usage; SL_USAGE_NONE: none is taken */
	uint32_t nb;
	struct {
		uint32_t limit, entry;
	} v[FLOW_LIMITS_MAX];
};

/* What limits say of a command. The first that denies it is named; all that hold it are asked for. */
struct limit_over {
	const struct sl_limit *deny, *shadow;               /* NULL: none */
	const struct sl_limit *holds[SL_BUS_NEEDS_MAX + 1]; /* one more than can be asked for */
	uint32_t nb_holds;
	const char *hint; /* of deny */
	uint32_t counted; /* bits of flow_limits.v: rates that counted the command */
};

/* ---- COPY: protect.c, mask.c ---- */

#define COPY_ANY UINT16_MAX /* columns: as many as there are, all alike */

struct copy_column {
	uint32_t type;
	int16_t mask; /* -1: none */
	bool derived;
};

/* What the data of a COPY is read by. */
struct copy_plan {
	uint64_t version; /* of the policy */
	bool masked;      /* false: nothing of it is looked at, and the rest says nothing */
	struct sl_copy format;
	uint16_t nb;
	struct copy_column rest; /* with COPY_ANY */
	struct copy_column columns[SL_PROTECT_COPY_MAX];
};

_Static_assert(sizeof(struct copy_plan) <= SL_KEEP_MAX, "a decoder keeps the plan of a COPY");

struct sl_inspect_worker {
	struct sl_inspect_worker_cfg cfg;
	uint64_t now_us, wall_us;
	uint32_t nb_blocks; /* of this worker in the store, all of them */
	struct sl_id_maker session_ids, approval_ids;
	struct slot slots[SNAPSHOTS_MAX];
	struct slot *current; /* NULL: no policy yet, everything is denied */
	uint32_t nb_released;
	struct sl_sql sql; /* the scan of the statement at hand */
	struct sl_sql_uses uses;
	struct sl_protect protect;
	struct copy_plan plan;
	struct statement stmt;
	uint8_t chunk[CHUNK_MAX];
	uint8_t mask[MASK_SCRATCH_MAX], again[MASK_SCRATCH_MAX];
	uint8_t value[MASK_SCRATCH_MAX]; /* a value brought into a form that can be scanned */
	struct sl_mask_look look[LOOK_MAX];
	struct sl_mask_finds finds;      /* of look */
	const struct sl_inspect *looked; /* whose row look is; NULL: nobody's */
	char name[SL_SQL_NAME_MAX];
	char over[MESSAGE_MAX];        /* which limit, in words */
	uint8_t record[SL_RECORD_MAX]; /* being encoded */
};

struct sl_inspect {
	struct sl_inspect_worker *w;
	struct sl_id id;
	char id_str[SL_ID_STR_MAX];
	char client[SL_ENDPOINT_STR_MAX];
	struct sl_addr source; /* the client's */
	char protocol[32];
	bool client_tls;
	bool began, ended;
	uint32_t newest;      /* relation that was newer than the catalog */
	bool changed_catalog; /* a statement of this session may have, and no COMMIT came since */
	bool doubts;          /* the command in hand names what the catalog does not know */
	uint64_t doubted;     /* the last such command, and one; 0: none yet */
	struct sl_protect_made made;
	struct {
		uint64_t cmd;
		struct sl_protect_made made;
	} making; /* what the last command that makes tables makes, until its result is in */
	uint64_t next_record;
	uint64_t barrier;
	uint64_t nb_commands, nb_denied;
	struct sl_identity *who; /* NULL before the login; cut behind its groups */
	char resource[SL_BUS_NAME_MAX], database[SL_BUS_NAME_MAX];
	struct binding now, before; /* `before` is pinned or empty */
	uint32_t sticky; /* of marks: what cursors and prepared statements of this session can carry */
	uint8_t next_gen;
	uint8_t era;
	uint64_t hidden; /* digest of the masks of columns that marks and `sticky` were made by; 0 none */
	struct {
		bool on;
		uint64_t cmd;
		struct sl_id approval;
	} hold;
	bool put_off;       /* a named statement was prepared that is held when it is executed */
	bool bound_execute; /* SQL EXECUTE was bound, and may run what is prepared later */
	struct {
		uint64_t cmd, recorded, skipped;
	} reply;
	struct flow_limits limits;
	/* Rows and bytes of the result in hand that were counted before they passed. */
	struct {
		bool on, lost; /* lost: under another policy; nothing is given back */
		uint64_t rows, bytes;
	} lease;
	struct {
		bool on; /* the management core does not know yet */
		char breaker[SL_BUS_NAME_MAX], event_id[EVENT_ID_MAX];
		uint32_t denials, window_s;
		uint64_t wall_us;
	} trip;
	char event_id[EVENT_ID_MAX];
	char message[MESSAGE_MAX];
};

/* Of an identity without the unused end of its lists. */
static inline size_t identity_bytes(const struct sl_identity *who)
{
	return offsetof(struct sl_identity, groups) + who->groups_n + who->claims_n;
}

/* policy.c */
int policy_bind(
        struct sl_inspect *in); /* `now` follows the worker's snapshot; SL_OK or < 0: the flow must end */
const struct binding *policy_for(const struct sl_inspect *in, uint64_t cmd); /* what judged this command */
const struct binding *policy_gen(const struct sl_inspect *in, uint8_t gen);  /* NULL: gone */
void policy_pin(struct sl_inspect *in, uint64_t cmd);
void policy_unpin(struct sl_inspect *in, uint64_t cmd); /* the results up to this command are in */
void policy_drop(struct sl_inspect *in);
bool policy_usable(const struct sl_inspect *in, const struct binding *b);
/* Does what it hides need the target's catalog? Without one its rows must not pass. */
bool policy_blind(const struct binding *b);

/* command.c */
int command_judge(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v,
                  struct sl_msg_hold *hold);
void deny(struct sl_inspect *in, struct sl_verdict *v, enum sl_reason_code code, int err,
          const char *message);

/* limit.c */
/* Takes the flow's entries under the policy in use, and gives back those of the one before. At login sessions
 * over their limit are refused. SL_OK, SL_AGAIN, SL_E_POLICY_LIMIT, SL_E_POLICY_LOCKED, SL_E_LIMIT. */
int limit_bind(struct sl_inspect *in, bool login);
void limit_drop(struct sl_inspect *in);
/* A command that the policy does not deny. What is over in->w->over says. */
void limit_command(struct sl_inspect *in, const struct sl_ev_command *c, struct limit_over *out);
void limit_undo(struct sl_inspect *in, const struct limit_over *o);
/* A command was denied by policy or by an approver: breakers count it. */
void limit_denied(struct sl_inspect *in);
int limit_rows(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v);
/* The result is whole. */
void limit_result(struct sl_inspect *in, const struct sl_ev_result *r);

/* What a command's verdict says to its reply: DERIVED and QUIET of enum sl_protect_mark, and the mask of what
 * is derived. */
#define MARK_MASK_SHIFT 8
#define MARK_MASK(mark) ((int16_t)(((mark) >> MARK_MASK_SHIFT & 0x1ffu) - 1))
/* And of which era it is. */
#define MARK_ERA_SHIFT 17
#define MARK_ERA       0x7fu
#define MARK_DERIVED   (SL_PROTECT_DERIVED | 0x1ffu << MARK_MASK_SHIFT)

/* protect.c */
struct protection {
	enum sl_decision_kind decision;
	int32_t mask;        /* that denies or holds; -1: none in particular */
	const char *message; /* "" with ALLOW */
	uint32_t mark;
	uint32_t leaves;     /* what the session remembers of it */
	struct sl_span keep; /* of a COPY: in w->plan */
};
/* in->w->sql is the scan of the command. */
void protect_command(struct sl_inspect *in, const struct sl_ev_command *c, struct protection *p);
/* It was judged, and is not denied. */
void protect_remember(struct sl_inspect *in, const struct protection *p);
/* The flow was bound to another policy: is that a new era? */
void protect_bound(struct sl_inspect *in);
/* What the mark says when the rows come, by what masks them. */
uint32_t protect_mark(const struct sl_inspect *in, const struct binding *b, uint32_t mark);
/* Does the command that was scanned name a relation that the catalog does not know? Said once of each. */
bool protect_doubts(struct sl_inspect *in, uint64_t cmd);
/* What the session makes, and what counts no more, by a command that was judged and by its result. */
void protect_begun(struct sl_inspect *in, uint64_t cmd, bool allowed);
void protect_ended(struct sl_inspect *in, uint64_t cmd, bool failed);

/* report.c */
int mask_report(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v);

/* mask.c */
/* What masks the reply of a command; bound anew when it had been left behind. */
int mask_binding(struct sl_inspect *in, uint64_t cmd, const struct binding **out);
/* Do content masks find something in a text? True when they cannot say. */
bool mask_finds(struct sl_inspect *in, const struct binding *b, struct sl_span text);
int mask_rowmeta(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v);
int mask_row(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v);
int mask_field(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v);
int mask_session(struct sl_inspect *in, struct sl_verdict *v);

/* recorder.c: each returns SL_OK (and raises in->next_record), or SL_AGAIN and nothing has changed. */
struct command_record {
	uint64_t cmd;
	enum sl_phase phase;
	const struct sl_ev_command *ev;
	const char *verdict;
	struct sl_span rule, message;
	uint64_t policy_version;
	uint64_t kinds;
	const struct sl_id *approval; /* NULL: none */
	const uint8_t *hash;
	const char *shadow;         /* what the verdict would be with the rules in shadow; NULL: the same */
	struct sl_span shadow_rule; /* by this one */
	const struct sl_snapshot *s;
	uint32_t nb_logs;
	const int32_t *logs; /* rules of s that only log */
	uint32_t nb_holds;
	const struct sl_rule *const *holds; /* rules and limits that hold it; none when it is not held */
};
int record_session(struct sl_inspect *in, struct sl_span target_user, struct sl_span app);
int record_refused(struct sl_inspect *in, int err, struct sl_span user, struct sl_span resource,
                   struct sl_span text);
int record_command(struct sl_inspect *in, const struct command_record *c);
int record_decision(struct sl_inspect *in, uint64_t cmd, const struct sl_msg_decision *d,
                    const char *outcome);
int record_result(struct sl_inspect *in, uint64_t cmd, const struct sl_ev_result *r, bool with_text);
int record_note(struct sl_inspect *in, struct sl_span code, struct sl_span text);
int record_reply(struct sl_inspect *in, uint64_t cmd, struct sl_span bytes);
int record_skipped(struct sl_inspect *in);
int record_end(struct sl_inspect *in, int err, struct sl_span why, uint64_t bytes_in, uint64_t bytes_out);
/* "<session>.<n>" of the record that is written next, into in->event_id. */
struct sl_span record_event_id(struct sl_inspect *in);

/* hash.c: SHA-256 without an allocation. */
void hash_bytes(struct sl_span bytes, uint8_t out[32]);
/* Of a statement's whole text and all its parameters; with the key when passwords are cut out of it. */
void hash_statement(const struct statement *st, const struct sl_param *params, uint32_t nb,
                    const uint8_t key[32], uint8_t out[32]);
void hash_hex(const uint8_t hash[32], char out[65]);

#endif
