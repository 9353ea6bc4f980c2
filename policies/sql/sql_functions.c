/*
 * Functions of PostgreSQL (to 18) and of its contrib modules that do more than read tables: they reach the
 * server's files, other sessions, other servers, settings, sequences, large objects, or run SQL that comes as
 * a text. A function that is not here counts as reading: one that the database's owner defined may do
 * anything its owner may (docs/policy.md).
 */
#include <string.h>

#include "sl_sql.h"
#include "sql_lex_priv.h"

#define ADMIN    SL_SQL_BIT(SL_SQL_ADMIN)
#define RUNS_SQL (SL_SQL_BIT(SL_SQL_ADMIN) | SL_SQL_BIT(SL_SQL_OPAQUE)) /* its argument is a statement */

struct function {
	const char *name; /* lower case; a last '*' stands for any rest */
	uint64_t kinds;
};

/* By the first letter. */
/* clang-format off */
static const struct function functions[] = {
	{"autoprewarm_*", ADMIN}, {"binary_upgrade_*", ADMIN}, {"brin_summarize_*", ADMIN},
	{"brin_desummarize_range", ADMIN}, {"bt_metap", ADMIN}, {"bt_multi_page_stats", ADMIN}, {"bt_page_*", ADMIN},
	{"cursor_to_xml*", RUNS_SQL}, {"crosstab*", RUNS_SQL},
	{"connectby", RUNS_SQL}, {"dblink*", RUNS_SQL}, {"database_to_xml*", RUNS_SQL}, {"get_raw_page", ADMIN},
	{"gin_clean_pending_list", ADMIN}, {"hash_bitmap_info", ADMIN}, {"heap_force_*", ADMIN}, {"lo_creat", ADMIN}, {"lo_create", ADMIN},
	{"lo_import*", ADMIN}, {"lo_export", ADMIN}, {"lo_open", ADMIN}, {"lo_close", ADMIN}, {"lo_unlink", ADMIN},
	{"lo_put", ADMIN}, {"lo_get", ADMIN}, {"lo_from_bytea", ADMIN}, {"lo_lseek*", ADMIN}, {"lo_tell*", ADMIN},
	{"lo_truncate*", ADMIN}, {"loread", ADMIN}, {"lowrite", ADMIN}, {"nextval", ADMIN},
	{"pg_cancel_backend", ADMIN}, {"pg_terminate_backend", ADMIN}, {"pg_signal_*", ADMIN},
	{"pg_reload_conf", ADMIN}, {"pg_rotate_logfile*", ADMIN}, {"pg_promote", ADMIN}, {"pg_read_*", ADMIN},
	{"pg_ls_*", ADMIN}, {"pg_stat_file", ADMIN}, {"pg_file_*", ADMIN}, {"pg_logdir_ls", ADMIN},
	{"pg_current_logfile", ADMIN}, {"pg_hba_file_rules", ADMIN}, {"pg_ident_file_mappings", ADMIN},
	{"pg_show_all_file_settings", ADMIN}, {"pg_sleep*", ADMIN}, {"pg_notify", ADMIN}, {"pg_logical_*", ADMIN},
	{"pg_replication_*", ADMIN}, {"pg_create_*", ADMIN}, {"pg_copy_*", ADMIN}, {"pg_drop_*", ADMIN},
	{"pg_switch_*", ADMIN}, {"pg_backup_*", ADMIN}, {"pg_start_backup", ADMIN}, {"pg_stop_backup", ADMIN},
	{"pg_wal_replay_*", ADMIN}, {"pg_xlog_replay_*", ADMIN}, {"pg_export_snapshot", ADMIN},
	{"pg_import_system_collations", ADMIN}, {"pg_stat_reset*", ADMIN}, {"pg_stat_statements_reset", ADMIN},
	{"pg_stat_force_next_flush", ADMIN}, {"pg_log_backend_memory_contexts", ADMIN},
	{"pg_log_standby_snapshot", ADMIN}, {"pg_sync_replication_slots", ADMIN}, {"pg_buffercache_evict*", ADMIN},
	{"pg_restore_*", ADMIN}, {"pg_clear_*", ADMIN}, {"pg_get_logical_snapshot_*", ADMIN},
	{"pg_extension_config_dump", ADMIN}, {"pg_nextoid", ADMIN}, {"pg_stop_making_pinned_objects", ADMIN},
	{"pg_prewarm", ADMIN}, {"pg_truncate_visibility_map", ADMIN}, {"pg_get_wal_*", ADMIN},
	{"pg_prepared_*", ADMIN}, {"postgres_fdw_disconnect*", ADMIN}, {"plpgsql_call_handler", ADMIN},
	{"plpgsql_inline_handler", ADMIN}, {"query_to_xml*", RUNS_SQL}, {"run_command_on_*", RUNS_SQL},
	{"set_config", ADMIN}, {"setval", ADMIN}, {"schema_to_xml*", RUNS_SQL}, {"table_to_xml*", RUNS_SQL},
	{"ts_stat", RUNS_SQL}, {"ts_rewrite", RUNS_SQL}, {"xpath_table", RUNS_SQL},
};
/* clang-format on */

#define NB_FUNCTIONS   (sizeof(functions) / sizeof(functions[0]))
#define NAME_MAX_BYTES 63 /* PostgreSQL cuts longer names, and none here is near */

static bool name_is(const char *pattern, struct sl_span name)
{
	size_t i = 0;

	while (i < name.n && (uint8_t)pattern[i] == sql_fold(name.p[i]))
		i++;
	return pattern[i] == '*' || (pattern[i] == '\0' && i == name.n);
}

static uint8_t first[32 + 1]; /* by the lower five bits of the first letter: where its functions begin */
_Static_assert(NB_FUNCTIONS < 256, "an index of the table fits");

__attribute__((constructor)) static void index_functions(void)
{
	for (size_t i = 0; i < NB_FUNCTIONS; i++)
		for (size_t c = functions[i].name[0] & 31; c < 32; c++)
			first[c + 1] = (uint8_t)(i + 1);
}

uint64_t sql_function_kinds(struct sl_span name)
{
	size_t c;

	if (name.n == 0 || name.n > NAME_MAX_BYTES)
		return 0;
	c = name.p[0] & 31;
	for (size_t i = first[c]; i < first[c + 1]; i++) {
		if (name_is(functions[i].name, name))
			return functions[i].kinds;
	}
	return 0;
}
