/*
 * Making a catalog: the query for the target, and its answer row by row. The target is not trusted to answer
 * well: what is out of order, too much or cannot be read ends the building, so that there is no catalog at
 * all; a view whose rule alone cannot be read is derived from everything that masks hide.
 *
 * The query gives rows of SL_CATALOG_COLUMNS text values (k, a, b, t, u, x, y), in order of k, a and b:
 *   0 readers     a function of the system that reads what its text names
 *   1 relations   a OID, t name, u schema, x of a TOAST table: its owner, y relkind ('s' of the system)
 *   2 columns     a relation, b number, t name, u names of its type and of what that is made of (0x1f
 *                 between them), x type, y generated
 *   3 inheritance a child, x parent
 *   4 rules       a view, y pg_rewrite.ev_action (NULL: too long)
 *   5 generated   a relation, b column, y pg_attrdef.adbin (NULL: too long)
 *   6 functions   t name, u schema. Types with functions of their own stand among them.
 *   7 operators   t name
 *   8 types       a OID, t name, u an enum's first label, x made of, y typtype, 'a' of an array
 *   9 rows        a relation, b column, x relation whose row type its type is made of
 *  10 newest      a the highest OID of a relation
 *  11 foreign     a foreign table, b number, t the column's name there, u schema and name of the relation
 *                 there (0x1f between them), y where and the server's name: 's' this database, 'e' another
 *                 one, 'o' another wrapper than postgres_fdw
 *  12 names       t name, u schema of each relation
 * Of relations only those that masks hide something of, or that can be derived from such ones.
 *
 * One thread at a time; memory is taken while it is built (at a session's start, and when it is renewed).
 */
#ifndef SL_CATALOG_BUILD_H
#define SL_CATALOG_BUILD_H

#include "sl_catalog.h"

#define SL_CATALOG_COLUMNS       7
#define SL_CATALOG_QUERY_MAX     (64 * 1024)
#define SL_CATALOG_RELATIONS_MAX 65536
#define SL_CATALOG_ATTRS_MAX     (512 * 1024) /* columns of them */
#define SL_CATALOG_EDGES_MAX     (512 * 1024) /* from column to column */
#define SL_CATALOG_NAMES_MAX     (512 * 1024) /* relations of any kind */
#define SL_CATALOG_FUNCTIONS_MAX 65536
#define SL_CATALOG_OPERATORS_MAX 16384
#define SL_CATALOG_TYPES_MAX     65536
#define SL_CATALOG_TEXT_MAX      (64u * 1024 * 1024) /* bytes of all names */
#define SL_CATALOG_NAME_MAX      1024                /* of one; PostgreSQL's own limit is 63 bytes */
#define SL_CATALOG_RULE_MAX      (256 * 1024)        /* characters of a view's rule that is read */
#define SL_CATALOG_PASSES_MAX    1024                /* views on views: longer chains are derived from all */

struct sl_catalog_builder;

/*
 * The query's text for all masks of the snapshot, NUL-ended. Rules of more than rule_max characters are not
 * asked for (SL_CATALOG_RULE_MAX at most): what they say is not known. When the conditions do not fit it asks
 * for all relations. Returns its length, < 0 when cap (SL_CATALOG_QUERY_MAX) is too small even for that.
 */
long sl_catalog_query(const struct sl_snapshot *s, uint32_t rule_max, char *out, size_t cap);

/* s is kept only for the call. NULL: no memory. */
struct sl_catalog_builder *sl_catalog_begin(const struct sl_snapshot *s);
/* p NULL: SQL NULL. SL_OK, SL_E_PROTO_TARGET, SL_E_LIMIT, SL_E_NOMEM. */
int sl_catalog_row(struct sl_catalog_builder *b, const struct sl_span col[SL_CATALOG_COLUMNS]);
/* For a catalog that was declared: no name is unknown. */
void sl_catalog_knows_all(struct sl_catalog_builder *b);
/* Frees the builder in any case. *out has one count. */
int sl_catalog_end(struct sl_catalog_builder *b, struct sl_catalog **out);
/* NULL is fine. */
void sl_catalog_abort(struct sl_catalog_builder *b);

#endif
