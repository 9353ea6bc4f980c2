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
#define SL_POLICY_RULES_MAX     1024
#define SL_POLICY_MASKS_MAX     256
#define SL_POLICY_RESOURCES_MAX 256
#define SL_POLICY_GROUPS_MAX    1024 /* distinct group names in all roles */

struct sl_strings { /* a list of strings */
	const char **v;
	uint32_t nb;
};

enum sl_target_tls {
	SL_TARGET_TLS_REQUIRE, /* the default: TLS, certificate verified as `tls` context says */
	SL_TARGET_TLS_OFF,     /* only when the resource says so */
};

struct sl_resource {
	const char *name;
	const char *protocol; /* "postgres" */
	struct sl_endpoint address;
	enum sl_target_tls tls_mode;
	struct sl_tls_ctx *tls;      /* client context; NULL with TLS_OFF */
	const char *credential;      /* name of the sealed credential */
	struct sl_strings databases; /* allowed; empty: any */
};

struct sl_idp {
	const char *name, *issuer, *audience;
	const char *discovery_url;    /* default issuer + "/.well-known/openid-configuration" */
	const char *ca_pem;           /* roots for the provider's TLS; NULL: the system's */
	const char *groups_claim;     /* default "groups" */
	const char *name_claim;       /* default "preferred_username", falling back to email and sub */
	struct sl_strings algorithms; /* of RS256, ES256, EdDSA */
	uint32_t leeway_s;            /* for exp and nbf, default 30, at most 120 */
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
	struct sl_strings databases; /* globs; empty: any */
	uint64_t kinds;              /* statement kinds allowed (1 << enum sl_sql_kind) */
};

enum sl_rule_action {
	SL_RULE_DENY,
	SL_RULE_HOLD,
	SL_RULE_ALLOW, /* allows beyond the role's kinds */
};

struct sl_rule {
	const char *name;
	enum sl_rule_action action;
	const char *message;         /* what the caller reads */
	struct sl_strings roles;     /* applies to callers with one of these roles (globs); empty: all */
	struct sl_strings resources; /* globs; empty: all */
	uint64_t role_bits;          /* compiled from roles */
	uint64_t kinds;              /* 0: any kind */
	bool without_where;          /* only statements that change rows and lack WHERE */
	struct sl_strings relations; /* globs "name" or "schema.name"; empty: whatever they name */
	uint8_t access;              /* enum sl_sql_access: what is done to them */
	struct sl_strings functions; /* globs like those; empty: whatever they call */
	bool has_pattern; /* only when its pattern matches the statement's text; pattern id = index of the
	                     rule */
	struct sl_strings approvers; /* HOLD: groups; empty: any approver */
	uint32_t expires_s;          /* HOLD: default 300 */
};

enum sl_mask_action {
	SL_MASK_REDACT,  /* the whole value (or the matching part) becomes `text`, default "***" */
	SL_MASK_PARTIAL, /* all but the first keep_first and last keep_last characters become '*' */
	SL_MASK_NULL,
};

struct sl_mask {
	const char *name;
	enum sl_mask_action action;
	const char *text;
	uint32_t keep_first, keep_last;
	struct sl_strings columns;   /* globs "column", "table.column" or "schema.table.column", ASCII case
	                                folded; may be empty with a pattern */
	struct sl_strings resources; /* globs; empty: all */
	struct sl_strings roles;     /* applies to callers with one of these roles (globs); empty: all */
	struct sl_strings except;    /* but not to callers with one of these */
	uint64_t role_bits, except_bits;
	bool has_pattern; /* masks the parts of any text value that match; id in content_db = index of the
	                     mask */
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
	struct sl_mask *masks;
	uint32_t nb_masks;
	struct sl_match_db *statement_db; /* rules' patterns: caseless, dotall, match once; id = rule */
	struct sl_match_db *content_db;   /* masks' patterns: with start; id = mask */
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

/* Glob over ASCII-folded text: '*' any run, '?' one character. No other meta characters. Linear time. */
bool sl_glob_match(const char *glob, struct sl_span text);

#endif
