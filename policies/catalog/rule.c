#include "rule.h"

#include <stdlib.h>

#include "sl_err.h"

#define USER_OID 16384 /* FirstNormalObjectId: what is not built in has this number or a higher one */

enum node_kind {
	NODE_TOKEN = 1,
	NODE_LIST,
	NODE_OBJECT, /* its text is its name, its children are fields */
	NODE_FIELD,  /* its text is its label, its child the value */
};

struct node {
	uint32_t from, n;
	uint32_t first, next; /* 0: none */
	enum node_kind kind;
};

struct rule {
	struct sl_span text;
	uint32_t at, nb, depth;
	uint32_t steps;
	bool failed;
	uint16_t column;   /* whose value is walked through */
	uint32_t relation; /* of a generated column */
	uint32_t nb_readers;
	uint32_t readers[RULE_READERS];
	uint32_t nb_refs;
	struct rule_ref refs[RULE_REFS_MAX];
	struct node node[RULE_NODES_MAX]; /* from 1 */
};

/* A query and those around it. */
struct scope {
	const struct scope *up;
	uint32_t query;
};

struct rule *rule_new(void)
{
	struct rule *r = malloc(sizeof(struct rule));

	if (r != NULL)
		r->nb_readers = 0;
	return r;
}

bool rule_reader(struct rule *r, uint32_t function)
{
	if (r->nb_readers == RULE_READERS)
		return false;
	r->readers[r->nb_readers++] = function;
	return true;
}

void rule_free(struct rule *r)
{
	free(r);
}

/* ---- text to nodes ---- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

static bool is_special(uint8_t c)
{
	return c == '(' || c == ')' || c == '{' || c == '}';
}

/* The next token; empty at the end. */
static struct sl_span peek(struct rule *r)
{
	const uint8_t *p = r->text.p;
	uint32_t n = (uint32_t)r->text.n, at;

	while (r->at < n && is_space(p[r->at]))
		r->at++;
	at = r->at;
	if (at < n && is_special(p[at]))
		return sl_span(p + at, 1);
	while (at < n && !is_space(p[at]) && !is_special(p[at]))
		at += p[at] == '\\' && at + 1 < n ? 2 : 1;
	return sl_span(p + r->at, at - r->at);
}

static struct sl_span take(struct rule *r)
{
	struct sl_span t = peek(r);

	r->at += (uint32_t)t.n;
	return t;
}

static uint32_t node_new(struct rule *r, enum node_kind kind, struct sl_span text)
{
	if (r->nb + 1 >= RULE_NODES_MAX) {
		r->failed = true;
		return 0;
	}
	r->node[++r->nb] = (struct node){
	        .kind = kind, .from = text.n > 0 ? (uint32_t)(text.p - r->text.p) : 0, .n = (uint32_t)text.n};
	return r->nb;
}

static uint32_t read_value(struct rule *r);

static void append(struct rule *r, uint32_t parent, uint32_t *last, uint32_t child)
{
	if (*last == 0)
		r->node[parent].first = child;
	else
		r->node[*last].next = child;
	*last = child;
}

/* Behind "(". */
static uint32_t read_list(struct rule *r)
{
	uint32_t list = node_new(r, NODE_LIST, SL_SPAN_EMPTY), last = 0;

	while (!r->failed && !sl_span_is(peek(r), ")"))
		append(r, list, &last, read_value(r));
	(void)take(r);
	return list;
}

/* Bytes of a constant: "4 [ 1 0 0 0 ]". They have no meaning here. */
static void skip_bytes(struct rule *r)
{
	struct sl_span t;

	if (!sl_span_is(peek(r), "["))
		return;
	do {
		t = take(r);
		if (t.n == 0)
			r->failed = true;
	} while (!r->failed && !sl_span_is(t, "]"));
}

/* Behind "{". */
static uint32_t read_object(struct rule *r)
{
	uint32_t object = node_new(r, NODE_OBJECT, take(r)), last = 0;

	while (!r->failed && !sl_span_is(peek(r), "}")) {
		struct sl_span label = take(r);
		uint32_t field;

		if (label.n < 2 || label.p[0] != ':') {
			r->failed = true;
			break;
		}
		field = node_new(r, NODE_FIELD, sl_span_sub(label, 1, label.n));
		append(r, object, &last, field);
		if (r->failed)
			break;
		r->node[field].first = read_value(r);
		skip_bytes(r);
	}
	(void)take(r);
	return object;
}

