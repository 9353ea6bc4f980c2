/* What a Test document says of masks: the tables that statements are judged over, and values. */
#include <string.h>

#include "compile_priv.h"

#define VALUE_MAX 65536

static const char *const value_keys[] = {"column", "type", "value", "expect", NULL};

/* Built-in types that values can be written of, and their arrays (pg_type.dat). */
static const struct {
	const char *name;
	uint32_t oid, array;
} types[] = {
        {"bool", 16, 1000},          {"bytea", 17, 1001},       {"name", 19, 1003},
        {"int8", 20, 1016},          {"int2", 21, 1005},        {"int4", 23, 1007},
        {"text", 25, 1009},          {"oid", 26, 1028},         {"json", 114, 199},
        {"xml", 142, 143},           {"cidr", 650, 651},        {"float4", 700, 1021},
        {"float8", 701, 1022},       {"money", 790, 791},       {"macaddr", 829, 1040},
        {"inet", 869, 1041},         {"bpchar", 1042, 1014},    {"varchar", 1043, 1015},
        {"date", 1082, 1182},        {"time", 1083, 1183},      {"timestamp", 1114, 1115},
        {"timestamptz", 1184, 1185}, {"interval", 1186, 1187},  {"timetz", 1266, 1270},
        {"bit", 1560, 1561},         {"varbit", 1562, 1563},    {"numeric", 1700, 1231},
        {"uuid", 2950, 2951},        {"tsvector", 3614, 3643},  {"jsonb", 3802, 3807},
        {"int4range", 3904, 3905},   {"numrange", 3906, 3907},  {"tsrange", 3908, 3909},
        {"tstzrange", 3910, 3911},   {"daterange", 3912, 3913}, {"int8range", 3926, 3927},
};

/* "int4" or "int4[]". */
static int type(struct compiler *c, const struct sl_yaml_node *at, const char *name,
                struct sl_policy_column *out)
{
	size_t n = strlen(name);
	bool array = n > 2 && strcmp(name + n - 2, "[]") == 0;

	n -= array ? 2 : 0;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i].name) == n && strncmp(types[i].name, name, n) == 0) {
			out->type = types[i].name;
			out->oid = array ? types[i].array : types[i].oid;
			return SL_OK;
		}
	}
	return cp_fail(c, SL_E_POLICY_SYNTAX, at,
	               "built-in ones by their names in pg_type: int4, bpchar, text[]",
	               "no type \"%.64s\" is known here", name);
}

static char *copy(struct compiler *c, const char *s, size_t n)
{
	char *out = cp_copy(c->arena, s, n);

	if (out == NULL)
		(void)cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	return out;
}

/* ---- tables ---- */

/* "name", or "name type"; without a type it is text. */
static int column(struct compiler *c, const struct sl_yaml_node *item, struct sl_policy_column *out)
{
	size_t n = item->type == SL_YAML_SCALAR ? strcspn(item->scalar, " ") : 0;

	if (n == 0 || n > SL_SQL_NAME_MAX || strchr(item->scalar, '.') != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL,
		               "a column is written name, or \"name type\"");
	out->name = copy(c, item->scalar, n);
	if (out->name == NULL)
		return SL_E_NOMEM;
	return type(c, item, item->scalar[n] == ' ' ? item->scalar + n + 1 : "text", out);
}

/* "table" or "schema.table". */
static int table_name(struct compiler *c, const struct sl_yaml_node *at, const char *s, size_t n,
                      const char **schema, const char **name)
{
	const char *dot = memchr(s, '.', n);
	size_t before = dot != NULL ? (size_t)(dot - s) : 0;
	size_t rest = dot != NULL ? n - before - 1 : n;

	if (rest == 0 || rest > SL_SQL_NAME_MAX || (dot != NULL && before == 0) || before > SL_SQL_NAME_MAX ||
	    memchr(s + n - rest, '.', rest) != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, at, NULL, "a table is written name or schema.name");
	*schema = dot != NULL ? copy(c, s, before) : "public";
	*name = copy(c, s + n - rest, rest);
	return *schema != NULL && *name != NULL ? SL_OK : SL_E_NOMEM;
}

