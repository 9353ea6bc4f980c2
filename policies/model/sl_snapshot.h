/*
 * The policy snapshot: one immutable, compiled version of all policy documents. Made on the management core
 * by sl_policy_compile(), published to workers as a pointer with a count, read by them without a lock, freed
 * on the management core when the last user gave its count back. Each statement is judged by exactly one.
 */
#ifndef SL_SNAPSHOT_H
#define SL_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sl_addr.h"
#include "sl_match.h"
#include "sl_span.h"
#include "sl_sql.h"
#include "sl_tls.h"

/* Bounds of one snapshot. Compiling refuses what goes over. */
#define SL_POLICY_ROLES_MAX     64
#define SL_POLICY_RULES_MAX     16384
#define SL_POLICY_MASKS_MAX     256
#define SL_POLICY_RESOURCES_MAX 256
#define SL_POLICY_GROUPS_MAX    1024 /* distinct group names in all roles */
#define SL_POLICY_WHO_MAX       256  /* distinct conditions on identities in all rules */
#define SL_POLICY_LABELS_MAX    16   /* of one resource */
#define SL_POLICY_LIMITS_MAX    64   /* limits and breakers together: a bit each in the principal */
#define SL_POLICY_TESTS_MAX     1024
#define SL_POLICY_DETECTORS_MAX 128 /* with the built-in ones */
#define SL_POLICY_DETECTORS_OWN 32  /* of the policy's own */
#define SL_POLICY_GLOB_MAX      127 /* bytes of a glob: two names and a dot */

struct sl_strings { /* a list of strings */
	const char **v;
	uint32_t nb;
};

struct sl_label {
	const char *key, *value;
};

enum sl_target_tls {
	SL_TARGET_TLS_REQUIRE, /* the default: TLS, certificate verified as `tls` context says */
	SL_TARGET_TLS_OFF,     /* only when the resource says so */
};

/* SCRAM's channel binding towards the target. */
enum sl_target_binding {
	SL_TARGET_BINDING_PREFER, /* the default: where the target offers it */
	SL_TARGET_BINDING_REQUIRE,
	SL_TARGET_BINDING_OFF,
};

struct sl_resource {
	const char *name;
	const char *protocol; /* "postgres" */
	struct sl_endpoint address;
	enum sl_target_tls tls_mode;
	struct sl_tls_ctx *tls; /* client context; NULL with TLS_OFF */
	bool tls_direct;        /* TLS begins with the connection */
	enum sl_target_binding binding;
	uint16_t minor;              /* of protocol 3, that is asked for at the target */
	const char *credential;      /* name of the sealed credential */
	struct sl_strings databases; /* allowed; empty: any */
	struct sl_label *labels;
	uint32_t nb_labels;
};

/* What kind of caller a provider's tokens stand for. */
enum sl_caller_kind {
	SL_CALLER_PERSON, /* the default */
	SL_CALLER_SERVICE,
	SL_CALLER_AGENT,
};

struct sl_idp {
	const char *name, *issuer, *audience;
	const char *discovery_url;    /* default issuer + "/.well-known/openid-configuration" */
	const char *ca_pem;           /* roots for the provider's TLS; NULL: the system's */
	const char *groups_claim;     /* default "groups" */
	const char *name_claim;       /* default "preferred_username", falling back to email and sub */
	struct sl_strings algorithms; /* of RS256, ES256, EdDSA */
	uint32_t leeway_s;            /* for exp and nbf, default 30, at most 120 */
	enum sl_caller_kind caller;
	struct sl_strings claims; /* names of claims that are kept for rules to look at */
	/* groups -> API roles */
	struct sl_strings viewers, operators, approvers, admins;
};

/* A role: who (by groups) may do what (statement kinds) where (resources, by glob). A bit in the principal.
 */
struct sl_role {
	const char *name;
	struct sl_strings groups;    /* any of them gives the role; "*" everybody who is authenticated */
	struct sl_strings subjects;  /* or the subject itself */
	struct sl_strings resources; /* globs */
	uint64_t resource_bits[SL_POLICY_RESOURCES_MAX / 64]; /* compiled from resources and labels */
	struct sl_strings databases;                          /* globs; empty: any */
	uint64_t kinds; /* statement kinds allowed (1 << enum sl_sql_kind) */
};

/* A claim of the caller and the values that fit (globs). */
struct sl_claim {
	const char *name;
	struct sl_strings values;
};

