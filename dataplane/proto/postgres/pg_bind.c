/*
 * Bind, and FunctionCall, whose parameters look the same. One that fits is read whole. A larger one is judged
 * by its head: the names, and the parameters as far as they lie in it; then it is passed on as it comes, and
 * each byte of it is followed, so that a message whose lengths do not add up is never finished.
 */
#include "pg_priv.h"

uint32_t pg_bind_head(const struct pg *d, uint32_t size)
{
	size_t head = d->cfg.message_max < PG_BIND_HEAD ? d->cfg.message_max : PG_BIND_HEAD;

	return size - 1 > d->cfg.message_max ? (uint32_t)head : size;
}

/* One parameter. SL_OK, SL_MORE: it is cut by the end of what is there. */
static int read_param(struct sl_span *b, uint32_t behind, struct sl_param *p)
{
	uint32_t len;

	if (pg_get_32(b, &len) < 0)
		return behind > 0 ? SL_MORE : SL_E_PROTO_MALFORMED;
	if (len == UINT32_MAX || pg_get_bytes(b, len, &p->value) == SL_OK)
		return SL_OK;
	if (len - b->n > behind)
		return SL_E_PROTO_MALFORMED;
	p->value = *b;
	p->more = (uint32_t)(len - b->n);
	return SL_MORE;
}

/* Those that are there, with their formats. */
static int read_params(struct pg *d, struct sl_span *b, struct sl_span formats, uint32_t behind,
                       struct pg_bind *o)
{
	size_t nf = formats.n / 2;
	int rc = SL_OK;

	if (nf > 1 && nf != o->nb_params)
		return SL_E_PROTO_MALFORMED;
	while (o->nb_read < o->nb_params && rc == SL_OK) {
		struct sl_param p = {.value = SL_SPAN_EMPTY};

		if (nf > 0)
			p.format = formats.p[nf == 1 ? 1 : 2 * o->nb_read + 1];
		rc = read_param(b, behind, &p);
		if (rc == SL_OK || p.more > 0)
			d->tmp->params[o->nb_read++] = p;
	}
	return rc < 0 ? rc : SL_OK;
}

int pg_call_read(struct pg *d, const struct pg_msg *m, struct pg_bind *o, uint32_t *function)
{
	struct sl_span b = m->body, formats, skip;
	uint16_t nf;
	int rc;

	memset(o, 0, sizeof(*o));
	if (pg_get_32(&b, function) < 0 || pg_get_16(&b, &nf) < 0 ||
	    pg_get_bytes(&b, 2 * (size_t)nf, &formats) < 0 || pg_get_16(&b, &o->nb_params) < 0)
		return SL_E_PROTO_MALFORMED;
	rc = read_params(d, &b, formats, 0, o);
	if (rc == SL_OK && (pg_get_bytes(&b, 2, &skip) < 0 || b.n != 0))
		rc = SL_E_PROTO_MALFORMED;
	return rc;
}

int pg_bind_read(struct pg *d, const struct pg_msg *m, struct pg_bind *o)
{
	struct sl_span b = m->body, formats, skip;
	uint32_t behind = m->size - (uint32_t)m->all.n; /* bytes of the message that are not here */
	uint16_t nf, nr;
	int rc;

	memset(o, 0, sizeof(*o));
	if (pg_get_str(&b, &o->portal) < 0 || pg_get_str(&b, &o->stmt) < 0 || pg_get_16(&b, &nf) < 0 ||
	    pg_get_bytes(&b, 2 * (size_t)nf, &formats) < 0 || pg_get_16(&b, &o->nb_params) < 0)
		return behind > 0 ? SL_E_FLOW_MESSAGE_SIZE : SL_E_PROTO_MALFORMED;
	rc = read_params(d, &b, formats, behind, o);
	if (rc < 0 || behind > 0)
		return rc;
	if (pg_get_16(&b, &nr) < 0 || pg_get_bytes(&b, 2 * (size_t)nr, &skip) < 0 || b.n != 0)
		return SL_E_PROTO_MALFORMED;
	return SL_OK;
}

/* ---- following one that streams ---- */

enum place {
	IN_HEADER = 0,
	IN_PORTAL,
	IN_STATEMENT,
	NB_FORMATS,
	IN_FORMATS,
	NB_PARAMS,
	PARAM_LENGTH,
	IN_PARAM,
	NB_RESULTS,
	IN_RESULTS,
	AT_END,
};

static void go(struct pg_follow *f, enum place place, uint32_t left)
{
	f->place = (uint8_t)place;
	f->left = left;
	f->number = 0;
}

/* A number was read whole, or what `left` counts is over. */
static void next_place(struct pg_follow *f)
{
	switch ((enum place)f->place) {
	case NB_FORMATS:
		go(f, IN_FORMATS, 2 * f->number);
		break;
	case IN_FORMATS:
		go(f, NB_PARAMS, 2);
		break;
	case NB_PARAMS:
		f->nb_params = f->number;
		go(f, f->nb_params > 0 ? PARAM_LENGTH : NB_RESULTS, f->nb_params > 0 ? 4 : 2);
		break;
	case PARAM_LENGTH:
		go(f, IN_PARAM, f->number == UINT32_MAX ? 0 : f->number);
		break;
	case IN_PARAM:
		f->nb_params--;
		go(f, f->nb_params > 0 ? PARAM_LENGTH : NB_RESULTS, f->nb_params > 0 ? 4 : 2);
		break;
	case NB_RESULTS:
		go(f, IN_RESULTS, 2 * f->number);
		break;
	case IN_RESULTS:
		go(f, AT_END, 0);
		break;
	default: /* IN_HEADER */
		go(f, IN_PORTAL, 1);
		break;
	}
}

static bool is_number(const struct pg_follow *f)
{
	return f->place == NB_FORMATS || f->place == NB_PARAMS || f->place == PARAM_LENGTH ||
	       f->place == NB_RESULTS;
}

void pg_follow_begin(struct pg_follow *f)
{
	memset(f, 0, sizeof(*f));
	f->on = true;
	go(f, IN_HEADER, PG_HEADER);
}

/* One step: a string up to its NUL, a byte of a number, or a run of bytes that mean nothing here. */
static size_t follow_step(struct pg_follow *f, struct sl_span b)
{
	const uint8_t *nul;
	size_t n = b.n < f->left ? b.n : f->left;

	if (f->place == IN_PORTAL || f->place == IN_STATEMENT) {
		nul = memchr(b.p, 0, b.n);
		if (nul == NULL)
			return b.n;
		go(f, f->place == IN_PORTAL ? IN_STATEMENT : NB_FORMATS, f->place == IN_PORTAL ? 1 : 2);
		return (size_t)(nul - b.p) + 1;
	}
	if (is_number(f)) {
		n = 1;
		f->number = f->number << 8 | b.p[0];
	}
	f->left -= (uint32_t)n;
	return n;
}

size_t pg_follow(struct pg_follow *f, struct sl_span b)
{
	size_t at = 0;

	while (at < b.n && f->place != AT_END) {
		at += follow_step(f, sl_span_sub(b, at, b.n));
		while (f->left == 0 && f->place != AT_END)
			next_place(f);
	}
	return at;
}

bool pg_follow_done(const struct pg_follow *f)
{
	return f->place == AT_END;
}
