/* Keywords, by first letter. Only those that decide what a statement is; every other word is an identifier
 * here. */
#include <string.h>

#include "sql_lex_priv.h"

#define WORD_MAX 16 /* no keyword of the table is longer */

struct keyword {
	enum sql_keyword kw;
	uint8_t n;
	char word[WORD_MAX]; /* lower case, padded with zeros */
};

/* 16 bytes as two numbers, folded: a bit makes lower case of upper case and no letter of anything else in a
 * word. */
struct folded {
	uint64_t a, b;
};

/* clang-format off */
static const struct keyword words_a[] = {
	{KW_ABORT, 5, "abort"},
	{KW_ALL, 3, "all"},
	{KW_ALTER, 5, "alter"},
	{KW_ANALYSE, 7, "analyse"},
	{KW_ANALYZE, 7, "analyze"},
	{KW_AS, 2, "as"},
	{KW_ATOMIC, 6, "atomic"},
	{KW_AUTHORIZATION, 13, "authorization"},
	{0},
};
static const struct keyword words_b[] = {
	{KW_BEGIN, 5, "begin"},
	{0},
};
static const struct keyword words_c[] = {
	{KW_CALL, 4, "call"},
	{KW_CATALOG, 7, "catalog"},
	{KW_CHARACTERISTICS, 15, "characteristics"},
	{KW_CHECKPOINT, 10, "checkpoint"},
	{KW_CLOSE, 5, "close"},
	{KW_CLUSTER, 7, "cluster"},
	{KW_COMMENT, 7, "comment"},
	{KW_COMMIT, 6, "commit"},
	{KW_CONSTRAINTS, 11, "constraints"},
	{KW_COPY, 4, "copy"},
	{KW_CREATE, 6, "create"},
	{0},
};
static const struct keyword words_d[] = {
	{KW_DATABASE, 8, "database"},
	{KW_DEALLOCATE, 10, "deallocate"},
	{KW_DECLARE, 7, "declare"},
	{KW_DEFAULT, 7, "default"},
	{KW_DELETE, 6, "delete"},
	{KW_DISCARD, 7, "discard"},
	{KW_DO, 2, "do"},
	{KW_DROP, 4, "drop"},
	{0},
};
static const struct keyword words_e[] = {
	{KW_END, 3, "end"},
	{KW_EVENT, 5, "event"},
	{KW_EXECUTE, 7, "execute"},
	{KW_EXPLAIN, 7, "explain"},
	{KW_EXTENSION, 9, "extension"},
	{0},
};
static const struct keyword words_f[] = {
	{KW_FETCH, 5, "fetch"},
	{KW_FOR, 3, "for"},
	{KW_FOREIGN, 7, "foreign"},
	{KW_FROM, 4, "from"},
	{KW_FUNCTION, 8, "function"},
	{0},
};
static const struct keyword words_g[] = {
	{KW_GRANT, 5, "grant"},
	{KW_GROUP, 5, "group"},
	{0},
};
static const struct keyword words_i[] = {
	{KW_IMPORT, 6, "import"},
	{KW_INSERT, 6, "insert"},
	{KW_INTO, 4, "into"},
	{0},
};
static const struct keyword words_l[] = {
	{KW_LANGUAGE, 8, "language"},
	{KW_LISTEN, 6, "listen"},
	{KW_LOAD, 4, "load"},
	{KW_LOCAL, 5, "local"},
	{KW_LOCK, 4, "lock"},
	{0},
};
static const struct keyword words_m[] = {
	{KW_MERGE, 5, "merge"},
	{KW_MOVE, 4, "move"},
	{0},
};
static const struct keyword words_n[] = {
	{KW_NAMES, 5, "names"},
	{KW_NOTIFY, 6, "notify"},
	{0},
};
static const struct keyword words_o[] = {
	{KW_OPTION, 6, "option"},
	{KW_OR, 2, "or"},
	{KW_OWNED, 5, "owned"},
	{0},
};
static const struct keyword words_p[] = {
	{KW_PREPARE, 7, "prepare"},
	{KW_PROCEDURAL, 10, "procedural"},
	{KW_PROCEDURE, 9, "procedure"},
	{KW_PROGRAM, 7, "program"},
	{KW_PUBLICATION, 11, "publication"},
	{0},
};
static const struct keyword words_r[] = {
	{KW_READ, 4, "read"},
	{KW_REASSIGN, 8, "reassign"},
	{KW_REFRESH, 7, "refresh"},
	{KW_REINDEX, 7, "reindex"},
	{KW_RELEASE, 7, "release"},
	{KW_REPLACE, 7, "replace"},
	{KW_RESET, 5, "reset"},
	{KW_RETURNING, 9, "returning"},
	{KW_REVOKE, 6, "revoke"},
	{KW_ROLE, 4, "role"},
	{KW_ROLLBACK, 8, "rollback"},
	{KW_ROUTINE, 7, "routine"},
	{KW_RULE, 4, "rule"},
	{0},
};
static const struct keyword words_s[] = {
	{KW_SAVEPOINT, 9, "savepoint"},
	{KW_SCHEMA, 6, "schema"},
	{KW_SECURITY, 8, "security"},
	{KW_SELECT, 6, "select"},
	{KW_SERVER, 6, "server"},
	{KW_SESSION, 7, "session"},
	{KW_SET, 3, "set"},
	{KW_SHOW, 4, "show"},
	{KW_START, 5, "start"},
	{KW_STDIN, 5, "stdin"},
	{KW_STDOUT, 6, "stdout"},
	{KW_SUBSCRIPTION, 12, "subscription"},
	{KW_SYSTEM, 6, "system"},
	{0},
};
static const struct keyword words_t[] = {
	{KW_TABLE, 5, "table"},
	{KW_TABLESPACE, 10, "tablespace"},
	{KW_THEN, 4, "then"},
	{KW_TIME, 4, "time"},
	{KW_TO, 2, "to"},
	{KW_TRANSACTION, 11, "transaction"},
	{KW_TRIGGER, 7, "trigger"},
	{KW_TRUNCATE, 8, "truncate"},
	{KW_TRUSTED, 7, "trusted"},
	{0},
};
static const struct keyword words_u[] = {
	{KW_UNLISTEN, 8, "unlisten"},
	{KW_UPDATE, 6, "update"},
	{KW_USER, 4, "user"},
	{0},
};
static const struct keyword words_v[] = {
	{KW_VACUUM, 6, "vacuum"},
	{KW_VALUES, 6, "values"},
	{KW_VERBOSE, 7, "verbose"},
	{0},
};
static const struct keyword words_w[] = {
	{KW_WHERE, 5, "where"},
	{KW_WITH, 4, "with"},
	{0},
};
static const struct keyword words_x[] = {
	{KW_XML, 3, "xml"},
	{0},
};
static const struct keyword *const words[26] = {
	['a' - 'a'] = words_a,
	['b' - 'a'] = words_b,
	['c' - 'a'] = words_c,
	['d' - 'a'] = words_d,
	['e' - 'a'] = words_e,
	['f' - 'a'] = words_f,
	['g' - 'a'] = words_g,
	['i' - 'a'] = words_i,
	['l' - 'a'] = words_l,
	['m' - 'a'] = words_m,
	['n' - 'a'] = words_n,
	['o' - 'a'] = words_o,
	['p' - 'a'] = words_p,
	['r' - 'a'] = words_r,
	['s' - 'a'] = words_s,
	['t' - 'a'] = words_t,
	['u' - 'a'] = words_u,
	['v' - 'a'] = words_v,
	['w' - 'a'] = words_w,
	['x' - 'a'] = words_x,
};
/* clang-format on */

static struct folded fold(const char *padded)
{
	const uint64_t lower = UINT64_C(0x2020202020202020);
	struct folded f;

	memcpy(&f, padded, sizeof(f));
	f.a |= lower;
	f.b |= lower;
	return f;
}

enum sql_keyword sql_keyword_find(struct sl_span word)
{
	char padded[WORD_MAX] = {0};
	const struct keyword *k;
	struct folded f;
	uint8_t first = sql_fold(word.p[0]);

	if (word.n > WORD_MAX || first < 'a' || first > 'z')
		return KW_NONE;
	k = words[first - 'a'];
	if (k == NULL)
		return KW_NONE;
	memcpy(padded, word.p, word.n);
	f = fold(padded);
	for (; k->n != 0; k++) {
		struct folded w = fold(k->word);

		if (k->n == word.n && w.a == f.a && w.b == f.b)
			return k->kw;
	}
	return KW_NONE;
}
