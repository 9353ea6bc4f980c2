/* See uses.h. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sl_sql_uses.h"
#include "uses.h"

unsigned long uses_complete, uses_compared;

/* What a name in this part of the tree must at least be. */
struct place {
	uint8_t place, flow;
	bool query;            /* inside of a query at all */
	bool values;           /* the node is an item of a select list or computes a value of it */
	bool scalar;           /* in a subquery of an expression: all of it decides */
	const json_t *any_row; /* a select list that tells nothing: EXISTS (SELECT * FROM ...) */
};

struct check {
	const char *text;
	const struct sl_sql_uses *uses;
	complain_fn complain;
	bool good;
};

static bool is_any(const char *s, const char *const *list, size_t nb)
{
	for (size_t i = 0; i < nb; i++) {
		if (strcmp(s, list[i]) == 0)
			return true;
	}
	return false;
}
#define IS_ANY(s, list) is_any(s, list, sizeof(list) / sizeof((list)[0]))

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* ---- one name ---- */

static bool strict_enough(const struct sl_sql_use *u, const struct place *p)
{
	if (u->place == SL_SQL_TARGET || u->place < p->place)
		return false;
	if (p->flow == SL_SQL_TO_NOTHING)
		return true;
	return u->flow != SL_SQL_TO_NOTHING && (p->flow != SL_SQL_TO_WRITE || u->flow == SL_SQL_TO_WRITE);
}

static void column_ref(struct check *c, const json_t *ref, const struct place *p)
{
	const json_t *fields = json_object_get(ref, "fields");
	const json_t *last = json_array_get(fields, json_array_size(fields) - 1);
	const char *name = string_of(json_object_get(last, "String"), "sval");
	const char *at = c->text + json_integer_value(json_object_get(ref, "location"));
	bool star = json_object_get(last, "A_Star") != NULL, there = false;
	uint32_t hash = sl_sql_folded_hash(sl_span_str(name));

	uses_compared++;
	for (uint32_t i = 0; i < c->uses->nb_uses; i++) {
		const struct sl_sql_use *u = &c->uses->uses[i];

		if (star ? u->kind != SL_SQL_USE_STAR
		         : (u->kind != SL_SQL_USE_NAME || u->hash != hash ||
		            (const char *)u->name.name.p < at || (const char *)u->name.name.p > at + 200))
			continue;
		there = true;
		if (strict_enough(u, p))
			return;
	}
	c->complain(there ? "use not strict enough:" : "use missed:", star ? "*" : name, c->text);
	c->good = false;
}

/* ---- the tree ---- */

/* Children that decide and reach no output. */
static const char *const deciding[] = {"whereClause",   "havingClause", "sortClause",  "groupClause",
                                       "quals",         "limitCount",   "limitOffset", "windowClause",
                                       "condition",     "repeatable",   "agg_order",   "joinCondition",
                                       "distinctClause"};
/* Nodes that only pass values on. */
static const char *const passing[] = {"RowExpr",    "A_ArrayExpr",   "CoalesceExpr",
                                      "MinMaxExpr", "A_Indirection", "XmlExpr"};

static void walk(struct check *c, const char *node, const json_t *v, struct place p);

static bool is_concat(const json_t *expr)
{
	const json_t *name = json_object_get(expr, "name");

	return strcmp(string_of(expr, "kind"), "AEXPR_OP") == 0 && json_array_size(name) == 1 &&
	       strcmp(string_of(json_object_get(json_array_get(name, 0), "String"), "sval"), "||") == 0;
}

static bool is_value_call(const json_t *call)
{
	const json_t *name = json_object_get(call, "funcname");
	const char *f =
	        string_of(json_object_get(json_array_get(name, json_array_size(name) - 1), "String"), "sval");

	return sl_sql_builtin(sl_span_str(f)) == SL_SQL_FN_VALUE && json_object_get(call, "over") == NULL &&
	       json_object_get(call, "agg_filter") == NULL && json_object_get(call, "agg_order") == NULL &&
	       json_object_get(call, "agg_distinct") == NULL;
}

/* The place of what is inside of a node of an expression. */
static struct place inside(const char *node, const json_t *o, struct place p)
{
	if (!p.values || node[0] < 'A' || node[0] > 'Z') /* a field, or a node of no matter */
		return p;
	if (strcmp(node, "ColumnRef") == 0 || strcmp(node, "ResTarget") == 0 || strcmp(node, "List") == 0)
		return p;
	p.place = SL_SQL_OUTPUT_EXPR;
	if (IS_ANY(node, passing) || (strcmp(node, "A_Expr") == 0 && is_concat(o)) ||
	    (strcmp(node, "FuncCall") == 0 && is_value_call(o)))
		return p;
	p.place = SL_SQL_USED;
	p.values = false;
	return p;
}