static uint32_t read_value(struct rule *r)
{
	struct sl_span t = take(r);
	uint32_t v = 0;

	if (t.n == 0 || sl_span_is(t, ")") || sl_span_is(t, "}") || ++r->depth > RULE_DEPTH_MAX) {
		r->failed = true;
		return 0;
	}
	if (sl_span_is(t, "("))
		v = read_list(r);
	else if (sl_span_is(t, "{"))
		v = read_object(r);
	else
		v = node_new(r, NODE_TOKEN, t);
	r->depth--;
	return v;
}

/* The whole text as one value; 0: it is none. */
static uint32_t read_text(struct rule *r, struct sl_span text)
{
	uint32_t v;

	r->text = text;
	r->at = r->nb = r->depth = r->steps = r->nb_refs = 0;
	r->failed = text.n == 0 || text.n > UINT32_MAX / 2;
	if (r->failed)
		return 0;
	v = read_value(r);
	return r->failed || peek(r).n != 0 ? 0 : v;
}

/* ---- nodes ---- */

static struct sl_span text_of(const struct rule *r, uint32_t node)
{
	return sl_span(r->text.p + r->node[node].from, r->node[node].n);
}

static bool is_object(const struct rule *r, uint32_t node, const char *name)
{
	return node != 0 && r->node[node].kind == NODE_OBJECT && sl_span_is(text_of(r, node), name);
}

/* The value of a field; 0: there is none of that label. */
static uint32_t field(const struct rule *r, uint32_t object, const char *label)
{
	for (uint32_t f = r->node[object].first; f != 0; f = r->node[f].next) {
		if (sl_span_is(text_of(r, f), label))
			return r->node[f].first;
	}
	return 0;
}

static uint32_t nth(struct rule *r, uint32_t list, uint32_t i)
{
	uint32_t v = list != 0 && r->node[list].kind == NODE_LIST ? r->node[list].first : 0;

	for (; v != 0 && i > 0; i--, r->steps++)
		v = r->node[v].next;
	return v;
}

static bool number(struct sl_span t, int64_t *out)
{
	bool minus = t.n > 0 && t.p[0] == '-';
	int64_t n = 0;

	if (t.n <= minus || t.n > 10u + minus)
		return false;
	for (size_t i = minus; i < t.n; i++) {
		if (t.p[i] < '0' || t.p[i] > '9')
			return false;
		n = n * 10 + (t.p[i] - '0');
	}
	*out = minus ? -n : n;
	return true;
}

static int64_t get_signed(struct rule *r, uint32_t object, const char *label, uint32_t max)
{
	uint32_t v = field(r, object, label);
	int64_t n = 0;

	if (v == 0 || r->node[v].kind != NODE_TOKEN || !number(text_of(r, v), &n) || n > max) {
		r->failed = true;
		return 0;
	}
	return n;
}

/* A number from 0 to max; anything else fails the rule. */
static uint32_t get(struct rule *r, uint32_t object, const char *label, uint32_t max)
{
	int64_t n = get_signed(r, object, label, max);

	if (n < 0)
		r->failed = true;
	return n < 0 ? 0 : (uint32_t)n;
}

static bool is_none(const struct rule *r, uint32_t value)
{
	return r->node[value].kind == NODE_TOKEN && sl_span_is(text_of(r, value), "<>");
}

/* ---- what a value is made of ---- */

static void walk(struct rule *r, uint32_t node, const struct scope *s);

/* attr < 0: a system column, which says where the row lies and the like. */
static void refer(struct rule *r, enum rule_ref_kind kind, uint32_t relation, int64_t attr)
{
	struct rule_ref ref = {
	        .kind = kind, .column = r->column, .attr = (uint16_t)attr, .relation = relation};

	if (attr < 0)
		return;
	if (r->nb_refs == RULE_REFS_MAX)
		r->failed = true;
	else
		r->refs[r->nb_refs++] = ref;
}

/* The column `column` of a query's result. copy: it is what the view gives out, as it is. */
static void walk_result(struct rule *r, uint32_t query, const struct scope *up, uint32_t column, bool copy);

/* Of UNION and the like: what each of its parts gives there. They are the subqueries in its range table. */
static void walk_parts(struct rule *r, const struct scope *s, uint32_t column, bool copy)
{
	uint32_t rtable = field(r, s->query, "rtable"), nb = 0;

	for (uint32_t rte = nth(r, rtable, 0); rte != 0 && !r->failed; rte = r->node[rte].next) {
		uint32_t sub = field(r, rte, "subquery");

		if (sub == 0 || !is_object(r, sub, "QUERY"))
			continue;
		walk_result(r, sub, s, column, copy);
		nb++;
	}
	r->failed |= nb < 2;
}