static int table(struct compiler *c, const struct sl_yaml_node *m, struct sl_policy_table *out)
{
	struct sl_yaml_node place = {.line = m->key_line, .column = m->key_column};
	uint32_t nb = 0;
	int rc = table_name(c, &place, m->key, strlen(m->key), &out->schema, &out->name);

	if (rc == SL_OK && (m->type != SL_YAML_LIST || m->first == NULL))
		rc = cp_fail(c, SL_E_POLICY_SYNTAX, m, "people: [id int4, ssn]",
		             "a table is a list of its columns");
	for (const struct sl_yaml_node *i = m->first; rc == SL_OK && i != NULL; i = i->next)
		nb++;
	if (rc != SL_OK)
		return rc;
	out->columns = nb <= CP_LIST_MAX ? cp_take(c->arena, nb * sizeof(*out->columns)) : NULL;
	if (out->columns == NULL)
		return cp_fail(c, SL_E_LIMIT, m, NULL, "a table has at most %d columns", CP_LIST_MAX);
	for (const struct sl_yaml_node *i = m->first; rc == SL_OK && i != NULL; i = i->next)
		rc = column(c, i, &out->columns[out->nb_columns++]);
	return rc;
}

static int tables(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "tables");
	uint32_t nb = 0;
	int rc = SL_OK;

	if (n == NULL)
		return SL_OK;
	if (n->type != SL_YAML_MAP || n->first == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "tables: {people: [id int4, ssn]}",
		               "\"tables\" must be a map of tables and their columns");
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next)
		nb++;
	t->tables = nb <= CP_LIST_MAX ? cp_take(c->arena, nb * sizeof(*t->tables)) : NULL;
	if (t->tables == NULL)
		return cp_fail(c, SL_E_LIMIT, n, NULL, "more than %d tables", CP_LIST_MAX);
	for (const struct sl_yaml_node *m = n->first; m != NULL && rc == SL_OK; m = m->next)
		rc = table(c, m, &t->tables[t->nb_tables++]);
	return rc;
}

/* ---- values ---- */

/* A value may be empty or have several lines, which cp_text() does not take. `null` is SQL's, where it may
 * be. */
static int value(struct compiler *c, const struct sl_yaml_node *map, const char *key, bool null,
                 const char **out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	bool is_null;

	if (n == NULL || n->type != SL_YAML_SCALAR || strlen(n->scalar) > VALUE_MAX)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n != NULL ? n : map, NULL,
		               "a value needs \"%s\", a text of at most %d bytes", key, VALUE_MAX);
	is_null = n->plain &&
	          (n->scalar[0] == '\0' || strcmp(n->scalar, "~") == 0 || strcmp(n->scalar, "null") == 0);
	if (is_null && !null)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "NULL stays NULL", "\"%s\" must be a text", key);
	*out = is_null ? NULL : copy(c, n->scalar, strlen(n->scalar));
	return *out != NULL || is_null ? SL_OK : SL_E_NOMEM;
}

static int one_value(struct compiler *c, const struct sl_yaml_node *n, struct sl_policy_value *out)
{
	const char *name = NULL, *of = "text", *last;
	int rc = cp_map(c, n, "a value", value_keys);

	out->line = n->line;
	if (rc == SL_OK)
		rc = cp_text(c, n, "column", CP_REQUIRED, CP_GLOB_MAX, &name);
	if (rc == SL_OK)
		rc = cp_text(c, n, "type", CP_OPTIONAL, CP_NAME_MAX, &of);
	if (rc == SL_OK)
		rc = type(c, sl_yaml_get(n, "type"), of, &out->column);
	if (rc == SL_OK)
		rc = value(c, n, "value", false, &out->value);
	if (rc == SL_OK)
		rc = value(c, n, "expect", true, &out->expect);
	if (rc != SL_OK)
		return rc;
	last = strrchr(name, '.');
	out->column.name = last != NULL ? last + 1 : name;
	out->schema = out->table = "";
	if (out->column.name[0] == '\0' || strlen(out->column.name) > SL_SQL_NAME_MAX)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(n, "column"), NULL,
		               "a column is written column, table.column or schema.table.column");
	if (last != NULL)
		rc = table_name(c, sl_yaml_get(n, "column"), name, (size_t)(last - name), &out->schema,
		                &out->table);
	return rc;
}

static int values(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	const struct sl_yaml_node *list = sl_yaml_get(spec, "values");
	uint32_t nb = 0;
	int rc = SL_OK;

	if (list == NULL)
		return SL_OK;
	if (list->type != SL_YAML_LIST || list->first == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, list, "- {column: people.ssn, value: x, expect: '***'}",
		               "\"values\" must be a list");
	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next)
		nb++;
	t->values = nb <= CP_LIST_MAX ? cp_take(c->arena, nb * sizeof(*t->values)) : NULL;
	if (t->values == NULL)
		return cp_fail(c, SL_E_LIMIT, list, NULL, "more than %d values", CP_LIST_MAX);
	for (const struct sl_yaml_node *n = list->first; n != NULL && rc == SL_OK; n = n->next)
		rc = one_value(c, n, &t->values[t->nb_values++]);
	return rc;
}

int cp_expect(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	int rc = tables(c, spec, t);

	return rc == SL_OK ? values(c, spec, t) : rc;
}