/* Whom a rule is for. Each part that is there must hold; in a part, one entry is enough. */
struct sl_who {
	struct sl_strings issuers;  /* globs */
	struct sl_strings groups;   /* names */
	struct sl_strings subjects; /* globs */
	uint32_t callers;           /* 1 << enum sl_caller_kind; 0: any */
	struct sl_claim *claims;    /* each of them */
	uint32_t nb_claims;
	struct sl_prefix *sources; /* networks that the caller comes from */
	uint32_t nb_sources;
};

/* A time zone's changes, in order; in front of the first change its offset holds too. */
struct sl_zone {
	const char *name;
	uint32_t nb;
	int64_t *from;     /* seconds since 1970 */
	int32_t *offset_s; /* east of UTC */
};

#define SL_MINUTES_A_DAY (24 * 60)

/* When a rule applies: days and minutes of the day in its zone, and the dates around it. */
struct sl_schedule {
	const struct sl_zone *zone; /* NULL: UTC */
	uint8_t days;               /* 1 << day, 0 being Sunday */
	uint16_t from_min,
	        to_min; /* [from, to); from > to goes past midnight, and the day is the one it begins on */
	uint64_t after_us, before_us; /* wall time, [after, before) */
};

enum sl_rule_action {
	SL_RULE_DENY,
	SL_RULE_HOLD,
	SL_RULE_ALLOW, /* allows beyond the role's kinds */
	SL_RULE_LOG,   /* changes nothing; the record names it */
};

/* For what else an approval counts, besides the statement at hand. */
enum sl_grant {
	SL_GRANT_ONCE,    /* nothing */
	SL_GRANT_SESSION, /* what the same rule holds in the same session */
	SL_GRANT_WINDOW,  /* what it holds of the same caller on the same resource, for a time */
};

struct sl_rule {
	const char *name;
	enum sl_rule_action action;
	const char *message;         /* what the caller reads */
	struct sl_strings roles;     /* applies to callers with one of these roles (globs); empty: all */
	struct sl_strings resources; /* globs; empty: all */
	uint64_t role_bits;          /* compiled from roles */
	uint64_t resource_bits[SL_POLICY_RESOURCES_MAX / 64]; /* compiled from resources and labels */
	uint32_t who;                   /* index in the snapshot's `whos`, SL_RULE_ANYBODY */
	const struct sl_schedule *when; /* NULL: always */
	bool shadow;                    /* only says what it would have done */
	uint64_t kinds;                 /* 0: any kind */
	bool without_where;             /* only statements that change rows and lack WHERE */
	struct sl_strings relations;    /* globs "name" or "schema.name"; empty: whatever they name */
	uint8_t access;                 /* enum sl_sql_access: what is done to them */
	struct sl_strings functions;    /* globs like those; empty: whatever they call */
	bool has_pattern; /* only when its pattern matches the statement's text; pattern id = index of the
	                     rule */
	struct sl_strings approvers; /* HOLD: groups; empty: any approver */
	uint32_t expires_s;          /* HOLD: default 300 */
	uint32_t quorum;             /* HOLD: approvals that it takes, from 1 */
	enum sl_grant grant;         /* HOLD */
	uint32_t grant_s;            /* SL_GRANT_WINDOW */
};

#define SL_RULE_ANYBODY UINT32_MAX

/* What a limit counts separately. */
enum sl_limit_per {
	SL_PER_IDENTITY, /* issuer and subject; the default */
	SL_PER_RESOURCE,
	SL_PER_ROLE, /* each of the caller's roles that the limit is for */
};

/* What becomes of a command over the limit. */
enum sl_limit_over {
	SL_OVER_DENY, /* the next command is denied */
	SL_OVER_HOLD, /* the next command waits for approval */
	SL_OVER_CUT,  /* the result ends behind its last complete row; the next command is denied */
};

/* What returned data is counted by. Windows begin with the minute and the day of UTC. */
enum sl_limit_window {
	SL_ROWS_MINUTE,
	SL_ROWS_DAY,
	SL_BYTES_MINUTE,
	SL_BYTES_DAY,
	SL_LIMIT_WINDOWS
};

/*
 * A Limit, or a Breaker: whom it is for, and how much that may be. Numbers that are 0 are no bound. A breaker
 * has nothing but `denials` in `window_s`, and what it trips on is locked.
 */
struct sl_limit {
	bool breaker;
	enum sl_limit_per per;
	enum sl_limit_over over;
	uint32_t per_second, burst; /* commands */
	uint32_t sessions;          /* at a time */
	uint64_t window[SL_LIMIT_WINDOWS];
	uint32_t denials, window_s;
	/* The conditions on the caller, the time and the resource, shadow, message ("": what was exceeded is
	 * said) and the terms of a hold. Its name is "Limit/name" or "Breaker/name", as in records. */
	struct sl_rule rule;
};

