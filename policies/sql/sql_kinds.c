/* The kinds' names and the classes that roles name. */
#include <string.h>

#include "sl_sql.h"

static const char *const names[SL_SQL_KIND_COUNT] = {
        [SL_SQL_EMPTY] = "empty",
        [SL_SQL_SELECT] = "select",
        [SL_SQL_INSERT] = "insert",
        [SL_SQL_UPDATE] = "update",
        [SL_SQL_DELETE] = "delete",
        [SL_SQL_MERGE] = "merge",
        [SL_SQL_TRUNCATE] = "truncate",
        [SL_SQL_CREATE] = "create",
        [SL_SQL_ALTER] = "alter",
        [SL_SQL_DROP] = "drop",
        [SL_SQL_GRANT] = "grant",
        [SL_SQL_SET] = "set",
        [SL_SQL_SHOW] = "show",
        [SL_SQL_COPY_FROM] = "copy-from",
        [SL_SQL_COPY_TO] = "copy-to",
        [SL_SQL_COPY_SERVER] = "copy-server",
        [SL_SQL_TRANSACTION] = "transaction",
        [SL_SQL_PREPARE] = "prepare",
        [SL_SQL_EXECUTE] = "execute",
        [SL_SQL_CURSOR] = "cursor",
        [SL_SQL_EXPLAIN] = "explain",
        [SL_SQL_CALL] = "call",
        [SL_SQL_DO] = "do",
        [SL_SQL_LISTEN] = "listen",
        [SL_SQL_LOCK] = "lock",
        [SL_SQL_MAINTAIN] = "maintain",
        [SL_SQL_ADMIN] = "admin",
        [SL_SQL_FUNCTION_CALL] = "function-call",
        [SL_SQL_OPAQUE] = "opaque",
};

#define BIT(k) SL_SQL_BIT(SL_SQL_##k)
/* EXECUTE is opaque, too: of its kind this leaves DEALLOCATE, by which drivers drop what they have prepared.
 */
#define KINDS_READ                                                                                           \
	(BIT(SELECT) | BIT(SHOW) | BIT(EXPLAIN) | BIT(CURSOR) | BIT(COPY_TO) | BIT(EMPTY) |                  \
	 BIT(TRANSACTION) | BIT(EXECUTE))
#define KINDS_WRITE (KINDS_READ | BIT(INSERT) | BIT(UPDATE) | BIT(DELETE) | BIT(MERGE) | BIT(COPY_FROM))
#define KINDS_DDL   (BIT(CREATE) | BIT(ALTER) | BIT(DROP) | BIT(TRUNCATE))
#define KINDS_ANY   ((UINT64_C(1) << SL_SQL_KIND_COUNT) - 1)

static const struct {
	const char *name;
	uint64_t kinds;
} classes[] = {
        {"read", KINDS_READ},
        {"write", KINDS_WRITE},
        {"ddl", KINDS_DDL},
        {"any", KINDS_ANY},
};

const char *sl_sql_kind_name(enum sl_sql_kind kind)
{
	return (unsigned)kind < SL_SQL_KIND_COUNT ? names[kind] : "unknown";
}

uint64_t sl_sql_kinds_parse(const char *name)
{
	for (unsigned k = 0; k < SL_SQL_KIND_COUNT; k++) {
		if (strcmp(name, names[k]) == 0)
			return SL_SQL_BIT(k);
	}
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strcmp(name, classes[i].name) == 0)
			return classes[i].kinds;
	}
	return 0;
}