static uint32_t find_target(struct rule *r, uint32_t query, uint32_t column)
{
	uint32_t list = field(r, query, "targetList");

	for (uint32_t t = nth(r, list, 0); t != 0 && !r->failed; t = r->node[t].next) {
		r->failed |= ++r->steps > RULE_STEPS_MAX;
		if (is_object(r, t, "TARGETENTRY") && get(r, t, "resno", UINT16_MAX) == column)
			return t;
	}
	return 0;
}

static void walk_result(struct rule *r, uint32_t query, const struct scope *up, uint32_t column, bool copy)
{
	struct scope s = {.up = up, .query = query};
	uint32_t setop = field(r, query, "setOperations"), target, table;

	if (setop == 0 || ++r->depth > RULE_DEPTH_MAX) {
		r->failed = true;
		return;
	}
	target = find_target(r, query, column);
	if (!is_none(r, setop)) {
		walk_parts(r, &s, column, copy);
	} else if (target == 0) { /* SEARCH and CYCLE add columns */
		walk(r, query, up);
	} else {
		table = get(r, target, "resorigtbl", UINT32_MAX);
		if (copy && table != 0)
			refer(r, RULE_COPY, table, get_signed(r, target, "resorigcol", UINT16_MAX));
		else
			walk(r, field(r, target, "expr"), &s);
	}
	r->depth--;
}

static void walk_cte(struct rule *r, uint32_t rte, const struct scope *s, uint32_t attr)
{
	uint32_t up = get(r, rte, "ctelevelsup", RULE_DEPTH_MAX), name = field(r, rte, "ctename");
	uint32_t self = field(r, rte, "self_reference");

	if (self != 0 && sl_span_is(text_of(r, self), "true"))
		return; /* what it begins with says it all */
	for (; up > 0 && s != NULL; up--)
		s = s->up;
	if (s == NULL || name == 0) {
		r->failed = true;
		return;
	}
	for (uint32_t c = nth(r, field(r, s->query, "cteList"), 0); c != 0; c = r->node[c].next) {
		uint32_t is = field(r, c, "ctename"), query = field(r, c, "ctequery");

		if (is == 0 || !sl_span_eq(text_of(r, is), text_of(r, name)))
			continue;
		if (!is_object(r, query, "QUERY"))
			break;
		if (attr == 0)
			walk(r, query, s);
		else
			walk_result(r, query, s, attr, false);
		return;
	}
	r->failed = true;
}

/* Items of a list by the column's number; of the row: all of them. */
static void walk_nth(struct rule *r, uint32_t list, const struct scope *s, uint32_t attr)
{
	uint32_t item = attr == 0 ? list : nth(r, list, attr - 1);

	if (item == 0)
		r->failed = true;
	else
		walk(r, item, s);
}

/* A column of an entry of a query's range table (RTEKind of PostgreSQL's parsenodes). */
static void walk_rte(struct rule *r, uint32_t rte, const struct scope *s, uint32_t attr)
{
	uint32_t sub;

	switch (get(r, rte, "rtekind", 100)) {
	case 0: /* a relation */
		refer(r, RULE_FROM, get(r, rte, "relid", UINT32_MAX), attr);
		break;
	case 1: /* a subquery */
		sub = field(r, rte, "subquery");
		if (!is_object(r, sub, "QUERY"))
			r->failed = true;
		else if (attr == 0)
			walk(r, sub, s);
		else
			walk_result(r, sub, s, attr, false);
		break;
	case 2: /* a join */
		walk_nth(r, field(r, rte, "joinaliasvars"), s, attr);
		break;
	case 3: /* functions, */
	case 4: /* XMLTABLE, */
	case 5: /* VALUES: by all that they are made of */
		walk(r, rte, s);
		break;
	case 6: /* WITH */
		walk_cte(r, rte, s, attr);
		break;
	case 9: /* GROUP BY, since PostgreSQL 18 */
		walk_nth(r, field(r, rte, "groupexprs"), s, attr);
		break;
	default:
		r->failed = true;
		break;
	}
}

