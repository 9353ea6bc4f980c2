/* What a value's type is (PostgreSQL's pg_type.dat), and what stands for a value of it that is taken away. */
#include "mask_priv.h"

#define DOMAINS_MAX 8 /* domains over domains */

/* By oid. */
static const struct {
	uint32_t oid, array;
	enum kind kind;
} builtin[] = {
        {16, 1000, KIND_BOOL},         {17, 1001, KIND_BYTEA},
        {18, 1002, KIND_CHAR},         {19, 1003, KIND_TEXT}, /* name */
        {20, 1016, KIND_INT8},         {21, 1005, KIND_INT2},
        {22, 1006, KIND_NONE},                                 /* int2vector */
        {23, 1007, KIND_INT4},         {24, 1008, KIND_PLAIN}, /* regproc */
        {25, 1009, KIND_TEXT},         {26, 1028, KIND_OID},
        {27, 1010, KIND_PLAIN}, /* tid */
        {28, 1011, KIND_PLAIN}, /* xid */
        {29, 1012, KIND_PLAIN}, /* cid */
        {30, 1013, KIND_NONE},  /* oidvector */
        {114, 199, KIND_JSON},         {142, 143, KIND_XML},
        {600, 1017, KIND_PLAIN}, /* point */
        {601, 1018, KIND_PLAIN}, /* lseg */
        {602, 1019, KIND_PLAIN}, /* path */
        {603, 1020, KIND_PLAIN}, /* box */
        {604, 1027, KIND_PLAIN}, /* polygon */
        {628, 629, KIND_PLAIN},  /* line */
        {650, 651, KIND_CIDR},         {700, 1021, KIND_FLOAT4},
        {701, 1022, KIND_FLOAT8},      {705, 0, KIND_TEXT},    /* unknown */
        {718, 719, KIND_PLAIN},                                /* circle */
        {774, 775, KIND_MACADDR8},     {790, 791, KIND_PLAIN}, /* money: its text depends on the locale */
        {829, 1040, KIND_MACADDR},     {869, 1041, KIND_INET},
        {1042, 1014, KIND_BPCHAR},     {1043, 1015, KIND_TEXT}, /* varchar */
        {1082, 1182, KIND_DATE},       {1083, 1183, KIND_TIME},
        {1114, 1115, KIND_TIMESTAMP},  {1184, 1185, KIND_TIMESTAMPTZ},
        {1186, 1187, KIND_INTERVAL},   {1266, 1270, KIND_TIMETZ},
        {1560, 1561, KIND_BIT},        {1562, 1563, KIND_VARBIT},
        {1700, 1231, KIND_NUMERIC},    {1790, 2201, KIND_TEXT},  /* refcursor */
        {2202, 2207, KIND_PLAIN},                                /* regprocedure */
        {2203, 2208, KIND_PLAIN},                                /* regoper */
        {2204, 2209, KIND_PLAIN},                                /* regoperator */
        {2205, 2210, KIND_PLAIN},                                /* regclass */
        {2206, 2211, KIND_PLAIN},                                /* regtype */
        {2249, 2287, KIND_COMPOSITE},                            /* record */
        {2275, 1263, KIND_TEXT},                                 /* cstring */
        {2278, 0, KIND_PLAIN},                                   /* void */
        {2950, 2951, KIND_UUID},       {3220, 3221, KIND_PLAIN}, /* pg_lsn */
        {3614, 3643, KIND_TSVECTOR},   {3615, 3645, KIND_NONE},  /* tsquery */
        {3802, 3807, KIND_JSONB},      {3904, 3905, KIND_RANGE},
        {3906, 3907, KIND_RANGE},      {3908, 3909, KIND_RANGE},
        {3910, 3911, KIND_RANGE},      {3912, 3913, KIND_RANGE},
        {3926, 3927, KIND_RANGE},      {4072, 4073, KIND_NONE}, /* jsonpath */
        {4089, 4090, KIND_PLAIN},                               /* regnamespace */
        {4096, 4097, KIND_PLAIN},                               /* regrole */
        {4451, 6150, KIND_MULTIRANGE}, {4532, 6151, KIND_MULTIRANGE},
        {4533, 6152, KIND_MULTIRANGE}, {4534, 6153, KIND_MULTIRANGE},
        {4535, 6155, KIND_MULTIRANGE}, {4536, 6157, KIND_MULTIRANGE},
        {5069, 271, KIND_PLAIN}, /* xid8 */
};

/* What ranges are made of, and multiranges. */
static const struct {
	uint32_t oid, of;
} made_of[] = {
        {3904, 23},   {3906, 1700}, {3908, 1114}, {3910, 1184}, {3912, 1082}, {3926, 20},
        {4451, 3904}, {4532, 3906}, {4533, 3908}, {4534, 3910}, {4535, 3912}, {4536, 3926},
};

#define NB_BUILTIN (sizeof(builtin) / sizeof(builtin[0]))