/* A part of an array of rules' numbers. */
struct sl_rule_list {
	uint32_t first, nb;
};

/* The rules that name this relation or function, without its schema and in lower case. */
struct sl_rule_name {
	uint64_t hash;      /* sl_rule_name_hash(); 0: empty */
	uint32_t first, nb; /* in named_rules */
};

/*
 * Where to look for the rules that a statement can meet. Rules with a pattern come from the pattern's match;
 * of the others those whose relations (or else functions) have no wildcard in their names are found by name,
 * and the rest by the statement's kinds: a rule of several kinds stands in the list of each. An opaque
 * statement meets all.
 */
struct sl_rule_index {
	struct sl_rule_list by_kind[SL_SQL_KIND_COUNT + 1]; /* in kind_rules; the last one: of any kind */
	uint32_t *kind_rules;
	struct sl_rule_name *names; /* open addressing */
	uint32_t names_mask;        /* slots - 1; no slots: names is NULL */
	uint32_t *named_rules;
	uint32_t *plain; /* all rules without a pattern, in document order */
	uint32_t nb_plain;
};

enum sl_mask_action {
	SL_MASK_REDACT,  /* the whole value (or the matching part) becomes `text`, default "***" */
	SL_MASK_PARTIAL, /* all but the first keep_first and last keep_last characters become '*' */
	SL_MASK_NULL,
	SL_MASK_HASH,     /* keyed; equal values stay equal, under one key also over columns and resources */
	SL_MASK_TOKENISE, /* FF1 (NIST SP 800-38G) over its digits and letters; the rest stays */
	SL_MASK_DATE,     /* cut to `unit` */
};

enum sl_mask_unit {
	SL_MASK_YEAR,
	SL_MASK_MONTH,
	SL_MASK_DAY,
	SL_MASK_HOUR,
};

/* What becomes of an output that is computed from a hidden column. */
enum sl_mask_derived {
	SL_DERIVED_MASK, /* masked whole; the default */
	SL_DERIVED_DENY, /* the statement is denied */
	SL_DERIVED_ALLOW,
};

/* What becomes of a statement whose rows a hidden column decides. */
enum sl_mask_inference {
	SL_INFERENCE_ALLOW, /* the default */
	SL_INFERENCE_DENY,  /* the default with `secret` */
	SL_INFERENCE_HOLD,
};

#define SL_MASK_KEY_BYTES 32

struct sl_mask {
	const char *name;
	enum sl_mask_action action;
	const char *text;
	uint32_t keep_first, keep_last;
	struct sl_strings columns; /* globs "column", "table.column" or "schema.table.column", ASCII case
	                              folded; may be empty with a pattern */
	struct sl_strings types;   /* names of types as pg_type has them (globs): hides columns of them, of
	                              arrays of   them and of domains over them */
	struct sl_strings json;    /* paths, as sl_mask_json_steps() reads them: what is hidden in json, jsonb
	                              and    JSON in text; empty: all of it */
	struct sl_strings trusted; /* globs of functions whose results and decisions are not the mask's */
	struct sl_strings servers; /* globs of foreign servers whose tables are what their names say */
	enum sl_mask_unit unit;    /* DATE */
	enum sl_mask_derived derived;
	enum sl_mask_inference inference;
	bool secret;
	const char *key_name;
	const uint8_t *key; /* HASH, TOKENISE: SL_MASK_KEY_BYTES; not in core dumps. NULL else */
	/* Whom and where it is for, the message ("": what was refused is said) and the terms of
	 * SL_INFERENCE_HOLD. Its name is "Mask/name", as in records. */
	struct sl_rule rule;
	struct sl_strings except; /* but not for callers with one of these roles */
	uint64_t except_bits;
	bool has_content; /* masks the parts of any value that its pattern matches or its detectors find */
	uint64_t detectors[SL_POLICY_DETECTORS_MAX / 64]; /* 1 << the detector's number */
};

/* Ids in content_db: below SL_POLICY_MASKS_MAX the mask whose pattern it is, else a form of a detector (of
 * the policy's own: form 0). */
#define SL_CONTENT_FORM_BITS      2
#define SL_CONTENT_DETECTOR(d, f) (SL_POLICY_MASKS_MAX + ((d) << SL_CONTENT_FORM_BITS | (f)))

