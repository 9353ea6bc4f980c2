/* Names in statements against the globs of rules. */
#include <string.h>

#include "eval_priv.h"

/* One part of a glob: the compiler takes no longer ones. */
static bool part_matches(const char *glob, size_t n, struct sl_span text)
{
	char part[SL_POLICY_GLOB_MAX + 1];

	if (n > SL_POLICY_GLOB_MAX)
		return false;
	memcpy(part, glob, n);
	part[n] = '\0';
	return sl_glob_match(part, text);
}

/*
 * "schema.name" or "name" against a glob of either form, part by part: a quoted name may have a dot in it.
 * Where the statement leaves the schema to the search path, it may be any: that is a match for what
 * restricts, and none for what allows.
 */
static bool matches(const char *glob, const struct sl_sql_name *n, bool restricts)
{
	char text[SL_SQL_NAME_MAX];
	const char *dot = strrchr(glob, '.');
	size_t len = sl_sql_name_fold(n->name, text);

	if (!sl_glob_match(dot != NULL ? dot + 1 : glob, sl_span(text, len)))
		return false;
	if (dot == NULL)
		return true;
	if (n->schema.n == 0)
		return restricts;
	len = sl_sql_name_fold(n->schema, text);
	return part_matches(glob, (size_t)(dot - glob), sl_span(text, len));
}

static bool matches_any(const struct sl_strings *globs, const struct sl_sql_name *n, bool restricts)
{
	for (uint32_t i = 0; i < globs->nb; i++) {
		if (matches(globs->v[i], n, restricts))
			return true;
	}
	return false;
}

bool eval_names_touched(const struct sl_rule *r, const struct sl_sql *sql, uint32_t stmt)
{
	bool relation = r->relations.nb == 0, function = r->functions.nb == 0;

	for (uint32_t i = 0; i < sql->nb_relations && !relation; i++) {
		const struct sl_sql_relation *t = &sql->relations[i];

		relation = t->stmt == stmt && (t->access & r->access) != 0 &&
		           matches_any(&r->relations, &t->name, true);
	}
	for (uint32_t i = 0; i < sql->nb_functions && relation && !function; i++)
		function = sql->functions[i].stmt == stmt &&
		           matches_any(&r->functions, &sql->functions[i].name, true);
	return relation && function;
}

bool eval_names_within(const struct sl_rule *r, const struct sl_sql *sql, uint32_t stmt)
{
	bool relation = r->relations.nb == 0, function = r->functions.nb == 0;

	for (uint32_t i = 0; i < sql->nb_relations && r->relations.nb > 0; i++) {
		const struct sl_sql_relation *t = &sql->relations[i];

		if (t->stmt != stmt)
			continue;
		if ((t->access & ~r->access) != 0 || !matches_any(&r->relations, &t->name, false))
			return false;
		relation = true;
	}
	for (uint32_t i = 0; i < sql->nb_functions && r->functions.nb > 0; i++) {
		if (sql->functions[i].stmt != stmt)
			continue;
		if (!matches_any(&r->functions, &sql->functions[i].name, false))
			return false;
		function = true;
	}
	return relation && function;
}