static struct place of_child(const char *node, const char *key, struct place p)
{
	bool select =
	        strcmp(node, "SelectStmt") == 0 || strcmp(node, "larg") == 0 || strcmp(node, "rarg") == 0;
	bool list = strcmp(key, "targetList") == 0 || strcmp(key, "returningList") == 0;

	if (IS_ANY(key, deciding) || (strcmp(node, "RangeTableSample") == 0 && strcmp(key, "args") == 0)) {
		p.place = SL_SQL_USED;
		p.flow = SL_SQL_TO_NOTHING;
		p.values = false;
	} else if (select && list) {
		p.place = p.scalar ? SL_SQL_USED : SL_SQL_OUTPUT;
		p.values = !p.scalar;
	} else if (strcmp(key, "returningList") == 0) {
		p.place = p.scalar ? SL_SQL_USED : SL_SQL_OUTPUT;
		p.values = !p.scalar;
	} else if (list || (strcmp(node, "MergeWhenClause") == 0 && strcmp(key, "values") == 0)) {
		p.place = SL_SQL_USED;
		p.flow = SL_SQL_TO_WRITE;
		p.values = false;
	} else if (strcmp(node, "InsertStmt") == 0 && strcmp(key, "selectStmt") == 0) {
		p.flow = p.flow == SL_SQL_TO_NOTHING ? p.flow : SL_SQL_TO_WRITE;
	} else if (strcmp(key, "valuesLists") == 0) {
		p.place = SL_SQL_OUTPUT_EXPR;
		p.values = true;
	}
	return p;
}

/* The select list of EXISTS when it is nothing but a star, in a query that compares no rows; else NULL. */
static const json_t *exists_list(const json_t *link)
{
	const json_t *select = json_object_get(json_object_get(link, "subselect"), "SelectStmt");
	const json_t *list = json_object_get(select, "targetList");
	const json_t *target = json_object_get(json_array_get(list, 0), "ResTarget");
	const json_t *ref = json_object_get(json_object_get(target, "val"), "ColumnRef");
	const json_t *fields = json_object_get(ref, "fields");

	if (strcmp(string_of(link, "subLinkType"), "EXISTS_SUBLINK") != 0 ||
	    strcmp(string_of(select, "op"), "SETOP_NONE") != 0 ||
	    json_object_get(select, "distinctClause") != NULL || json_array_size(list) != 1 ||
	    json_array_size(fields) != 1 || json_object_get(json_array_get(fields, 0), "A_Star") == NULL)
		return NULL;
	return list;
}

static void walk_object(struct check *c, const char *node, const json_t *o, struct place p)
{
	static const char *const queries[] = {"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt",
	                                      "MergeStmt"};
	/* Names that are no columns, and what is refused whatever it names. */
	static const char *const none[] = {"lockingClause",      "DefElem",  "InferClause",      "infer",
	                                   "CreateFunctionStmt", "RuleStmt", "CreateSchemaStmt", "TypeName"};
	const char *key;
	const json_t *child;

	if (IS_ANY(node, none))
		return;
	if (IS_ANY(node, queries)) {
		p.query = true;
		if (p.values || p.scalar)
			p.scalar = true;
		p.values = false;
	}
	if (strcmp(node, "SubLink") == 0) {
		p.scalar = true;
		p.any_row = exists_list(o);
	}
	if (strcmp(node, "RangeSubselect") == 0)
		p.values = false;
	if (strcmp(node, "RangeFunction") == 0) {
		p.place = SL_SQL_OUTPUT_EXPR;
		p.values = false;
	}
	if (strcmp(node, "ColumnRef") == 0) {
		if (p.query)
			column_ref(c, o, &p);
		return;
	}
	p = inside(node, o, p);
	json_object_foreach((json_t *)(uintptr_t)o, key, child)
	{
		if (!IS_ANY(key, none) && child != p.any_row)
			walk(c, key, child, of_child(node, key, p));
	}
}

static void walk(struct check *c, const char *node, const json_t *v, struct place p)
{
	if (json_is_array(v)) {
		for (size_t i = 0; i < json_array_size(v); i++)
			walk(c, node, json_array_get(v, i), p);
	} else if (json_is_object(v)) {
		walk_object(c, node, v, p);
	}
}

bool uses_agree(const json_t *tree, const char *text, const struct sl_sql *sql, complain_fn complain)
{
	static struct sl_sql_uses uses;
	struct check c = {text, &uses, complain, true};
	struct place p = {.place = SL_SQL_OUTPUT, .flow = SL_SQL_TO_REPLY};

	sl_sql_uses(sl_span_str(text), sql, &uses);
	if (!uses.complete)
		return true; /* refused */
	uses_complete++;
	walk(&c, "", tree, p);
	return c.good;
}