/*
 * A detector of the policy's own. Its number comes behind those of the built-in ones: sl_detect_count() + its
 * place in the snapshot. It has one form, its pattern (with where a match begins). What matches counts when
 * the validator takes it, and, when there are words or names of columns, one of the words stands near by (up
 * to SL_DETECT_CONTEXT_MAX bytes in front of it) or one of the globs fits the column's name in the reply.
 */
struct sl_detector {
	const char *name;
	int32_t validator;         /* sl_detect_validator(); -1: none */
	struct sl_strings context; /* words, in lower case */
	struct sl_strings columns; /* globs */
};

/* What a policy's own test expects of one statement. */
struct sl_policy_case {
	const char *statement;
	const char *expect; /* "allow", "deny", "hold" */
	const char *rule;   /* the rule that decides; "" none; NULL not said */
	const char *shadow; /* the verdict with the rules in shadow; NULL not said */
	const char *log;    /* a rule with action log that must apply; NULL not said */
	const char *mask;   /* the mask that denies or holds it; "" none; NULL not said */
	uint32_t line;
};

struct sl_policy_column {
	const char *name;
	const char *type; /* of its elements, when it is an array */
	uint32_t oid;     /* of its type */
};

struct sl_policy_table {
	const char *schema, *name;
	struct sl_policy_column *columns;
	uint32_t nb_columns;
};

/* What becomes of a value of a column, in text format. */
struct sl_policy_value {
	const char *schema, *table; /* "" not said */
	struct sl_policy_column column;
	const char *value;
	const char *expect; /* NULL: SQL NULL */
	uint32_t line;
};

/* A caller on a resource at a time, and what is expected of statements. Tools run it; workers never see it.
 */
struct sl_policy_test {
	const char *name, *file;
	const char *subject, *issuer, *provider, *source; /* "" not said */
	const char *resource, *database;
	uint64_t wall_us;
	struct sl_strings groups, claims; /* claims: "name=value" */
	bool has_limits;
	struct sl_strings limits; /* has_limits: the limits and breakers that are for this caller there */
	struct sl_policy_case *cases;
	uint32_t nb_cases;
	struct sl_policy_table *tables; /* that the target has; none: masks do not judge the statements */
	uint32_t nb_tables;
	struct sl_policy_value *values;
	uint32_t nb_values;
};

struct sl_snapshot {
	_Atomic uint32_t refs; /* see sl_snapshot_ref() */
	uint64_t version;      /* of the policy, from 1 */
	struct sl_resource *resources;
	uint32_t nb_resources;
	struct sl_idp *idps;
	uint32_t nb_idps;
	struct sl_role *roles;
	uint32_t nb_roles;
	struct sl_rule *rules;
	uint32_t nb_rules;
	struct sl_who *whos;
	uint32_t nb_whos;
	struct sl_rule_index index;
	struct sl_detector *detectors;
	uint32_t nb_detectors;
	struct sl_mask *masks;
	uint32_t nb_masks;
	struct sl_limit *limits;
	uint32_t nb_limits;
	struct sl_policy_test *tests;
	uint32_t nb_tests;
	struct sl_match_db *statement_db; /* rules' patterns: caseless, dotall, match once; id = rule */
	struct sl_match_db *content_db;   /* masks' patterns (with start) and detectors' (without) */
	/* None of them asks where a text begins or ends: what matches in a text matches as well where it
	 * stands between others with a NUL between them. */
	bool content_joins;
	struct sl_match_scratch **statement_scratch; /* [worker] */
	struct sl_match_scratch **content_scratch;   /* [worker] */
	uint32_t nb_workers;
	void *memory; /* what all of the above lives in; private to compile */
};

/* Counts. A new snapshot has one, its maker's. sl_snapshot_unref() is true when the last went: only then free
 * it. */
static inline struct sl_snapshot *sl_snapshot_ref(struct sl_snapshot *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static inline bool sl_snapshot_unref(struct sl_snapshot *s)
{
	return atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1;
}

const struct sl_resource *sl_snapshot_resource(const struct sl_snapshot *s, struct sl_span name);

/* Of a relation's (or function's) name with ASCII letters folded; never 0. */
uint64_t sl_rule_name_hash(struct sl_span name, bool function);

/* Is the schedule open at this wall time? */
bool sl_schedule_open(const struct sl_schedule *s, uint64_t wall_us);

/* Glob over ASCII-folded text: '*' any run, '?' one character. No other meta characters. Linear time. */
bool sl_glob_match(const char *glob, struct sl_span text);

#endif
