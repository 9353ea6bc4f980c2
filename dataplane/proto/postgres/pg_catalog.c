/*
 * A connection of the gateway's own: behind the login one query string, of which the rows become CATALOG
 * events. Its statements before the last one have no rows. There is no client.
 */
#include "pg_priv.h"
#include "sl_secret.h"

int pg_catalog_open(struct pg *d)
{
	if (d->cs != PG_C_STARTUP || d->start != NULL)
		return SL_E_INVAL;
	d->start = pg_take(d, sizeof(*d->start));
	if (d->start == NULL)
		return SL_E_FLOW_MEMORY;
	memset(d->start, 0, sizeof(*d->start));
	d->cs = PG_C_CLOSED;
	return SL_OK;
}

int pg_catalog_ask(struct pg *d)
{
	uint8_t head[PG_HEADER] = {'Q'};
	struct sl_span sql = d->login.query;
	int rc;

	sl_put_be32(head + 1, (uint32_t)(sql.n + PG_HEADER));
	d->ts = PG_T_CATALOG;
	d->logging_in = false;
	sl_cleanse(&d->login, sizeof(d->login));
	rc = pg_add(d, SL_TARGET, head, sizeof(head));
	if (rc == SL_OK)
		rc = pg_add(d, SL_TARGET, sql.p, sql.n);
	return rc == SL_OK ? pg_add(d, SL_TARGET, "", 1) : rc;
}

static int catalog_row(struct pg *d, struct sl_span b)
{
	struct sl_event ev = {.kind = SL_EV_CATALOG};
	struct sl_verdict v;
	uint32_t len;
	uint16_t n;

	if (pg_get_16(&b, &n) < 0 || n != SL_CATALOG_ROW)
		return pg_target_broken(d, "the catalog query gave other columns than asked for");
	for (int i = 0; i < SL_CATALOG_ROW; i++) {
		if (pg_get_32(&b, &len) < 0 ||
		    (len != UINT32_MAX && pg_get_bytes(&b, len, &ev.catalog.col[i]) < 0))
			return pg_target_broken(d, "the catalog query gave a malformed row");
	}
	return b.n == 0 ? pg_event(d, &ev, &v)
	                : pg_target_broken(d, "the catalog query gave a malformed row");
}

static int catalog_end(struct pg *d, const struct pg_msg *m)
{
	static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
	struct sl_event ev = {.kind = SL_EV_CATALOG, .catalog.end = true};
	struct sl_verdict v;
	int rc;

	if (!d->catalog_told || m->body.n != 1 || m->body.p[0] != 'I')
		return pg_target_broken(d, "the catalog query did not end well");
	rc = pg_event(d, &ev, &v);
	if (rc != SL_OK)
		return rc;
	d->catalog_done = true;
	d->terminated = true;
	return pg_add(d, SL_TARGET, terminate, sizeof(terminate));
}

int pg_catalog_message(struct pg *d, const struct pg_msg *m)
{
	switch (m->type) {
	case 'T':
		if (d->catalog_rows || d->catalog_told)
			return pg_target_broken(d, "the catalog query gave more than one result");
		d->catalog_rows = true;
		return SL_OK;
	case 'D':
		return d->catalog_rows ? catalog_row(d, m->body)
		                       : pg_target_broken(d, "row outside of the catalog query's result");
	case 'C':
		d->catalog_told = d->catalog_rows;
		d->catalog_rows = false;
		return SL_OK;
	case 'Z':
		return catalog_end(d, m);
	default:
		return pg_target_broken(d, "the catalog query failed");
	}
}