static bool find_builtin(uint32_t oid, struct type *t)
{
	size_t from = 0, to = NB_BUILTIN;

	while (from < to) {
		size_t at = (from + to) / 2;

		if (builtin[at].oid == oid) {
			t->kind = builtin[at].kind;
			for (size_t k = 0; k < sizeof(made_of) / sizeof(made_of[0]); k++)
				t->of = made_of[k].oid == oid ? made_of[k].of : t->of;
			return true;
		}
		if (builtin[at].oid < oid)
			from = at + 1;
		else
			to = at;
	}
	for (size_t i = 0; i < NB_BUILTIN; i++) {
		if (builtin[i].array != oid)
			continue;
		t->kind = KIND_ARRAY;
		t->of = builtin[i].oid;
		return true;
	}
	return false;
}

static struct type of_catalog(const struct sl_catalog_type *c)
{
	static const uint8_t kinds[] = {
	        [SL_TYPE_ENUM] = KIND_ENUM,
	        [SL_TYPE_COMPOSITE] = KIND_COMPOSITE,
	        [SL_TYPE_ARRAY] = KIND_ARRAY,
	        [SL_TYPE_RANGE] = KIND_RANGE,
	        [SL_TYPE_MULTIRANGE] = KIND_MULTIRANGE,
	};
	struct type t = {.kind = KIND_UNKNOWN, .of = c->of, .label = c->label};

	if ((size_t)c->kind < sizeof(kinds))
		t.kind = kinds[c->kind];
	return t;
}

struct type type_of(const struct sl_catalog *catalog, uint32_t oid, uint8_t format)
{
	const struct sl_catalog_type *c = NULL;
	struct type t = {.kind = KIND_UNKNOWN};

	if (oid == 0 && format == 0)
		t.kind = KIND_TEXT;
	for (uint32_t i = 0; i < DOMAINS_MAX && oid != 0 && !find_builtin(oid, &t); i++) {
		c = catalog != NULL ? sl_catalog_type(catalog, oid) : NULL;
		if (c == NULL)
			break;
		if (c->kind != SL_TYPE_DOMAIN)
			return of_catalog(c);
		oid = c->of;
	}
	return t;
}

/* ---- constants ---- */

/* In binary a number of zero bytes, behind `head`. text NULL: nothing stands for a value of the kind. */
static const struct constant {
	const char *text;
	uint8_t head_n, zeros;
	uint8_t head[4];
} constants[KINDS] = {
        [KIND_BOOL] = {"f", 0, 1, {0}},
        [KIND_INT2] = {"0", 0, 2, {0}},
        [KIND_INT4] = {"0", 0, 4, {0}},
        [KIND_INT8] = {"0", 0, 8, {0}},
        [KIND_OID] = {"0", 0, 4, {0}},
        [KIND_FLOAT4] = {"0", 0, 4, {0}},
        [KIND_FLOAT8] = {"0", 0, 8, {0}},
        [KIND_NUMERIC] = {"0", 0, 8, {0}},
        [KIND_CHAR] = {"*", 1, 0, {'*'}},
        [KIND_BYTEA] = {"\\x", 0, 0, {0}},
        [KIND_UUID] = {"00000000-0000-0000-0000-000000000000", 0, 16, {0}},
        [KIND_DATE] = {"2000-01-01", 0, 4, {0}},
        [KIND_TIME] = {"00:00:00", 0, 8, {0}},
        [KIND_TIMETZ] = {"00:00:00+00", 0, 12, {0}},
        [KIND_TIMESTAMP] = {"2000-01-01 00:00:00", 0, 8, {0}},
        [KIND_TIMESTAMPTZ] = {"2000-01-01 00:00:00+00", 0, 8, {0}},
        [KIND_INTERVAL] = {"00:00:00", 0, 16, {0}},
        [KIND_INET] = {"0.0.0.0", 4, 4, {2, 32, 0, 4}},
        [KIND_CIDR] = {"0.0.0.0/32", 4, 4, {2, 32, 1, 4}},
        [KIND_MACADDR] = {"00:00:00:00:00:00", 0, 6, {0}},
        [KIND_MACADDR8] = {"00:00:00:00:00:00:00:00", 0, 8, {0}},
        [KIND_VARBIT] = {"", 0, 4, {0}},
        [KIND_TSVECTOR] = {"", 0, 4, {0}},
        [KIND_RANGE] = {"empty", 1, 0, {1}},
        [KIND_MULTIRANGE] = {"{}", 0, 4, {0}},
};

bool type_redacted(enum kind kind, uint8_t format, struct out *w)
{
	const struct constant *c = &constants[kind];

	if (c->text == NULL)
		return false;
	if (format == 0) {
		out_text(w, c->text);
	} else {
		out_put(w, c->head, c->head_n);
		out_fill(w, 0, c->zeros);
	}
	return true;
}