static void walk_var(struct rule *r, uint32_t var, const struct scope *s)
{
	int64_t attr = get_signed(r, var, "varattno", UINT16_MAX);
	uint32_t rte, up;

	if (attr < 0) /* a system column */
		return;
	if (s == NULL) {
		refer(r, RULE_FROM, r->relation, attr);
		return;
	}
	for (up = get(r, var, "varlevelsup", RULE_DEPTH_MAX); up > 0 && s != NULL; up--)
		s = s->up;
	rte = s == NULL ? 0 : nth(r, field(r, s->query, "rtable"), get(r, var, "varno", RULE_NODES_MAX) - 1);
	if (rte == 0 || r->node[rte].kind != NODE_OBJECT)
		r->failed = true;
	else
		walk_rte(r, rte, s, (uint32_t)attr);
}

/* Labels of fields that name a function or an operator. */
static bool is_called(struct sl_span label)
{
	static const char *const names[] = {"funcid",     "opfuncid",  "opno",      "opnos",
	                                    "aggfnoid",   "winfnoid",  "negfuncid", "hashfuncid",
	                                    "elemfuncid", "tsmhandler"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sl_span_is(label, names[i]))
			return true;
	}
	return false;
}

/* Not built in, or reading what its text names. (Operators have numbers of their own: one that is a reader's
 * errs to the safe side.) */
static bool can_read(const struct rule *r, struct sl_span token)
{
	int64_t n;

	if (!number(token, &n))
		return false;
	for (uint32_t i = 0; i < r->nb_readers; i++) {
		if (r->readers[i] == n)
			return true;
	}
	return n >= USER_OID;
}

/* Is one of the numbers in it of something that can read anything? */
static bool reads_any(const struct rule *r, uint32_t value)
{
	if (r->node[value].kind == NODE_TOKEN)
		return can_read(r, text_of(r, value));
	for (uint32_t v = r->node[value].first; v != 0; v = r->node[v].next) {
		if (can_read(r, text_of(r, v)))
			return true;
	}
	return false;
}

static void walk_object(struct rule *r, uint32_t node, const struct scope *s)
{
	struct scope in = {.up = s, .query = node};

	if (is_object(r, node, "VAR")) {
		walk_var(r, node, s);
		return;
	}
	if (is_object(r, node, "QUERY"))
		s = &in;
	for (uint32_t f = r->node[node].first; f != 0 && !r->failed; f = r->node[f].next) {
		uint32_t value = r->node[f].first;

		if (is_called(text_of(r, f)) && reads_any(r, value))
			refer(r, RULE_ALL, 0, 0);
		else
			walk(r, value, s);
	}
}

static void walk(struct rule *r, uint32_t node, const struct scope *s)
{
	if (node == 0 || ++r->steps > RULE_STEPS_MAX || ++r->depth > RULE_DEPTH_MAX)
		r->failed = true;
	if (r->failed)
		return;
	if (r->node[node].kind == NODE_OBJECT)
		walk_object(r, node, s);
	for (uint32_t v = r->node[node].kind == NODE_LIST ? r->node[node].first : 0; v != 0 && !r->failed;
	     v = r->node[v].next)
		walk(r, v, s);
	r->depth--;
}

/* ---- the front ---- */

static int done(const struct rule *r, const struct rule_ref **refs, uint32_t *nb)
{
	*refs = r->refs;
	*nb = r->failed ? 0 : r->nb_refs;
	return r->failed ? SL_E_PROTO_TARGET : SL_OK;
}

int rule_view(struct rule *r, struct sl_span text, const struct rule_ref **refs, uint32_t *nb)
{
	uint32_t list = read_text(r, text), query = list != 0 ? nth(r, list, 0) : 0;
	uint32_t targets;

	if (!is_object(r, query, "QUERY") || r->node[query].next != 0)
		r->failed = true;
	targets = r->failed ? 0 : field(r, query, "targetList");
	r->failed |= targets == 0;
	for (uint32_t t = r->failed ? 0 : nth(r, targets, 0); t != 0 && !r->failed; t = r->node[t].next) {
		uint32_t junk = field(r, t, "resjunk");

		if (junk != 0 && sl_span_is(text_of(r, junk), "true"))
			continue;
		r->column = (uint16_t)get(r, t, "resno", UINT16_MAX);
		if (!r->failed)
			walk_result(r, query, NULL, r->column, true);
	}
	return done(r, refs, nb);
}

int rule_generated(struct rule *r, struct sl_span text, uint32_t relation, uint16_t column,
                   const struct rule_ref **refs, uint32_t *nb)
{
	uint32_t expr = read_text(r, text);

	r->column = column;
	r->relation = relation;
	if (expr == 0)
		r->failed = true;
	else
		walk(r, expr, NULL);
	return done(r, refs, nb);
}
