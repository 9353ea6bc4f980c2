#include "sl_record.h"

const char *sl_record_kind_name(enum sl_record_kind kind)
{
	static const char *const names[] = {
	        [SL_REC_SESSION] = "session", [SL_REC_REFUSED] = "refused",   [SL_REC_COMMAND] = "command",
	        [SL_REC_MORE] = "more",       [SL_REC_DECISION] = "decision", [SL_REC_RESULT] = "result",
	        [SL_REC_DATA] = "data",       [SL_REC_NOTE] = "note",         [SL_REC_END] = "end",
	        [SL_REC_GAP] = "gap",
	};

	return kind >= SL_REC_SESSION && kind <= SL_REC_GAP ? names[kind] : "unknown";
}

struct key_name {
	const char *key;
	const char *name;
};

/* Keys that mean another thing in one kind of record. */
static const struct {
	enum sl_record_kind kind;
	struct key_name n;
} special[] = {
        {SL_REC_DECISION, {"o", "outcome"}}, {SL_REC_DECISION, {"m", "note"}},
        {SL_REC_RESULT, {"o", "tag"}},       {SL_REC_NOTE, {"o", "code"}},
        {SL_REC_NOTE, {"m", "text"}},        {SL_REC_DATA, {"sk", "skipped"}},
};

static const struct key_name common[] = {
        {"t", "t_us"},
        {"n", "n"},
        {"u", "user"},
        {"iss", "issuer"},
        {"g", "groups"},
        {"r", "resource"},
        {"db", "database"},
        {"c", "client"},
        {"p", "protocol"},
        {"tu", "target_user"},
        {"tls", "tls"},
        {"app", "app"},
        {"cr", "credential"},
        {"rs", "reason"},
        {"cmd", "cmd"},
        {"ph", "phase"},
        {"x", "text"},
        {"v", "verdict"},
        {"ru", "rule"},
        {"m", "message"},
        {"pv", "policy_version"},
        {"sv", "shadow_verdict"},
        {"sr", "shadow_rule"},
        {"lr", "log_rules"},
        {"hr", "hold_rules"},
        {"sk", "statement_kinds"},
        {"h", "hash"},
        {"l", "length"},
        {"pc", "passwords_cut"},
        {"ap", "approval"},
        {"pa", "params"},
        {"z", "last"},
        {"by", "by"},
        {"nr", "rows"},
        {"nb", "bytes"},
        {"nm", "masked"},
        {"es", "sqlstate"},
        {"d", "data"},
        {"nc", "commands"},
        {"nd", "denied"},
        {"bi", "bytes_in"},
        {"bo", "bytes_out"},
};

const char *sl_record_key_name(enum sl_record_kind kind, struct sl_span key)
{
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (special[i].kind == kind && sl_span_is(key, special[i].n.key))
			return special[i].n.name;
	}
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
		if (sl_span_is(key, common[i].key))
			return common[i].name;
	}
	return NULL;
}
